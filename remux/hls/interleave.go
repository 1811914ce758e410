package hls

import (
	"time"

	"headwater/remux/av"
)

// maxTrackLag is how long one track is waited for while the other goes on, in
// media time of the one that goes on. Encoders interleave within some 100 ms; a
// track that is further behind is taken to be silent, and is not waited for
// again until it has caught up.
const maxTrackLag = time.Second

// Interleaver sorts the samples of two tracks by DTS. The zero value is ready.
//
// A sample comes out once the other track has reached its DTS, so a segment that
// ends at a key frame holds all the audio before that key frame even where the
// audio arrives late, and none of what arrives early. Within a track the order
// of arrival is kept.
type Interleaver struct {
	video, audio lane
	flushing     bool
}

type lane struct {
	room   [8]av.Frame // for what waits of a stream that keeps its time
	buf    []av.Frame
	head   int           // buf[head:] waits
	newest time.Duration // DTS of the sample pushed last
	seen   bool          // the track exists: it has had a sample
	silent bool          // too far behind to be waited for
}

// Push adds a sample. Where its Config has two tracks, the first samples of one
// wait for the other.
func (il *Interleaver) Push(s *av.Frame) {
	l, other := il.lanes(s.Kind)
	both := s.Config.Video != nil && s.Config.Audio != nil
	l.push(*s)
	l.newest = max(l.newest, s.DTS)
	if !l.seen {
		l.newest, l.seen = s.DTS, true
	}
	if l.silent && (!other.seen || l.newest >= other.newest-maxTrackLag/2) {
		l.silent = false
	}
	if !both {
		other.silent = true
	} else if len(other.queue()) == 0 && l.newest-l.queue()[0].DTS > maxTrackLag {
		other.silent = true
	}
}

// Pop returns the next sample in order of DTS, or false where one has to wait.
func (il *Interleaver) Pop() (av.Frame, bool) {
	v, a := il.video.queue(), il.audio.queue()
	switch {
	case len(v) > 0 && len(a) > 0:
		if v[0].DTS <= a[0].DTS {
			return il.video.pop(), true
		}
		return il.audio.pop(), true
	case len(v) > 0 && (il.audio.silent || il.flushing):
		return il.video.pop(), true
	case len(a) > 0 && (il.video.silent || il.flushing):
		return il.audio.pop(), true
	}
	if il.flushing {
		*il = Interleaver{}
	}
	return av.Frame{}, false
}

// Flush makes Pop return what is left without waiting. Once Pop has returned
// false the interleaver is as new.
func (il *Interleaver) Flush() { il.flushing = true }

// Peek returns the time on the track's clock of the next sample of that kind, if
// it is known yet.
func (il *Interleaver) Peek(k av.Kind) (int64, bool) {
	l, _ := il.lanes(k)
	if len(l.queue()) == 0 {
		return 0, false
	}
	return l.queue()[0].Time, true
}

func (il *Interleaver) lanes(k av.Kind) (own, other *lane) {
	if k == av.Video {
		return &il.video, &il.audio
	}
	return &il.audio, &il.video
}

func (l *lane) queue() []av.Frame { return l.buf[l.head:] }

// push reuses the room of what has been popped, so that a queue that keeps short
// does not allocate.
func (l *lane) push(s av.Frame) {
	if l.buf == nil {
		l.buf = l.room[:0]
	}
	if l.head > 0 && len(l.buf) == cap(l.buf) {
		n := copy(l.buf, l.buf[l.head:])
		clear(l.buf[n:])
		l.buf, l.head = l.buf[:n], 0
	}
	l.buf = append(l.buf, s)
}

func (l *lane) pop() av.Frame {
	s := l.buf[l.head]
	l.buf[l.head] = av.Frame{}
	if l.head++; l.head == len(l.buf) {
		l.buf, l.head = l.buf[:0], 0
	}
	return s
}
