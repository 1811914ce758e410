package remux

import (
	"bufio"
	"context"
	"encoding/gob"
	"fmt"
	"hash/crc32"
	"io"
	"os"
	"path/filepath"
	"slices"
	"time"

	"headwater/remux/av"
)

// A process that ends in order leaves its successor, in a file, what viewers may still
// ask for: the segments of every stream whose playlist somebody has had. The successor
// goes on as if the publishers had only left (Stream.remove), so that a restart costs
// viewers the time without a publisher, and no segment.
//
// The file holds coded frames and where they were cut. From these the successor renders
// what the process before it rendered, byte for byte: names never come to mean other
// bytes. So it has to render in the same way, which rendering stands for; and a file is
// read once, because what its process lists afterwards has numbers behind it.
//
// A process that was killed leaves no such file, and playlists go on with gaps (Past).

// rendering is how segments, parts and initialization sections are made of frames. It
// changes whenever their bytes do.
const rendering = 3

// maxWindowBytes bounds the media in the file. Streams for which there is no room go on
// with gaps.
const maxWindowBytes = 512 << 20

// windowHeader begins the file. A savedStream with its savedSegments follows for each
// stream, then one without a name, and four bytes of CRC-32 (IEEE) over all of that.
type windowHeader struct {
	Rendering int
	At        time.Time
}

type savedStream struct {
	Name          Name
	Next          time.Duration
	Served        uint64
	Sequence      uint64
	Part          uint64
	Init          uint64
	Discontinuity uint64
	Extra         uint64
	Timed         bool
	Target        time.Duration
	PartTarget    time.Duration
	VideoEnd      int64
	AudioEnd      int64
	Metadata      []byte // onMetaData
	Configs       []av.Config
	Inits         []savedInit
	Listed        int // of its segments, index of the first that the playlist lists
	Segments      int
}

type savedInit struct {
	Epoch  string
	Number uint64
	Config int
	Made   time.Time
}

type savedSegment struct {
	Sequence              uint64
	Discontinuity         bool
	DiscontinuitySequence uint64
	Independent           bool
	Start, Duration       time.Duration
	ProgramTime           time.Time
	Bytes                 int64

	Epoch                  string
	Ahead                  time.Duration
	Init                   int // index
	Modified, Retired      time.Time
	Timed, TimedFrom       bool
	Extra                  uint64
	Joins                  bool
	Earliest               time.Duration
	Whole                  bool
	Parts                  []savedPart
	Video, Audio, Metadata []savedSample
	Payload                []byte // of all samples, in this order
}

// savedPart has the next so many samples of its segment, and metadata from one of it on.
type savedPart struct {
	Number                 uint64
	Independent            bool
	Start, Duration        time.Duration
	Epoch                  string
	Modified               time.Time
	Video, Audio           int
	MetadataFrom, Metadata int
	VideoEnd, AudioEnd     int64
}

type savedSample struct {
	Key      bool
	DTS, CTS time.Duration
	Time     int64
	Length   int
}

// SaveWindow writes the file for the next process. Streams that have a publisher still
// are left out, and those that nobody has watched. It gives up when ctx is done, and
// leaves the file whole or not at all.
func (r *Registry) SaveWindow(ctx context.Context, path string) (streams int, err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return 0, fmt.Errorf("create window: %w", err)
	}
	defer func() {
		_ = f.Close()
		if err != nil || streams == 0 {
			_ = os.Remove(f.Name())
		}
	}()
	buffered := bufio.NewWriterSize(f, 1<<20)
	sum := crc32.NewIEEE()
	w := newWindowWriter(ctx, io.MultiWriter(buffered, sum))
	w.put(windowHeader{rendering, time.Now()})
	for _, s := range r.Streams() {
		w.stream(s)
	}
	w.put(savedStream{})
	if w.err != nil {
		return 0, fmt.Errorf("write window: %w", w.err)
	}
	_, _ = buffered.Write(sum.Sum(nil)) // Flush says it again
	if err := buffered.Flush(); err != nil {
		return 0, fmt.Errorf("write window: %w", err)
	}
	if w.streams == 0 {
		return 0, nil
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return 0, fmt.Errorf("write window: %w", err)
	}
	return w.streams, nil
}

// windowWriter writes until something goes wrong.
type windowWriter struct {
	*gob.Encoder
	ctx     context.Context
	room    int64
	streams int
	err     error
}

func newWindowWriter(ctx context.Context, to io.Writer) *windowWriter {
	return &windowWriter{Encoder: gob.NewEncoder(to), ctx: ctx, room: maxWindowBytes}
}

func (w *windowWriter) put(v any) {
	if w.err == nil {
		w.err = w.ctx.Err()
	}
	if w.err == nil {
		w.err = w.Encode(v)
	}
}

func (w *windowWriter) stream(s *Stream) {
	s.mu.Lock()
	defer s.mu.Unlock()
	t := &s.timeline
	served := t.served.sequence.Load()
	if s.live != nil || !s.ended.IsZero() || len(t.held) == 0 || t.held[0].Sequence > served || t.bytes > w.room {
		return
	}
	w.room -= t.bytes
	saved := savedStream{
		Name: s.Name, Next: s.next, Served: served, Metadata: s.Metadata(),
		Sequence: t.nextSequence, Part: t.nextPart, Init: t.nextInit, Discontinuity: t.discontinuity,
		Extra: t.extra, Timed: t.timed, Target: t.cutter.Target, PartTarget: t.cutter.PartTarget,
		VideoEnd: t.videoEnd, AudioEnd: t.audioEnd, Listed: t.listed, Segments: len(t.held),
	}
	var inits []*initSection // one follows the other
	for _, seg := range t.held {
		if n := len(inits); n > 0 && inits[n-1] == seg.init {
			continue
		}
		inits = append(inits, seg.init)
		saved.Inits = append(saved.Inits, savedInit{seg.init.epoch, seg.init.number, len(saved.Configs), seg.init.made})
		saved.Configs = append(saved.Configs, *seg.Config)
	}
	w.put(saved)
	at := 0
	for _, seg := range t.held {
		if seg.init != inits[at] {
			at++
		}
		w.put(saveSegment(seg, at))
	}
	w.streams++
}

func saveSegment(s *Segment, init int) savedSegment {
	saved := savedSegment{
		Sequence: s.Sequence, Discontinuity: s.Discontinuity, DiscontinuitySequence: s.DiscontinuitySequence,
		Independent: s.Independent, Start: s.Start, Duration: s.Duration, ProgramTime: s.ProgramTime, Bytes: s.Bytes,
		Epoch: s.epoch, Ahead: s.ahead, Init: init, Modified: s.modified, Retired: s.retiredAt,
		Timed: s.timed, TimedFrom: s.timedFrom, Extra: s.extra, Whole: s.whole, Joins: s.joins, Earliest: s.earliest,
		Parts: make([]savedPart, len(s.Parts)), Payload: make([]byte, 0, s.Bytes),
	}
	for i, p := range s.Parts {
		saved.Parts[i] = savedPart{
			p.Number, p.Independent, p.Start, p.Duration, p.epoch, p.modified,
			p.video.len(), p.audio.len(), 0, len(p.metadata), p.videoEnd, p.audioEnd,
		}
		if len(p.metadata) > 0 {
			saved.Parts[i].MetadataFrom = slices.IndexFunc(s.metadata, func(f av.Frame) bool { return &f.Data[0] == &p.metadata[0].Data[0] })
		}
	}
	save := func(frames []av.Frame) []savedSample {
		all := make([]savedSample, len(frames))
		for i, f := range frames {
			all[i] = savedSample{f.Key, f.DTS, f.CTS, f.Time, len(f.Data)}
			saved.Payload = append(saved.Payload, f.Data...)
		}
		return all
	}
	saved.Video, saved.Audio, saved.Metadata = save(s.video.all()), save(s.audio.all()), save(s.metadata)
	return saved
}
