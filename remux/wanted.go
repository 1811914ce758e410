package remux

import (
	"math"
	"sync/atomic"
	"time"
)

const (
	// askedFor is how long a stream is wanted by whoever has asked for something:
	// players of playlists come back at least once in a segment.
	askedFor = 30 * time.Second
	// takenFor is how long it is wanted by whoever has taken frames: they come many times
	// a second.
	takenFor = 2 * time.Second
)

// Never is what Stream.Wanted returns where nobody wants what comes.
const Never time.Duration = math.MaxInt64

// wanted is who wants a stream, and how soon. Times are nanoseconds after Stream.Began.
type wanted struct {
	last  atomic.Int64 // when somebody has last wanted anything; 0: never
	soon  atomic.Int64 // until when somebody wants what comes as it comes
	apart atomic.Int64 // of those who take it at times: the greatest common divisor; 0: nobody has
}

// Touch says that somebody asks for something of the stream now, and will again. Cursors
// say so by themselves.
func (s *Stream) Touch() { s.want(0, askedFor) }

// want says that somebody wants the stream, and takes what comes at full multiples of every
// since the beginning of Unix time; 0: as it comes, for that long; Never: not now.
func (s *Stream) want(every, long time.Duration) {
	now := time.Since(s.Began)
	s.wanted.last.Store(int64(now))
	switch every {
	case Never:
	case 0:
		replace(&s.wanted.soon, func(old int64) int64 { return max(old, int64(now+long)) })
	default:
		replace(&s.wanted.apart, func(old int64) int64 { return divisor(int64(every), old) })
	}
}

func replace(v *atomic.Int64, by func(old int64) int64) {
	for {
		old := v.Load()
		if n := by(old); n == old || v.CompareAndSwap(old, n) {
			return
		}
	}
}

// Unwatched is how long nobody has wanted the stream, for ever if nobody has at all.
func (s *Stream) Unwatched() time.Duration {
	last := time.Duration(s.wanted.last.Load())
	if last == 0 {
		return Never
	}
	return time.Since(s.Began) - last
}

// Wanted returns when what comes is wanted: at full multiples of a time since the beginning
// of Unix time, 0: as it comes, or Never.
func (s *Stream) Wanted() time.Duration {
	switch {
	case s.Unwatched() > askedFor:
		return Never
	case int64(time.Since(s.Began)) <= s.wanted.soon.Load():
		return 0
	}
	return time.Duration(s.wanted.apart.Load())
}

// divisor is the greatest that both have.
func divisor(a, b int64) int64 {
	for b != 0 {
		a, b = b, a%b
	}
	return a
}
