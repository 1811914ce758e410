package media

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"headwater/remux/av"
)

const (
	mp4Header  = 1 << 20 // of a moov or moof; media data is read over
	mp4Tracks  = 8
	mp4Samples = 20000   // of one fragment
	mp4Longest = 1 << 32 // seconds; a decode time may count from 1904
)

// MP4 reads the initialization section and the fragments of fragmented MP4
// (ISO 14496-12), of HLS and CMAF.
type MP4 struct {
	Faults

	sink   Sink
	tracks []*mp4Track
}

type mp4Track struct {
	id        uint32
	kind      av.Kind // 0: neither picture nor sound
	timescale int64
	track     Track
	told      bool

	duration, size, flags uint32 // defaults of trex
	next                  int64  // decode time behind the last sample, for fragments without one
}

// NewMP4 returns a reader that tells sink.
func NewMP4(sink Sink) *MP4 { return &MP4{sink: sink} }

// Ready reports whether an initialization section has been read.
func (m *MP4) Ready() bool { return len(m.tracks) > 0 }

// Read reads r to its end: sections and fragments in any number.
func (m *MP4) Read(r *bufio.Reader) error {
	for {
		typ, size, err := boxHeader(r)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read MP4 box: %w", err)
		}
		if typ != "moov" && typ != "moof" {
			if err := skip(r, size); err != nil {
				return fmt.Errorf("read MP4 box %q: %w", typ, err)
			}
			continue
		}
		if size < 0 || size > mp4Header {
			return fmt.Errorf("read MP4 box %q: %w: %d bytes", typ, ErrFormat, size)
		}
		b := make([]byte, size)
		if _, err := io.ReadFull(r, b); err != nil {
			return fmt.Errorf("read MP4 box %q: %w", typ, noEOF(err))
		}
		if typ == "moov" {
			err = m.moov(b)
		} else {
			err = m.moof(b)
		}
		if err != nil {
			return err
		}
	}
}

// boxHeader returns a box's type and the size of what follows; -1 is to the end.
func boxHeader(r *bufio.Reader) (typ string, size int64, err error) {
	var h [16]byte
	if _, err := io.ReadFull(r, h[:8]); err != nil {
		if errors.Is(err, io.ErrUnexpectedEOF) {
			err = fmt.Errorf("%w: it is cut", ErrFormat)
		}
		return "", 0, err
	}
	size, head := int64(binary.BigEndian.Uint32(h[:])), int64(8)
	switch size {
	case 0:
		return string(h[4:8]), -1, nil
	case 1:
		if _, err := io.ReadFull(r, h[8:]); err != nil {
			return "", 0, noEOF(err)
		}
		size, head = int64(binary.BigEndian.Uint64(h[8:])), 16
	}
	if size < head {
		return "", 0, fmt.Errorf("%w: a box of %d bytes", ErrFormat, size)
	}
	return string(h[4:8]), size - head, nil
}

func skip(r *bufio.Reader, size int64) error {
	if size < 0 {
		_, err := io.Copy(io.Discard, r)
		return err
	}
	_, err := io.CopyN(io.Discard, r, size)
	return noEOF(err)
}

// noEOF is for places where the end comes too early.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// children calls each for every box in b, and stops at what is cut.
func children(b []byte, each func(typ string, body []byte)) {
	for len(b) >= 8 {
		n := binary.BigEndian.Uint32(b)
		if n < 8 || uint64(n) > uint64(len(b)) {
			return
		}
		each(string(b[4:8]), b[8:n:n])
		b = b[n:]
	}
}

// child returns the first box that a path of types leads to; nil if there is none.
func child(b []byte, path ...string) []byte {
	for _, want := range path {
		var found []byte
		children(b, func(typ string, body []byte) {
			if typ == want && found == nil {
				found = body
			}
		})
		if found == nil {
			return nil
		}
		b = found
	}
	return b
}

func (m *MP4) moof(b []byte) error {
	if !m.Ready() {
		return fmt.Errorf("read fragment: %w: no initialization section came before it", ErrFormat)
	}
	samples := 0
	var bad error
	children(b, func(typ string, body []byte) {
		if typ == "traf" && bad == nil {
			bad = m.traf(body, &samples)
		}
	})
	if bad != nil {
		return fmt.Errorf("read fragment: %w", bad)
	}
	return nil
}

var errCut = fmt.Errorf("%w: a table is cut", ErrFormat)

// traf reads the samples of one track (8.8.6 to 8.8.12).
func (m *MP4) traf(b []byte, samples *int) error {
	f := fields{b: child(b, "tfhd")}
	flags := f.u32()
	id := f.u32()
	var t *mp4Track
	for _, one := range m.tracks {
		if one.id == id {
			t = one
		}
	}
	if f.bad {
		return errCut
	}
	if t == nil || t.kind == 0 {
		return nil
	}
	f.skip(8, flags&1 != 0)
	f.skip(4, flags&2 != 0)
	d := defaults{f.u32If(flags&8 != 0, t.duration), f.u32If(flags&0x10 != 0, t.size), f.u32If(flags&0x20 != 0, t.flags)}
	if f.bad {
		return errCut
	}
	if tfdt := (fields{b: child(b, "tfdt")}); len(tfdt.b) > 0 {
		if tfdt.u32()>>24 == 1 {
			t.next = int64(min(tfdt.u64(), 1<<62))
		} else {
			t.next = int64(tfdt.u32())
		}
		if tfdt.bad || t.next/t.timescale > mp4Longest {
			return fmt.Errorf("%w: a decode time that cannot be", ErrFormat)
		}
	}
	if !t.told {
		t.told = true
		m.sink.Track(t.kind, t.track)
	}
	var bad error
	children(b, func(typ string, body []byte) {
		if typ == "trun" && bad == nil {
			bad = m.trun(t, body, d, samples)
		}
	})
	return bad
}

type defaults struct{ duration, size, flags uint32 }

const notSync = 0x10000 // sample_is_non_sync_sample

func (m *MP4) trun(t *mp4Track, b []byte, d defaults, samples *int) error {
	f := fields{b: b}
	head, n := f.u32(), f.u32()
	f.skip(4, head&1 != 0)
	first := f.u32If(head&4 != 0, 0)
	if *samples += int(min(n, mp4Samples+1)); *samples > mp4Samples {
		return fmt.Errorf("%w: more than %d samples", ErrFormat, mp4Samples)
	}
	for i := range n {
		duration := f.u32If(head&0x100 != 0, d.duration)
		size := f.u32If(head&0x200 != 0, d.size)
		flags := f.u32If(head&0x400 != 0, d.flags)
		if i == 0 && head&4 != 0 {
			flags = first
		}
		offset := int64(int32(f.u32If(head&0x800 != 0, 0))) // signed in both versions: nobody means two billion
		if f.bad {
			return errCut
		}
		m.sink.Frame(Frame{
			Kind: t.kind, Key: t.kind == av.Audio || flags&notSync == 0, Size: int(min(size, 1<<30)),
			DTS: ticks(t.next, t.timescale), PTS: ticks(t.next+offset, t.timescale),
		})
		t.next += int64(duration)
	}
	return nil
}

// fields reads numbers one behind the other.
type fields struct {
	b   []byte
	bad bool // it ended too early
}

func (f *fields) u32() uint32 {
	if len(f.b) < 4 {
		f.bad, f.b = true, nil
		return 0
	}
	v := binary.BigEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) u64() uint64 { return uint64(f.u32())<<32 | uint64(f.u32()) }

func (f *fields) u32If(there bool, or uint32) uint32 {
	if there {
		return f.u32()
	}
	return or
}

func (f *fields) skip(n int, there bool) {
	if !there {
		return
	}
	if len(f.b) < n {
		f.bad, f.b = true, nil
		return
	}
	f.b = f.b[n:]
}

var errNoTrack = errors.New("no track that plays")
