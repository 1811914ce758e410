package remux

import (
	"context"
	"io"
	"time"

	"headwater/remux/av"
)

// cursorBatch bounds the frames that Next returns, and so what a viewer holds on
// to while it is being written to.
const cursorBatch = 64

// Cursor reads a stream's frames in order of arrival. It begins at the newest
// frame from which a decoder can start, and where it has fallen too far behind
// it goes on at the newest such frame. It belongs to one goroutine.
type Cursor struct {
	stream *Stream
	next   uint64
	placed bool
	buf    [cursorBatch]*av.Frame
}

// Batch is what a Cursor has not returned before.
type Batch struct {
	// Frames is never empty. The slice is valid until the next call of Next, the
	// frames for as long as they are held.
	Frames []*av.Frame
	// Skipped says that frames are missing in front of this batch because the
	// reader was too slow for them.
	Skipped bool
	// More says that there was no room for all frames: Next will not wait.
	More bool
}

// NewCursor returns a cursor that has read nothing.
func (s *Stream) NewCursor() *Cursor { return &Cursor{stream: s} }

// Next waits for at least one frame and returns up to 64. It fails with io.EOF
// when the stream has ended and all is read, or with the context's error.
func (c *Cursor) Next(ctx context.Context) (Batch, error) {
	l := &c.stream.log
	for {
		seen := l.head.Load()
		if b := c.take(); len(b.Frames) > 0 {
			return b, nil
		}
		if seen.ended {
			return Batch{}, io.EOF
		}
		if _, err := l.head.Wait(ctx, func(p position) bool { return p != seen }); err != nil {
			return Batch{}, err
		}
	}
}

// take copies out what there is.
func (c *Cursor) take() Batch {
	l := &c.stream.log
	l.mu.Lock()
	defer l.mu.Unlock()
	skipped := false
	switch {
	case !c.placed:
		if !l.startOK {
			return Batch{}
		}
		c.placed, c.next = true, l.start
	case c.lags(l):
		if !l.startOK || l.start < c.next {
			// Nothing newer to begin with: wait for the next key frame.
			if c.next < l.first {
				c.placed, c.next = false, l.next
				return Batch{}
			}
			break
		}
		skipped = l.start > c.next
		c.next = l.start
	}
	n := 0
	for ; n < len(c.buf) && c.next < l.next; n++ {
		c.buf[n] = l.at(c.next).frame
		c.next++
	}
	return Batch{Frames: c.buf[:n], Skipped: skipped, More: c.next < l.next}
}

// lags says that the cursor is further behind than it may be.
func (c *Cursor) lags(l *log) bool {
	if c.next < l.first {
		return true
	}
	if c.next == l.next {
		return false
	}
	e, o := l.at(c.next), c.stream.options
	newest := l.at(l.next - 1).frame
	return newest.DTS-e.frame.DTS > o.MaxLag || l.bytes-e.bytes > uint64(o.MaxLagBytes)
}

// Position is the stream time of the newest frame, for measuring delay.
func (s *Stream) Position() time.Duration {
	l := &s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == l.first {
		return 0
	}
	return l.at(l.next - 1).frame.DTS
}
