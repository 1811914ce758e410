//go:build e2e

package e2e

import (
	"bytes"
	"fmt"
	"time"
)

const (
	tsPacket    = 188
	pidPAT      = 0
	pidNull     = 0x1fff
	typeH264    = 0x1b
	maxPCRApart = 100 * time.Millisecond // ISO 13818-1 2.7.2
	pcrClock    = 27_000_000
	ptsClock    = 90_000

	unitIDR, unitSPS, unitPPS, unitAUD = 5, 7, 8, 9 // NAL unit types
)

// tsChecker reads the segments of one stream in order and holds them against
// ISO 13818-1 and what HLS asks of it.
type tsChecker struct {
	errs     []error
	counters map[int]byte // last continuity counter of each PID
	pmt      int
	pcrPID   int
	types    map[int]byte // stream type of each elementary PID
	pcr      time.Duration
	hasPCR   bool
	segment  string
}

// checkTS checks a run of segments without a discontinuity.
func checkTS(segments []segmentPull) []error {
	c := &tsChecker{counters: map[int]byte{}, pmt: -1, pcrPID: -1, types: map[int]byte{}}
	for _, s := range segments {
		c.check(s.uri, s.body)
	}
	return c.errs
}

func (c *tsChecker) fail(format string, args ...any) {
	if len(c.errs) < 20 {
		c.errs = append(c.errs, fmt.Errorf(c.segment+": "+format, args...))
	}
}

func (c *tsChecker) check(name string, b []byte) {
	c.segment = name
	if len(b)%tsPacket != 0 {
		c.fail("%d bytes are not whole packets", len(b))
	}
	begun := map[int]bool{} // elementary PIDs that have started a PES packet here
	pes := map[int][]byte{}
	for i := 0; (i+1)*tsPacket <= len(b); i++ {
		p := b[i*tsPacket : (i+1)*tsPacket]
		if p[0] != 0x47 {
			c.fail("packet %d: no sync byte", i)
			return
		}
		pid, payload, starts := int(p[1]&0x1f)<<8|int(p[2]), tsPayload(p), p[1]&0x40 != 0
		c.checkCounter(i, pid, p)
		c.checkPCR(i, pid, p)
		switch {
		case pid == pidPAT:
			c.readPAT(payload)
		case pid == c.pmt:
			c.readPMT(payload)
		}
		if i == 0 && pid != pidPAT || i == 1 && (pid != c.pmt || c.pmt < 0) {
			c.fail("packet %d: PID %d; a segment starts with PAT and PMT", i, pid)
		}
		typ, elementary := c.types[pid]
		if !elementary || payload == nil {
			continue
		}
		if !begun[pid] && !starts {
			c.fail("packet %d: PID %d goes on with a PES packet of the segment before", i, pid)
		}
		if starts {
			if begun[pid] {
				c.checkPES(typ, pes[pid])
			}
			if typ == typeH264 && !begun[pid] && !(p[3]&0x20 != 0 && p[4] > 0 && p[5]&0x40 != 0) {
				c.fail("packet %d: the first picture has no random_access_indicator", i)
			}
			c.checkClock(payload)
			pes[pid] = nil
		}
		pes[pid] = append(pes[pid], payload...)
		begun[pid] = true
	}
	for pid, data := range pes {
		c.checkPES(c.types[pid], data)
	}
}

// checkCounter: the counter of every PID goes up by one with each packet that
// has a payload, from segment to segment too.
func (c *tsChecker) checkCounter(i, pid int, p []byte) {
	if pid == pidNull {
		return
	}
	counter, last := p[3]&0x0f, byte(0)
	last, seen := c.counters[pid]
	want := last
	if p[3]&0x10 != 0 {
		want = (last + 1) & 0x0f
	}
	if seen && counter != want {
		c.fail("packet %d: continuity counter of PID %d is %d after %d", i, pid, counter, last)
	}
	c.counters[pid] = counter
}

func (c *tsChecker) checkPCR(i, pid int, p []byte) {
	if p[3]&0x20 == 0 || p[4] < 7 || p[5]&0x10 == 0 {
		return
	}
	if pid != c.pcrPID {
		c.fail("packet %d: PCR on PID %d, PMT says %d", i, pid, c.pcrPID)
	}
	base := int64(p[6])<<25 | int64(p[7])<<17 | int64(p[8])<<9 | int64(p[9])<<1 | int64(p[10])>>7
	ticks := base*300 + int64(p[10]&1)<<8 + int64(p[11])
	pcr := time.Duration(float64(ticks) / pcrClock * 1e9)
	switch {
	case !c.hasPCR:
	case pcr < c.pcr:
		c.fail("packet %d: PCR goes back from %v to %v", i, c.pcr, pcr)
	case pcr-c.pcr > maxPCRApart+time.Microsecond:
		c.fail("packet %d: %v since the last PCR", i, pcr-c.pcr)
	}
	c.pcr, c.hasPCR = pcr, true
}

// tsPayload returns a packet's payload, nil if it has none.
func tsPayload(p []byte) []byte {
	if p[3]&0x10 == 0 {
		return nil
	}
	if p[3]&0x20 == 0 {
		return p[4:]
	}
	if n := 5 + int(p[4]); n < tsPacket {
		return p[n:]
	}
	return nil
}

// section returns a PSI section behind its pointer field, its CRC checked.
func (c *tsChecker) section(payload []byte) []byte {
	if len(payload) < 4 || len(payload) < 1+int(payload[0])+3 {
		c.fail("a table of %d bytes", len(payload))
		return nil
	}
	s := payload[1+int(payload[0]):]
	n := 3 + int(s[1]&0x0f)<<8 + int(s[2])
	if n > len(s) || n < 12 {
		c.fail("a table says %d bytes", n)
		return nil
	}
	if crc32MPEG(s[:n]) != 0 {
		c.fail("a table's CRC is wrong")
	}
	return s[:n-4]
}

func (c *tsChecker) readPAT(payload []byte) {
	s := c.section(payload)
	if s == nil || s[0] != 0 {
		return
	}
	programs := s[8:]
	if len(programs) != 4 {
		c.fail("PAT lists %d programs", len(programs)/4)
		return
	}
	c.pmt = int(programs[2]&0x1f)<<8 | int(programs[3])
}

func (c *tsChecker) readPMT(payload []byte) {
	s := c.section(payload)
	if len(s) < 12 || s[0] != 2 {
		return
	}
	c.pcrPID = int(s[8]&0x1f)<<8 | int(s[9])
	types := map[int]byte{}
	for rest := s[12+int(s[10]&0x0f)<<8+int(s[11]):]; len(rest) >= 5; {
		types[int(rest[1]&0x1f)<<8|int(rest[2])] = rest[0]
		n := 5 + int(rest[3]&0x0f)<<8 + int(rest[4])
		rest = rest[min(n, len(rest)):]
	}
	if len(c.types) > 0 && fmt.Sprint(c.types) != fmt.Sprint(types) {
		c.fail("PMT changed from %v to %v", c.types, types)
	}
	c.types = types
}

// checkClock: what a decoder has to decode now cannot lie before its clock.
func (c *tsChecker) checkClock(pes []byte) {
	if len(pes) < 19 || pes[7]&0x80 == 0 || !c.hasPCR {
		return
	}
	stamp := pes[9:14]
	if pes[7]&0x40 != 0 {
		stamp = pes[14:19] // DTS
	}
	ticks := int64(stamp[0]>>1&7)<<30 | int64(stamp[1])<<22 | int64(stamp[2]>>1)<<15 | int64(stamp[3])<<7 | int64(stamp[4]>>1)
	if at := time.Duration(float64(ticks) / ptsClock * 1e9); at < c.pcr-time.Microsecond {
		c.fail("a PES packet of %v behind a PCR of %v", at, c.pcr)
	}
}

// checkPES checks one PES packet: a PTS, a length on sound, and one access unit
// delimiter first on video.
func (c *tsChecker) checkPES(typ byte, b []byte) {
	if len(b) < 14 || !bytes.Equal(b[:3], []byte{0, 0, 1}) {
		c.fail("a PES packet starts with % x", b[:min(14, len(b))])
		return
	}
	if b[7]&0x80 == 0 {
		c.fail("a PES packet without PTS")
		return
	}
	length := int(b[4])<<8 | int(b[5])
	if typ != typeH264 {
		if length != len(b)-6 {
			c.fail("a PES packet of sound says %d bytes and has %d", length, len(b)-6)
		}
		return
	}
	if length != 0 && length != len(b)-6 {
		c.fail("a PES packet of video says %d bytes and has %d", length, len(b)-6)
	}
	units := nalTypes(b[9+int(b[8]):])
	if len(units) == 0 || units[0] != unitAUD {
		c.fail("a picture does not start with an access unit delimiter: NAL units %v", units)
	}
	if n := bytes.Count(units, []byte{unitAUD}); n > 1 {
		c.fail("a picture has %d access unit delimiters", n)
	}
	if bytes.Contains(units, []byte{unitIDR}) && (!bytes.Contains(units, []byte{unitSPS}) || !bytes.Contains(units, []byte{unitPPS})) {
		c.fail("an IDR picture without parameter sets: NAL units %v", units)
	}
}

// nalTypes lists the types of the NAL units of a byte stream.
func nalTypes(b []byte) (types []byte) {
	for {
		i := bytes.Index(b, []byte{0, 0, 1})
		if i < 0 || i+3 >= len(b) {
			return types
		}
		types = append(types, b[i+3]&0x1f)
		b = b[i+3:]
	}
}

// crc32MPEG is the CRC of ISO 13818-1 Annex A; over a section with its CRC it
// is 0.
func crc32MPEG(b []byte) uint32 {
	crc := uint32(0xffffffff)
	for _, x := range b {
		crc ^= uint32(x) << 24
		for range 8 {
			if crc&0x80000000 != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
