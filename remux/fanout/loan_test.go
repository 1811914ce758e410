package fanout

import (
	"bufio"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"headwater/remux"
	"headwater/remux/av"
)

// records is a Format that shows where each thing begins: a letter, the length of what
// follows in 4 bytes, and that.
type records struct{}

func (records) Packer(*remux.Stream) Packer { return records{} }

func (records) Headers(_, _ *av.Config, _ time.Duration) []byte { return record('H', nil) }
func (records) Lead() []byte                                    { return nil }
func (records) Append(dst []byte, frames []av.Frame, _ bool) ([]byte, error) {
	for _, f := range frames {
		dst = append(dst, record('F', f.Tag)...)
	}
	return dst, nil
}

func record(kind byte, body []byte) []byte {
	return append(binary.BigEndian.AppendUint32([]byte{kind}, uint32(len(body))), body...)
}

// readRecords reads records to the end, and returns their letters in order and how many
// there are of each.
func readRecords(t *testing.T, r io.Reader) (order []byte, n map[byte]int) {
	t.Helper()
	b, n := bufio.NewReader(r), map[byte]int{}
	for {
		kind, err := b.ReadByte()
		if err == io.EOF {
			return order, n
		}
		var size uint32
		if err == nil {
			err = binary.Read(b, binary.BigEndian, &size)
		}
		if err == nil && kind != 'F' && size > 100 || kind != 'F' && kind != 'H' && kind != 'S' {
			t.Fatalf("record %q of %d bytes behind %q", kind, size, order)
		}
		if err == nil {
			_, err = b.Discard(int(size))
		}
		if err != nil {
			t.Fatalf("behind %q: %v", order, err)
		}
		order = append(order, kind)
		n[kind]++
	}
}

// lend lends one end of a connection whose other end has a small buffer.
func lend(t *testing.T, f *Fanout, v Viewer) (n *Loan, server, client net.Conn) {
	t.Helper()
	server, client = pair(t)
	_ = client.(*net.TCPConn).SetReadBuffer(64 << 10)
	if n = f.Lend(server, v); n == nil {
		t.Fatal("not lent")
	}
	return n, server, client
}

// TestLoan: what is said comes between two blocks, however slowly they are taken, and
// the connection can be gone on with when the stream has ended.
func TestLoan(t *testing.T) {
	for _, gather := range []time.Duration{0, 20 * time.Millisecond} {
		p := publisher(t)
		pictures(t, p, 0, 50, true)
		f := New(Config{Gather: gather})
		var counts Counts
		n, server, client := lend(t, f, Viewer{Stream: p.Stream(), Format: records{}, Counts: &counts})
		go func() {
			for i := range 40 {
				if !n.Say(record('S', []byte("something"))) {
					t.Error("not said")
				}
				time.Sleep(5 * time.Millisecond)
				pictures(t, p, 2000+40*i, 1, i%20 == 0)
			}
			for end := time.Now().Add(20 * time.Second); counts.Frames() < 90 && time.Now().Before(end); {
				time.Sleep(time.Millisecond)
			}
			for _, rest := range n.Return() {
				_, _ = server.Write(rest)
			}
			_, _ = server.Write(record('S', []byte("the last word")))
			_ = server.Close()
		}()
		order, got := readRecords(t, slow{client})
		if got['S'] != 41 || got['H'] != 1 || order[len(order)-1] != 'S' {
			t.Errorf("gather %v: %d were said: %q", gather, got['S'], order)
		}
		if got['F'] != 90 || counts.Frames() != 90 || counts.Bytes() < 90*20_000 || counts.Skips() != 0 {
			t.Errorf("gather %v: %d frames, counted %d, %d bytes, %d skips", gather, got['F'], counts.Frames(), counts.Bytes(), counts.Skips())
		}
		if e := n.End(); !errors.Is(e.Reason, ErrLeft) {
			t.Errorf("ended with %v", e.Reason)
		}
		f.Close()
	}
}

// slow reads a little at a time.
type slow struct{ io.Reader }

func (s slow) Read(b []byte) (int, error) {
	time.Sleep(100 * time.Microsecond)
	return s.Reader.Read(b[:min(len(b), 5000)])
}

// TestLoanReturnedWithin a block: what is left of it comes back, and behind that what
// was said.
func TestLoanReturnedWithin(t *testing.T) {
	p := publisher(t)
	pictures(t, p, 0, 200, true)
	f := New(Config{})
	defer f.Close()
	n, server, client := lend(t, f, Viewer{Stream: p.Stream(), Format: records{}})
	for full := false; !full; time.Sleep(time.Millisecond) { // until the socket is full within a block
		n.loop.ask(func() []time.Duration { full = n.viewer.off > 0; return nil })
	}
	n.loop.ask(func() []time.Duration { // so that it takes nothing of it meanwhile
		if !n.Say(record('S', []byte("one"))) || !n.Say(record('S', nil)) {
			t.Error("not said")
		}
		if n.Say(make([]byte, maxSaid)) {
			t.Error("more is said than may wait")
		}
		return nil
	})
	rest := n.Return()
	if len(rest) < 2 {
		t.Fatalf("%d pieces are left", len(rest))
	}
	go func() {
		_, _ = rest.WriteTo(server)
		_, _ = server.Write(record('S', []byte("direct")))
		_ = server.Close()
	}()
	order, got := readRecords(t, client)
	if got['S'] != 3 || got['F'] == 0 || string(order[len(order)-3:]) != "SSS" {
		t.Errorf("%q", order)
	}
}

// TestLoanEnds with its stream, its Fanout, or because the peer takes nothing; and what
// is no plain connection is not lent.
func TestLoanEnds(t *testing.T) {
	r, s, _ := playing(t)
	f := New(Config{Gather: 10 * time.Millisecond})
	n, _, client := lend(t, f, Viewer{Stream: s, Format: records{}})
	r.Close()
	<-n.Done()
	if e := n.End(); e.Reason != io.EOF || e.Bytes == 0 || len(n.Return()) != 0 {
		t.Errorf("ended with %+v", e)
	}
	_ = client.Close()

	p := publisher(t)
	pictures(t, p, 0, 200, true)
	v := Viewer{Stream: p.Stream(), Format: records{}}
	if a, b := net.Pipe(); f.Lend(a, v) != nil || b == nil {
		t.Error("a pipe is lent")
	}
	n, _, _ = lend(t, f, v)
	f.Close()
	<-n.Done()
	if e := n.End(); e.Reason != ErrShutdown {
		t.Errorf("ended with %v", e.Reason)
	}
	server, _ := pair(t)
	if f.Lend(server, v) != nil {
		t.Error("lent by one that is closed")
	}

	f = New(Config{Gather: 10 * time.Millisecond, Stall: 100 * time.Millisecond})
	defer f.Close()
	n, _, _ = lend(t, f, v)
	<-n.Done()
	if e := n.End(); e.Reason != ErrStalled {
		t.Errorf("ended with %v", e.Reason)
	}
}

// keeps is a Sink that keeps what it is sent.
type keeps struct{ bufs chan []byte }

func (k keeps) Send(bufs net.Buffers) error {
	for _, b := range bufs {
		if len(b) > 1000 {
			k.bufs <- b
		}
	}
	return nil
}

func (keeps) Hurry() {}

// TestSameMemory: viewers of one Format get the same bytes, not their like.
func TestSameMemory(t *testing.T) {
	p := publisher(t)
	pictures(t, p, 0, 30, true)
	f := New(Config{Gather: 10 * time.Millisecond})
	defer f.Close()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	defer running.Wait()
	defer cancel()
	var first []byte
	for range 3 {
		k := keeps{make(chan []byte, 1000)}
		running.Go(func() { f.Run(ctx, Viewer{Stream: p.Stream(), Format: records{}}, k) })
		b := <-k.bufs
		if first == nil {
			first = b
		}
		if &b[0] != &first[0] || len(b) != len(first) {
			t.Error("a viewer got bytes of its own")
		}
	}
}
