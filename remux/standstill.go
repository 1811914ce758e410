package remux

import (
	"context"
	"errors"
	"time"
	"weak"
)

// ErrStandstill is why a publisher has lost its stream whose frames came in and made no
// media for HLS. It may come back: a new session begins with a key frame and with a
// clock of its own.
var ErrStandstill = errors.New("media comes in and the playlist stands still: its timestamps stand, or no key frame follows where they jumped")

const (
	// standEvery is how often streams are looked at.
	standEvery = time.Second
	// leastPatience is above what a stream may take that has short segments, and a twin.
	leastPatience = 10 * time.Second
)

// EndStanding removes the publishers of streams that stand still, until ctx is done:
// frames are taken in, and for three target durations there is no new part and no new
// segment. told hears of each, and for how long it stood.
//
// A legal stream has a part in each part duration of its media, whatever its key frames,
// and a segment in MaxSegmentDuration. What counts is time in which frames came of the
// track that segments are cut at, and went nowhere. So these are left alone:
//
//   - who is silent: that is what timeouts of sessions are for;
//   - whose frames are held back, for a twin or until both tracks are known;
//   - whose frames are dropped (PublisherStats.BeforeHeader) because there was no
//     sequence header or no key frame since it came: it has no playlist that could stand,
//     and may begin at any time;
//   - who has announced pictures and sends sound alone: HTTP-FLV plays that;
//   - everybody when the whole process stood, as its machine was moved: a look counts for
//     two at most, however long ago the last one was.
func (r *Registry) EndStanding(ctx context.Context, told func(name Name, stood time.Duration)) {
	tick := time.NewTicker(standEvery)
	defer tick.Stop()
	w := standWatch{}
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		w.look(r.Streams(), now.Sub(last), told)
		last = now
	}
}

// standWatch is what was seen of each stream that is live.
type standWatch map[*Stream]standing

type standing struct {
	publisher *Publisher
	index     weak.Pointer[Index] // it must not hold what has left the window
	frames    uint64              // of the track that is cut at
	stood     time.Duration       // in which the index was the same and frames came
}

// look is to be called every standEvery; passed is how long ago it was last.
func (w standWatch) look(all []*Stream, passed time.Duration, told func(Name, time.Duration)) {
	passed = min(passed, 2*standEvery)
	seen := make(map[*Stream]bool, len(all))
	for _, s := range all {
		p, frames := s.taken()
		if p == nil {
			continue
		}
		seen[s] = true
		ix := s.Index()
		now := standing{publisher: p, index: weak.Make(ix), frames: frames}
		if before := w[s]; before.publisher == p && before.index == now.index {
			now.stood = before.stood
			if frames != before.frames {
				now.stood += passed
			}
		}
		w[s] = now
		if now.stood > s.patience(ix) && s.oust(p, ErrStandstill) {
			told(s.Name, now.stood)
		}
	}
	for s := range w {
		if !seen[s] {
			delete(w, s)
		}
	}
}

// patience is how long a stream may stand.
func (s *Stream) patience(ix *Index) time.Duration {
	return max(leastPatience, 3*max(ix.Target, s.options.MaxSegmentDuration))
}

// taken returns the stream's publisher, nil if there is none, and how many frames it has
// sent of the track that segments are cut at.
func (s *Stream) taken() (p *Publisher, frames uint64) {
	s.mu.Lock()
	p = s.live
	s.mu.Unlock()
	c := s.Config()
	if p == nil || c == nil {
		return nil, 0
	}
	stats := p.Stats()
	if c.Video != nil {
		return p, stats.VideoFrames
	}
	return p, stats.AudioFrames
}

// oust removes p, if it is the stream's publisher still.
func (s *Stream) oust(p *Publisher, reason error) (removed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != p {
		return false
	}
	s.remove(reason, time.Now())
	return true
}
