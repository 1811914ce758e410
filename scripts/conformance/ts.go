package conformance

import (
	"fmt"
	"hash/crc32"
	"math/bits"
)

// Stream types of ISO 13818-1 table 2-34, and what HLS adds.
const (
	typeMPEG1Audio = 0x03
	typeMPEG2Audio = 0x04
	typeADTS       = 0x0f
	typeID3        = 0x15
	typeH264       = 0x1b
	typeHEVC       = 0x24
	typeAC3        = 0x81
	typeEAC3       = 0x87
)

const (
	packetSize = 188
	pidNull    = 0x1fff
	noClock    = -1
)

// TS is one MPEG-TS segment, read by itself.
type TS struct {
	Packets    []Packet
	PMTPID     int
	PCRPID     int
	PMTVersion int
	Programs   int
	Streams    map[int]byte   // stream type of each elementary PID
	Described  map[int][]byte // descriptor tags of each elementary PID; those of the program are 0's
	PES        []*PES         // in order of their first packets
	Problems   []Problem
}

// Packet is a transport packet's header. PCR is in units of 27 MHz, or noClock.
type Packet struct {
	PID                int
	Counter            byte
	Start, HasPayload  bool
	RandomAccess       bool
	Scrambled, Errored bool
	PCR                int64
}

// PES is one PES packet. PTS and DTS are 33 bits of 90 kHz.
type PES struct {
	PID          int
	Type         byte // stream type
	StreamID     byte
	First        int // index of its first transport packet
	RandomAccess bool
	HasPTS       bool
	PTS, DTS     int64
	Announced    int // PES_packet_length
	Carried      int // bytes behind that field
	Payload      []byte
}

// tsReader holds what is open between packets.
type tsReader struct {
	ts    *TS
	open  map[int][]byte // bytes of the PES packet that is open
	first map[int]int
	begun map[int]bool
	index int
}

// ReadTS reads a segment. It always returns one; what is wrong is in Problems.
func ReadTS(b []byte) *TS {
	r := &tsReader{ts: &TS{PMTPID: -1, PCRPID: -1, PMTVersion: -1, Streams: map[int]byte{}, Described: map[int][]byte{}},
		open: map[int][]byte{}, first: map[int]int{}, begun: map[int]bool{}}
	if len(b) == 0 || len(b)%packetSize != 0 {
		r.fail("ts.packets", "%d bytes are not whole packets", len(b))
	}
	for ; (r.index+1)*packetSize <= len(b); r.index++ {
		p := b[r.index*packetSize : (r.index+1)*packetSize]
		if p[0] != 0x47 {
			r.fail("ts.packets", "no sync byte")
			return r.ts
		}
		r.packet(p)
	}
	for pid := range r.open {
		r.endPES(pid)
	}
	sortPES(r.ts.PES)
	return r.ts
}

func (r *tsReader) fail(rule, format string, args ...any) {
	r.ts.Problems = append(r.ts.Problems, Problem{rule, 0, fmt.Sprintf("packet %d: ", r.index) + fmt.Sprintf(format, args...)})
}

func (r *tsReader) packet(b []byte) {
	p := Packet{
		PID:     int(b[1]&0x1f)<<8 | int(b[2]),
		Errored: b[1]&0x80 != 0, Start: b[1]&0x40 != 0,
		Scrambled: b[3]&0xc0 != 0, HasPayload: b[3]&0x10 != 0,
		Counter: b[3] & 0x0f, PCR: noClock,
	}
	if p.Errored || p.Scrambled {
		r.fail("ts.packets", "marked as damaged or scrambled")
	}
	payload := b[4:]
	if b[3]&0x20 != 0 {
		payload = r.adaptation(&p, b)
	}
	if !p.HasPayload {
		payload = nil
		if b[3]&0x20 == 0 {
			r.fail("ts.packets", "neither payload nor adaptation field")
		}
	}
	r.ts.Packets = append(r.ts.Packets, p)
	switch {
	case payload == nil || p.PID == pidNull:
	case p.PID == 0:
		r.pat(payload)
	case p.PID == r.ts.PMTPID:
		r.pmt(payload)
	default:
		r.elementary(p, payload)
	}
}

// adaptation reads an adaptation field and returns the payload behind it.
func (r *tsReader) adaptation(p *Packet, b []byte) []byte {
	n := int(b[4])
	if 5+n > packetSize || p.HasPayload && n > 182 || !p.HasPayload && n != 183 {
		r.fail("ts.packets", "an adaptation field of %d bytes", n)
		return nil
	}
	if n > 0 {
		p.RandomAccess = b[5]&0x40 != 0
		if b[5]&0x10 != 0 {
			if n < 7 {
				r.fail("ts.packets", "a PCR in an adaptation field of %d bytes", n)
				return nil
			}
			base := int64(b[6])<<25 | int64(b[7])<<17 | int64(b[8])<<9 | int64(b[9])<<1 | int64(b[10])>>7
			p.PCR = base*300 + int64(b[10]&1)<<8 + int64(b[11])
		}
	}
	return b[5+n:]
}

// section returns a PSI section without pointer field and CRC, nil if it is not
// whole.
func (r *tsReader) section(payload []byte, table byte) []byte {
	if len(payload) < 4 || len(payload) < 4+int(payload[0]) {
		r.fail("ts.tables", "a table of %d bytes", len(payload))
		return nil
	}
	s := payload[1+int(payload[0]):]
	n := 3 + int(s[1]&0x0f)<<8 + int(s[2])
	if n > len(s) || n < 12 || s[0] != table {
		r.fail("ts.tables", "table %d says %d bytes", s[0], n)
		return nil
	}
	if crcMPEG(s[:n]) != 0 {
		r.fail("ts.tables", "the CRC of table %d is wrong", table)
	}
	return s[:n-4]
}

func (r *tsReader) pat(payload []byte) {
	s := r.section(payload, 0)
	if s == nil {
		return
	}
	r.ts.Programs = 0
	for rest := s[8:]; len(rest) >= 4; rest = rest[4:] {
		if rest[0]|rest[1] != 0 { // program 0 is the network's
			r.ts.Programs++
			r.ts.PMTPID = int(rest[2]&0x1f)<<8 | int(rest[3])
		}
	}
}

func (r *tsReader) pmt(payload []byte) {
	s := r.section(payload, 2)
	if s == nil {
		return
	}
	r.ts.PMTVersion = int(s[5] >> 1 & 0x1f)
	r.ts.PCRPID = int(s[8]&0x1f)<<8 | int(s[9])
	r.ts.Streams, r.ts.Described = map[int]byte{}, map[int][]byte{}
	rest := r.descriptors(0, s[10:])
	for len(rest) >= 5 {
		pid := int(rest[1]&0x1f)<<8 | int(rest[2])
		r.ts.Streams[pid] = rest[0]
		rest = r.descriptors(pid, rest[3:])
	}
}

// descriptors reads the tags of a list of descriptors with its length in front, and
// returns what stands behind it.
func (r *tsReader) descriptors(pid int, b []byte) []byte {
	n := 2 + int(b[0]&0x0f)<<8 + int(b[1])
	if n > len(b) {
		r.fail("ts.tables", "descriptors end behind the table")
		return nil
	}
	for d := b[2:n]; len(d) >= 2; d = d[min(len(d), 2+int(d[1])):] {
		r.ts.Described[pid] = append(r.ts.Described[pid], d[0])
	}
	return b[n:]
}

func (r *tsReader) elementary(p Packet, payload []byte) {
	if _, ok := r.ts.Streams[p.PID]; !ok {
		r.fail("ts.tables", "PID %d is in no table", p.PID)
		return
	}
	if p.Start {
		r.endPES(p.PID)
		r.first[p.PID], r.begun[p.PID] = r.index, true
		r.open[p.PID] = []byte{}
	} else if !r.begun[p.PID] {
		r.fail("ts.straddle", "PID %d goes on with a PES packet of the segment before", p.PID)
		return
	}
	r.open[p.PID] = append(r.open[p.PID], payload...)
}

func (r *tsReader) endPES(pid int) {
	b, ok := r.open[pid]
	if !ok {
		return
	}
	delete(r.open, pid)
	if len(b) < 9 || b[0] != 0 || b[1] != 0 || b[2] != 1 || 9+int(b[8]) > len(b) {
		r.fail("ts.pes", "PID %d: a PES packet of %d bytes begins with % x", pid, len(b), b[:min(9, len(b))])
		return
	}
	p := &PES{PID: pid, Type: r.ts.Streams[pid], StreamID: b[3], First: r.first[pid],
		RandomAccess: r.ts.Packets[r.first[pid]].RandomAccess,
		Announced:    int(b[4])<<8 | int(b[5]), Carried: len(b) - 6, Payload: b[9+int(b[8]):]}
	if b[6]>>6 != 2 {
		r.fail("ts.pes", "PID %d: the PES header's marker bits are %d", pid, b[6]>>6)
	}
	need := [4]int{0, 0, 5, 10}[b[7]>>6]
	if b[7]>>6 == 1 || int(b[8]) < need {
		r.fail("ts.pes", "PID %d: PTS_DTS_flags %d with a header of %d bytes", pid, b[7]>>6, b[8])
		return
	}
	if need > 0 {
		p.HasPTS = true
		p.PTS = timestamp(b[9:14])
		p.DTS = p.PTS
	}
	if need == 10 {
		p.DTS = timestamp(b[14:19])
	}
	r.ts.PES = append(r.ts.PES, p)
}

func timestamp(b []byte) int64 {
	return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
}

// setTimestamp writes 33 bits into the five bytes of a PTS or DTS.
func setTimestamp(b []byte, t int64) {
	b[0] = b[0]&0xf1 | byte(t>>29)&0x0e
	b[1] = byte(t >> 22)
	b[2] = byte(t>>14)&0xfe | 1
	b[3] = byte(t >> 7)
	b[4] = byte(t<<1) | 1
}

func sortPES(all []*PES) {
	for i := range all { // nearly sorted: the last of each PID come late
		for j := i; j > 0 && all[j].First < all[j-1].First; j-- {
			all[j], all[j-1] = all[j-1], all[j]
		}
	}
}

// track returns the PES packets of the streams that is says yes to.
func (t *TS) track(is func(byte) bool) (of []*PES) {
	for _, p := range t.PES {
		if is(p.Type) {
			of = append(of, p)
		}
	}
	return of
}

func isVideo(typ byte) bool { return typ == typeH264 || typ == typeHEVC }
func isAudio(typ byte) bool { return !isVideo(typ) && typ != typeID3 }

// since is the distance of two 33-bit times, the shorter way round.
func since(later, earlier int64) int64 {
	d := (later - earlier) & (1<<33 - 1)
	if d >= 1<<32 {
		d -= 1 << 33
	}
	return d
}

var crcTable = func() (t [256]uint32) {
	for i := range t {
		c := uint32(i) << 24
		for range 8 {
			if c&0x80000000 != 0 {
				c = c<<1 ^ bits.Reverse32(crc32.IEEE)
			} else {
				c <<= 1
			}
		}
		t[i] = c
	}
	return t
}()

// crcMPEG is the CRC of ISO 13818-1 annex A; over a section with its CRC it is 0.
func crcMPEG(b []byte) uint32 {
	c := uint32(0xffffffff)
	for _, x := range b {
		c = c<<8 ^ crcTable[byte(c>>24)^x]
	}
	return c
}
