package fanout

import (
	"context"
	"errors"
	"io"
	"iter"
	"maps"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Sink writes to a connection that a loop cannot write to. It waits for the
// connection, within bounds.
type Sink interface {
	Send(bufs net.Buffers) error
	// Hurry is called when the viewer is to end: a Send that does not come to its end
	// soon has to fail.
	Hurry()
}

// Run writes to a viewer from the caller's goroutine until the stream has ended, the
// viewer is gone or ctx is done.
func (f *Fanout) Run(ctx context.Context, v Viewer, to Sink) End {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(ctx, to.Hurry)()
	return f.run(ctx, cancel, v, &runner{fanout: f, to: to})
}

// RunConn is Run for a connection that belongs to the viewer alone and is not plain
// TCP. It closes conn.
func (f *Fanout) RunConn(ctx context.Context, v Viewer, conn net.Conn) End {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	boundSendBufferUnder(conn)
	r := &runner{fanout: f, to: connSink{conn, f.config.Stall}}
	defer context.AfterFunc(ctx, r.to.Hurry)()
	var listening sync.WaitGroup
	defer listening.Wait()
	defer func() { _ = conn.Close() }() // nothing to be done about it
	listening.Go(func() {
		var err error // logged
		defer f.survive(v.Stream, &err)
		r.listen(conn, v.Framing == WebSocket, cancel)
	})
	return f.run(ctx, cancel, v, r)
}

func (f *Fanout) run(ctx context.Context, cancel context.CancelFunc, v Viewer, r *runner) End {
	r.cancel = cancel
	f.mu.Lock()
	r.place = f.enter(v)
	f.runners[r] = struct{}{}
	f.mu.Unlock()
	defer func() {
		f.mu.Lock()
		f.leave(r.feed)
		delete(f.runners, r)
		f.mu.Unlock()
	}()
	r.framing, r.lead, r.wake = v.Framing, v.Head, make(chan struct{}, 1)
	err := r.try(ctx)
	if r.shed.Load() {
		err = ErrMemory
	}
	return End{r.feed.verdict(err), r.bytes, r.skips}
}

// running returns those that have a goroutine of their own.
func (f *Fanout) running() iter.Seq[*runner] {
	f.mu.Lock()
	defer f.mu.Unlock()
	return slices.Values(slices.Collect(maps.Keys(f.runners)))
}

// try is loop, but that a panic ends the viewer alone.
func (r *runner) try(ctx context.Context) (err error) {
	defer r.fanout.survive(r.feed.key.stream, &err)
	return r.loop(ctx)
}

// runner is a viewer with a goroutine of its own.
type runner struct {
	place
	fanout  *Fanout
	framing Framing
	to      Sink
	wake    chan struct{}
	lead    []byte // comes before all else
	bufs    net.Buffers

	// of Shed
	at     atomic.Pointer[block] // last, when the newest write began
	cancel context.CancelFunc
	shed   atomic.Bool

	mu      sync.Mutex
	replies replies // guarded by mu
}

func (r *runner) loop(ctx context.Context) error {
	f := r.fanout
	if f.config.Gather == 0 {
		defer r.feed.key.stream.Notify(r.wake)()
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for ctx.Err() == nil {
		newest, start := f.advance(r.feed, f.turn(f.now()))
		more, err := r.send(newest, start)
		if err != nil {
			return err
		}
		if more {
			continue
		}
		now := f.now()
		timer.Reset(f.following(now) - now)
		select {
		case <-r.wake:
		case <-timer.C:
		case <-ctx.Done():
		}
	}
	return ErrLeft
}

// send sends what there is, up to a bound, and says whether there may be more.
func (r *runner) send(newest, start *block) (more bool, err error) {
	r.follow(newest, start, false)
	lead, err := r.enter(newest, start, r.fanout.now())
	leaving := r.takeAnswers()
	ended := errors.Is(err, io.EOF)
	if err != nil && !ended {
		return false, err
	}
	r.lead = r.framing.appendFramed(r.lead[:len(r.lead):len(r.lead)], lead)
	bufs, last, size := append(r.bufs[:0], r.lead), r.last, 0
	for last != nil && !leaving && len(bufs) < maxPieces && size < maxBlock {
		b := last.next.Load()
		if !continues(last, b) {
			ended = ended || b != nil && b.ended
			break
		}
		bufs, last, size = b.pieces(bufs, r.framing, 0), b, size+b.size(r.framing)
	}
	if ended || leaving {
		bufs = append(bufs, r.framing.appendEnd(nil))
	}
	r.bufs = bufs
	r.at.Store(r.last)
	if len(bufs) > 1 || len(bufs[0]) > 0 {
		if err := r.to.Send(bufs); err != nil {
			return false, err
		}
	}
	clear(bufs)
	r.lead = nil
	for more = last != r.last; r.last != last; {
		r.sent(r.last.next.Load())
	}
	switch {
	case leaving:
		return false, ErrLeft
	case ended:
		return false, io.EOF
	}
	return more, nil
}

// takeAnswers appends the answers that wait to lead.
func (r *runner) takeAnswers() (leaving bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lead = append(r.lead[:len(r.lead):len(r.lead)], r.replies.answers...)
	r.replies.answers = nil
	return r.replies.leaving
}

// listen reads what the client says, which is of interest only from a WebSocket,
// until it is gone, and then calls gone.
func (r *runner) listen(conn net.Conn, webSocket bool, gone func()) {
	defer gone()
	var in inbox
	var room [512]byte
	for {
		n, err := conn.Read(room[:])
		if err != nil {
			return
		}
		if !webSocket {
			continue
		}
		if !in.read(room[:n], r.control) {
			r.mu.Lock()
			leaving := r.replies.leaving
			r.mu.Unlock()
			if !leaving {
				return
			}
			webSocket = false // the rest is of no interest
			select {
			case r.wake <- struct{}{}:
			default:
			}
		}
	}
}

func (r *runner) control(op byte, payload []byte) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.replies.control(op, payload)
}

// connSink writes to a connection.
type connSink struct {
	conn  net.Conn
	stall time.Duration
}

// Hurry closes it: nothing else can be said in the midst of a block.
func (s connSink) Hurry() { _ = s.conn.Close() }

func (s connSink) Send(bufs net.Buffers) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(s.stall)); err != nil {
		return err
	}
	_, err := bufs.WriteTo(s.conn)
	return err
}
