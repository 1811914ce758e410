package remux

import (
	"context"
	"io"
	"time"

	"headwater/remux/av"
)

// Cursor reads a stream's frames in order of arrival. It begins at the newest
// frame from which a decoder can start, and where it has fallen too far behind
// it goes on at the newest such frame. It belongs to one goroutine.
type Cursor struct {
	// Every says that frames are taken at full multiples of it since the beginning of Unix
	// time only, as Stream.Wanted reports then; 0: as they come.
	Every time.Duration

	stream *Stream
	log    *log
	next   uint64
	placed bool
}

// Batch is what a Cursor has not returned before.
type Batch struct {
	// Frames is the beginning of the buffer that was passed in.
	Frames []av.Frame
	// Skipped says that frames are missing in front of this batch because the
	// reader was too slow for them.
	Skipped bool
	// More says that there was no room for all frames.
	More bool
	// Ended says that the stream is over and nothing will follow.
	Ended bool
}

// NewCursor returns a cursor that has read nothing.
func (s *Stream) NewCursor() Cursor { return Cursor{stream: s, log: &s.log} }

// Next waits for at least one frame and returns as many as there are and fit into
// buf. It fails with io.EOF when the stream has ended and all is read, or with the
// context's error.
func (c *Cursor) Next(ctx context.Context, buf []av.Frame) (Batch, error) {
	for {
		seen := c.log.head.Load()
		c.stream.want(Never, 0)
		b := c.take(buf)
		if len(b.Frames) > 0 {
			return b, nil
		}
		if b.Ended {
			return b, io.EOF
		}
		c.stream.want(0, takenFor)
		if _, err := c.log.head.Wait(ctx, func(p position) bool { return p != seen }); err != nil {
			return Batch{}, err
		}
	}
}

// Take returns what there is without waiting.
func (c *Cursor) Take(buf []av.Frame) Batch {
	c.stream.want(c.Every, takenFor)
	return c.take(buf)
}

func (c *Cursor) take(buf []av.Frame) Batch {
	l := c.log
	l.mu.Lock()
	defer l.mu.Unlock()
	skipped := false
	switch {
	case !c.placed:
		if !l.startOK {
			return Batch{Ended: l.ended}
		}
		c.placed, c.next = true, l.start
	case c.lags(l):
		if l.startOK && l.start > c.next {
			skipped = true
			c.next = l.start
		} else if c.next < l.first { // nothing to go on with before the next key frame
			c.placed = false
			return Batch{Ended: l.ended}
		}
	}
	n := 0
	for ; n < len(buf) && c.next < l.next; n++ {
		buf[n] = l.at(c.next)
		c.next++
	}
	more := c.next < l.next
	return Batch{Frames: buf[:n], Skipped: skipped, More: more, Ended: l.ended && !more}
}

// lags says that the cursor is further behind than it may be.
func (c *Cursor) lags(l *log) bool {
	if c.next < l.first {
		return true
	}
	if c.next == l.next {
		return false
	}
	dts, before := l.when(c.next)
	newest, _ := l.when(l.next - 1)
	o := &c.stream.options
	return newest-dts > o.MaxLag || l.bytes-before > uint64(o.MaxLagBytes)
}
