package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
)

// box is an ISO base media file format box (14496-12 4.2).
type box struct {
	typ  string
	at   int // offset of its payload in what has been read
	body []byte
}

// boxes splits b, which begins at the offset at.
func boxes(b []byte, at int) (all []box, err error) {
	for len(b) > 0 {
		if len(b) < 8 {
			return all, errors.New("a box is cut short")
		}
		size, header := uint64(binary.BigEndian.Uint32(b)), 8
		if size == 1 && len(b) >= 16 {
			size, header = binary.BigEndian.Uint64(b[8:]), 16
		}
		if size < uint64(header) || size > uint64(len(b)) {
			return all, fmt.Errorf("box %q says %d bytes of %d", b[4:8], size, len(b))
		}
		all = append(all, box{string(b[4:8]), at + header, b[header:size]})
		b, at = b[size:], at+int(size)
	}
	return all, nil
}

// MP4Init is an initialization section.
type MP4Init struct {
	Brands   []string // major first
	Tracks   []*MP4Track
	Duration uint64 // mvhd
	Extends  map[uint32]bool
	Problems []Problem
}

// MP4Track is a trak.
type MP4Track struct {
	ID, Timescale uint32
	Handler       string // vide or soun
	Duration      uint64 // the sum of tkhd and mdhd
	Entries       int    // of stsd
	Entry         string // the sample entry's type
	Width, Height int    // of the sample entry
	Channels      int
	Rate          uint32            // of the audio sample entry
	Boxes         map[string][]byte // in the sample entry: avcC, hvcC, av1C, esds, dOps …
	LengthSize    int
	Samples       int  // in the sample tables
	EmptyEdit     bool // elst with media_time -1
	Edits         int
}

// Track returns the first track with that handler, nil if there is none.
func (i *MP4Init) Track(handler string) *MP4Track {
	for _, t := range i.Tracks {
		if t.Handler == handler {
			return t
		}
	}
	return nil
}

// milliseconds returns a time on the track's clock in ms.
func (t *MP4Track) milliseconds(at uint64) int64 {
	return int64(at*1000+uint64(t.Timescale)/2) / int64(t.Timescale)
}

func (i *MP4Init) fail(format string, args ...any) {
	i.Problems = append(i.Problems, Problem{"mp4.init", 0, fmt.Sprintf(format, args...)})
}

// ReadInit reads an initialization section. It always returns one.
func ReadInit(b []byte) *MP4Init {
	i := &MP4Init{Extends: map[uint32]bool{}}
	top, err := boxes(b, 0)
	if err != nil {
		i.fail("%v", err)
	}
	if len(top) < 2 || top[0].typ != "ftyp" || top[1].typ != "moov" {
		i.fail("does not begin with ftyp and moov")
	}
	for _, b := range top {
		switch b.typ {
		case "ftyp":
			for at := 0; at+4 <= len(b.body); at += 4 {
				if at != 4 { // minor_version
					i.Brands = append(i.Brands, string(b.body[at:at+4]))
				}
			}
		case "moov":
			i.walk(b, nil)
		case "mdat", "moof":
			i.fail("holds a %s", b.typ)
		}
	}
	return i
}

// walk reads the boxes in b; those of a trak belong to t.
func (i *MP4Init) walk(b box, t *MP4Track) {
	inner, err := boxes(b.body, b.at)
	if err != nil {
		i.fail("%s: %v", b.typ, err)
	}
	for _, c := range inner {
		switch c.typ {
		case "trak":
			track := &MP4Track{Boxes: map[string][]byte{}}
			i.Tracks = append(i.Tracks, track)
			i.walk(c, track)
		case "mdia", "minf", "stbl", "edts", "mvex":
			i.walk(c, t)
		default:
			i.leaf(c, t)
		}
	}
}

func (i *MP4Init) leaf(b box, t *MP4Track) {
	f := fields{b: b.body}
	full := f.u32()
	version := full >> 24
	switch b.typ {
	case "mvhd":
		f.skip(8, 16, version)
		f.u32()
		i.Duration = f.sized(version)
	case "trex":
		i.Extends[f.u32()] = true
	case "tkhd":
		f.skip(8, 16, version)
		t.ID = f.u32()
		f.u32()
		t.Duration += f.sized(version)
		if full&1 == 0 {
			i.fail("track %d is not enabled", t.ID)
		}
	case "mdhd":
		f.skip(8, 16, version)
		t.Timescale = f.u32()
		t.Duration += f.sized(version)
	case "hdlr":
		f.u32()
		t.Handler = string(f.bytes(4))
	case "elst":
		t.Edits = int(f.u32())
		for range min(t.Edits, 100) {
			f.sized(version)
			if media := f.sized(version); version == 0 && int32(media) == -1 || version == 1 && int64(media) == -1 {
				t.EmptyEdit = true
			}
			f.u32()
		}
	case "stts", "stsc", "stco", "ctts", "stss":
		t.Samples += int(f.u32())
	case "stsz":
		f.u32()
		t.Samples += int(f.u32())
	case "stsd":
		t.Entries = int(f.u32())
		i.entry(b.at+8, f.b, t)
	}
	if f.short {
		i.fail("%s is cut short", b.typ)
	}
}

// entry reads the first sample entry of an stsd.
func (i *MP4Init) entry(at int, b []byte, t *MP4Track) {
	entries, err := boxes(b, at)
	if err != nil || len(entries) == 0 {
		i.fail("stsd: %d entries, %v", len(entries), err)
		return
	}
	e := entries[0]
	t.Entry = e.typ
	fixed := 28
	if t.Handler == "vide" {
		fixed = 78
	}
	if len(e.body) < fixed {
		i.fail("%s is cut short", e.typ)
		return
	}
	be := binary.BigEndian
	if t.Handler == "vide" {
		t.Width, t.Height = int(be.Uint16(e.body[24:])), int(be.Uint16(e.body[26:]))
	} else {
		t.Channels, t.Rate = int(be.Uint16(e.body[16:])), be.Uint32(e.body[24:])>>16
	}
	inner, err := boxes(e.body[fixed:], e.at+fixed)
	if err != nil {
		i.fail("%s: %v", e.typ, err)
	}
	for _, c := range inner {
		t.Boxes[c.typ] = c.body
	}
	if avcC := t.Boxes["avcC"]; len(avcC) > 4 {
		t.LengthSize = int(avcC[4]&3) + 1
	}
	if hvcC := t.Boxes["hvcC"]; len(hvcC) > 21 {
		t.LengthSize = int(hvcC[21]&3) + 1
	}
}

// Fragment is a moof and its mdat.
type Fragment struct {
	Sequence uint32
	At       int // offset of the moof in the segment
	Runs     []*Run
}

// Run is a traf: one track's samples in a fragment. Time is its tfdt.
type Run struct {
	TrackID     uint32
	Time        uint64
	TimeAt      int // offset of the tfdt's value in the segment
	TimeSize    int // 4 or 8
	HasTime     bool
	BaseIsMoof  bool
	BaseOffset  bool
	Samples     []MP4Sample
	flags       uint32 // default_sample_flags
	dur, size   uint32
	FlagsAt     int // offset of the flags of the first sample where they stand; 0
	SecondFlags int // and of the default ones
}

// MP4Sample is one sample.
type MP4Sample struct {
	Duration    uint32
	Flags       uint32
	Composition int32
	At          int // offset in the segment
	Data        []byte
}

// Sync says what the flags say (14496-12 8.8.3.1).
func (s MP4Sample) Sync() bool { return s.Flags&0x10000 == 0 }

// End is where the run's last sample ends.
func (r *Run) End() uint64 {
	end := r.Time
	for _, s := range r.Samples {
		end += uint64(s.Duration)
	}
	return end
}

// MP4 is a media segment or a part.
type MP4 struct {
	Fragments []*Fragment
	Messages  []EventMessage
	Problems  []Problem
}

// EventMessage is an emsg of version 1 (ISO 23009-1 5.10.3.3).
type EventMessage struct {
	Version   byte
	Timescale uint32
	Time      uint64
	Scheme    string
	Data      []byte
}

// Runs returns all of one track.
func (m *MP4) Runs(id uint32) (all []*Run) {
	for _, f := range m.Fragments {
		for _, r := range f.Runs {
			if r.TrackID == id {
				all = append(all, r)
			}
		}
	}
	return all
}

func (m *MP4) fail(format string, args ...any) {
	m.Problems = append(m.Problems, Problem{"mp4.boxes", 0, fmt.Sprintf(format, args...)})
}

// ReadMP4 reads a media segment. It always returns one.
func ReadMP4(b []byte) *MP4 {
	m := &MP4{}
	top, err := boxes(b, 0)
	if err != nil {
		m.fail("%v", err)
	}
	var open *Fragment
	for _, c := range top {
		switch c.typ {
		case "styp", "sidx", "prft", "emsg":
			if open != nil {
				m.fail("%s between moof and mdat", c.typ)
			}
			if c.typ == "emsg" {
				m.message(c)
			}
		case "moof":
			if open != nil {
				m.fail("a moof without mdat")
			}
			open = &Fragment{At: c.at - 8}
			m.moof(open, c, b)
		case "mdat":
			if open == nil {
				m.fail("an mdat without moof")
				continue
			}
			m.checkData(open, c)
			m.Fragments = append(m.Fragments, open)
			open = nil
		default:
			m.fail("box %q", c.typ)
		}
	}
	if open != nil || len(m.Fragments) == 0 {
		m.fail("no whole fragment at the end")
	}
	return m
}

func (m *MP4) message(b box) {
	f := fields{b: b.body}
	e := EventMessage{Version: byte(f.u32() >> 24)}
	if e.Version == 1 {
		e.Timescale, e.Time = f.u32(), f.sized(1)
		f.bytes(8)
		scheme, rest, ok := bytes.Cut(f.b, []byte{0})
		_, data, also := bytes.Cut(rest, []byte{0})
		if !ok || !also || f.short {
			m.fail("emsg is cut short")
		}
		e.Scheme, e.Data = string(scheme), data
	}
	m.Messages = append(m.Messages, e)
}

func (m *MP4) moof(f *Fragment, b box, whole []byte) {
	inner, err := boxes(b.body, b.at)
	if err != nil {
		m.fail("moof: %v", err)
	}
	header := false
	for _, c := range inner {
		switch c.typ {
		case "mfhd":
			r := fields{b: c.body}
			r.u32()
			f.Sequence, header = r.u32(), !r.short
		case "traf":
			m.traf(f, c, whole)
		}
	}
	if !header || len(f.Runs) == 0 {
		m.fail("a moof without mfhd or traf")
	}
}

func (m *MP4) traf(f *Fragment, b box, whole []byte) {
	inner, err := boxes(b.body, b.at)
	if err != nil {
		m.fail("traf: %v", err)
	}
	run := &Run{}
	f.Runs = append(f.Runs, run)
	for _, c := range inner {
		r := fields{b: c.body, at: c.at}
		full := r.u32()
		switch c.typ {
		case "tfhd":
			run.header(full, &r)
		case "tfdt":
			run.HasTime, run.TimeAt, run.TimeSize = true, r.at, 4+4*int(full>>24)
			run.Time = r.sized(full >> 24)
		case "trun":
			m.trun(f, run, full, &r, whole)
		}
		if r.short {
			m.fail("%s is cut short", c.typ)
		}
	}
	if run.TrackID == 0 || !run.HasTime || len(run.Samples) == 0 {
		m.fail("a traf without tfhd, tfdt or samples")
	}
}

func (run *Run) header(full uint32, r *fields) {
	run.TrackID = r.u32()
	run.BaseOffset, run.BaseIsMoof = full&1 != 0, full&0x20000 != 0
	if run.BaseOffset {
		r.bytes(8)
	}
	if full&2 != 0 {
		r.u32()
	}
	if full&8 != 0 {
		run.dur = r.u32()
	}
	if full&0x10 != 0 {
		run.size = r.u32()
	}
	if full&0x20 != 0 {
		run.SecondFlags = r.at
		run.flags = r.u32()
	}
}

// trun reads a run (8.8.8), offsets counted from the moof.
func (m *MP4) trun(f *Fragment, run *Run, full uint32, r *fields, whole []byte) {
	count := int(r.u32())
	data := f.At
	if full&1 != 0 {
		data += int(int32(r.u32()))
	}
	first := uint32(0)
	if full&4 != 0 {
		run.FlagsAt = r.at
		first = r.u32()
	}
	for i := 0; i < count && !r.short; i++ {
		s := MP4Sample{Duration: run.dur, Flags: run.flags, At: data}
		size := run.size
		if full&0x100 != 0 {
			s.Duration = r.u32()
		}
		if full&0x200 != 0 {
			size = r.u32()
		}
		if full&0x400 != 0 {
			if i == 0 {
				run.FlagsAt = r.at
			}
			s.Flags = r.u32()
		} else if i == 0 && full&4 != 0 {
			s.Flags = first
		}
		if full&0x800 != 0 {
			s.Composition = int32(r.u32())
			if full>>24 == 0 && s.Composition < 0 {
				m.fail("a composition offset of 2^31 or more in a trun of version 0")
			}
		}
		if data < 0 || int(size) > len(whole)-data || size == 0 {
			m.fail("a sample of %d bytes at %d of %d", size, data, len(whole))
			return
		}
		s.Data = whole[data : data+int(size)]
		data += int(size)
		run.Samples = append(run.Samples, s)
	}
}

// checkData wants the samples to lie in the mdat and to fill it.
func (m *MP4) checkData(f *Fragment, mdat box) {
	filled := 0
	for _, r := range f.Runs {
		for _, s := range r.Samples {
			if s.At < mdat.at || s.At+len(s.Data) > mdat.at+len(mdat.body) {
				m.fail("a sample outside of its mdat")
				return
			}
			filled += len(s.Data)
		}
	}
	if filled != len(mdat.body) {
		m.fail("samples of %d bytes in an mdat of %d", filled, len(mdat.body))
	}
}

// fields reads big endian numbers; behind the end they are 0, and short is set.
type fields struct {
	b     []byte
	at    int // offset of b
	short bool
}

func (f *fields) bytes(n int) []byte {
	if n > len(f.b) {
		f.short = true
		f.b = nil
		return make([]byte, n)
	}
	out := f.b[:n]
	f.b, f.at = f.b[n:], f.at+n
	return out
}

func (f *fields) u32() uint32 { return binary.BigEndian.Uint32(f.bytes(4)) }

// sized is 4 bytes in version 0 of a box, 8 in version 1.
func (f *fields) sized(version uint32) uint64 {
	if version == 1 {
		return binary.BigEndian.Uint64(f.bytes(8))
	}
	return uint64(f.u32())
}

// skip passes over a bytes in version 0 and b in version 1.
func (f *fields) skip(a, b int, version uint32) {
	if version == 1 {
		a = b
	}
	f.bytes(a)
}
