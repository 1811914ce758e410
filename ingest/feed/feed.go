// Package feed sends a live stream to one RTMP peer, a player or another server:
// from the newest key frame on, frames gathered to few writes, and never waited
// for. A peer that falls behind goes on at a newer key frame.
package feed

import (
	"context"
	"io"
	"sync/atomic"
	"time"

	"headwater/remux"
	"headwater/remux/av"
)

// Writer sends frames to the peer.
type Writer interface {
	// Add gathers frames; metadata is for a peer that has had none.
	Add(frames []av.Frame, metadata []byte) error
	// Flush writes what was gathered and returns how many bytes that were. It
	// waits for the peer, within bounds.
	Flush() (int, error)
}

// Feed is one stream on its way to one peer.
type Feed struct {
	// fixed before Run
	Stream *remux.Stream
	Gather time.Duration // frames of this long are written together; 0: each as it comes

	// Skipped is called when frames were left out because the peer is slow. An
	// error ends the feed. nil: nothing is called.
	Skipped func() error
	// Tick is called every Every. An error ends the feed. nil: nothing is called.
	Tick  func() error
	Every time.Duration

	bytes, frames, skips atomic.Uint64
	behind               atomic.Int64 // when it was in step last, ns after began; 0: it is
}

// maxBatch bounds the frames of one write.
const maxBatch = 64

// Bytes returns how many bytes have been written so far. Any goroutine may ask.
func (f *Feed) Bytes() uint64 { return f.bytes.Load() }

// Frames returns how many frames have been sent.
func (f *Feed) Frames() uint64 { return f.frames.Load() }

// Skips returns how often the peer was too slow.
func (f *Feed) Skips() uint64 { return f.skips.Load() }

// Behind returns how long the peer has not had all that there was. Any goroutine may
// ask.
func (f *Feed) Behind() time.Duration {
	since := f.behind.Load()
	if since == 0 {
		return 0
	}
	return max(0, time.Since(began)-time.Duration(since))
}

// began is what times are counted from that others read.
var began = time.Now()

// Run sends until the stream has ended (io.EOF), the peer fails, Skipped or Tick
// says so, or ctx is done; then it sends what is there already and returns the
// cause.
func (f *Feed) Run(ctx context.Context, to Writer) error {
	cursor := f.Stream.NewCursor()
	var room [maxBatch]av.Frame
	pause := time.NewTimer(0)
	defer pause.Stop()
	tick := time.Now().Add(f.Every)
	for {
		b, err := f.next(ctx, tick, &cursor, room[:])
		if err != nil {
			return err
		}
		now := time.Now()
		if err := f.send(to, b); err != nil {
			return err
		}
		if f.Tick != nil && !now.Before(tick) {
			tick = now.Add(f.Every)
			if err := f.Tick(); err != nil {
				return err
			}
		}
		if ctx.Err() != nil {
			if err := f.send(to, cursor.Take(room[:])); err != nil {
				return err
			}
			return context.Cause(ctx)
		}
		clear(room[:])
		if f.Gather == 0 || b.More {
			continue
		}
		pause.Reset(f.untilTurn())
		select {
		case <-pause.C:
		case <-ctx.Done(): // the next turn is the last
		}
	}
}

// untilTurn is the time until the next turn. All feeds take theirs at the same
// times: a processor that wakes up for one is there for the others too, which halves
// what a feed costs.
func (f *Feed) untilTurn() time.Duration {
	return f.Gather - time.Duration(time.Now().UnixNano())%f.Gather
}

// next waits for frames, until it is time for a tick.
func (f *Feed) next(ctx context.Context, tick time.Time, c *remux.Cursor, room []av.Frame) (remux.Batch, error) {
	b := c.Take(room)
	switch {
	case len(b.Frames) > 0:
		return b, nil
	case b.Ended:
		return b, io.EOF
	}
	if f.Tick != nil {
		var cancel context.CancelFunc
		ctx, cancel = context.WithDeadline(ctx, tick)
		defer cancel()
	}
	b, err := c.Next(ctx, room)
	if ctx.Err() != nil {
		err = nil // Run looks at its own context
	}
	return b, err
}

func (f *Feed) send(to Writer, b remux.Batch) error {
	if b.Skipped {
		f.skips.Add(1)
		if f.Skipped != nil {
			if err := f.Skipped(); err != nil {
				return err
			}
		}
	}
	if len(b.Frames) == 0 {
		return nil
	}
	if f.behind.Load() == 0 {
		f.behind.Store(int64(time.Since(began)) + 1)
	}
	if err := to.Add(b.Frames, f.Stream.Metadata()); err != nil {
		return err
	}
	n, err := to.Flush()
	f.bytes.Add(uint64(n))
	f.frames.Add(uint64(len(b.Frames)))
	if !b.More {
		f.behind.Store(0)
	}
	return err
}
