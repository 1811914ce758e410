package relay

import (
	"context"
	"crypto/rand"
	"log/slog"
	"net"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/ingest"
	"headwater/remux"
	"headwater/remux/av"
	"headwater/remux/flv"
	"headwater/scripts/lib/rig"
)

// node is a server with its relays.
type node struct {
	t        *testing.T
	id       string
	registry *remux.Registry
	server   *ingest.Server
	relay    *Relay
	addr     string
	log      rig.Log
	stop     func()
}

// newNode starts a server; relay may be nil. change may change both before they run.
func newNode(t *testing.T, change func(*ingest.Config)) *node {
	t.Helper()
	return newNodeAt(t, "127.0.0.1:0", change)
}

func newNodeAt(t *testing.T, addr string, change func(*ingest.Config)) *node {
	t.Helper()
	o := remux.DefaultOptions()
	o.Reconnect = 300 * time.Millisecond
	n := &node{t: t, id: rand.Text(), registry: remux.NewRegistry(o, nil)}
	log := slog.New(slog.NewTextHandler(&n.log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	c := ingest.Config{
		Registry: n.registry, Logger: log, RelayID: n.id, Takeover: true, PlayHold: 3 * time.Second,
		Demand: func(ctx context.Context, name remux.Name) *remux.Stream {
			if n.relay == nil {
				return nil
			}
			return n.relay.Demand(ctx, name)
		},
	}
	if change != nil {
		change(&c)
	}
	n.registry = c.Registry
	var err error
	if n.server, err = ingest.New(c); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	n.addr = l.Addr().String()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { n.registry.Run(ctx) })
	running.Go(func() { _ = n.server.Serve(l) })
	n.stop = sync.OnceFunc(func() {
		cancel()
		if err := n.server.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
		n.registry.Close()
		running.Wait()
	})
	t.Cleanup(func() {
		n.stop()
		if t.Failed() {
			t.Logf("log of %s:\n%s", n.addr, n.log.String())
		}
	})
	return n
}

// relays gives the node relays, until the test ends.
func (n *node) relays(c Config, change func(*Relay)) {
	n.t.Helper()
	r, err := New(c, Options{
		Registry: n.registry, ID: n.id, Via: n.server.Via,
		Logger: slog.New(slog.NewTextHandler(&n.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	})
	if err != nil {
		n.t.Fatal(err)
	}
	r.retry = backoff{least: 10 * time.Millisecond, most: 100 * time.Millisecond}
	if change != nil {
		change(r)
	}
	n.relay = r
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	n.t.Cleanup(func() {
		cancel()
		running.Wait()
	})
}

func (n *node) url(rest string) URL { return URL("rtmp://" + n.addr + rest) }

// tag is one message.
type tag struct {
	typ       uint8
	timestamp uint32
	body      string
}

// fixture returns the tags of an FLV file of a test of another package.
func fixture(t *testing.T, path string) (tags []tag) {
	t.Helper()
	b, err := os.ReadFile("../../remux/" + path)
	if err != nil {
		t.Fatal(err)
	}
	for b = b[13:]; len(b) >= 15; {
		size := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		if size > len(b)-15 {
			break
		}
		at := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		tags = append(tags, tag{b[0] & 31, at, string(b[11 : 11+size])})
		b = b[15+size:]
	}
	return tags
}

func h264(t *testing.T) []tag { return fixture(t, "flv/testdata/h264_aac.flv") }

// broadcast publishes tags over and over, in real time, until the test or the
// function that is returned ends it.
func (n *node) broadcast(name string, tags []tag) (stop func()) {
	n.t.Helper()
	p, err := n.registry.Publish(remux.Name{App: "live", Stream: name}, remux.Claim{})
	if err != nil {
		n.t.Fatal(err)
	}
	quit := make(chan struct{})
	var running sync.WaitGroup
	running.Go(func() {
		defer p.Close()
		began := time.Now()
		length := uint32(0)
		for _, m := range tags {
			length = max(length, m.timestamp+100)
		}
		for round := uint32(0); ; round++ {
			for _, m := range tags {
				at := m.timestamp + round*length
				select {
				case <-quit:
					return
				case <-time.After(time.Until(began.Add(time.Duration(at) * time.Millisecond))):
				}
				buf := flv.NewTag(len(m.body))
				copy(flv.Body(buf), m.body)
				wrote := time.Now()
				if err := p.Write(m.typ, at, buf); err != nil {
					return // it was removed
				}
				if d := time.Since(wrote); d > 500*time.Millisecond {
					n.t.Errorf("the publisher had to wait %v", d)
				}
			}
		}
	})
	stop = sync.OnceFunc(func() {
		close(quit)
		running.Wait()
	})
	n.t.Cleanup(stop)
	return stop
}

// stream waits for a stream that goes on.
func (n *node) stream(name string) *remux.Stream {
	n.t.Helper()
	var s *remux.Stream
	n.wait("stream "+name, func() bool {
		s = n.registry.Stream(remux.Name{App: "live", Stream: name})
		if s == nil {
			return false
		}
		live, _ := s.Live()
		return live
	})
	return s
}

// wait waits until ok.
func (n *node) wait(what string, ok func() bool) {
	n.t.Helper()
	for end := time.Now().Add(15 * time.Second); !ok(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			n.t.Fatalf("waiting for %s", what)
		}
	}
}

// frames reads the next frames of a stream, from a key frame on.
func frames(t *testing.T, s *remux.Stream, count int) (tags []tag) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 15*time.Second)
	defer cancel()
	cursor := s.NewCursor()
	room := make([]av.Frame, 16)
	for len(tags) < count {
		b, err := cursor.Next(ctx, room)
		if err != nil {
			t.Fatalf("after %d frames: %v", len(tags), err)
		}
		for _, f := range b.Frames {
			if f.Kind == av.Data {
				continue
			}
			tags = append(tags, tag{f.Tag[0], uint32(f.DTS / time.Millisecond), string(flv.Body(f.Tag))})
		}
	}
	return tags[:count]
}

// same compares what two streams have: all frames that b got are a's, in a's order
// and at a's times.
func same(t *testing.T, a, b []tag) {
	t.Helper()
	for _, typ := range []uint8{flv.TypeVideo, flv.TypeAudio} {
		at := map[uint32]string{}
		for _, m := range a {
			if m.typ == typ {
				at[m.timestamp] = m.body
			}
		}
		last, compared := uint32(0), 0
		for _, m := range b {
			if m.typ != typ {
				continue
			}
			if body, ok := at[m.timestamp]; ok {
				compared++
				if body != m.body {
					t.Errorf("type %d at %d ms: %d bytes, want %d", typ, m.timestamp, len(m.body), len(body))
				}
			}
			if m.timestamp < last {
				t.Errorf("type %d: %d ms after %d", typ, m.timestamp, last)
			}
			last = m.timestamp
		}
		if compared < 10 {
			t.Errorf("type %d: only %d frames are at the times of others", typ, compared)
		}
	}
}

// status returns the only relay of a name.
func (n *node) status(name string) Status {
	for _, s := range n.relay.Status() {
		if s.Name.Stream == name {
			return s
		}
	}
	return Status{}
}

func (n *node) awaitState(name string, want State) Status {
	n.t.Helper()
	n.wait(string(want), func() bool { return n.status(name).State == want })
	return n.status(name)
}

// silent reports whether a text is nowhere to be seen.
func (n *node) silent(secrets ...string) {
	n.t.Helper()
	for _, s := range secrets {
		if strings.Contains(n.log.String(), s) {
			n.t.Errorf("%s is in the log", s)
		}
		for _, st := range n.relay.Status() {
			if strings.Contains(st.Error+st.Target, s) {
				n.t.Errorf("%s is in the status: %+v", s, st)
			}
		}
	}
}
