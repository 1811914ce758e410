package media

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"slices"
	"time"

	"headwater/remux/av"
)

const (
	tsPacket  = 188
	tsKept    = 8 << 10 // of a PES packet's payload: parameter sets and the first slice fit
	tsSection = 1024    // of a PAT or PMT (13818-1, 2.4.4)
	tsStreams = 16      // elementary streams of a program
	tsSearch  = 64 << 10
)

// TS reads MPEG-TS (ISO 13818-1), of the first program. Its state lasts over
// segments, so that it notices counters that do not.
type TS struct {
	Faults

	sink    Sink
	patPMT  int // PID of the PMT; 0: not known
	section []byte
	streams []*elementary
	clock   unwrapper // one for all: their times lie together
	packet  [tsPacket]byte
}

// elementary is one elementary stream.
type elementary struct {
	pid     int
	typ     byte
	counter int // of continuity; -1: not known
	told    Track

	open     bool // a PES packet is under way
	dts, pts time.Duration
	random   bool
	kept     []byte
	size     int
}

// NewTS returns a reader that tells sink.
func NewTS(sink Sink) *TS { return &TS{sink: sink, clock: unwrapper{period: 1 << 33}} }

// Read reads r to its end. Frames that are open there are told: a segment ends with
// whole ones (rfc8216bis, 3.1.1).
func (t *TS) Read(r *bufio.Reader) error {
	defer t.flush()
	for {
		err := t.next(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// Cut forgets the counters: another segment begins, which was not fetched right
// behind the one before, or a discontinuity.
func (t *TS) Cut() {
	for _, e := range t.streams {
		e.counter = -1
	}
}

func (t *TS) next(r *bufio.Reader) error {
	if _, err := io.ReadFull(r, t.packet[:]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			return fmt.Errorf("read TS packet: %w: it is cut", ErrFormat)
		}
		return err
	}
	for searched := 0; t.packet[0] != 0x47; searched++ {
		if searched == 0 {
			t.Sync++
		}
		if searched == tsSearch {
			return fmt.Errorf("read TS packet: %w: no sync byte in %d bytes", ErrFormat, tsSearch)
		}
		copy(t.packet[:], t.packet[1:])
		b, err := r.ReadByte()
		if err != nil {
			return err
		}
		t.packet[tsPacket-1] = b
	}
	t.take(t.packet[:])
	return nil
}

// take takes one packet.
func (t *TS) take(p []byte) {
	start := p[1]&0x40 != 0
	pid := int(p[1]&31)<<8 | int(p[2])
	control, counter := p[3]>>4&3, int(p[3]&15)
	rest, random, announced := p[4:], false, false
	if control&2 != 0 {
		n := int(rest[0])
		if n > len(rest)-1 {
			t.Malformed++
			return
		}
		if n > 0 {
			announced, random = rest[1]&0x80 != 0, rest[1]&0x40 != 0
		}
		rest = rest[1+n:]
	}
	if control&1 == 0 {
		return // no payload, and no count
	}
	switch {
	case pid == 0:
		t.table(rest, start, t.pat)
		return
	case pid == t.patPMT && pid != 0:
		t.table(rest, start, t.pmt)
		return
	}
	i := slices.IndexFunc(t.streams, func(e *elementary) bool { return e.pid == pid })
	if i < 0 {
		return
	}
	e := t.streams[i]
	if e.counter >= 0 && !announced && counter != (e.counter+1)&15 {
		if counter == e.counter {
			return // sent twice, which is allowed
		}
		t.Continuity++
	}
	e.counter = counter
	if p[3]>>6 != 0 {
		t.Encrypted++
		return
	}
	t.payload(e, rest, start, random)
}

// table takes a piece of a section that fits into one packet or spans several.
func (t *TS) table(b []byte, start bool, parse func([]byte)) {
	if start {
		if len(b) < 1 || int(b[0]) > len(b)-1 {
			return
		}
		t.section = append(t.section[:0], b[1+int(b[0]):]...)
	} else if len(t.section) > 0 && len(t.section) < tsSection {
		t.section = append(t.section, b...)
	}
	s := t.section
	if len(s) < 3 {
		return
	}
	n := 3 + (int(s[1]&15)<<8 | int(s[2]))
	if n < 12 || n > tsSection+3 {
		t.section = t.section[:0]
		return
	}
	if n <= len(s) {
		parse(s[:n-4]) // without its CRC
		t.section = t.section[:0]
	}
}

func (t *TS) pat(s []byte) {
	if s[0] != 0 {
		return
	}
	for rest := s[8:]; len(rest) >= 4; rest = rest[4:] {
		if program := int(rest[0])<<8 | int(rest[1]); program != 0 {
			t.patPMT = int(rest[2]&31)<<8 | int(rest[3])
			return
		}
	}
}

func (t *TS) pmt(s []byte) {
	if s[0] != 2 || len(s) < 12 {
		return
	}
	skip := 12 + (int(s[10]&15)<<8 | int(s[11]))
	if skip > len(s) {
		return
	}
	for rest := s[skip:]; len(rest) >= 5 && len(t.streams) < tsStreams; {
		pid, info := int(rest[1]&31)<<8|int(rest[2]), int(rest[3]&15)<<8|int(rest[4])
		known := slices.ContainsFunc(t.streams, func(e *elementary) bool { return e.pid == pid })
		if kind, _ := kindOf(rest[0]); kind != 0 && !known {
			t.streams = append(t.streams, &elementary{pid: pid, typ: rest[0], counter: -1})
		}
		if info > len(rest)-5 {
			return
		}
		rest = rest[5+info:]
	}
}

// kindOf says what a stream type of the PMT is; 0 is nothing that plays.
func kindOf(typ byte) (av.Kind, string) {
	switch typ {
	case 0x1b:
		return av.Video, "H.264"
	case 0x24:
		return av.Video, "HEVC"
	case 0x01, 0x02:
		return av.Video, "MPEG-2"
	case 0x0f, 0x11:
		return av.Audio, "AAC"
	case 0x03, 0x04:
		return av.Audio, "MP3"
	case 0x81:
		return av.Audio, "AC-3"
	case 0x87:
		return av.Audio, "E-AC-3"
	}
	return 0, ""
}

// payload takes a piece of a PES packet (2.4.3.6).
func (t *TS) payload(e *elementary, b []byte, start, random bool) {
	if !start {
		if e.open {
			e.keep(b)
		}
		return
	}
	t.end(e)
	if len(b) < 9 || b[0] != 0 || b[1] != 0 || b[2] != 1 || int(b[8]) > len(b)-9 {
		t.Malformed++
		return
	}
	head, body := b[9:9+int(b[8])], b[9+int(b[8]):]
	flags := b[7] >> 6
	if flags&2 == 0 || len(head) < 5 || flags == 3 && len(head) < 10 {
		return // without a time it continues what came before
	}
	pts := t.clock.at(stamp33(head))
	dts := pts
	if flags == 3 {
		// Nearest to its PTS; it does not advance the clock, which pictures out of
		// order would make go to and fro.
		one := unwrapper{period: 1 << 33, last: pts, begun: true}
		dts = one.at(stamp33(head[5:]))
	}
	e.open, e.random, e.size = true, random, 0
	e.dts, e.pts = ticks(dts, 90000), ticks(pts, 90000)
	e.kept = e.kept[:0]
	e.keep(body)
}

func (e *elementary) keep(b []byte) {
	e.size += len(b)
	e.kept = append(e.kept, b[:min(len(b), tsKept-len(e.kept))]...)
}

func stamp33(b []byte) int64 {
	return int64(b[0]&0x0e)<<29 | int64(b[1])<<22 | int64(b[2]&0xfe)<<14 | int64(b[3])<<7 | int64(b[4])>>1
}

// ticks converts without overflow.
func ticks(n, scale int64) time.Duration {
	return time.Duration(n/scale)*time.Second + time.Duration(n%scale)*time.Second/time.Duration(scale)
}

func (t *TS) flush() {
	for _, e := range t.streams {
		t.end(e)
	}
}

// end tells of the frame that is under way.
func (t *TS) end(e *elementary) {
	if !e.open {
		return
	}
	e.open = false
	kind, name := kindOf(e.typ)
	f := Frame{Kind: kind, Key: kind == av.Audio, DTS: e.dts, PTS: e.pts, Size: e.size}
	track := Track{Codec: name}
	if kind == av.Video {
		f.Key = e.random
		if name != "MPEG-2" {
			var key bool
			track, key = annexB(name, e.kept, e.told)
			f.Key = key
		}
	} else {
		track = sound(e.typ, e.kept, e.told)
	}
	if track != e.told {
		e.told = track
		t.sink.Track(kind, track)
	}
	t.sink.Frame(f)
}
