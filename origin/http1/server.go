package http1

import (
	"context"
	"errors"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Server serves the connections of a listener. HTTP is where the handler, the
// timeouts and the log are taken from, and where connections go that are not for the
// loop. The handler must not keep a request, its header or the ResponseWriter once
// it has returned.
type Server struct {
	HTTP *http.Server

	date     atomic.Pointer[date]
	draining atomic.Bool

	mu    sync.Mutex
	conns map[*conn]struct{} // guarded by mu
}

// newcomer is how long a connection that has asked nothing yet is left open by
// Shutdown: its first request may be under way.
const newcomer = time.Second

// Serve accepts connections until l fails or Shutdown or Close is called, and returns
// what http.Server.Serve does. It owns l.
func (s *Server) Serve(l net.Listener) error {
	front := &listener{Listener: l, server: s, leftOver: make(chan net.Conn), failed: make(chan error), closed: make(chan struct{})}
	go front.run()
	return s.HTTP.Serve(front)
}

// Shutdown closes the listeners, then connections as they become idle, and waits for
// the others. When ctx is done first it returns its error.
func (s *Server) Shutdown(ctx context.Context) error {
	s.draining.Store(true)
	rest := make(chan error, 1)
	go func() { rest <- s.HTTP.Shutdown(ctx) }() // closes the listeners first
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for s.closeIdle() > 0 {
		select {
		case <-ctx.Done():
			return errors.Join(<-rest, ctx.Err())
		case <-tick.C:
		}
	}
	return <-rest
}

// SetKeepAlivesEnabled is http.Server's: without, each connection that is not idle gets
// one more answer.
func (s *Server) SetKeepAlivesEnabled(on bool) {
	s.HTTP.SetKeepAlivesEnabled(on)
	s.draining.Store(!on)
	if !on {
		s.closeIdle()
	}
}

// Close closes listeners and connections at once.
func (s *Server) Close() error {
	s.draining.Store(true)
	err := s.HTTP.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		_ = c.Close() // its loop finds out
	}
	return err
}

// closeIdle returns how many connections there are still.
func (s *Server) closeIdle() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.conns {
		if c.state.Load() == fresh && time.Since(c.began) < newcomer {
			continue
		}
		if c.state.CompareAndSwap(idle, closed) || c.state.CompareAndSwap(fresh, closed) {
			_ = c.Close()
		}
	}
	return len(s.conns)
}

func (s *Server) add(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.conns == nil {
		s.conns = map[*conn]struct{}{}
	}
	s.conns[c] = struct{}{}
}

func (s *Server) remove(c *conn) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.conns, c)
}

// date is a second as HTTP writes it.
type date struct {
	second int64
	text   string
}

func (s *Server) dateOf(now time.Time) string {
	d := s.date.Load()
	if d == nil || d.second != now.Unix() {
		d = &date{now.Unix(), now.UTC().Format(http.TimeFormat)}
		s.date.Store(d)
	}
	return d.text
}

// socket is a connection whose descriptor can be reached.
type socket interface {
	net.Conn
	syscall.Conn
}

// listener is where net/http gets its connections: those that the loop leaves to it.
type listener struct {
	net.Listener
	server   *Server
	leftOver chan net.Conn
	failed   chan error
	once     sync.Once
	closed   chan struct{}
}

// Accept implements net.Listener.
func (l *listener) Accept() (net.Conn, error) {
	select {
	case c := <-l.leftOver:
		return c, nil
	case err := <-l.failed:
		return nil, err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (l *listener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// run accepts until the listener is closed. After an error it goes on when Accept has
// taken it, which net/http delays as it sees fit.
func (l *listener) run() {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			select {
			case l.failed <- err:
				continue
			case <-l.closed:
				return
			}
		}
		if s, ok := c.(socket); ok {
			if raw, err := s.SyscallConn(); err == nil {
				go newConn(l, s, raw).serve()
				continue
			}
		}
		l.leave(c)
	}
}

// leave gives a connection to net/http, or closes it where that takes no more.
func (l *listener) leave(c net.Conn) {
	select {
	case l.leftOver <- c:
	case <-l.closed:
		_ = c.Close()
	}
}
