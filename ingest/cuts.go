package ingest

import (
	"errors"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux"
)

const (
	// cutPause is the least time between two new segments of a publisher: five a
	// second, whatever its timestamps say. Who sends faster is read more slowly.
	cutPause = 200 * time.Millisecond
	// messageCost is what a message is held for beside its bytes, about.
	messageCost = 160
)

// errUncut ends a publisher that sends and sends, and never gets to a new segment:
// its timestamps stand, or no key frame comes where one is needed.
var errUncut = errors.New("the media goes on without a new segment: timestamps or key frames are missing")

// cuts watches how what a publisher sends is cut into segments. A segment that is
// open cannot be let go, and one that is finished costs every player a playlist: both
// have bounds that do not depend on timestamps.
type cuts struct {
	stream *remux.Stream // nil: nothing is watched
	most   int64         // bytes in one segment, messageCost included

	sequence uint64 // of the segment that is open, or comes next
	last     time.Time
	uncut    int64
}

// newCuts watches the stream of a publisher that begins.
func newCuts(to sink, most int64) cuts {
	c := cuts{most: most}
	if p, ok := to.(*remux.Publisher); ok {
		c.stream = p.Stream()
		c.sequence = c.stream.Coming()
	}
	return c
}

// wrote is told of a message of n bytes. It returns how long to wait before the next
// one, or errUncut.
func (c *cuts) wrote(n int, now func() time.Time) (pause time.Duration, err error) {
	if c.stream == nil {
		return 0, nil
	}
	c.uncut += int64(n) + messageCost
	sequence := c.stream.Coming()
	if sequence == c.sequence {
		if c.uncut > c.most {
			err = errUncut
		}
		return 0, err
	}
	made := min(sequence-c.sequence, 2) // a jump of the timestamps ends one and begins another
	at := now()
	pause = max(0, time.Duration(made)*cutPause-at.Sub(c.last))
	c.sequence, c.uncut, c.last = sequence, 0, at.Add(pause)
	return pause, nil
}

// paceCuts holds a publisher to the bounds of cuts.
func (s *session) paceCuts(n int) error {
	pause, err := s.cuts.wrote(n, time.Now)
	switch {
	case err != nil:
		return &streamError{err}
	case pause > 0:
		return rtmp.Pause(pause)
	}
	return nil
}
