package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headwater/remux"
	"headwater/scripts/lib/rig"
)

// TestMain checks that no session and no server leaves a goroutine behind.
func TestMain(m *testing.M) { os.Exit(rig.Run(m, nil)) }

func TestPublish(t *testing.T) {
	h := newHarness(t, nil)
	e := h.encoder(t, "live", "x")
	r := h.stream(t)
	e.frames(3)
	e.message(4, 8, 1, 90, []byte("audio"))
	tags := r.count(t, 4)
	if string(tags[2].body) != "frame 2" || tags[2].timestamp != 80 || tags[3].typ != 8 {
		t.Errorf("got %+v", tags)
	}
	if st := h.Stats(); st.Connections != 1 || st.Publishers != 1 || st.Messages != 4 || st.Bytes != 4*15+3*7+5 {
		t.Errorf("stats %+v", st)
	}
	e.command(0, "FCUnpublish", 4, nil, "x")
	e.reply("_result")
	r.end(t)
	e.closed()
	h.idle(t)
	st := h.Stats()
	if st.Connections != 0 || st.Publishers != 0 || st.Messages != 4 || st.Accepted != 1 || !maps.Equal(st.Ended, map[Reason]uint64{Closed: 1}) {
		t.Errorf("stats %+v", st)
	}
	if l := h.logged("publish started", "name=live/x", "remote=127.0.0.1:", `encoder=encoder..1`); len(l) != 1 {
		t.Errorf("the start is logged %d times", len(l))
	}
	if l := h.logged("publish ended", "name=live/x", "reason=unpublished", "messages=4", "bytes=86", "ignored=0", "duration="); len(l) != 1 {
		t.Errorf("the end is logged %d times", len(l))
	}
}

// TestNames puts application and key together in all the ways that users and
// encoders do.
func TestNames(t *testing.T) {
	long := strings.Repeat("x", 129)
	for _, c := range []struct {
		app, tcURL, key string
		name            string     // "": refused
		query           url.Values // of an accepted one
		text            string     // in the refusal
	}{
		{app: "live", key: "x", name: "live/x"},
		{app: "live", key: "A-b_c.9~", name: "live/A-b_c.9~"},
		{app: "live/", key: "x", name: "live/x"},
		{app: "/live//", key: "/x/", name: "live/x"},
		{app: "live", key: "x?key=secret&a=1", name: "live/x", query: url.Values{"key": {"secret"}, "a": {"1"}}},
		{app: "live?token=t", key: "x", name: "live/x", query: url.Values{"token": {"t"}}},
		{app: "live/?token=t", key: "x", name: "live/x", query: url.Values{"token": {"t"}}},
		{app: "live?k=app", tcURL: "rtmp://h/live?k=url&l=url", key: "x?k=key", name: "live/x", query: url.Values{"k": {"key", "app", "url"}, "l": {"url"}}},
		{app: "live", key: "x?", name: "live/x"},
		{app: "live", key: "x?a=%zz&b=2&;", name: "live/x", query: url.Values{"b": {"2"}}},
		{app: "live", key: "x?key=a%20b", name: "live/x", query: url.Values{"key": {"a b"}}},
		{app: "", tcURL: "rtmp://h:1935/live", key: "x", name: "live/x"},

		{app: "live", key: "", text: "stream name: is empty"},
		{app: "live", key: "?key=secret", text: "stream name: is empty"},
		{app: "", key: "x", text: "application name: is empty"},
		{app: "a/b", key: "x", text: "instance"},
		{app: "live", key: "a/b"},
		{app: "live", key: "../x"},
		{app: "live", key: ".."},
		{app: "..", key: "x"},
		{app: ".", key: "x"},
		{app: "live", key: "%2e%2e"},
		{app: "live", key: `a\b`},
		{app: "live", key: "a\x00b"},
		{app: "live", key: "a\r\nb"},
		{app: "live", key: "a b"},
		{app: "live", key: "a\xffb"},
		{app: "live", key: "😀"},
		{app: "live", key: "a\u202eb"},
		{app: "live", key: "ä"},
		{app: "live", key: long},
		{app: long, key: "x"},
		{app: "live", key: strings.Repeat("x", 10<<10)},
		{app: "live", key: strings.Repeat("x", 60<<10)},
		{app: "live", key: "mp4:x"},
		{app: "live;x", key: "x"},
	} {
		t.Run(c.app[:min(len(c.app), 10)]+" "+c.key[:min(len(c.key), 10)], func(t *testing.T) {
			var request PublishRequest
			h := newHarness(t, func(cfg *Config) {
				cfg.Authorize = func(_ context.Context, r PublishRequest) (Grant, error) { request = r; return Grant{Name: r.Name}, nil }
			})
			e := h.dial(t)
			code, text := e.ask(c.app, c.tcURL, c.key)
			if c.name == "" {
				if code != "NetStream.Publish.BadName" || !strings.Contains(text, c.text) || text == "" {
					t.Errorf("answer %s: %s", code, text)
				}
				e.closed()
				return
			}
			if code != "NetStream.Publish.Start" {
				t.Fatalf("answer %s: %s", code, text)
			}
			if r := h.stream(t); r.name.String() != c.name {
				t.Errorf("publishes %s", r.name)
			}
			if fmt.Sprint(request.Query) != fmt.Sprint(c.query) {
				t.Errorf("query %v", request.Query)
			}
			if request.Name.String() != c.name || request.Remote.Addr().String() != "127.0.0.1" || request.Encoder != "encoder..1" {
				t.Errorf("request %s, %s", request, request.Encoder)
			}
		})
	}
}

// TestSecretsStaySecret looks for the key wherever words come out.
func TestSecretsStaySecret(t *testing.T) {
	const secret = "hunter2"
	var h *harness
	h = newHarness(t, func(c *Config) {
		log := c.Logger
		c.Authorize = func(_ context.Context, r PublishRequest) (Grant, error) {
			log.Info("asked", "request", r)
			log.Info(fmt.Sprintf("%v %+v %#v %s", r, r, r, r))
			slog.New(slog.NewJSONHandler(&h.log, nil)).Info("asked", "request", struct{ R PublishRequest }{r})
			if r.Name.Stream == secret {
				return Grant{Name: remux.Name{App: "live", Stream: "public"}, Key: "k"}, nil
			}
			if r.Query.Get("key") != secret {
				return Grant{}, Denied("wrong key")
			}
			if r.Name.Stream == "no" {
				return Grant{}, fmt.Errorf("no for a reason")
			}
			return Grant{Name: r.Name}, nil
		}
	})
	for _, key := range []string{"x?key=" + secret, "no?key=" + secret, "a b?key=" + secret, "y?key=wrong" + secret, secret, secret + "?a=1", "wrong" + secret, secret + " "} {
		e := h.dial(t)
		_, text := e.ask("live?token="+secret, "rtmp://h/live?token="+secret, key)
		if strings.Contains(text, secret) {
			t.Errorf("the encoder is told %q", text)
		}
		e.closed()
	}
	h.idle(t)
	if strings.Contains(h.log.String(), secret) {
		t.Error("the log shows a secret")
	}
	if len(h.logged("asked", "127.0.0.1")) == 0 {
		t.Error("requests cannot be logged")
	}
	if len(h.logged("publish started", "name=live/public", "key=k")) != 2 {
		t.Error("the public name is not logged")
	}
}

func TestRefusals(t *testing.T) {
	for _, c := range []struct {
		err        error
		code, text string
	}{
		{BadName("b"), "NetStream.Publish.BadName", "b"},
		{Denied("d"), "NetStream.Publish.Denied", "d"},
		{Rejected("r"), "NetStream.Publish.Rejected", "r"},
		{fmt.Errorf("auth: %w", Rejected("r")), "NetStream.Publish.Rejected", "r"},
		{errors.New("cannot reach 10.0.0.1"), "NetStream.Publish.Rejected", "publishing was refused"},
	} {
		h := newHarness(t, func(cfg *Config) {
			cfg.Authorize = func(context.Context, PublishRequest) (Grant, error) { return Grant{}, c.err }
		})
		e := h.dial(t)
		code, text := e.ask("live", "", "x")
		if code != c.code || text != c.text {
			t.Errorf("answer %s: %s", code, text)
		}
		e.closed()
		h.idle(t)
		if st := h.Stats(); st.Refused[c.code] != 1 || st.Ended[Refused] != 1 {
			t.Errorf("stats %+v", st)
		}
		if len(h.logged("publish refused", "code="+c.code, c.err.Error())) != 1 {
			t.Errorf("%v is not in the log", c.err)
		}
		if len(h.streams) > 0 {
			t.Error("a stream began")
		}
	}
}

// TestAuthorizeIsBounded gives up on an Authorize that takes too long, and
// leaves everybody else alone meanwhile.
func TestAuthorizeIsBounded(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.AuthorizeTimeout = 300 * time.Millisecond
		c.Authorize = func(ctx context.Context, r PublishRequest) (Grant, error) {
			if r.Name.Stream == "slow" {
				<-ctx.Done()
				return Grant{}, ctx.Err()
			}
			return Grant{Name: r.Name}, nil
		}
	})
	slow := h.dial(t)
	answer := make(chan string)
	go func() {
		code, _ := slow.ask("live", "", "slow")
		answer <- code
	}()
	h.encoder(t, "live", "x").frames(1)
	h.stream(t).count(t, 1)
	if code := <-answer; code != "NetStream.Publish.Rejected" {
		t.Errorf("answer %s", code)
	}
}

func TestBusyName(t *testing.T) {
	h := newHarness(t, nil)
	first := h.encoder(t, "live", "x")
	r := h.stream(t)
	second := h.dial(t)
	code, text := second.ask("live", "", "x?key=y")
	if code != "NetStream.Publish.BadName" || text != "live/x is being published already" {
		t.Errorf("answer %s: %s", code, text)
	}
	second.closed()
	first.frames(2)
	r.count(t, 2)
	h.encoder(t, "live", "y")
	h.encoder(t, "other", "x")
}

// TestNameIsFreeAfterEveryEnd publishes the same name again and again.
func TestNameIsFreeAfterEveryEnd(t *testing.T) {
	h := newHarness(t, nil)
	for i, end := range []func(e *encoder){
		func(e *encoder) { e.command(0, "FCUnpublish", 4, nil, "x"); e.reply("_result") },
		func(e *encoder) { e.command(1, "closeStream", 0, nil); e.reply("onStatus") },
		func(e *encoder) { e.command(0, "deleteStream", 4, nil, "1") },
		func(e *encoder) { _ = e.conn.Close() },
		func(e *encoder) { e.reset() },
		func(e *encoder) { e.send([]byte{0xc9, 1, 2, 3}); e.closed() },
		func(e *encoder) { e.frames(1); e.send([]byte{6, 0, 0}); e.reset() },
	} {
		e := h.encoder(t, "live", "x")
		r := h.stream(t)
		end(e)
		r.end(t)
		if t.Failed() {
			t.Fatalf("way %d", i)
		}
	}
}

// TestRaceForAName lets many publish one name at once: one gets it.
func TestRaceForAName(t *testing.T) {
	h := newHarness(t, nil)
	for range 5 {
		const racers = 10
		codes := make(chan string, racers)
		var all sync.WaitGroup
		var encoders [racers]*encoder
		for i := range racers {
			encoders[i] = h.dial(t)
			all.Go(func() {
				code, _ := encoders[i].ask("live", "", "x")
				codes <- code
			})
		}
		all.Wait()
		won := 0
		for range racers {
			if <-codes == "NetStream.Publish.Start" {
				won++
			}
		}
		if won != 1 {
			t.Errorf("%d got the name", won)
		}
		for _, e := range encoders {
			e.reset()
		}
		h.stream(t).end(t)
	}
}

// TestFlapping publishes and breaks 200 times while another stream goes on.
func TestFlapping(t *testing.T) {
	h := newHarness(t, nil)
	steady := h.encoder(t, "live", "steady")
	r := h.stream(t)
	for i := range 200 {
		e := h.encoder(t, "live", "flap")
		e.frames(1)
		flap := h.stream(t)
		flap.count(t, 1)
		e.reset()
		flap.end(t)
		steady.message(6, 9, 1, uint32(i), []byte("steady"))
	}
	r.count(t, 200)
	if st := h.Stats(); st.Publishers != 1 || st.Accepted != 201 {
		t.Errorf("stats %+v", st)
	}
}

// TestBadMedia is a stream that has had enough.
func TestBadMedia(t *testing.T) {
	h := newHarness(t, nil)
	e := h.encoder(t, "live", "x")
	r := h.stream(t)
	r.mu.Lock()
	r.fail = remux.ErrBadMedia
	r.mu.Unlock()
	e.frames(1)
	r.end(t)
	e.closed()
	h.idle(t)
	if len(h.logged("publish ended", "reason=stream", "damaged")) != 1 || h.Stats().Ended[Stream] != 1 {
		t.Error("no word of it")
	}
}

func TestConnectionLimit(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxConnections = 2; c.MaxConnectionsPerAddress = 1 })
	a := h.encoder(t, "live", "a") // loopback has no limit of its own
	h.encoder(t, "live", "b")
	c, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Read(make([]byte, 1)); err == nil {
		t.Error("a third connection is open")
	}
	_ = c.Close()
	if st := h.Stats(); st.OverLimit != 1 || st.Connections != 2 {
		t.Errorf("stats %+v", st)
	}
	h.stream(t)
	a.reset()
	h.streams <- <-h.streams
	for h.Stats().Connections == 2 {
		time.Sleep(time.Millisecond)
	}
	h.encoder(t, "live", "a")
}

// fakeListener gives out connections and errors.
type fakeListener struct {
	results chan any
	closed  chan struct{}
	once    sync.Once
}

func newFakeListener() *fakeListener {
	return &fakeListener{results: make(chan any, 100), closed: make(chan struct{})}
}

func (l *fakeListener) Accept() (net.Conn, error) {
	select {
	case r := <-l.results:
		if err, ok := r.(error); ok {
			return nil, err
		}
		return r.(net.Conn), nil
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *fakeListener) Close() error   { l.once.Do(func() { close(l.closed) }); return nil }
func (l *fakeListener) Addr() net.Addr { return &net.TCPAddr{} }

// fromConn is a connection that says it comes from elsewhere.
type fromConn struct {
	net.Conn
	from string
}

func (c fromConn) RemoteAddr() net.Addr {
	return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(c.from))
}

func TestConnectionLimitPerAddress(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxConnectionsPerAddress = 2 })
	l := newFakeListener()
	done := make(chan error)
	go func() { done <- h.Serve(l) }()
	var open []net.Conn
	connect := func(from string) {
		client, server := net.Pipe()
		open = append(open, client)
		l.results <- fromConn{server, from}
	}
	wait := func(connections int, over uint64) {
		t.Helper()
		for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(time.Millisecond) {
			st := h.Stats()
			if st.Connections == connections && st.OverAddress == over {
				return
			}
			if time.Now().After(deadline) {
				t.Fatalf("stats %+v", st)
			}
		}
	}
	for range 3 {
		connect("192.0.2.1:1000")
	}
	wait(2, 1)
	connect("192.0.2.2:1000")
	connect("[2001:db8::1]:1000")
	connect("[2001:db8::2]:1000")
	wait(5, 1)
	connect("[2001:db8::3]:1000") // the same /64
	connect("[::ffff:192.0.2.1]:1000")
	wait(5, 3)
	connect("[2001:db8:0:1::1]:1000")
	wait(6, 3)
	for _, c := range open {
		_ = c.Close()
	}
	wait(0, 3)
	h.mu.Lock()
	if len(h.addresses) != 0 {
		t.Errorf("%d addresses are remembered", len(h.addresses))
	}
	h.mu.Unlock()
	connect("192.0.2.1:1000")
	wait(1, 3)
	_ = open[len(open)-1].Close()
	_ = h.Shutdown(t.Context())
	if err := <-done; err != ErrServerClosed {
		t.Errorf("Serve returned %v", err)
	}
}

// TestAcceptBacksOff runs out of descriptors, and recovers.
func TestAcceptBacksOff(t *testing.T) {
	h := newHarness(t, nil)
	l := newFakeListener()
	for range 6 {
		l.results <- &net.OpError{Op: "accept", Err: os.NewSyscallError("accept4", syscall.EMFILE)}
	}
	client, server := net.Pipe()
	l.results <- server
	l.results <- errors.New("broken")
	began := time.Now()
	err := h.Serve(l)
	if err == nil || !strings.Contains(err.Error(), "broken") {
		t.Errorf("Serve returned %v", err)
	}
	// 5, 10, 20, 40, 80 and 160 ms
	if d := time.Since(began); d < 300*time.Millisecond || d > 3*time.Second {
		t.Errorf("took %v", d)
	}
	if st := h.Stats(); st.AcceptErrors != 6 || st.Accepted != 1 {
		t.Errorf("stats %+v", st)
	}
	_ = client.Close()
}

func TestBackoff(t *testing.T) {
	var b backoff
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var got []time.Duration
	for range 10 {
		got = append(got, b.next())
		b.sleep(ctx)
	}
	if got[0] != 5*time.Millisecond || got[1] != 10*time.Millisecond || got[9] != time.Second {
		t.Errorf("waits %v", got)
	}
	if b.reset(); b.next() != 5*time.Millisecond {
		t.Error("reset does not")
	}
}

func TestShutdown(t *testing.T) {
	t.Parallel()
	h := newHarness(t, nil)
	e := h.encoder(t, "live", "x")
	r := h.stream(t)
	e.frames(5)
	idle := h.dial(t)
	h.dial(t) // and one that stays silent
	idle.command(0, "connect", 1, nil)
	idle.reply("_result")
	ended := make(chan error)
	go func() { ended <- h.Shutdown(t.Context()) }()
	for _, c := range []*encoder{e, idle} {
		if o := c.reply("onStatus"); o.String("code") != "NetConnection.Connect.Closed" {
			t.Errorf("told %v", o)
		}
		c.closed()
	}
	if err := <-ended; err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if _, closed := r.snapshot(); !closed {
		t.Error("the stream has not been given back")
	}
	if len(h.logged("publish ended", "reason=shutdown")) != 1 || h.Stats().Ended[Shutdown] != 3 {
		t.Errorf("stats %+v", h.Stats())
	}
	if c, err := net.Dial("tcp", h.addr); err == nil {
		t.Error("it still listens")
		_ = c.Close()
	}
	if err := h.Shutdown(t.Context()); err != nil {
		t.Errorf("a second Shutdown: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Serve(l); err != ErrServerClosed {
		t.Errorf("Serve after it: %v", err)
	}
}

// TestShutdownWhileAuthorizing neither waits for the answer nor passes it on:
// the encoder shall come back.
func TestShutdownWhileAuthorizing(t *testing.T) {
	t.Parallel()
	asked := make(chan struct{})
	h := newHarness(t, func(c *Config) {
		c.Authorize = func(ctx context.Context, _ PublishRequest) (Grant, error) {
			close(asked)
			<-ctx.Done()
			return Grant{}, ctx.Err()
		}
	})
	e := h.dial(t)
	answer := make(chan string)
	go func() {
		code, _ := e.ask("live", "", "x")
		answer <- code
		e.closed()
	}()
	<-asked
	if err := h.Shutdown(t.Context()); err != nil {
		t.Errorf("Shutdown: %v", err)
	}
	if code := <-answer; code != "NetConnection.Connect.Closed" {
		t.Errorf("told %s", code)
	}
}

// TestShutdownGivesUp returns when its context is done.
func TestShutdownGivesUp(t *testing.T) {
	release := make(chan struct{})
	asked := make(chan struct{})
	h := newHarness(t, func(c *Config) {
		c.Authorize = func(_ context.Context, r PublishRequest) (Grant, error) {
			close(asked)
			<-release
			return Grant{Name: r.Name}, nil
		}
	})
	e := h.dial(t)
	go e.ask("live", "", "x")
	<-asked
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := h.Shutdown(ctx); err != context.DeadlineExceeded {
		t.Errorf("Shutdown: %v", err)
	}
	close(release)
}

func TestConfig(t *testing.T) {
	if _, err := New(Config{}); err == nil {
		t.Error("no registry, no error")
	}
}

// TestRealRegistry publishes to package remux itself.
func TestRealRegistry(t *testing.T) {
	h := newHarness(t, nil)
	registry := h.config.Registry
	real, err := New(Config{Registry: registry})
	if err != nil {
		t.Fatal(err)
	}
	h.publish = real.publish
	defer func() { _ = real.Shutdown(t.Context()) }()
	e := h.encoder(t, "live", "x")
	if registry.Stream(remux.Name{App: "live", Stream: "x"}) == nil {
		t.Fatal("there is no stream")
	}
	second := h.dial(t)
	if code, _ := second.ask("live", "", "x"); code != "NetStream.Publish.BadName" {
		t.Errorf("the second is told %s", code)
	}
	e.reset()
	second.closed()
	h.idle(t)
	h.encoder(t, "live", "x")
	if len(h.logged("publish ended", "dropped=0")) == 0 {
		t.Error("the end does not say what was dropped")
	}
}

// TestEviction takes streams away from their publishers.
func TestEviction(t *testing.T) {
	for _, c := range []struct {
		name   string
		evict  func(t *testing.T, h *harness)
		code   string
		reason Reason
	}{
		{"takeover", func(t *testing.T, h *harness) { h.encoder(t, "live", "x") }, "NetStream.Publish.BadName", Replaced},
		{"kick", func(_ *testing.T, h *harness) {
			h.config.Registry.Stream(remux.Name{App: "live", Stream: "x"}).Kick()
		}, "NetStream.Publish.Rejected", Kicked},
	} {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, func(cfg *Config) {
				cfg.Takeover = true
				cfg.Authorize = func(_ context.Context, r PublishRequest) (Grant, error) {
					return Grant{Name: r.Name, Proved: true}, nil
				}
			})
			h.publish = func(n remux.Name, claim remux.Claim) (sink, error) { return h.config.Registry.Publish(n, claim) }
			first := h.encoder(t, "live", "x")
			first.frames(10)
			c.evict(t, h)
			if o := first.reply("onStatus"); o.String("code") != c.code || o.String("level") != "error" {
				t.Errorf("told %v", o)
			}
			first.frames(10)
			first.closed()
			for h.Stats().Ended[c.reason] != 1 {
				time.Sleep(time.Millisecond)
			}
			if len(h.logged("publish ended", "reason="+string(c.reason))) != 1 {
				t.Error("no word of it")
			}
			h.encoder(t, "live", "x").frames(1) // again, or for the first time since
		})
	}
}

func TestReasons(t *testing.T) {
	for _, r := range reasons {
		if r == "" {
			t.Error("a reason without a name")
		}
	}
	if got := reasonOf(errors.New("x")); got != Other {
		t.Errorf("got %s", got)
	}
	if got := reasonOf(fmt.Errorf("read: %w", syscall.ECONNRESET)); got != Reset {
		t.Errorf("got %s", got)
	}
}

func TestQuiet(t *testing.T) {
	var q quiet
	now := time.Now()
	logged := 0
	for range 1000 {
		if _, ok := q.allow("a", now); ok {
			logged++
		}
	}
	if logged != quietBurst {
		t.Errorf("%d lines", logged)
	}
	if _, ok := q.allow("b", now); !ok {
		t.Error("another cause is kept quiet too")
	}
	if skipped, ok := q.allow("a", now.Add(time.Second)); !ok || skipped != 1000-quietBurst {
		t.Errorf("later: %d left out, %v", skipped, ok)
	}
}
