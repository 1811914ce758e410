package ingest

import (
	"bytes"
	"log/slog"
	"net"
	"sync"
	"testing"
	"time"

	"headwater/remux"
	"headwater/remux/flv"
	"headwater/scripts/lib/rig"
)

// tag is one message as the stream got it.
type tag struct {
	typ       uint8
	timestamp uint32
	body      []byte
}

// recorder is a stream that keeps what it gets.
type recorder struct {
	mu     sync.Mutex
	name   remux.Name
	tags   []tag
	closed bool
	fail   error
	more   chan struct{} // has room for one; full when something has happened
}

func (r *recorder) Write(typ uint8, timestamp uint32, b []byte) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed {
		panic("write after close")
	}
	r.tags = append(r.tags, tag{typ, timestamp, bytes.Clone(flv.Body(b))})
	r.wake()
	return r.fail
}

func (r *recorder) Close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.closed = true
	r.wake()
}

func (r *recorder) wake() {
	select {
	case r.more <- struct{}{}:
	default:
	}
}

func (r *recorder) snapshot() (tags []tag, closed bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.tags[:len(r.tags):len(r.tags)], r.closed
}

// wait waits until ok.
func (r *recorder) wait(t *testing.T, what string, ok func(tags []tag, closed bool) bool) []tag {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	for {
		tags, closed := r.snapshot()
		if ok(tags, closed) {
			return tags
		}
		select {
		case <-r.more:
		case <-deadline.C:
			t.Fatalf("waiting for %s: %d messages, closed %v", what, len(tags), closed)
		}
	}
}

// count waits for n messages.
func (r *recorder) count(t *testing.T, n int) []tag {
	t.Helper()
	return r.wait(t, "messages", func(tags []tag, _ bool) bool { return len(tags) >= n })
}

// end waits for the end of publishing.
func (r *recorder) end(t *testing.T) []tag {
	t.Helper()
	return r.wait(t, "the end", func(_ []tag, closed bool) bool { return closed })
}

// harness is a server whose streams are recorders.
type harness struct {
	*Server
	addr    string
	log     rig.Log
	streams chan *recorder // those that began, in order

	mu   sync.Mutex
	live map[remux.Name]*recorder
}

func newHarness(t *testing.T, change func(*Config)) *harness {
	t.Helper()
	h := &harness{streams: make(chan *recorder, 64), live: map[remux.Name]*recorder{}}
	c := Config{
		Registry:   remux.NewRegistry(remux.DefaultOptions(), nil),
		Logger:     slog.New(slog.NewTextHandler(&h.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		ReadGather: 2 * time.Millisecond, // a name is free again some turns behind its publisher's end
	}
	if change != nil {
		change(&c)
	}
	var err error
	if h.Server, err = New(c); err != nil {
		t.Fatal(err)
	}
	h.publish = h.claim
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	h.addr = l.Addr().String()
	served := make(chan error, 1)
	go func() { served <- h.Serve(l) }()
	t.Cleanup(func() {
		if err := h.Shutdown(t.Context()); err != nil && t.Context().Err() == nil {
			t.Errorf("Shutdown: %v", err)
		}
		if err := <-served; err != ErrServerClosed {
			t.Errorf("Serve returned %v", err)
		}
		h.running.Wait()
		if t.Failed() {
			t.Logf("server's log:\n%s", h.log.String())
		}
	})
	return h
}

// claim is Registry.Publish with recorders.
func (h *harness) claim(n remux.Name, _ remux.Claim) (sink, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if r := h.live[n]; r != nil {
		if _, closed := r.snapshot(); !closed {
			return nil, remux.ErrBusy
		}
	}
	r := &recorder{name: n, more: make(chan struct{}, 1)}
	h.live[n] = r
	h.streams <- r
	return r, nil
}

// idle waits until all connections have ended.
func (h *harness) idle(t *testing.T) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); h.Stats().Connections > 0; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("connections stay open: %+v", h.Stats())
		}
	}
}

// stream waits for the next publisher.
func (h *harness) stream(t *testing.T) *recorder {
	t.Helper()
	select {
	case r := <-h.streams:
		return r
	case <-time.After(20 * time.Second):
		t.Fatal("nobody publishes")
		return nil
	}
}
