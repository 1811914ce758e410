package http1

import (
	"errors"
	"io"
	"log"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// failing is a listener that fails as one without descriptors does, while it is told to.
type failing struct {
	net.Listener
	fail   atomic.Bool
	failed atomic.Int32
}

func (l *failing) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err == nil && l.fail.Load() {
		l.failed.Add(1)
		_ = c.Close()
		return nil, &net.OpError{Op: "accept", Err: syscall.EMFILE}
	}
	return c, err
}

// TestAcceptFails: connections that are there are served meanwhile, those that go to
// net/http too, the loop does not spin, and new ones are taken as soon as it can be.
func TestAcceptFails(t *testing.T) {
	inner, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := &failing{Listener: inner}
	s := &Server{HTTP: &http.Server{Handler: http.HandlerFunc(echo), ReadHeaderTimeout: 2 * time.Second, IdleTimeout: time.Minute, ErrorLog: log.New(io.Discard, "", 0)}}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	defer func() {
		_ = s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	}()
	const loop, other = "GET /sized HTTP/1.1\r\nHost: x\r\n\r\n", "GET /%61 HTTP/1.1\r\nHost: x\r\n\r\n"
	a, b, fresh := dial(t, inner.Addr().String()), dial(t, inner.Addr().String()), dial(t, inner.Addr().String())
	for c, text := range map[*client]string{a: loop, b: other} {
		c.send(text)
		c.answer("GET")
	}
	fresh.send(loop)
	fresh.answer("GET")
	l.fail.Store(true)
	for range 5 {
		c := dial(t, inner.Addr().String())
		_, _ = io.Copy(io.Discard, c)
	}
	for range 3 {
		for c, text := range map[*client]string{a: loop, b: other} {
			began := time.Now()
			c.send(text)
			if r, _ := c.answer("GET"); r.StatusCode != http.StatusOK || time.Since(began) > time.Second {
				t.Errorf("one who is there gets %d after %v", r.StatusCode, time.Since(began))
			}
		}
	}
	began := time.Now()
	fresh.send(other) // it is handed to net/http, which is waiting to accept again
	if r, _ := fresh.answer("GET"); r.StatusCode != http.StatusOK || time.Since(began) > 2*time.Second {
		t.Errorf("one that is handed over gets %d after %v", r.StatusCode, time.Since(began))
	}
	if n := l.failed.Load(); n > 20 {
		t.Errorf("it failed %d times for 5 connections", n)
	}
	l.fail.Store(false)
	began = time.Now()
	c := dial(t, inner.Addr().String())
	c.send(loop)
	if r, _ := c.answer("GET"); r.StatusCode != http.StatusOK || time.Since(began) > 3*time.Second {
		t.Errorf("a new one gets %d after %v", r.StatusCode, time.Since(began))
	}
}

// TestAheadAndUnread asks far ahead and reads nothing: the connection is closed when
// nothing was taken for a while, and holds no more than one answer until then.
func TestAheadAndUnread(t *testing.T) {
	t.Parallel()
	var answered atomic.Int64
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		answered.Add(1)
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(300 * time.Millisecond))
		echo(w, r)
	})
	for _, text := range []string{"GET /sized HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /sized HTTP/1.1\r\nHost: x\r\n\r\n", "GET / HTTP/1.1\r\nHost: x\r\n\r\n"} {
		c := dial(t, s.address)
		ahead := []byte(strings.Repeat(text, 1000))
		_ = c.SetWriteDeadline(time.Now().Add(10 * time.Second))
		for {
			if _, err := c.Write(ahead); err != nil {
				if ne, ok := errors.AsType[net.Error](err); ok && ne.Timeout() {
					t.Errorf("%.10q: still open", text)
				}
				break
			}
		}
	}
	before := answered.Load()
	time.Sleep(50 * time.Millisecond)
	if now := answered.Load(); now != before {
		t.Errorf("%d more answers to nobody", now-before)
	}
}

// TestMany asks ahead on one connection as fast as it can, while another asks now and
// then and must not wait for it.
func TestMany(t *testing.T) {
	s := start(t, echo)
	greedy, modest := dial(t, s.address), dial(t, s.address)
	stop := make(chan struct{})
	var all sync.WaitGroup
	all.Go(func() {
		ahead := []byte(strings.Repeat("GET /sized HTTP/1.1\r\nHost: x\r\n\r\n", 100))
		for {
			if _, err := greedy.Write(ahead); err != nil {
				return
			}
			select {
			case <-stop:
				_ = greedy.Close()
				return
			default:
			}
		}
	})
	all.Go(func() { _, _ = io.Copy(io.Discard, greedy) })
	for range 50 {
		began := time.Now()
		modest.send("GET /sized HTTP/1.1\r\nHost: x\r\n\r\n")
		modest.answer("GET")
		if d := time.Since(began); d > time.Second {
			t.Errorf("an answer took %v", d)
		}
	}
	close(stop)
	all.Wait()
}
