package relay

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"headwater/ingest"
	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/scripts/lib/rig"
)

// TestPush: what is published here is there, byte by byte and at the same times, and
// ends with it.
func TestPush(t *testing.T) {
	for name, tags := range map[string][]tag{
		"legacy": h264(t), "hevc": fixture(t, "testdata/enhanced/hevc_aac.flv"), "av1": fixture(t, "testdata/enhanced/av1_opus.flv"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var asked atomic.Pointer[ingest.PublishRequest]
			b := newNode(t, func(c *ingest.Config) {
				c.Authorize = func(_ context.Context, r ingest.PublishRequest) (ingest.Grant, error) {
					asked.Store(&r)
					return ingest.Grant{Name: r.Name}, nil
				}
			})
			a := newNode(t, nil)
			a.relays(Config{Push: []Push{{Name: "live/*", URL: b.url("/copy/{app}-{name}?key=SECRET")}, {Name: "other/*", URL: b.url("/x/y")}}}, nil)
			stop := a.broadcast("x", tags)
			a.stream("x")
			var there *remux.Stream
			b.wait("the copy", func() bool {
				there = b.registry.Stream(remux.Name{App: "copy", Stream: "live-x"})
				return there != nil && there.Config() != nil
			})
			here := a.registry.Stream(remux.Name{App: "live", Stream: "x"})
			var wg sync.WaitGroup
			var got, want []tag
			wg.Go(func() { want = frames(t, here, 120) })
			got = frames(t, there, 120)
			wg.Wait()
			same(t, want, got)
			if r := asked.Load(); r.Query.Get("key") != "SECRET" || !strings.HasPrefix(r.Encoder, "FMLE/") {
				t.Errorf("asked by %q with %v", r.Encoder, r.Query)
			}
			if c, d := here.Config(), there.Config(); c.Video.String != d.Video.String || c.Audio.String != d.Audio.String {
				t.Errorf("%s and %s became %s and %s", c.Video.String, c.Audio.String, d.Video.String, d.Audio.String)
			}
			st := a.awaitState("x", Live)
			if st.Kind != Pushing || st.Name.String() != "live/x" || st.Target != "rtmp://"+b.addr+"/copy" || st.Tries != 1 ||
				st.Bytes == 0 || st.Frames < 100 || st.Error != "" || time.Since(st.Since) > time.Minute {
				t.Errorf("%+v", st)
			}
			stop()
			a.wait("the end", func() bool { return len(a.relay.Status()) == 0 })
			b.wait("the copy's end", func() bool { live, _ := there.Live(); return !live })
			if b.server.Stats().Ended[ingest.Unpublished]+b.server.Stats().Ended[ingest.Closed] == 0 {
				b.wait("the connection's end", func() bool { return b.server.Stats().Connections == 0 })
			}
			a.silent("SECRET")
		})
	}
}

// TestPushFindsItsTarget: one that is not there yet, goes and comes again.
func TestPushFindsItsTarget(t *testing.T) {
	t.Parallel()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	a := newNode(t, nil)
	a.relays(Config{Push: []Push{{Name: "live/x", URL: URL("rtmp://" + addr + "/live/{name}?key=SECRET")}}}, nil)
	a.broadcast("x", h264(t))
	for range 3 {
		a.wait("a failure", func() bool { st := a.status("x"); return st.State != Live && st.Error != "" })
		b := newNodeAt(t, addr, nil)
		frames(t, b.stream("x"), 30)
		a.awaitState("x", Live)
		b.stop()
	}
	if st := a.status("x"); st.Tries < 4 {
		t.Errorf("%+v", st)
	}
	a.silent("SECRET")
	if n := strings.Count(a.log.String(), "relay started"); n != 3 {
		t.Errorf("started %d times", n)
	}
}

// TestPushRefused: a server that repeats the secret in what it says.
func TestPushRefused(t *testing.T) {
	t.Parallel()
	b := newNode(t, func(c *ingest.Config) {
		c.Authorize = func(_ context.Context, r ingest.PublishRequest) (ingest.Grant, error) {
			return ingest.Grant{}, ingest.Denied("the key " + r.Query.Get("key") + " of " + r.Name.Stream + " is wrong")
		}
	})
	a := newNode(t, nil)
	a.relays(Config{Push: []Push{{Name: "live/*", URL: b.url("/live/sk_STREAMKEY?key=SECRET")}}}, nil)
	a.broadcast("x", h264(t))
	a.wait("a refusal", func() bool { return a.status("x").Error != "" })
	if st := a.status("x"); !strings.Contains(st.Error, "NetStream.Publish.Denied: the key … of … is wrong") {
		t.Errorf("%+v", st)
	}
	a.wait("another try", func() bool { return a.status("x").Tries > 2 })
	a.silent("SECRET", "sk_STREAMKEY")
}

// TestPushWaitsForThePublisher: while there is none the target is left alone.
func TestPushWaitsForThePublisher(t *testing.T) {
	t.Parallel()
	o := remux.DefaultOptions()
	o.Reconnect = 20 * time.Second
	a := newNode(t, func(c *ingest.Config) { c.Registry = remux.NewRegistry(o, nil) })
	b := newNode(t, func(c *ingest.Config) { c.IdleTimeout = 200 * time.Millisecond })
	a.relays(Config{Push: []Push{{Name: "live/*", URL: b.url("/live/{name}")}}}, nil)
	stop := a.broadcast("x", h264(t))
	frames(t, b.stream("x"), 10)
	stop()
	tries := a.awaitState("x", Waiting).Tries
	time.Sleep(300 * time.Millisecond)
	if st := a.status("x"); st.State != Waiting || st.Tries != tries {
		t.Errorf("%+v", st)
	}
	a.broadcast("x", h264(t))
	b.stream("x")
	a.awaitState("x", Live)
}

// stuck is a target that stops reading, or reads slowly.
type stuck struct {
	rtmp.Handler
	pace time.Duration
	got  atomic.Uint64
}

func (s *stuck) Publish(rtmp.Publish) error { return nil }
func (s *stuck) Unpublish(error)            {}
func (s *stuck) Closed(error)               {}
func (s *stuck) Write(_ uint8, _ uint32, tag []byte) error {
	s.got.Add(1)
	time.Sleep(s.pace)
	return nil
}

// serveStuck listens for one publisher after the other.
func serveStuck(t *testing.T, s *stuck) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	e := rtmp.NewEngine()
	var running sync.WaitGroup
	running.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_ = conn.(*net.TCPConn).SetReadBuffer(128 << 10)
			e.Start(conn, s, rtmp.Options{})
		}
	})
	t.Cleanup(func() {
		_ = l.Close()
		running.Wait()
		e.Close()
	})
	return l.Addr().String()
}

// heavy makes a stream heavy: what a slow target does not take must not fit into the
// buffers of sockets.
func heavy(tags []tag) []tag {
	filler := string([]byte{0, 1, 0, 0, 12}) + strings.Repeat("\x00", 65535) // a NAL unit of filler data
	out := make([]tag, len(tags))
	for i, m := range tags {
		out[i] = m
		if m.typ == 9 && len(m.body) > 5 && m.body[1] == 1 {
			out[i].body += strings.Repeat(filler, 3)
		}
	}
	return out
}

// TestPushSlowTarget: it skips, the connection lasts, and nobody else notices.
func TestPushSlowTarget(t *testing.T) {
	t.Parallel()
	s := &stuck{pace: 60 * time.Millisecond}
	addr := serveStuck(t, s)
	o := remux.DefaultOptions()
	o.MaxLag = 500 * time.Millisecond
	a := newNode(t, func(c *ingest.Config) { c.Registry = remux.NewRegistry(o, nil) })
	a.relays(Config{Push: []Push{{Name: "live/*", URL: URL("rtmp://" + addr + "/live/{name}")}}}, nil)
	a.broadcast("x", heavy(h264(t))) // which complains when it has to wait
	a.wait("two skips", func() bool { return a.status("x").Skips >= 2 })
	if st := a.status("x"); st.State != Live || st.Tries != 1 || s.got.Load() < 5 {
		t.Errorf("%+v, %d messages arrived", st, s.got.Load())
	}
}

// TestPushStuckTarget: it is left, and tried again.
func TestPushStuckTarget(t *testing.T) {
	t.Parallel()
	s := &stuck{pace: time.Second}
	addr := serveStuck(t, s)
	a := newNode(t, nil)
	a.relays(Config{Push: []Push{{Name: "live/*", URL: URL("rtmp://" + addr + "/live/{name}")}}}, func(r *Relay) {
		r.client = rtmp.ClientOptions{Write: 300 * time.Millisecond}
	})
	a.broadcast("x", heavy(h264(t)))
	a.wait("another try", func() bool { return a.status("x").Tries >= 3 })
	if st := a.status("x"); !strings.Contains(st.Error, "i/o timeout") {
		t.Errorf("%+v", st)
	}
}

// TestPushOverTLS checks whom it talks to.
func TestPushOverTLS(t *testing.T) {
	t.Parallel()
	certificate, roots := selfSigned(t)
	b := newNode(t, nil)
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{certificate}})
	if err != nil {
		t.Fatal(err)
	}
	go func() { _ = b.server.Serve(l) }()
	push := Config{Push: []Push{{Name: "live/*", URL: URL("rtmps://" + l.Addr().String() + "/live/{name}")}}}
	a := newNode(t, nil)
	a.relays(push, func(r *Relay) { r.options.TLS = &tls.Config{RootCAs: roots} })
	a.broadcast("x", h264(t))
	frames(t, b.stream("x"), 30)

	c := newNode(t, nil)
	c.relays(push, nil)
	c.broadcast("y", h264(t))
	c.wait("a refusal", func() bool { return strings.Contains(c.status("y").Error, "certificate") })
}

func selfSigned(t *testing.T) (tls.Certificate, *x509.CertPool) {
	t.Helper()
	certificate, key := rig.Certificate(t, "localhost")
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		t.Fatal(err)
	}
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(certificate)
	return pair, roots
}
