package media

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// flvKept is how much of a tag is looked at. Sequence headers, and what stands in
// front of a frame, fit by far.
const flvKept = 64 << 10

// FLV reads an FLV stream.
type FLV struct {
	Faults

	r     *bufio.Reader
	sink  Sink
	clock unwrapper
	buf   []byte
	told  [2]Track // video and audio as the sink knows them
	vcfg  *av.Track
}

// NewFLV reads the file header. r is read in small pieces and should be buffered.
func NewFLV(r *bufio.Reader, sink Sink) (*FLV, error) {
	var h [9]byte
	if _, err := io.ReadFull(r, h[:]); err != nil {
		return nil, fmt.Errorf("read FLV header: %w", err)
	}
	size := binary.BigEndian.Uint32(h[5:])
	if string(h[:3]) != "FLV" || size < 9 || size > 1024 {
		return nil, fmt.Errorf("read FLV header: %w: %q", ErrFormat, h)
	}
	if _, err := r.Discard(int(size) - 9 + flv.TrailerSize); err != nil {
		return nil, fmt.Errorf("read FLV header: %w", err)
	}
	return &FLV{r: r, sink: sink, clock: unwrapper{period: 1 << 32}}, nil
}

// Next reads one tag. It returns io.EOF at the end.
func (f *FLV) Next() error {
	var h [flv.HeaderSize]byte
	if _, err := io.ReadFull(f.r, h[:]); err != nil {
		return err
	}
	size := int(h[1])<<16 | int(h[2])<<8 | int(h[3])
	stamp := uint32(h[7])<<24 | uint32(h[4])<<16 | uint32(h[5])<<8 | uint32(h[6])
	keep := min(size, flvKept)
	if cap(f.buf) < keep {
		f.buf = make([]byte, flvKept)
	}
	body := f.buf[:keep]
	if _, err := io.ReadFull(f.r, body); err != nil {
		return fmt.Errorf("read FLV tag: %w", err)
	}
	if _, err := f.r.Discard(size - keep); err != nil {
		return fmt.Errorf("read FLV tag: %w", err)
	}
	var trailer [flv.TrailerSize]byte
	if _, err := io.ReadFull(f.r, trailer[:]); err != nil {
		return fmt.Errorf("read FLV tag: %w", err)
	}
	if int(binary.BigEndian.Uint32(trailer[:])) != size+flv.HeaderSize {
		if f.Sync++; h[0]&0xc0 != 0 || f.Sync > 100 {
			return fmt.Errorf("read FLV tag: %w: sizes do not agree", ErrFormat)
		}
	}
	f.tag(h[0]&31, stamp, body, size)
	return nil
}

func (f *FLV) tag(typ byte, stamp uint32, body []byte, size int) {
	var p flv.Packet
	var err error
	kind := av.Video
	switch typ {
	case flv.TypeVideo:
		p, err = flv.ParseVideo(body)
	case flv.TypeAudio:
		kind = av.Audio
		p, err = flv.ParseAudio(body)
	default:
		return
	}
	switch {
	case errors.Is(err, flv.ErrEmpty):
		return
	case errors.Is(err, flv.ErrUnsupported):
		f.Unknown++
		return
	case err != nil:
		f.Malformed++
		return
	}
	if p.Type == flv.Multitrack {
		if p, err = firstTrack(p); err != nil {
			f.Malformed++
			return
		}
	}
	switch p.Type {
	case flv.SequenceStart:
		f.header(kind, p)
	case flv.Frame:
		if kind == av.Audio && f.told[1].Codec == "" || kind == av.Video && p.Key {
			f.fromFrame(kind, p)
		}
		dts := time.Duration(f.clock.at(int64(stamp))) * time.Millisecond
		f.sink.Frame(Frame{Kind: kind, Key: p.Key, DTS: dts, PTS: dts + p.CTS, Size: size})
	}
}

func firstTrack(p flv.Packet) (flv.Packet, error) {
	for one, err := range p.Tracks() {
		return one, err
	}
	return p, ErrFormat
}

// header takes a sequence header.
func (f *FLV) header(kind av.Kind, p flv.Packet) {
	var t *av.Track
	var err error
	record := append([]byte(nil), p.Data...) // the buffer is used again
	if kind == av.Video {
		t, err = av.NewVideoTrack(p.Codec, record)
		f.vcfg = t
	} else {
		t, err = av.NewAudioTrack(p.Codec, record)
	}
	if err != nil {
		f.Malformed++
		return
	}
	f.tell(kind, trackOf(t))
}

// fromFrame learns what no sequence header says.
func (f *FLV) fromFrame(kind av.Kind, p flv.Packet) {
	if kind == av.Video {
		if f.vcfg == nil {
			return
		}
		if t, err := f.vcfg.WithKeyFrame(append([]byte(nil), p.Data...)); err == nil && t != f.vcfg {
			f.tell(kind, trackOf(t))
		}
		return
	}
	t, err := av.NewAudioTrack(p.Codec, append([]byte(nil), p.Data...))
	if err != nil {
		f.tell(kind, Track{Codec: p.Codec.String()})
		return
	}
	f.tell(kind, trackOf(t))
}

func (f *FLV) tell(kind av.Kind, t Track) {
	at := &f.told[0]
	if kind == av.Audio {
		at = &f.told[1]
	}
	if *at != t {
		*at = t
		f.sink.Track(kind, t)
	}
}

// unwrapper continues counters that begin again at period.
type unwrapper struct {
	period int64
	last   int64
	begun  bool
}

// at returns the value nearest to the last one that v can stand for.
func (u *unwrapper) at(v int64) int64 {
	if !u.begun {
		u.begun, u.last = true, v
		return v
	}
	d := (v - u.last) % u.period
	switch {
	case d > u.period/2:
		d -= u.period
	case d < -u.period/2:
		d += u.period
	}
	u.last += d
	return u.last
}
