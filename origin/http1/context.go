package http1

import (
	"context"
	"errors"
	"os"
	"sync"
	"syscall"
	"time"
)

// requestContext is a request's context, done when the client leaves or the handler
// has returned. Somebody looks for the former only once Done was called.
type requestContext struct {
	context.Context // of the server
	conn            *conn

	mu      sync.Mutex
	inner   context.Context // nil until Done is called; guarded by mu
	cancel  context.CancelFunc
	watched chan struct{} // closed when nobody looks any more; guarded by mu
	stopped bool          // watching is of no use any more; guarded by mu
	over    bool          // the handler has returned; guarded by mu
}

// Done implements context.Context.
func (x *requestContext) Done() <-chan struct{} {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.inner == nil {
		x.inner, x.cancel = context.WithCancel(x.Context)
		switch {
		case x.over:
			x.cancel()
		case !x.stopped:
			x.watched = make(chan struct{})
			_ = x.conn.SetReadDeadline(time.Time{})
			go x.watch(x.watched)
		}
	}
	return x.inner.Done()
}

// Err implements context.Context.
func (x *requestContext) Err() error {
	x.mu.Lock()
	defer x.mu.Unlock()
	switch {
	case x.inner != nil:
		return x.inner.Err()
	case x.over:
		return context.Canceled
	}
	return nil
}

// Value implements context.Context. That of the inner one is how contexts made of
// this one find out that they need no goroutine to follow it.
func (x *requestContext) Value(key any) any {
	x.mu.Lock()
	inner := x.inner
	x.mu.Unlock()
	if inner != nil {
		return inner.Value(key)
	}
	return x.Context.Value(key)
}

// watch waits until there is something to read: the end of the connection, or the
// next request, behind which nothing can be seen.
func (x *requestContext) watch(done chan<- struct{}) {
	defer close(done)
	gone := false
	err := x.conn.raw.Read(func(fd uintptr) bool {
		var b [1]byte
		n, _, errno := syscall.Recvfrom(int(fd), b[:], syscall.MSG_PEEK|syscall.MSG_DONTWAIT)
		if errors.Is(errno, syscall.EAGAIN) || errors.Is(errno, syscall.EINTR) {
			return false
		}
		gone = errno != nil || n == 0
		return true
	})
	if gone || err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
		x.cancel()
	}
}

// unwatch ends watch.
func (x *requestContext) unwatch() {
	x.mu.Lock()
	x.stopped = true
	watched := x.watched
	x.watched = nil
	x.mu.Unlock()
	if watched == nil {
		return
	}
	_ = x.conn.SetReadDeadline(time.Unix(1, 0)) // wakes it
	<-watched
	x.conn.renewed = time.Time{}
	_ = x.conn.SetReadDeadline(time.Time{})
}

// end is called when the handler has returned.
func (x *requestContext) end() {
	x.unwatch()
	x.mu.Lock()
	defer x.mu.Unlock()
	x.over = true
	if x.cancel != nil {
		x.cancel()
	}
}
