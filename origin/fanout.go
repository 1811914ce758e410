package origin

import (
	"io"
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
	"unsafe"

	"headwater/remux"
	"headwater/remux/av"
)

// fanout writes endless bodies to plain TCP connections from a few loops instead of
// a goroutine each. A loop wakes once a gathering interval, and then takes for each
// of its viewers what is new and gives it to the kernel in one non-blocking system
// call, from bytes that all viewers share. What a full socket does not take is tried
// again at the next turn.
//
// A goroutine for each viewer costs two and a half times the kernel's own price at
// 100 ms, nearly all of it in waking up and in timers; one loop a core comes close
// to that price.
type fanout struct {
	loops  []*fanoutLoop
	mu     sync.Mutex
	next   int // loop that the next viewer goes to; guarded by mu
	closed bool
	ended  sync.WaitGroup
}

// fanoutLoop is one loop and its viewers.
type fanoutLoop struct {
	// fixed
	gather time.Duration
	pause  time.Duration // skipPause, but in tests that have no time

	wake chan struct{} // something to do before the interval is over; holds one
	quit chan struct{} // closed to cut all viewers off

	mu    sync.Mutex
	added []*fanoutViewer // guarded by mu

	// owned by run
	viewers []*fanoutViewer
	streams map[*remux.Stream]*watched // with gather 0
	room    [maxBatch]*av.Frame
	bufs    net.Buffers
	iovecs  []syscall.Iovec
}

// watched is a stream whose frames wake a loop.
type watched struct {
	viewers int
	stop    func()
}

const (
	// maxBatch bounds the frames of one write.
	maxBatch = 64
	// fanoutRetry is the pause before another try where a socket was full, or a
	// viewer has more to catch up with.
	fanoutRetry = 10 * time.Millisecond
	// fanoutProbe is how often it is looked whether a viewer of a silent stream is
	// still there.
	fanoutProbe = 2 * time.Second
)

// body turns frames into what a viewer is sent.
type body interface {
	// add appends the buffers for a batch. They must not change afterwards.
	add(bufs net.Buffers, b remux.Batch) net.Buffers
}

// fanoutViewer is one connection.
type fanoutViewer struct {
	// fixed after add
	stream  *remux.Stream
	conn    net.Conn
	raw     syscall.RawConn
	chunked bool
	left    func(reason error, skips int) // called once, when the viewer is gone

	// owned by the loop
	cursor  remux.Cursor
	body    body
	pending net.Buffers // what the socket has not taken yet
	size    [20]byte    // holds the chunk's length
	moved   time.Time   // when the socket last took something, or was found open
	lag     lag
	behind  bool // there is more to send
	final   bool // pending is the end

	// of the write that is under way; a closure for each would be garbage
	write   func(fd uintptr) bool
	iovecs  []syscall.Iovec
	written int
	errno   syscall.Errno
}

// newFanout starts the loops, one a core.
func newFanout(gather time.Duration) *fanout {
	f := &fanout{}
	for range runtime.GOMAXPROCS(0) {
		l := &fanoutLoop{
			gather:  gather,
			pause:   skipPause,
			wake:    make(chan struct{}, 1),
			quit:    make(chan struct{}),
			streams: map[*remux.Stream]*watched{},
		}
		f.loops = append(f.loops, l)
		f.ended.Go(l.run)
	}
	return f
}

// add hands a viewer over. head is sent first. It reports false, and does nothing,
// after close.
func (f *fanout) add(v *fanoutViewer, head []byte) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return false
	}
	v.pending = append(v.pending, head)
	v.moved = time.Now()
	v.write = v.writeTo
	l := f.loops[f.next]
	f.next = (f.next + 1) % len(f.loops)
	l.mu.Lock()
	l.added = append(l.added, v)
	l.mu.Unlock()
	l.signal()
	return true
}

// close cuts all viewers off and waits for the loops to end.
func (f *fanout) close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		for _, l := range f.loops {
			close(l.quit)
		}
	}
	f.mu.Unlock()
	f.ended.Wait()
}

func (l *fanoutLoop) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

func (l *fanoutLoop) run() {
	timer := time.NewTimer(0)
	defer timer.Stop()
	next := time.Now() // of the turn in which all viewers are looked at
	for {
		select {
		case <-l.quit:
			l.cutOff()
			return
		case <-l.wake:
		case <-timer.C:
		}
		now := time.Now()
		first := len(l.viewers)
		l.take()
		if now.Before(next) { // woken for those who are new or wait for a socket
			l.turn(now, func(i int, v *fanoutViewer) bool { return i >= first || v.behind || l.gather == 0 })
		} else {
			l.turn(now, func(int, *fanoutViewer) bool { return true })
			next = now.Add(max(l.gather, fanoutRetry))
		}
		timer.Reset(l.idle(next))
	}
}

// idle is the time until the next turn: none is needed while nobody watches.
func (l *fanoutLoop) idle(next time.Time) time.Duration {
	if len(l.viewers) == 0 {
		return time.Hour
	}
	d := time.Until(next)
	if l.gather == 0 {
		d = max(d, time.Second) // frames wake this loop; a turn is for probing
	}
	for _, v := range l.viewers {
		if v.behind {
			return max(min(d, fanoutRetry), 0)
		}
	}
	return max(d, 0)
}

// take moves new viewers into the loop's own list.
func (l *fanoutLoop) take() {
	l.mu.Lock()
	added := l.added
	l.added = nil
	l.mu.Unlock()
	for _, v := range added {
		l.viewers = append(l.viewers, v)
		if l.gather > 0 {
			continue
		}
		w := l.streams[v.stream]
		if w == nil {
			w = &watched{stop: v.stream.Notify(l.wake)}
			l.streams[v.stream] = w
		}
		w.viewers++
	}
}

// turn serves the viewers that want it and drops those that are gone.
func (l *fanoutLoop) turn(now time.Time, wants func(int, *fanoutViewer) bool) {
	kept := l.viewers[:0]
	for i, v := range l.viewers {
		if wants(i, v) {
			if err := l.serve(v, now); err != nil {
				l.drop(v, err)
				continue
			}
		}
		kept = append(kept, v)
	}
	clear(l.viewers[len(kept):])
	l.viewers = kept
}

func (l *fanoutLoop) drop(v *fanoutViewer, reason error) {
	if w := l.streams[v.stream]; w != nil {
		if w.viewers--; w.viewers == 0 {
			w.stop()
			delete(l.streams, v.stream)
		}
	}
	_ = v.conn.Close() // nothing to be done about it
	v.left(reason, v.lag.skips)
}

func (l *fanoutLoop) cutOff() {
	l.take()
	for _, v := range l.viewers {
		l.drop(v, errShutdown)
	}
	l.viewers = nil
}

// serve sends one viewer what is due, as far as its socket takes it. It fails with
// io.EOF when the stream is over and the viewer has all of it.
func (l *fanoutLoop) serve(v *fanoutViewer, now time.Time) error {
	for range 2 { // what has been waiting, and what is new
		if len(v.pending) == 0 {
			if err := l.fill(v, now); err != nil {
				return err
			}
			if len(v.pending) == 0 {
				return v.probe(now)
			}
		}
		n, err := l.send(v)
		if err != nil {
			return err
		}
		if n > 0 {
			v.moved = now
		} else if now.Sub(v.moved) > viewerStall {
			return errStalled
		}
		if len(v.pending) > 0 {
			v.behind = true
			return nil
		}
		if v.final {
			return io.EOF
		}
	}
	return nil
}

// fill makes pending what the viewer has not been sent.
func (l *fanoutLoop) fill(v *fanoutViewer, now time.Time) error {
	b := v.cursor.Take(l.room[:])
	v.behind = b.More
	if b.Skipped && v.lag.skip(now, l.pause) {
		return errTooSlow
	}
	if len(b.Frames) > 0 {
		bufs := v.body.add(l.bufs[:0], b)
		v.pending = v.frame(v.pending[:0], bufs)
		clear(bufs)
		l.bufs = bufs[:0]
	}
	clear(l.room[:len(b.Frames)])
	if b.Ended {
		v.final = true
		if v.chunked {
			v.pending = append(v.pending, lastChunk)
		}
		if len(v.pending) == 0 {
			return io.EOF
		}
	}
	return nil
}

// frame appends bufs as one chunk, where the viewer gets chunks.
func (v *fanoutViewer) frame(dst, bufs net.Buffers) net.Buffers {
	if !v.chunked {
		return append(dst, bufs...)
	}
	dst = append(dst, chunkSize(v.size[:0], bufs))
	dst = append(dst, bufs...)
	return append(dst, crlf)
}

// send gives pending to the kernel, as much as it takes at once.
func (l *fanoutLoop) send(v *fanoutViewer) (n int, err error) {
	l.iovecs = l.iovecs[:0]
	for _, b := range v.pending {
		if len(b) > 0 && len(l.iovecs) < maxIovecs {
			v := syscall.Iovec{Base: unsafe.SliceData(b)}
			v.SetLen(len(b))
			l.iovecs = append(l.iovecs, v)
		}
	}
	v.iovecs, v.written, v.errno = l.iovecs, 0, 0
	err = v.raw.Write(v.write)
	clear(l.iovecs)
	v.iovecs = nil
	switch {
	case err != nil:
		return 0, err
	case v.errno == syscall.EAGAIN || v.errno == syscall.EINTR:
		return 0, nil
	case v.errno != 0:
		return 0, v.errno
	}
	v.pending = consume(v.pending, v.written)
	return v.written, nil
}

// maxIovecs is IOV_MAX of Linux.
const maxIovecs = 1024

// writeTo is one writev. The socket is non-blocking: the call never waits, so the
// scheduler need not hear of it.
func (v *fanoutViewer) writeTo(fd uintptr) bool {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, fd, uintptr(unsafe.Pointer(unsafe.SliceData(v.iovecs))), uintptr(len(v.iovecs)))
	if v.errno = errno; errno == 0 {
		v.written = int(n)
	}
	return true
}

// consume takes n bytes off bufs, keeping its room.
func consume(bufs net.Buffers, n int) net.Buffers {
	i := 0
	for ; i < len(bufs) && n >= len(bufs[i]); i++ {
		n -= len(bufs[i])
	}
	rest := copy(bufs, bufs[i:])
	clear(bufs[rest:])
	if rest > 0 {
		bufs[0] = bufs[0][n:]
	}
	return bufs[:rest]
}

// probe finds out whether a viewer is still there that nothing has been sent to for
// a while: reading gives its end, or an error, and what it says otherwise is of no
// interest.
func (v *fanoutViewer) probe(now time.Time) error {
	if now.Sub(v.moved) < fanoutProbe {
		return nil
	}
	v.moved = now
	gone := false
	err := v.raw.Read(func(fd uintptr) bool {
		var b [512]byte
		n, err := syscall.Read(int(fd), b[:])
		gone = n == 0 && err == nil || err != nil && err != syscall.EAGAIN && err != syscall.EINTR
		return true
	})
	if err != nil || gone {
		return errLeft
	}
	return nil
}
