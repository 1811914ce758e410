package fmp4

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
)

// A reader of fragmented MP4, for files of other writers as well as our own. It
// checks what it needs to go on; check_test.go says what our files must be like.

// node is one box.
type node struct {
	name  string
	start int // from the beginning of the file
	body  []byte
	kids  []node // of a container, in order
}

func (n *node) size() int { return 8 + len(n.body) }

// kid returns the first box of that name below n, following path.
func (n *node) kid(path ...string) *node {
	for _, name := range path {
		i := slices.IndexFunc(n.kids, func(k node) bool { return k.name == name })
		if i < 0 {
			return nil
		}
		n = &n.kids[i]
	}
	return n
}

// u32 returns the number at byte i of the body; 0 beyond its end.
func (n *node) u32(i int) uint32 {
	if n == nil || len(n.body) < i+4 {
		return 0
	}
	return be.Uint32(n.body[i:])
}

var containers = []string{"moov", "trak", "mdia", "minf", "dinf", "stbl", "mvex", "moof", "traf"}

// readBoxes reads boxes that fill b exactly; start is where b begins in the file.
func readBoxes(b []byte, start int) ([]node, error) {
	var nodes []node
	for len(b) > 0 {
		if len(b) < 8 {
			return nil, fmt.Errorf("%d stray bytes at %d", len(b), start)
		}
		size, name := int(be.Uint32(b)), string(b[4:8])
		if size < 8 || size > len(b) {
			return nil, fmt.Errorf("%s at %d: size %d of %d", name, start, size, len(b))
		}
		n := node{name: name, start: start, body: b[8:size]}
		if slices.Contains(containers, name) {
			kids, err := readBoxes(n.body, start+8)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			n.kids = kids
		}
		nodes = append(nodes, n)
		b, start = b[size:], start+size
	}
	return nodes, nil
}

// trackInfo is a track of an initialization section.
type trackInfo struct {
	id, timescale uint32
	handler       string
	displayWidth  uint32 // 16.16
	entry         string // sample entry type
	fixed         []byte // its fields
	config        []node // and the boxes in it
}

func (t *trackInfo) width() int  { return int(be.Uint16(t.fixed[24:])) }
func (t *trackInfo) height() int { return int(be.Uint16(t.fixed[26:])) }

// box returns the body of a box in the sample entry; nil if it is not there.
func (t *trackInfo) box(name string) []byte {
	for _, n := range t.config {
		if n.name == name {
			return n.body
		}
	}
	return nil
}

func readTrack(trak *node) (*trackInfo, error) {
	mdhd, hdlr := trak.kid("mdia", "mdhd"), trak.kid("mdia", "hdlr")
	stsd, tkhd := trak.kid("mdia", "minf", "stbl", "stsd"), trak.kid("tkhd")
	if mdhd == nil || hdlr == nil || stsd == nil || tkhd == nil || len(hdlr.body) < 12 || len(stsd.body) < 8 {
		return nil, errors.New("trak: a box is missing")
	}
	entries, err := readBoxes(stsd.body[8:], stsd.start+16)
	if err != nil || len(entries) != 1 || stsd.u32(4) != 1 {
		return nil, fmt.Errorf("stsd: %d entries, %w", len(entries), err)
	}
	t := &trackInfo{id: tkhd.u32(12), timescale: mdhd.u32(12), handler: string(hdlr.body[8:12]), displayWidth: tkhd.u32(76), entry: entries[0].name}
	fixed := map[string]int{"vide": 78, "soun": 28}[t.handler]
	if len(entries[0].body) < fixed || fixed == 0 {
		return nil, fmt.Errorf("%s: cut", t.entry)
	}
	t.fixed = entries[0].body[:fixed]
	t.config, err = readBoxes(entries[0].body[fixed:], entries[0].start+8+fixed)
	return t, err
}

// sample is a sample as a player sees it.
type sample struct {
	dts         int64
	duration    uint32
	composition int32
	flags       uint32
	data        []byte
}

func (s *sample) pts() int64 { return s.dts + int64(s.composition) }
func (s *sample) key() bool  { return s.flags&(1<<16) == 0 }

// movie is a file that has been read.
type movie struct {
	boxes   []node
	tracks  []*trackInfo
	samples map[uint32][]sample // by track id
	file    []byte              // where a test keeps it
}

func readMovie(b []byte) (*movie, error) {
	boxes, err := readBoxes(b, 0)
	if err != nil {
		return nil, err
	}
	m := &movie{boxes: boxes, samples: map[uint32][]sample{}}
	for i := range boxes {
		switch boxes[i].name {
		case "moov":
			for k := range boxes[i].kids {
				if boxes[i].kids[k].name != "trak" {
					continue
				}
				t, err := readTrack(&boxes[i].kids[k])
				if err != nil {
					return nil, err
				}
				m.tracks = append(m.tracks, t)
			}
		case "moof":
			for k := range boxes[i].kids {
				if boxes[i].kids[k].name != "traf" {
					continue
				}
				if err := m.readTraf(b, boxes[i].start, &boxes[i].kids[k]); err != nil {
					return nil, err
				}
			}
		}
	}
	return m, nil
}

// event is an event message.
type event struct {
	timescale, duration, id uint32
	time                    int64
	scheme, value           string
	data                    []byte
}

func readEvent(emsg *node) (*event, error) {
	if emsg.u32(0) != 1<<24 || len(emsg.body) < 24 {
		return nil, fmt.Errorf("version and flags %#x, %d bytes", emsg.u32(0), len(emsg.body))
	}
	e := &event{timescale: emsg.u32(4), time: int64(be.Uint64(emsg.body[8:])), duration: emsg.u32(16), id: emsg.u32(20)}
	scheme, rest, ok := bytes.Cut(emsg.body[24:], []byte{0})
	value, data, ok2 := bytes.Cut(rest, []byte{0})
	if !ok || !ok2 {
		return nil, errors.New("scheme or value does not end")
	}
	e.scheme, e.value, e.data = string(scheme), string(value), data
	return e, nil
}

// readEvents returns the event messages of a file.
func (m *movie) readEvents() (all []*event, err error) {
	for i := range m.boxes {
		if m.boxes[i].name == "emsg" {
			e, err := readEvent(&m.boxes[i])
			if err != nil {
				return nil, err
			}
			all = append(all, e)
		}
	}
	return all, nil
}

// fields reads optional 32-bit numbers one after another.
type fields struct {
	b   []byte
	err error
}

func (f *fields) next() uint32 {
	if len(f.b) < 4 {
		f.b, f.err = nil, errors.New("box ends too early")
		return 0
	}
	v := be.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) optional(present bool, otherwise uint32) uint32 {
	if present {
		return f.next()
	}
	return otherwise
}

func (m *movie) readTraf(b []byte, moof int, traf *node) error {
	tfhd, tfdt := traf.kid("tfhd"), traf.kid("tfdt")
	if tfhd == nil || tfdt == nil {
		return errors.New("traf: a box is missing")
	}
	f := fields{b: tfhd.body}
	has := f.next()
	id := f.next()
	if has&0x020000 == 0 || has&3 != 0 {
		return fmt.Errorf("tfhd: flags %#x", has)
	}
	base := sample{}
	base.duration = f.optional(has&tfhdDuration != 0, 0)
	size := f.optional(has&tfhdSize != 0, 0)
	base.flags = f.optional(has&tfhdFlags != 0, 0)
	if f.err != nil || len(f.b) != 0 {
		return fmt.Errorf("tfhd: %d bytes left, %w", len(f.b), f.err)
	}
	f = fields{b: tfdt.body}
	if wide := f.next() == 1<<24; wide {
		base.dts = int64(f.next()) << 32
	}
	base.dts |= int64(f.next())
	if f.err != nil || len(f.b) != 0 {
		return fmt.Errorf("tfdt: %d bytes left, %w", len(f.b), f.err)
	}
	for i := range traf.kids {
		if traf.kids[i].name != "trun" {
			continue
		}
		samples, err := readTrun(b[moof:], traf.kids[i].body, base, size)
		if err != nil {
			return fmt.Errorf("trun: %w", err)
		}
		m.samples[id] = append(m.samples[id], samples...)
		if len(samples) > 0 {
			last := samples[len(samples)-1]
			base.dts = last.dts + int64(last.duration)
		}
	}
	return nil
}

// readTrun reads the samples of one run from file, which begins at the moof.
func readTrun(file, body []byte, base sample, size uint32) ([]sample, error) {
	f := fields{b: body}
	has := f.next()
	count := f.next()
	at := int(int32(f.optional(has&trunDataOffset != 0, 0)))
	first := f.optional(has&trunFirstFlags != 0, base.flags)
	if has&trunDataOffset == 0 || at < 0 {
		return nil, fmt.Errorf("data at %d", at)
	}
	var samples []sample
	for i := range count {
		s := base
		s.duration = f.optional(has&trunDuration != 0, base.duration)
		n := f.optional(has&trunSize != 0, size)
		s.flags = f.optional(has&trunFlags != 0, base.flags)
		if i == 0 && has&trunFirstFlags != 0 {
			s.flags = first
		}
		s.composition = int32(f.optional(has&trunComposition != 0, 0))
		if f.err != nil {
			return nil, f.err
		}
		if at > len(file) || int(n) > len(file)-at {
			return nil, fmt.Errorf("sample %d lies beyond the file", i)
		}
		s.data = file[at:][:n]
		samples = append(samples, s)
		at += int(n)
		base.dts += int64(s.duration)
	}
	if len(f.b) != 0 {
		return nil, fmt.Errorf("%d bytes left", len(f.b))
	}
	return samples, nil
}
