package fanout

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/remux"
	"headwater/remux/av"
	"headwater/remux/flv"
)

// broken is a packer with a fault.
type broken struct{ flvPacker }

func (broken) Append([]byte, []av.Frame, bool) ([]byte, error) { panic("a fault in packing") }

// panics is a log that counts what panicked, with its stack.
type panics struct {
	mu  sync.Mutex
	all bytes.Buffer
}

func (p *panics) Write(b []byte) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.all.Write(b)
}

func (p *panics) has(text string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return strings.Contains(p.all.String(), text) && strings.Contains(p.all.String(), "stack=")
}

// playing returns a stream that plays, with its registry and its publisher.
func playing(t *testing.T) (*remux.Registry, *remux.Stream, *remux.Publisher) {
	t.Helper()
	r, p := begun(t)
	send(t, p, flv.TypeAudio, 0, []byte{0xaf, 0, 0x12, 0x10})
	for ts := range 60 { // without video it begins after a second
		audio(t, p, ts*23)
	}
	return r, r.Stream(remux.Name{App: "live", Stream: "x"}), p
}

func audio(t *testing.T, p *remux.Publisher, ts int) {
	send(t, p, flv.TypeAudio, uint32(ts), append([]byte{0xaf, 1}, make([]byte, 100)...))
}

func send(t *testing.T, p *remux.Publisher, typ uint8, ts uint32, body []byte) {
	t.Helper()
	tag := flv.NewTag(len(body))
	copy(flv.Body(tag), body)
	if err := p.Write(typ, ts, tag); err != nil {
		t.Fatal(err)
	}
}

// pair returns both ends of a TCP connection.
func pair(t *testing.T) (server, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if server, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = server.Close(), client.Close() })
	return server, client
}

// A fault ends the viewer that meets it, or those of the feed that does, and the
// loops go on for all others.
func TestPanicEndsItsViewerAlone(t *testing.T) {
	r, s, p := playing(t)
	log := &panics{}
	f := New(Config{Logger: slog.New(slog.NewTextHandler(log, nil))})
	defer f.Close()
	ends := make(chan End, 10)
	expect := func(what string, reason error) {
		t.Helper()
		select {
		case e := <-ends:
			if !errors.Is(e.Reason, reason) {
				t.Errorf("%s: ended with %v, want %v", what, e.Reason, reason)
			}
		case <-time.After(10 * time.Second):
			t.Fatalf("%s: no end", what)
		}
	}
	serve := func(format Format, left func(End)) net.Conn {
		t.Helper()
		server, client := pair(t)
		if !f.Serve(server, Viewer{Stream: s, Format: format}, left) {
			t.Fatal("not served")
		}
		return client
	}
	good := serve(FLV, func(e End) { ends <- e })

	// What a loop does for one viewer: it is further in its block than that is long.
	server, client := pair(t)
	for _, l := range f.loops {
		v := &viewer{conn: server, left: func(e End) { ends <- e }, fd: -1, off: 1 << 20}
		f.mu.Lock()
		v.place = f.enter(Viewer{Stream: s, Format: FLV})
		f.mu.Unlock()
		next := &block{}
		next.setPayload(make([]byte, maxChunkLine+10))
		v.last = before(next)
		l.mu.Lock()
		l.added = append(l.added, v)
		l.mu.Unlock()
		l.signal()
		expect("a viewer", ErrPanicked)
	}
	_ = client.SetReadDeadline(time.Now().Add(10 * time.Second))
	if n, err := client.Read(make([]byte, 1)); err == nil || errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("its connection is open: %d, %v", n, err)
	}

	// Packing, for a viewer in a loop and for one with a goroutine.
	f.mu.Lock()
	failing := newFeed(feedKey{s, TS})
	failing.packer = broken{flvPacker{s}}
	f.feeds[failing.key] = failing
	failing.users++ // it stays
	f.mu.Unlock()
	serve(TS, func(e End) { ends <- e })
	expect("a feed", ErrPanicked)
	if e := f.Run(t.Context(), Viewer{Stream: s, Format: TS}, connSink{server, stall}); !errors.Is(e.Reason, ErrPanicked) {
		t.Errorf("a goroutine: %v", e.Reason)
	}

	// And what is told of the end.
	told := make(chan End, 1)
	_ = serve(FLV, func(e End) { told <- e; panic("a fault in the end") }).Close()
	for ts := 60 * 23; len(told) == 0 && ts < 100_000; ts += 23 {
		audio(t, p, ts)
		time.Sleep(time.Millisecond)
	}
	for end := time.Now().Add(10 * time.Second); !log.has("a fault in the end"); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("no end is told")
		}
	}
	if !log.has("a fault in packing") || !log.has("out of range") {
		t.Errorf("not all is logged: %s", log.all.String())
	}

	r.Close()
	expect("the other viewer", io.EOF)
	if got, err := io.ReadAll(good); err != nil || len(got) < 5000 || string(got[:3]) != "FLV" {
		t.Errorf("the other viewer has %d bytes: %v", len(got), err)
	}
}
