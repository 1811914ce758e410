package relay

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/ingest"
	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/remux/av"
)

func liveName(stream string) remux.Name { return remux.Name{App: "live", Stream: stream} }

func TestPullAlways(t *testing.T) {
	t.Parallel()
	b := newNode(t, nil)
	a := newNode(t, nil)
	a.relays(Config{Pull: []Pull{{Name: "far/x", URL: b.url("/live/{name}?token=SECRET"), Always: true}}}, func(r *Relay) {
		r.client.Idle = 500 * time.Millisecond
	})
	a.wait("a failure", func() bool { return strings.Contains(a.status("x").Error, "NetStream.Play.StreamNotFound") })
	stop := b.broadcast("x", h264(t))
	far := remux.Name{App: "far", Stream: "x"}
	var here *remux.Stream
	a.wait("the stream", func() bool { here = a.registry.Stream(far); return here != nil && here.Config() != nil })
	var wg sync.WaitGroup
	var want []tag
	wg.Go(func() { want = frames(t, b.registry.Stream(liveName("x")), 120) })
	got := frames(t, here, 120)
	wg.Wait()
	same(t, want, got)
	st := a.awaitState("x", Live)
	if st.Kind != Pulling || st.Target != "rtmp://"+b.addr+"/live" || st.Bytes == 0 || st.Frames == 0 {
		t.Errorf("%+v", st)
	}
	// It goes on after a break, as the same stream.
	stop()
	a.awaitState("x", Retrying)
	stop = b.broadcast("x", h264(t))
	a.awaitState("x", Live)
	a.wait("frames", func() bool { live, _ := a.registry.Stream(far).Live(); return live })
	// One that hangs is left.
	b.registry.Stream(liveName("x")).Kick()
	a.awaitState("x", Retrying)
	stop()
	a.silent("SECRET")
}

// TestPullOnDemand: somebody wants it, and then nobody does.
func TestPullOnDemand(t *testing.T) {
	t.Parallel()
	b := newNode(t, nil)
	b.broadcast("x", h264(t))
	b.stream("x")
	a := newNode(t, nil)
	a.relays(Config{Pull: []Pull{{Name: "live/*", URL: b.url("/live/{name}"), Idle: minIdle}}}, func(r *Relay) {
		r.rules.Load().pull[0].idle = 500 * time.Millisecond
	})
	if len(a.relay.Status()) != 0 || len(a.registry.Streams()) != 0 {
		t.Error("it is pulled already")
	}
	// Many ask at once; one connection does.
	var wg sync.WaitGroup
	for range 50 {
		wg.Go(func() {
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			if a.relay.Demand(ctx, liveName("x")) == nil {
				t.Error("it does not come")
			}
		})
	}
	wg.Wait()
	if st := a.status("x"); st.Tries != 1 || b.server.Stats().Players != 1 {
		t.Errorf("%+v, %d players", st, b.server.Stats().Players)
	}
	s := a.relay.Demand(t.Context(), liveName("x"))
	began := time.Now()
	for time.Since(began) < 2*time.Second { // a viewer keeps it
		frames(t, s, 5)
	}
	a.awaitState("x", Live)
	a.wait("its end", func() bool { return len(a.relay.Status()) == 0 })
	b.wait("the player's end", func() bool { return b.server.Stats().Players == 0 })
	// Within the reconnect window a new viewer brings the same stream back.
	if again := a.relay.Demand(t.Context(), liveName("x")); again == nil {
		t.Error("it does not come back")
	}
	a.awaitState("x", Live)
	if !strings.Contains(a.log.String(), `reason="nobody watches"`) {
		t.Error("no word of it")
	}
}

// TestPullOfNothing: names that do not exist there are asked for once in a while, by
// a bounded number of connections, and leave nothing behind.
func TestPullOfNothing(t *testing.T) {
	t.Parallel()
	b := newNode(t, func(c *ingest.Config) { c.PlayHold = 10 * time.Millisecond })
	a := newNode(t, nil)
	a.relays(Config{Pull: []Pull{{Name: "live/*", URL: b.url("/live/{name}")}}}, nil)
	if s := a.relay.Demand(t.Context(), remux.Name{App: "other", Stream: "x"}); s != nil || len(a.relay.Status()) != 0 {
		t.Error("a name that does not fit is pulled")
	}
	for range 100 {
		if s := a.relay.Demand(t.Context(), liveName("none")); s != nil {
			t.Fatal("there is a stream")
		}
	}
	if n := b.server.Stats().Accepted; n != 1 {
		t.Errorf("%d connections for one name", n)
	}
	var wg sync.WaitGroup
	for i := range 500 {
		wg.Go(func() {
			a.relay.Demand(t.Context(), liveName(fmt.Sprint("none", i)))
			a.relay.mu.Lock()
			defer a.relay.mu.Unlock()
			if a.relay.trying > maxTrying {
				t.Errorf("%d are tried at a time", a.relay.trying)
			}
		})
	}
	wg.Wait()
	if n := len(a.registry.Streams()); n != 0 {
		t.Errorf("%d streams", n)
	}
	a.wait("room", func() bool { return len(a.relay.Status()) == 0 })

	// Whoever goes first, the wait is bounded.
	a.relay.mu.Lock()
	for i := range maxPulls {
		a.relay.pulls[liveName(fmt.Sprint("y", i))] = &pull{job: newJob(Pulling, liveName("y"), template{}, a.relay.options.Logger)}
	}
	a.relay.mu.Unlock()
	if s := a.relay.Demand(t.Context(), liveName("more")); s != nil || a.status("more").Tries != 0 {
		t.Error("one too many")
	}
	a.relay.mu.Lock()
	clear(a.relay.pulls)
	a.relay.mu.Unlock()
}

// TestPullGivesWay: who publishes here wins.
func TestPullGivesWay(t *testing.T) {
	t.Parallel()
	b := newNode(t, nil)
	b.broadcast("x", h264(t))
	a := newNode(t, nil)
	a.relays(Config{Pull: []Pull{{Name: "live/x", URL: b.url("/live/x"), Always: true}}}, nil)
	s := a.stream("x")
	var evicted = make(chan error, 1)
	p, err := a.registry.Publish(liveName("x"), remux.Claim{Takeover: true, Evicted: func(err error) { evicted <- err }})
	if err != nil {
		t.Fatal(err)
	}
	a.wait("its end", func() bool { return a.status("x").State == Retrying })
	b.wait("the player's end", func() bool { return b.server.Stats().Players == 0 })
	a.wait("patience", func() bool { return strings.Contains(a.status("x").Error, errPublished.Error()) })
	if n := b.server.Stats().Accepted; n != 1 {
		t.Errorf("%d connections", n)
	}
	select {
	case err := <-evicted:
		t.Errorf("the publisher has lost it: %v", err)
	default:
	}
	p.Close()
	a.awaitState("x", Live)
	_ = s
}

// TestCircles: a stream goes nowhere twice, and nobody is thrown out by himself.
func TestCircles(t *testing.T) {
	t.Parallel()
	t.Run("push to itself", func(t *testing.T) {
		t.Parallel()
		a := newNode(t, nil)
		a.relays(Config{Push: []Push{{Name: "live/*", URL: a.url("/live/{name}")}}}, nil)
		a.broadcast("x", h264(t))
		a.wait("the insight", func() bool { return strings.Contains(a.status("x").Error, rtmp.ErrLoop.Error()) })
		undisturbed(t, a.stream("x"))
	})
	t.Run("push to each other", func(t *testing.T) {
		t.Parallel()
		a, b := newNode(t, nil), newNode(t, nil)
		a.relays(Config{Push: []Push{{Name: "live/*", URL: b.url("/live/{name}")}}}, nil)
		b.relays(Config{Push: []Push{{Name: "live/*", URL: a.url("/live/{name}")}}}, nil)
		a.broadcast("x", h264(t))
		b.broadcast("y", h264(t))
		a.stream("y")
		b.stream("x")
		for _, n := range []*node{a, b} {
			n.wait("the insight", func() bool {
				return strings.Contains(n.status("x").Error+n.status("y").Error, rtmp.ErrLoop.Error())
			})
			undisturbed(t, n.stream("x"))
			undisturbed(t, n.stream("y"))
		}
	})
	t.Run("pull from itself", func(t *testing.T) {
		t.Parallel()
		a := newNode(t, nil)
		a.relays(Config{Pull: []Pull{{Name: "live/*", URL: a.url("/live/{name}")}}}, nil)
		if s := a.relay.Demand(t.Context(), liveName("x")); s != nil {
			t.Error("it made a stream")
		}
		if !strings.Contains(a.log.String(), rtmp.ErrLoop.Error()) || a.server.Stats().Accepted > 2 {
			t.Errorf("%d connections", a.server.Stats().Accepted)
		}
	})
	t.Run("pull in a ring", func(t *testing.T) {
		t.Parallel()
		a, b, c := newNode(t, nil), newNode(t, nil), newNode(t, nil)
		for _, link := range [][2]*node{{a, b}, {b, c}, {c, a}} {
			link[0].relays(Config{Pull: []Pull{{Name: "live/*", URL: link[1].url("/live/{name}")}}}, nil)
		}
		if s := a.relay.Demand(t.Context(), liveName("x")); s != nil {
			t.Error("it made a stream")
		}
		if !strings.Contains(c.log.String(), rtmp.ErrLoop.Error()) {
			t.Error("the last has not noticed")
		}
		// What is published at one is there at all.
		c.broadcast("y", h264(t))
		c.stream("y")
		s := a.relay.Demand(t.Context(), liveName("y"))
		if s == nil {
			t.Fatal("it does not come")
		}
		frames(t, s, 20)
	})
	t.Run("push back what was pulled", func(t *testing.T) {
		t.Parallel()
		a, b := newNode(t, nil), newNode(t, nil)
		a.relays(Config{
			Pull: []Pull{{Name: "live/*", URL: b.url("/live/{name}")}},
			Push: []Push{{Name: "live/*", URL: b.url("/live/{name}")}},
		}, nil)
		b.broadcast("x", h264(t))
		b.stream("x")
		if s := a.relay.Demand(t.Context(), liveName("x")); s == nil {
			t.Fatal("it does not come")
		}
		a.wait("the insight", func() bool { return strings.Contains(a.log.String(), rtmp.ErrLoop.Error()) })
		undisturbed(t, b.stream("x"))
	})
}

// undisturbed checks that a stream goes on without a break.
func undisturbed(t *testing.T, s *remux.Stream) {
	t.Helper()
	cursor := s.NewCursor()
	room := make([]av.Frame, 16)
	last := time.Duration(-1)
	for n := 0; n < 60; {
		b, err := cursor.Next(t.Context(), room)
		if err != nil {
			t.Fatalf("%s has ended: %v", s.Name, err)
		}
		for _, f := range b.Frames {
			if n++; f.Kind == av.Video {
				if last >= 0 && f.DTS-last > 500*time.Millisecond {
					t.Errorf("%s: a gap of %v", s.Name, f.DTS-last)
				}
				last = f.DTS
			}
		}
	}
	if live, _ := s.Live(); !live {
		t.Errorf("%s has lost its publisher", s.Name)
	}
}

// TestShutdown: Run returns although targets are stuck, and nothing goes on.
func TestShutdown(t *testing.T) {
	t.Parallel()
	addr := serveStuck(t, &stuck{pace: time.Second})
	b := newNode(t, nil)
	b.broadcast("far", h264(t))
	a := newNode(t, nil)
	r, err := New(Config{
		Push: []Push{{Name: "live/*", URL: URL("rtmp://" + addr + "/live/{name}")}},
		Pull: []Pull{{Name: "live/far", URL: b.url("/live/far"), Always: true}, {Name: "live/*", URL: b.url("/live/{name}")}},
	}, Options{Registry: a.registry, ID: a.id})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan struct{})
	go func() {
		r.Run(ctx)
		close(ended)
	}()
	a.broadcast("x", heavy(h264(t)))
	a.stream("far")
	a.wait("a push", func() bool {
		for _, s := range r.Status() {
			if s.Kind == Pushing && s.Name.Stream == "x" && s.State == Live {
				return true
			}
		}
		return false
	})
	began := time.Now()
	cancel()
	<-ended
	if d := time.Since(began); d > 4*goodbye {
		t.Errorf("it took %v", d)
	}
	if live, _ := a.registry.Stream(liveName("far")).Live(); live || len(r.Status()) != 0 {
		t.Errorf("something goes on: %+v", r.Status())
	}
	if r.Demand(t.Context(), liveName("z")) != nil || len(r.Status()) != 0 {
		t.Error("it is still there for the asking")
	}
}

// TestFFmpegThroughTwoServers: FFmpeg publishes to one, which pushes to the next,
// from which a third pulls on demand because FFmpeg asks it to play.
func TestFFmpegThroughTwoServers(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	a, b, c := newNode(t, nil), newNode(t, nil), newNode(t, nil)
	a.relays(Config{Push: []Push{{Name: "live/*", URL: b.url("/live/{name}")}}}, nil)
	c.relays(Config{Pull: []Pull{{Name: "live/*", URL: b.url("/live/{name}")}}}, nil)
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	defer cancel()
	publish := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-f", "lavfi", "-i", "sine=r=44100",
		"-t", "20", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-pix_fmt", "yuv420p", "-c:a", "aac", "-f", "flv", string(a.url("/live/x")))
	var said bytes.Buffer
	publish.Stderr = &said
	if err := publish.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = publish.Process.Kill()
		_ = publish.Wait()
	}()
	b.stream("x")
	out, err := exec.CommandContext(ctx, "ffmpeg", "-v", "warning", "-xerror", "-i", string(c.url("/live/x")), "-t", "3", "-map", "0:v", "-map", "0:a",
		"-f", "framemd5", "-").CombinedOutput()
	if err != nil || strings.Contains(string(out), "rror") || strings.Count(string(out), "\n0,") < 70 || strings.Count(string(out), "\n1,") < 100 {
		t.Errorf("%v\n%s\n%s", err, out, said.String())
	}
}
