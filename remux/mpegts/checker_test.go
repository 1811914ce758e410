package mpegts

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"slices"
)

// checker reads segments in sequence the way a strict demultiplexer would, and
// notes everything that is not as the package promises. It shares no code with
// the writer.
type checker struct {
	streamTypes map[int]byte // what the PMT has to list: PID → stream_type
	independent bool         // each segment with video begins with an IDR picture
	opaque      bool         // payloads are noise: do not look into them
	endless     bool         // pieces of a Stream in place of segments

	problems        []string
	discontinuities int // packets with the indicator, of a Stream
	segment         int
	packet          int

	counters map[int]byte // last continuity counter of each PID
	payloads map[int]int  // packets with payload of each PID in this segment
	open     map[int]*pesPacket
	pcr      int64 // last one, -1: none yet
	lastDTS  map[int]int64
	pes      map[int][]*pesPacket // all of them
}

// pesPacket is one PES packet as it was found.
type pesPacket struct {
	pid          int
	segment      int
	randomAccess bool
	bytes        []byte // with header
	pts, dts     int64
	payload      []byte
}

const (
	testVideoPID = 0x100
	testAudioPID = 0x101
	testID3PID   = 0x102
	testPMTPID   = 0x1000
	wrap         = int64(1) << 33
)

func newChecker(streamTypes map[int]byte) *checker {
	return &checker{
		streamTypes: streamTypes,
		counters:    map[int]byte{},
		lastDTS:     map[int]int64{},
		pes:         map[int][]*pesPacket{},
		pcr:         -1,
		segment:     -1,
	}
}

func (c *checker) complain(format string, args ...any) {
	c.problems = append(c.problems, fmt.Sprintf("segment %d packet %d: ", c.segment, c.packet)+fmt.Sprintf(format, args...))
}

func (c *checker) clockPID() int {
	if _, ok := c.streamTypes[testVideoPID]; ok {
		return testVideoPID
	}
	return testAudioPID
}

// add reads one segment.
func (c *checker) add(b []byte) {
	c.segment++
	c.payloads = map[int]int{}
	c.open = map[int]*pesPacket{}
	if len(b)%188 != 0 {
		c.complain("length %d is not whole packets", len(b))
	}
	for c.packet = 0; len(b) >= 188; c.packet++ {
		c.readPacket(b[:188])
		b = b[188:]
	}
	for pid := range c.open {
		c.finish(pid)
	}
	if c.endless {
		return
	}
	for pid, n := range c.payloads {
		if _, media := c.streamTypes[pid]; media {
			if n%16 != 0 {
				c.complain("PID %#x has %d packets with payload", pid, n)
			}
		} else if n != 1 {
			c.complain("PID %#x has %d sections", pid, n)
		}
	}
	if c.payloads[0] != 1 || c.payloads[testPMTPID] != 1 {
		c.complain("PAT %d times, PMT %d times", c.payloads[0], c.payloads[testPMTPID])
	}
}

func (c *checker) readPacket(p []byte) {
	if p[0] != 0x47 {
		c.complain("sync byte %#x", p[0])
		return
	}
	pid := int(p[1]&0x1f)<<8 | int(p[2])
	start := p[1]&0x40 != 0
	hasAdaptation, hasPayload := p[3]&0x20 != 0, p[3]&0x10 != 0
	if p[1]&0xa0 != 0 || p[3]&0xc0 != 0 {
		c.complain("error, priority or scrambling bits % x", p[:4])
	}
	if !c.endless && c.packet < 2 && pid != [2]int{0, testPMTPID}[c.packet] {
		c.complain("PID %#x in place of a table", pid)
	}
	if c.endless && hasAdaptation && p[4] > 0 && p[5]&0x80 != 0 {
		c.counters[pid] = p[3] & 15 // that is what the indicator is for
	} else {
		c.checkCounter(pid, p[3]&15, hasPayload)
	}
	body, randomAccess := p[4:], false
	if hasAdaptation {
		n := int(body[0]) + 1
		if n > len(body) || hasPayload && n == len(body) || !hasPayload && n != len(body) {
			c.complain("adaptation field of %d bytes", n)
			return
		}
		randomAccess = c.readAdaptation(pid, body[1:n])
		body = body[n:]
	}
	if !c.endless && pid == c.clockPID() && (!hasAdaptation || p[5]&0x10 == 0) && !c.clockSeen() {
		c.complain("first packet of the clock's PID has no PCR")
		c.payloads[-1]++ // once is enough
	}
	if hasPayload {
		c.readPayload(pid, body, start, randomAccess)
	}
}

// clockSeen says whether this segment has had a PCR; it is noted under PID -1.
func (c *checker) clockSeen() bool { return c.payloads[-1] > 0 }

func (c *checker) checkCounter(pid int, counter byte, hasPayload bool) {
	last, seen := c.counters[pid]
	want := last
	if hasPayload {
		want = (last + 1) & 15
	}
	if seen && counter != want {
		c.complain("PID %#x counter %d, want %d", pid, counter, want)
	}
	c.counters[pid] = counter
}

func (c *checker) readAdaptation(pid int, field []byte) (randomAccess bool) {
	if len(field) == 0 {
		return false
	}
	flags, rest := field[0], field[1:]
	if c.endless && flags == 0x80 {
		c.discontinuities++
		return false
	}
	if flags&^0x50 != 0 {
		c.complain("adaptation flags %#x", flags)
	}
	if flags&0x10 != 0 {
		if len(rest) < 6 {
			c.complain("PCR is cut")
			return false
		}
		c.readPCR(pid, rest[:6])
		rest = rest[6:]
	}
	for _, b := range rest {
		if b != 0xff {
			c.complain("stuffing %#x", b)
			break
		}
	}
	return flags&0x40 != 0
}

func (c *checker) readPCR(pid int, b []byte) {
	if pid != c.clockPID() {
		c.complain("PCR on PID %#x", pid)
	}
	base := int64(b[0])<<25 | int64(b[1])<<17 | int64(b[2])<<9 | int64(b[3])<<1 | int64(b[4]>>7)
	if extension := int(b[4]&1)<<8 | int(b[5]); extension > 299 {
		c.complain("PCR extension %d", extension)
	}
	if c.pcr >= 0 {
		if d := distance(c.pcr, base); d <= 0 || d > 9000 {
			c.complain("PCR %d ms after the last", d/90)
		}
	}
	c.pcr = base
	c.payloads[-1] = 1
}

// distance is how far b is ahead of a on a clock of 33 bits.
func distance(a, b int64) int64 {
	d := (b - a) & (wrap - 1)
	if d >= wrap/2 {
		d -= wrap
	}
	return d
}

func (c *checker) readPayload(pid int, body []byte, start, randomAccess bool) {
	c.payloads[pid]++
	switch pid {
	case 0:
		c.checkPAT(body, start)
	case testPMTPID:
		c.checkPMT(body, start)
	default:
		if _, ok := c.streamTypes[pid]; !ok {
			c.complain("PID %#x is not in the PMT", pid)
			return
		}
		if start {
			c.finish(pid)
			c.open[pid] = &pesPacket{pid: pid, segment: c.segment, randomAccess: randomAccess}
		}
		if c.open[pid] == nil {
			c.complain("PID %#x begins within a PES packet", pid)
			return
		}
		c.open[pid].bytes = append(c.open[pid].bytes, body...)
		if start {
			c.checkStart(c.open[pid])
		}
	}
}

func (c *checker) section(body []byte, start bool, table byte) []byte {
	if !start || body[0] != 0 || body[1] != table {
		c.complain("not the start of table %d", table)
		return nil
	}
	n := 4 + int(body[2]&0x0f)<<8 + int(body[3])
	if n > len(body) || n < 16 {
		c.complain("table %d has %d bytes", table, n)
		return nil
	}
	if slices.ContainsFunc(body[n:], func(b byte) bool { return b != 0xff }) {
		c.complain("table %d is not followed by stuffing", table)
	}
	s := body[1:n]
	// A CRC over data and CRC is 0.
	var crc uint32 = 0xffffffff
	for _, b := range s {
		for bit := 7; bit >= 0; bit-- {
			out := crc>>31 != uint32(b>>bit&1)
			crc <<= 1
			if out {
				crc ^= 0x04c11db7
			}
		}
	}
	if crc != 0 {
		c.complain("table %d has a wrong CRC", table)
	}
	return s
}

func (c *checker) checkPAT(body []byte, start bool) {
	s := c.section(body, start, 0)
	if s == nil {
		return
	}
	if len(s) != 16 || binary.BigEndian.Uint16(s[8:]) != 1 || binary.BigEndian.Uint16(s[10:])&0x1fff != testPMTPID {
		c.complain("PAT % x", s)
	}
}

func (c *checker) checkPMT(body []byte, start bool) {
	s := c.section(body, start, 2)
	if s == nil {
		return
	}
	if pid := int(binary.BigEndian.Uint16(s[8:]) & 0x1fff); pid != c.clockPID() {
		c.complain("PCR PID %#x", pid)
	}
	info, entries := 12+int(binary.BigEndian.Uint16(s[10:])&0xfff), s[:len(s)-4]
	if info > len(entries) {
		c.complain("PMT program info of %d bytes", info-12)
		return
	}
	c.checkDescriptors("program", s[12:info], c.streamTypes[testID3PID] != 0, id3ProgramInfo)
	entries = entries[info:]
	found := 0
	for ; len(entries) >= 5; found++ {
		pid := int(binary.BigEndian.Uint16(entries[1:]) & 0x1fff)
		if want, ok := c.streamTypes[pid]; !ok || want != entries[0] {
			c.complain("PMT has stream type %#x on PID %#x", entries[0], pid)
		}
		n := 5 + int(binary.BigEndian.Uint16(entries[3:])&0xfff)
		if n > len(entries) {
			c.complain("PMT descriptors of %d bytes", n-5)
			return
		}
		c.checkDescriptors(fmt.Sprintf("PID %#x", pid), entries[5:n], pid == testID3PID, id3StreamInfo)
		entries = entries[n:]
	}
	if found != len(c.streamTypes) {
		c.complain("PMT lists %d streams", found)
	}
}

// What Apple's "Timed Metadata for HTTP Live Streaming", 2.3, puts into a PMT,
// field by field.
var (
	id3ProgramInfo = slices.Concat(
		[]byte{37, 15},                     // metadata_pointer_descriptor
		[]byte{0xff, 0xff}, []byte("ID3 "), // metadata_application_format
		[]byte{0xff}, []byte("ID3 "), // metadata_format
		[]byte{0}, []byte{0<<7 | 0<<5 | 31}, // service id; no locator, carriage in this stream
		[]byte{0, 1}, // program
	)
	id3StreamInfo = slices.Concat(
		[]byte{38, 13}, // metadata_descriptor
		[]byte{0xff, 0xff}, []byte("ID3 "),
		[]byte{0xff}, []byte("ID3 "),
		[]byte{0}, []byte{0<<5 | 0<<4 | 15}, // service id; no decoder configuration, no DSM-CC
	)
)

// checkDescriptors wants those of ID3 where they belong, and nowhere else.
func (c *checker) checkDescriptors(of string, got []byte, id3 bool, want []byte) {
	if id3 != bytes.Equal(got, want) {
		c.complain("%s has descriptors % x", of, got)
	}
}

// checkStart looks at what has to be in the first packet of a PES packet.
func (c *checker) checkStart(p *pesPacket) {
	b := p.bytes
	if len(b) < 14 || len(b) < 9+int(b[8]) {
		if !c.opaque {
			c.complain("PES header is spread over packets")
		}
		return
	}
	_, dts, ok := readTimes(b)
	if !ok {
		return // finish says so
	}
	if c.pcr < 0 {
		c.complain("data in front of the first PCR")
	} else if distance(c.pcr, dts) < 0 {
		c.complain("PID %#x DTS is %d ms behind the PCR", p.pid, -distance(c.pcr, dts)/90)
	}
}

func readTimes(b []byte) (pts, dts int64, ok bool) {
	read := func(b []byte, prefix byte) int64 {
		if b[0]>>4 != prefix || b[0]&b[2]&b[4]&1 != 1 {
			return -1
		}
		return int64(b[0]>>1&7)<<30 | int64(b[1])<<22 | int64(b[2]>>1)<<15 | int64(b[3])<<7 | int64(b[4]>>1)
	}
	switch {
	case b[7] == 0x80 && b[8] == 5:
		pts = read(b[9:], 2)
		return pts, pts, pts >= 0
	case b[7] == 0xc0 && b[8] == 10 && len(b) >= 19:
		pts, dts = read(b[9:], 3), read(b[14:], 1)
		return pts, dts, pts >= 0 && dts >= 0 && pts != dts
	}
	return 0, 0, false
}

// finish looks at a whole PES packet.
func (c *checker) finish(pid int) {
	p := c.open[pid]
	if p == nil {
		return
	}
	delete(c.open, pid)
	b := p.bytes
	if len(b) < 14 || !bytes.Equal(b[:3], []byte{0, 0, 1}) || b[6]&0xc0 != 0x80 || len(b) < 9+int(b[8]) {
		c.complain("PID %#x PES header % x", pid, b[:min(14, len(b))])
		return
	}
	length := int(binary.BigEndian.Uint16(b[4:]))
	if length != len(b)-6 && (length != 0 || pid != testVideoPID) {
		c.complain("PID %#x PES length %d of %d", pid, length, len(b)-6)
	}
	var ok bool
	if p.pts, p.dts, ok = readTimes(b); !ok {
		c.complain("PID %#x PES timestamps % x", pid, b[6:14])
		return
	}
	if distance(p.dts, p.pts) < 0 {
		c.complain("PID %#x PTS is before DTS", pid)
	}
	if last, ok := c.lastDTS[pid]; ok && (distance(last, p.dts) < 0 || pid != testID3PID && last == p.dts) {
		c.complain("PID %#x DTS goes back by %d", pid, -distance(last, p.dts))
	}
	c.lastDTS[pid] = p.dts
	p.payload = b[9+int(b[8]):]
	first := len(c.pes[pid]) == 0 || c.pes[pid][len(c.pes[pid])-1].segment != c.segment
	c.pes[pid] = append(c.pes[pid], p)
	switch {
	case c.opaque:
	case pid == testVideoPID:
		c.checkAccessUnit(p, b[3], first)
	case pid == testID3PID:
		c.checkMetadata(p)
	default:
		c.checkAudio(p, b[3])
	}
}

// checkMetadata wants one whole tag, aligned, with a PTS and no more.
func (c *checker) checkMetadata(p *pesPacket) {
	b := p.payload
	if id, flags := p.bytes[3], p.bytes[6]; id != 0xbd || flags != 0x84 || p.bytes[7] != 0x80 || p.randomAccess {
		c.complain("metadata stream id %#x, flags % x, random access %v", id, p.bytes[6:8], p.randomAccess)
	}
	if len(b) < 10 || string(b[:5]) != "ID3\x04\x00" || int(b[8])<<7|int(b[9]) != len(b)-10 {
		c.complain("metadata of %d bytes: % x", len(b), b[:min(10, len(b))])
	}
}

func (c *checker) checkAccessUnit(p *pesPacket, streamID byte, first bool) {
	if streamID != 0xe0 {
		c.complain("video stream id %#x", streamID)
	}
	if !bytes.HasPrefix(p.payload, []byte{0, 0, 0, 1, 9, 0xf0}) {
		c.complain("access unit begins with % x", p.payload[:min(6, len(p.payload))])
	}
	var delimiters, sps, pps int
	var slice, idr bool
	for _, nal := range splitByteStream(p.payload) {
		switch typ := nal[0] & 31; typ {
		case 9:
			delimiters++
		case 7:
			sps++
		case 8:
			pps++
			if sps == 0 {
				c.complain("PPS without an SPS in front of it")
			}
		case 1, 2, 3, 4, 5:
			idr = idr || typ == 5
			if typ == 5 && !slice && (sps == 0 || pps == 0) {
				c.complain("IDR without SPS and PPS in front of it")
			}
			slice = true
		}
	}
	if delimiters != 1 {
		c.complain("%d access unit delimiters", delimiters)
	}
	if sps > 1 || pps > 1 {
		c.complain("%d SPS and %d PPS", sps, pps)
	}
	if !slice {
		c.complain("access unit has no slice")
	}
	if p.randomAccess != idr {
		c.complain("random access indicator %v, IDR %v", p.randomAccess, idr)
	}
	if first && c.independent && !idr {
		c.complain("segment does not begin with an IDR")
	}
}

// splitByteStream returns the NAL units between start codes (H.264 annex B).
func splitByteStream(b []byte) (units [][]byte) {
	for {
		i := bytes.Index(b, []byte{0, 0, 1})
		if i < 0 {
			return units
		}
		b = b[i+3:]
		end := bytes.Index(b, []byte{0, 0, 1})
		unit := b
		if end >= 0 {
			unit = b[:end]
		}
		if unit = bytes.TrimRight(unit, "\x00"); len(unit) > 0 {
			units = append(units, unit)
		}
	}
}

func (c *checker) checkAudio(p *pesPacket, streamID byte) {
	want := byte(0xc0)
	if t := c.streamTypes[testAudioPID]; t == 0x81 || t == 0x87 {
		want = 0xbd
	}
	if streamID != want {
		c.complain("audio stream id %#x", streamID)
	}
	if alone := c.clockPID() == testAudioPID; p.randomAccess != alone {
		c.complain("audio random access indicator %v", p.randomAccess)
	}
	if c.streamTypes[testAudioPID] != 0x0f {
		return
	}
	frames, ok := splitADTS(p.payload)
	if !ok {
		c.complain("ADTS frames do not fill the PES packet")
		return
	}
	if all := c.pes[testAudioPID]; len(all) > 1 && all[len(all)-2].segment == p.segment {
		before := all[len(all)-2]
		n, _ := splitADTS(before.payload)
		rate := []int64{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}[frames[0][2]>>2&15]
		want := int64(len(n)) * 1024 * 90000 / rate
		if d := distance(before.pts, p.pts); d < want-1 || d > want+1 {
			c.complain("%d audio frames last %d ticks", len(n), d)
		}
	}
}

// splitADTS returns the frames of an ADTS stream with their headers.
func splitADTS(b []byte) (frames [][]byte, ok bool) {
	for len(b) > 0 {
		if len(b) < 7 || b[0] != 0xff || b[1] != 0xf1 {
			return frames, false
		}
		n := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5)
		if n < 8 || n > len(b) {
			return frames, false
		}
		frames = append(frames, b[:n])
		b = b[n:]
	}
	return frames, len(frames) > 0
}
