package turns

import (
	"bytes"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// pair returns the two ends of a connection, the first of which takes turns.
func pair(t testing.TB, c *Clock) (*Conn, *net.TCPConn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	peer, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	conn, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = peer.Close(), conn.Close() })
	in := c.Wrap(conn)
	if in == nil {
		t.Fatal("a TCP connection takes no turns")
	}
	in.TakeTurns(true)
	return in, peer.(*net.TCPConn)
}

func send(t testing.TB, w io.Writer, text string) {
	t.Helper()
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
}

// TestPieces reads what comes in pieces, larger and smaller than the reader's room,
// while turns are taken and while they are not.
func TestPieces(t *testing.T) {
	in, peer := pair(t, New(time.Millisecond))
	want := bytes.Repeat([]byte("0123456789abcdef"), 64<<10)
	go func() {
		for rest := want; len(rest) > 0; {
			n := min(1+len(rest)%300_007, len(rest))
			_, _ = peer.Write(rest[:n])
			rest = rest[n:]
		}
	}()
	var got []byte
	for i, room := 0, make([]byte, 100<<10); len(got) < len(want); i++ {
		in.TakeTurns(i%50 < 40)
		n, err := in.Read(room[:1+i*i%len(room)])
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, room[:n]...)
	}
	if !bytes.Equal(got, want) {
		t.Error("the bytes are others")
	}
}

// TestDelay measures how long something waits: until the next turn and no longer.
func TestDelay(t *testing.T) {
	const every = 20 * time.Millisecond
	in, peer := pair(t, New(every))
	var delays []time.Duration
	for i := range 30 {
		sent := make(chan time.Time, 1)
		go func() {
			time.Sleep(time.Duration(i) * 700 * time.Microsecond)
			sent <- time.Now()
			_, _ = peer.Write([]byte{1})
		}()
		if _, err := in.Read(make([]byte, 10)); err != nil {
			t.Fatal(err)
		}
		delays = append(delays, time.Since(<-sent))
	}
	slices.Sort(delays)
	t.Logf("half of them below %v, all below %v", delays[15], delays[29])
	if delays[15] > every || delays[24] > 2*every { // the machine has its own delays
		t.Errorf("delays %v", delays)
	}
}

// TestTogether has many connections share the turns, and the clock stand still when
// nobody waits.
func TestTogether(t *testing.T) {
	c := New(5 * time.Millisecond)
	var all sync.WaitGroup
	var read atomic.Int64
	for range 20 {
		in, peer := pair(t, c)
		all.Go(func() {
			n, _ := io.Copy(io.Discard, struct{ io.Reader }{in})
			read.Add(n)
		})
		all.Go(func() {
			for range 20 {
				_, _ = peer.Write(make([]byte, 1000))
				time.Sleep(time.Millisecond)
			}
			_ = peer.CloseWrite()
		})
	}
	all.Wait()
	if n := read.Load(); n != 20*20*1000 {
		t.Errorf("%d bytes came", n)
	}
	for still(c) {
		time.Sleep(time.Millisecond)
	}
}

// still reports whether a round runs.
func still(c *Clock) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return slices.ContainsFunc(c.rounds, func(r *round) bool {
		r.mu.Lock()
		defer r.mu.Unlock()
		return r.running
	})
}

// TestEnds is everything that ends a Read that waits.
func TestEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(in *Conn, peer *net.TCPConn)
		want error
	}{
		{"end", func(_ *Conn, peer *net.TCPConn) { _ = peer.CloseWrite() }, io.EOF},
		{"reset", func(_ *Conn, peer *net.TCPConn) { _, _ = peer.SetLinger(0), peer.Close() }, syscall.ECONNRESET},
		{"close", func(in *Conn, _ *net.TCPConn) { _ = in.Close() }, net.ErrClosed},
		{"deadline", func(in *Conn, _ *net.TCPConn) { _ = in.SetReadDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"deadline to come", func(in *Conn, _ *net.TCPConn) { _ = in.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) }, os.ErrDeadlineExceeded},
	} {
		t.Run(c.name, func(t *testing.T) {
			in, peer := pair(t, New(5*time.Millisecond))
			send(t, peer, "last words")
			b := make([]byte, 100)
			if n, err := in.Read(b); string(b[:n]) != "last words" || err != nil {
				t.Fatalf("read %q, %v", b[:n], err)
			}
			ended := make(chan error)
			go func() {
				_, err := in.Read(b)
				ended <- err
			}()
			time.Sleep(8 * time.Millisecond) // most of which it waits
			c.end(in, peer)
			select {
			case err := <-ended:
				if !errors.Is(err, c.want) {
					t.Errorf("ended with %v, want %v", err, c.want)
				}
			case <-time.After(10 * time.Second):
				t.Fatal("still reads")
			}
		})
	}
}

// TestAfterDeadline goes on reading when a deadline has been put off.
func TestAfterDeadline(t *testing.T) {
	in, peer := pair(t, New(time.Millisecond))
	_ = in.SetReadDeadline(time.Unix(1, 0))
	if _, err := in.Read(make([]byte, 10)); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("read %v", err)
	}
	send(t, peer, "late")
	_ = in.SetReadDeadline(time.Now().Add(10 * time.Second))
	b := make([]byte, 10)
	if n, err := in.Read(b); string(b[:n]) != "late" || err != nil {
		t.Errorf("read %q, %v", b[:n], err)
	}
}

// outer is a connection as others wrap it.
type outer struct {
	*net.TCPConn
	closed atomic.Bool
}

func (o *outer) TCP() *net.TCPConn    { return o.TCPConn }
func (o *outer) RemoteAddr() net.Addr { return &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 1} }
func (o *outer) Close() error         { o.closed.Store(true); return o.TCPConn.Close() }

// TestWrapped keeps what an outer connection says and does.
func TestWrapped(t *testing.T) {
	in, _ := pair(t, New(time.Millisecond))
	o := &outer{TCPConn: in.TCPConn}
	w := New(time.Millisecond).Wrap(o)
	if got := w.RemoteAddr().String(); got != "192.0.2.1:1" {
		t.Errorf("the peer is %s", got)
	}
	if _ = w.Close(); !o.closed.Load() {
		t.Error("it was not told to close")
	}
	if w := New(time.Millisecond).Wrap(tls.Server(in, nil)); w != nil {
		t.Error("TLS takes turns by itself")
	}
}

// BenchmarkRead is what a connection costs at each turn, with something to read and
// with nothing.
func BenchmarkRead(b *testing.B) {
	for name, bytes := range map[string]int{"nothing": 0, "4 KB": 4 << 10} {
		b.Run(name, func(b *testing.B) {
			in, peer := pair(b, New(time.Millisecond))
			data, room := make([]byte, bytes), make([]byte, 64<<10)
			b.ReportAllocs()
			for b.Loop() {
				if bytes > 0 {
					_, _ = peer.Write(data)
				}
				if n, err := in.try(room); n != bytes || err != nil {
					b.Fatal(n, err)
				}
			}
		})
	}
}
