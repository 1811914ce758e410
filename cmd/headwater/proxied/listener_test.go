package proxied

import (
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headwater/origin/peer"
	"headwater/scripts/lib/rig"
)

// TestMain checks that no listener leaves a goroutine behind.
func TestMain(m *testing.M) { os.Exit(rig.Run(m, nil)) }

var _ syscall.Conn = (*Conn)(nil)

type fixture struct {
	*Listener
	t     *testing.T
	log   rig.Log
	conns chan net.Conn // accepted
}

// listening returns a listener that believes the given networks, and accepts.
func listening(t *testing.T, from ...string) *fixture {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t, conns: make(chan net.Conn)}
	var networks []netip.Prefix
	for _, s := range from {
		networks = append(networks, netip.MustParsePrefix(s))
	}
	f.Listener = New(l.(*net.TCPListener), networks, slog.New(slog.NewTextHandler(&f.log, nil)))
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			c, err := f.Accept()
			if err != nil {
				if !errors.Is(err, net.ErrClosed) {
					t.Errorf("Accept: %v", err)
				}
				return
			}
			select {
			case f.conns <- c:
			case <-t.Context().Done():
				_ = c.Close()
			}
		}
	}()
	t.Cleanup(func() {
		_ = f.Close()
		<-ended
	})
	return f
}

// dial connects from an address of this machine and says text.
func (f *fixture) dial(from, text string) net.Conn {
	f.t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.Dial("tcp", f.Addr().String())
	if err != nil {
		f.t.Fatal(err)
	}
	f.t.Cleanup(func() { _ = c.Close() })
	if _, err := io.WriteString(c, text); err != nil {
		f.t.Fatal(err)
	}
	return c
}

// next waits for an accepted connection.
func (f *fixture) next() net.Conn {
	f.t.Helper()
	select {
	case c := <-f.conns:
		f.t.Cleanup(func() { _ = c.Close() })
		_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
		return c
	case <-time.After(10 * time.Second):
		f.t.Fatal("nothing is accepted")
		return nil
	}
}

// read returns the next n bytes of a connection.
func read(t *testing.T, c net.Conn, n int) string {
	t.Helper()
	b := make([]byte, n)
	if _, err := io.ReadFull(c, b); err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// closed reports whether the peer closes the connection.
func closed(c net.Conn) bool {
	_ = c.SetReadDeadline(time.Now().Add(10 * time.Second))
	_, err := c.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

func TestListener(t *testing.T) {
	const header = "PROXY TCP4 192.0.2.1 198.51.100.2 8080 1935\r\n"
	f := listening(t, "127.0.0.2/31")
	f.dial("127.0.0.2", header+"hello")
	if c := f.next(); c.RemoteAddr().String() != "192.0.2.1:8080" || read(t, c, 5) != "hello" {
		t.Errorf("got %v", c.RemoteAddr())
	}
	// The proxy itself.
	f.dial("127.0.0.3", "PROXY UNKNOWN\r\nhello")
	if c := f.next(); !strings.HasPrefix(c.RemoteAddr().String(), "127.0.0.3:") || read(t, c, 5) != "hello" {
		t.Errorf("got %v", c.RemoteAddr())
	}
	// Nobody that it knows: the header is not for us to read.
	f.dial("127.0.0.1", header)
	if c := f.next(); !strings.HasPrefix(c.RemoteAddr().String(), "127.0.0.1:") || read(t, c, len(header)) != header {
		t.Errorf("got %v", c.RemoteAddr())
	}
	// A proxy without a header.
	for range 3 {
		if !closed(f.dial("127.0.0.2", "GET / HTTP/1.1\r\n")) {
			t.Error("no header, and it stays open")
		}
	}
	if n := strings.Count(f.log.String(), "no PROXY header"); n != 1 || f.Refused() != 3 {
		t.Errorf("%d lines, %d refused: %s", n, f.Refused(), f.log.String())
	}
}

// TestHealthCheck: a connection that ends without a word is nothing to log.
func TestHealthCheck(t *testing.T) {
	f := listening(t, "127.0.0.0/8")
	for range 3 {
		_ = f.dial("127.0.0.1", "").Close()
	}
	f.dial("127.0.0.1", "PROXY UNKNOWN\r\n")
	f.next()
	if f.Refused() != 0 || f.log.String() != "" {
		t.Errorf("%d refused: %s", f.Refused(), f.log.String())
	}
}

// TestLoopbackOfTheProxy: who is local to a proxy elsewhere is not local here,
// where locals publish without a key.
func TestLoopbackOfTheProxy(t *testing.T) {
	conn := &net.TCPConn{}
	if peer.Of(conn).IsValid() {
		t.Error("a connection that is no more has an address")
	}
	f := listening(t, "127.0.0.0/8")
	f.dial("127.0.0.1", "PROXY TCP4 127.9.9.9 127.0.0.1 1 2\r\n")
	if c := f.next(); c.RemoteAddr().String() != "127.9.9.9:1" {
		t.Errorf("a proxy on this machine: got %v", c.RemoteAddr())
	}
	for _, tt := range []struct{ proxy, client, want string }{
		{"10.0.0.1", "127.0.0.1", "10.0.0.1"},
		{"10.0.0.1", "::1", "10.0.0.1"},
		{"10.0.0.1", "192.0.2.1", "192.0.2.1"},
		{"127.0.0.1", "127.0.0.2", "127.0.0.2"},
	} {
		if got := believed(netip.MustParseAddr(tt.proxy), netip.MustParseAddr(tt.client)); got != (tt.want == tt.client) {
			t.Errorf("%s says %s: believed %v", tt.proxy, tt.client, got)
		}
	}
}

// TestSilentProxies: connections that wait for their header hold up nobody, not
// even when there are too many, and leave when their time is over.
func TestSilentProxies(t *testing.T) {
	f := listening(t, "127.0.0.2/32")
	var silent []net.Conn
	for range maxSilent {
		silent = append(silent, f.dial("127.0.0.2", "PROXY TCP4 "))
	}
	for deadline := time.Now().Add(5 * time.Second); len(f.silent) < maxSilent && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	if !closed(f.dial("127.0.0.2", "PROXY UNKNOWN\r\n")) {
		t.Error("one more is let in")
	}
	f.dial("127.0.0.1", "hello")
	f.next()
	began := time.Now()
	if !closed(silent[0]) {
		t.Error("a silent one stays")
	}
	if d := time.Since(began); d > headerTime+time.Second {
		t.Errorf("it takes %v", d)
	}
	for _, c := range silent {
		if !closed(c) {
			t.Fatal("a silent one stays")
		}
	}
	f.dial("127.0.0.2", "PROXY TCP4 192.0.2.1 198.51.100.2 8080 1935\r\n")
	if c := f.next(); c.RemoteAddr().String() != "192.0.2.1:8080" {
		t.Errorf("got %v", c.RemoteAddr())
	}
}

// TestClose drops what waits for a header and what waits for Accept.
func TestClose(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	p := New(l.(*net.TCPListener), []netip.Prefix{netip.MustParsePrefix("127.0.0.1/32")}, slog.New(slog.DiscardHandler))
	f := &fixture{Listener: p, t: t}
	silent, whole := f.dial("127.0.0.1", "PRO"), f.dial("127.0.0.1", "PROXY UNKNOWN\r\n")
	for deadline := time.Now().Add(5 * time.Second); len(p.slots) < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
	}
	began := time.Now()
	_ = p.Close()
	_ = p.Close()
	if d := time.Since(began); d > 2*time.Second {
		t.Errorf("Close takes %v", d)
	}
	if _, err := p.Accept(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("Accept: %v", err)
	}
	if !closed(silent) || !closed(whole) {
		t.Error("a connection is left open")
	}
}

// TestConnKeepsWritev: net.Buffers must not fall back to one Write for each
// buffer.
func TestConnKeepsWritev(t *testing.T) {
	f := listening(t, "127.0.0.1/32")
	f.dial("127.0.0.1", "PROXY UNKNOWN\r\n")
	counted := &countingConn{Conn: f.next().(*Conn)}
	buffers := net.Buffers{[]byte("a"), []byte("b"), []byte("c")}
	if n, err := buffers.WriteTo(counted); err != nil || n != 3 || counted.writes != 0 {
		t.Errorf("%d bytes in %d calls of Write, %v; want 3 bytes by writev", n, counted.writes, err)
	}
}

type countingConn struct {
	*Conn
	writes int
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes++
	return c.Conn.Write(p)
}

// TestBurst: many at once through one proxy all come in.
func TestBurst(t *testing.T) {
	f := listening(t, "127.0.0.1/32")
	const burst = 500
	var all sync.WaitGroup
	for i := range burst {
		all.Go(func() {
			c, err := net.Dial("tcp", f.Addr().String())
			if err != nil {
				t.Error(err)
				return
			}
			defer func() { _ = c.Close() }()
			_, _ = fmt.Fprintf(c, "PROXY TCP4 192.0.2.1 198.51.100.2 %d 1935\r\n", i+1)
			if !closed(c) {
				t.Error("stays open")
			}
		})
	}
	seen := map[string]bool{}
	for range burst {
		c := f.next()
		seen[c.RemoteAddr().String()] = true
		_ = c.Close()
	}
	all.Wait()
	if len(seen) != burst || f.Refused() != 0 {
		t.Errorf("%d came in, %d refused", len(seen), f.Refused())
	}
}
