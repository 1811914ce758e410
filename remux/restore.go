package remux

import (
	"bufio"
	"bytes"
	"encoding/gob"
	"errors"
	"fmt"
	"hash"
	"hash/crc32"
	"io"
	"io/fs"
	"os"
	"time"

	"headwater/remux/av"
)

var (
	errDamaged        = errors.New("it is damaged")
	errOld            = errors.New("it is too old")
	errOtherRendering = errors.New("a version that renders in another way has written it")
)

// RestoreWindow goes on with the streams in a file that SaveWindow wrote, each as if
// its publisher had left just now, and removes the file. It must be called before the
// first Publish. Where there is no file there are no streams, and no error.
func (r *Registry) RestoreWindow(path string) (streams int, err error) {
	sweep(path)
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open window: %w", err)
	}
	defer func() { _ = f.Close() }()
	// First, because nothing may be restored twice, and it stays readable.
	if err := os.Remove(path); err != nil {
		return 0, fmt.Errorf("remove window: %w", err)
	}
	if r.options.Reconnect <= 0 { // no stream waits for its publisher
		return 0, nil
	}
	all, err := readWindow(f, r, time.Now())
	if err != nil {
		return 0, fmt.Errorf("read window: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, s := range all {
		r.streams[s.Name] = s
	}
	return len(all), nil
}

func readWindow(f io.Reader, r *Registry, now time.Time) (all []*Stream, err error) {
	in := &summed{bufio.NewReaderSize(f, 1<<20), crc32.NewIEEE()}
	d := gob.NewDecoder(in)
	var head windowHeader
	if err := d.Decode(&head); err != nil {
		return nil, err
	}
	switch age := now.Sub(head.At); {
	case head.Rendering != rendering:
		return nil, errOtherRendering
	case age < -sameLife || age > sameLife:
		return nil, errOld
	}
	for {
		var saved savedStream
		if err := d.Decode(&saved); err != nil {
			return nil, err
		}
		if saved.Name == (Name{}) {
			break
		}
		s, err := restoreStream(d, &saved, r, now)
		if err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	want := in.sum.Sum(nil)
	got, err := io.ReadAll(in.Reader)
	if err == nil && !bytes.Equal(got, want) {
		err = errDamaged
	}
	return all, err
}

// summed keeps the sum of what is read. With ReadByte, a gob.Decoder reads no further
// than it has to.
type summed struct {
	*bufio.Reader
	sum hash.Hash32
}

func (s *summed) Read(p []byte) (int, error) {
	n, err := s.Reader.Read(p)
	_, _ = s.sum.Write(p[:n]) // never fails
	return n, err
}

func (s *summed) ReadByte() (byte, error) {
	b, err := s.Reader.ReadByte()
	if err == nil {
		_, _ = s.sum.Write([]byte{b}) // never fails
	}
	return b, err
}

// restoreStream returns a stream without a publisher. What is in the file has come from
// this package, or the sum at its end is wrong: nothing must panic before that is known.
func restoreStream(d *gob.Decoder, saved *savedStream, r *Registry, now time.Time) (*Stream, error) {
	s := &Stream{Name: saved.Name, Began: now, options: r.options, memory: r.memory, lastSeen: now, next: saved.Next}
	t := &s.timeline
	t.init(r.options, State{
		Sequence: saved.Sequence, Discontinuity: saved.Discontinuity, Target: saved.Target, PartTarget: saved.PartTarget,
	}, false, &s.served)
	t.nextPart, t.nextInit, t.extra, t.timed = saved.Part, saved.Init, saved.Extra, saved.Timed
	t.videoEnd, t.audioEnd = saved.VideoEnd, saved.AudioEnd
	t.broken, t.listed = true, saved.Listed
	inits := make([]*initSection, len(saved.Inits))
	for i, in := range saved.Inits {
		if in.Config < 0 || in.Config >= len(saved.Configs) {
			return nil, errDamaged
		}
		inits[i] = &initSection{epoch: in.Epoch, number: in.Number, config: &saved.Configs[in.Config], made: in.Made}
	}
	for range saved.Segments {
		var one savedSegment
		if err := d.Decode(&one); err != nil {
			return nil, err
		}
		if one.Init < 0 || one.Init >= len(inits) {
			return nil, errDamaged
		}
		seg, err := one.restore(inits[one.Init])
		if err != nil {
			return nil, err
		}
		t.held = append(t.held, seg)
		t.bytes += seg.cost()
	}
	if n := len(t.held); n == 0 || t.listed < 0 || t.listed >= n {
		return nil, errDamaged
	}
	s.remembered = t.held[len(t.held)-1]
	t.initialize, t.ahead = s.remembered.init, s.remembered.ahead
	s.config.Store(s.remembered.Config)
	if saved.Metadata != nil {
		s.log.setMetadata(saved.Metadata)
	}
	s.served.raise(saved.Served)
	if r.twin != nil { // it has what is newer, and caches turn to it from a list that stands still
		now = now.Add(-sameLife)
	}
	ix := t.index(now, false)
	s.coming.Store(ix.coming())
	s.index.Store(ix)
	return s, nil
}

func (saved *savedSegment) restore(init *initSection) (*Segment, error) {
	s := &Segment{
		Sequence: saved.Sequence, Discontinuity: saved.Discontinuity, DiscontinuitySequence: saved.DiscontinuitySequence,
		Independent: saved.Independent, Config: init.config, Start: saved.Start, Duration: saved.Duration,
		ProgramTime: saved.ProgramTime, Bytes: saved.Bytes,
		epoch: saved.Epoch, ahead: saved.Ahead, init: init, modified: saved.Modified, retiredAt: saved.Retired,
		timed: saved.Timed, timedFrom: saved.TimedFrom, extra: saved.Extra, whole: saved.Whole, joins: saved.Joins, earliest: saved.Earliest,
	}
	payload := saved.Payload
	var err error
	take := func(kind av.Kind, samples []savedSample) []av.Frame {
		frames := make([]av.Frame, len(samples))
		for i, f := range samples {
			if f.Length < 0 || f.Length > len(payload) {
				err = errDamaged
				return nil
			}
			frames[i] = av.Frame{Kind: kind, Key: f.Key, DTS: f.DTS, CTS: f.CTS, Time: f.Time, Config: s.Config, Data: payload[:f.Length]}
			payload = payload[f.Length:]
		}
		return frames
	}
	s.video, s.audio, s.metadata = packOf(take(av.Video, saved.Video)), packOf(take(av.Audio, saved.Audio)), take(av.Data, saved.Metadata)
	if err != nil {
		return nil, err
	}
	video, audio := 0, 0 // of those that have come
	for _, p := range saved.Parts {
		tags := p.MetadataFrom + p.Metadata
		if p.Video < 0 || p.Video > s.video.len()-video || p.Audio < 0 || p.Audio > s.audio.len()-audio ||
			p.MetadataFrom < 0 || p.MetadataFrom > tags || tags > len(s.metadata) {
			return nil, errDamaged
		}
		s.Parts = append(s.Parts, &Part{
			Number: p.Number, Independent: p.Independent, Start: p.Start, Duration: p.Duration,
			epoch: p.Epoch, ahead: s.ahead, config: s.Config, videoEnd: p.VideoEnd, audioEnd: p.AudioEnd, modified: p.Modified,
			video: s.video.slice(video, video+p.Video), audio: s.audio.slice(audio, audio+p.Audio), metadata: s.metadata[p.MetadataFrom:tags:tags],
		})
		video, audio = video+p.Video, audio+p.Audio
	}
	return s, nil
}
