package ingest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux"
)

// askPlay goes as far as the first status of a play, which it returns as code and
// text.
func (e *encoder) askPlay(app, name string) (code, description string) {
	e.t.Helper()
	e.message(2, 1, 0, 0, []byte{0, 0xff, 0xff, 0xff})
	e.command(0, "connect", 1, rtmp.Object{
		{Name: "app", Value: app}, {Name: "flashVer", Value: "player 1"}, {Name: "pageUrl", Value: "https://page"},
		{Name: "tcUrl", Value: "rtmp://host/" + app},
	})
	e.reply("_result")
	e.command(0, "createStream", 2, nil)
	e.reply("_result")
	e.command(1, "play", 3, nil, name, -2000)
	o := e.reply("onStatus")
	return o.String("code"), o.String("description")
}

// player plays a stream that is there.
func (h *harness) player(t *testing.T, name string) *encoder {
	t.Helper()
	e := h.dial(t)
	if code, text := e.askPlay("live", name); code != "NetStream.Play.Reset" {
		t.Fatalf("%s: %s", code, text)
	}
	return e
}

// frame waits for the next picture.
func (e *encoder) frame() rtmp.Message {
	e.t.Helper()
	for {
		m, err := e.in.ReadMessage()
		if err != nil {
			e.t.Fatalf("waiting for a picture: %v", err)
		}
		if m.Type == 9 {
			return m
		}
	}
}

// TestPlayRequest: what AuthorizePlay is told, and that PlayDone hears of the end.
func TestPlayRequest(t *testing.T) {
	t.Parallel()
	asked, done := make(chan PlayRequest, 1), make(chan PlayEnd, 1)
	var same PlayRequest
	h := playHarness(t, func(c *Config) {
		c.AuthorizePlay = func(ctx context.Context, r PlayRequest) error {
			if _, ok := ctx.Deadline(); !ok {
				t.Error("no deadline")
			}
			asked <- r
			return nil
		}
		c.PlayDone = func(r PlayRequest, end PlayEnd) { same = r; done <- end }
	})
	b := h.broadcast(t, "x", 0)
	e := h.player(t, "x?token=SECRET&a=b")
	r := <-asked
	if r.Name.String() != "live/x" || r.Player != "player 1" || r.Page != "https://page" || r.Query.Get("token") != "SECRET" ||
		r.Session == 0 || r.Remote.String() != e.conn.LocalAddr().String() {
		t.Errorf("asked for %#v %q %q %v", r, r.Player, r.Page, r.Query)
	}
	if text := fmt.Sprintf("%v %+v %#v", r, r, r); strings.Contains(text, "SECRET") {
		t.Errorf("shows %s", text)
	}
	for range 10 {
		e.frame()
	}
	if st := h.Stats(); st.Players != 1 || st.PlayBytes == 0 || st.PlayFrames < 10 {
		t.Errorf("%+v", st)
	}
	b.stop()
	if o := e.reply("onStatus"); o.String("code") != "NetStream.Play.UnpublishNotify" {
		t.Errorf("then %v", o)
	}
	e.closed()
	end := <-done
	if same.Session != r.Session || end.Reason != Ended || end.Bytes < 1000 || end.Duration <= 0 {
		t.Errorf("%v ended with %+v", same, end)
	}
	h.idle(t)
	if st := h.Stats(); st.Players != 0 || st.PlayBytes != end.Bytes {
		t.Errorf("%+v", st)
	}
	if len(h.logged("play ended", "reason=ended", "name=live/x")) != 1 || strings.Contains(h.log.String(), "SECRET") {
		t.Error("the log is not as it should be")
	}
}

func TestPlayRefused(t *testing.T) {
	var done []PlayEnd
	h := playHarness(t, func(c *Config) {
		c.MaxPlayers = 1
		c.PlayHold = 20 * time.Millisecond
		c.PlayDone = func(_ PlayRequest, end PlayEnd) { done = append(done, end) }
		c.AuthorizePlay = func(_ context.Context, r PlayRequest) error {
			switch r.Name.Stream {
			case "denied":
				return Denied("pay first")
			case "broken":
				return errors.New("secret detail")
			}
			return nil
		}
	})
	for _, c := range []struct{ name, code, text string }{
		{"denied", "NetStream.Play.Failed", "pay first"},
		{"broken", "NetStream.Play.Failed", "playing was refused"},
		{"none", "NetStream.Play.StreamNotFound", "no such stream: live/none"},
		{"../x", "NetStream.Play.StreamNotFound", `stream name: holds '/'; only A-Z a-z 0-9 . _ ~ - are allowed`},
	} {
		e := h.dial(t)
		if code, text := e.askPlay("live", c.name); code != c.code || text != c.text {
			t.Errorf("%s: %s: %s", c.name, code, text)
		}
		e.closed()
	}
	h.idle(t)
	if len(done) != 1 || done[0].Reason != Refused {
		t.Errorf("PlayDone heard %v", done) // of the one that was allowed
	}
	h.broadcast(t, "x", 0)
	first := h.player(t, "x")
	second := h.dial(t)
	if code, text := second.askPlay("live", "x"); code != "NetStream.Play.Failed" || text != "too many players" {
		t.Errorf("%s: %s", code, text)
	}
	first.frame()
	_ = first.conn.Close()
	second.closed()
	h.idle(t)
	h.player(t, "x").frame() // there is room again
	if n := len(h.config.Registry.Streams()); n != 1 {
		t.Errorf("%d streams", n)
	}
	if st := h.Stats(); st.PlayRefused["NetStream.Play.Failed"] != 3 || st.PlayRefused["NetStream.Play.StreamNotFound"] != 2 {
		t.Errorf("%v", st.PlayRefused)
	}
}

// TestPlayBeforePublish: a player that comes early gets the stream, and one more
// than may wait does not.
func TestPlayBeforePublish(t *testing.T) {
	h := playHarness(t, func(c *Config) { c.PlayHold = 20 * time.Second })
	early := h.dial(t)
	got := make(chan string, 1)
	go func() {
		code, _ := early.askPlay("live", "x")
		got <- code
	}()
	for h.holding.Load() == 0 {
		time.Sleep(time.Millisecond)
	}
	h.holding.Add(maxHolding - 1)
	late := h.dial(t)
	if code, _ := late.askPlay("live", "y"); code != "NetStream.Play.StreamNotFound" {
		t.Errorf("one too many is told %s", code)
	}
	h.holding.Add(1 - maxHolding)
	h.broadcast(t, "other", 0) // not the one it waits for
	h.broadcast(t, "x", 0)
	if code := <-got; code != "NetStream.Play.Reset" {
		t.Errorf("it is told %s", code)
	}
	early.frame()
}

// TestPlayOnDemand: who can fetch a stream is asked for one that is not there, and
// is told who asks.
func TestPlayOnDemand(t *testing.T) {
	var h *harness
	var once sync.Once
	h = playHarness(t, func(c *Config) {
		c.Demand = func(ctx context.Context, name remux.Name) *remux.Stream {
			if name.Stream != "far" {
				return nil
			}
			once.Do(func() { h.broadcast(t, name.Stream, 0) })
			if via := rtmp.Via(ctx); len(via) != 0 {
				t.Errorf("via %q", via)
			}
			return h.config.Registry.Stream(name)
		}
	})
	h.player(t, "far").frame()
	h.player(t, "far").frame()
}

// TestShutdownEndsPlayers: they get what there is, and a word.
func TestShutdownEndsPlayers(t *testing.T) {
	h := playHarness(t, func(c *Config) { c.PlayGather = 300 * time.Millisecond })
	h.broadcast(t, "x", 0)
	e := h.player(t, "x")
	e.frame()
	down := make(chan error, 1)
	go func() { down <- h.Shutdown(t.Context()) }()
	if o := e.reply("onStatus"); o.String("code") != "NetStream.Play.UnpublishNotify" || o.String("level") != "status" {
		t.Errorf("told %v", o)
	}
	e.closed()
	if err := <-down; err != nil {
		t.Error(err)
	}
	if len(h.logged("play ended", "reason=shutdown")) != 1 {
		t.Error("no word of it in the log")
	}
}

// TestPlayersThatDoNotRead are closed within bounds, disturb neither the publisher
// nor another player, and leave nothing behind.
func TestPlayersThatDoNotRead(t *testing.T) {
	h := playHarness(t, func(c *Config) {
		c.WriteTimeout = time.Second
		c.PlayGather = 50 * time.Millisecond
	})
	b := h.broadcast(t, "x", 0)
	good := h.player(t, "x")
	good.frame() // all that serves it runs
	before := runtime.NumGoroutine()
	const dead = 20
	for range dead {
		e := h.dial(t)
		_ = e.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		e.askPlay("live", "x")
	}
	var last uint32
	longest := time.Duration(0)
	seen := time.Now()
	for end := time.Now().Add(15 * time.Second); h.Stats().Players > 1; {
		m := good.frame()
		if gap := m.Timestamp - last; last > 0 && gap > 240 { // of the source itself: 200
			t.Errorf("%d ms are missing at %d", gap, m.Timestamp)
		}
		last = m.Timestamp
		longest = max(longest, time.Since(seen))
		if seen = time.Now(); seen.After(end) {
			t.Fatalf("%d players are still there", h.Stats().Players)
		}
	}
	if longest > time.Second {
		t.Errorf("the other player had to wait for %v", longest)
	}
	if n := len(h.logged("play ended", "reason=slow")); n != dead {
		t.Errorf("%d players were too slow", n)
	}
	for end := time.Now().Add(5 * time.Second); runtime.NumGoroutine() > before && time.Now().Before(end); {
		time.Sleep(10 * time.Millisecond)
	}
	if n := runtime.NumGoroutine(); n > before {
		t.Errorf("%d goroutines, %d before", n, before)
	}
	b.stop()
}

// TestPlayersThatDoNotAnswer are closed, are counted as what they are, and disturb none
// that do.
func TestPlayersThatDoNotAnswer(t *testing.T) {
	t.Parallel()
	h := playHarness(t, func(c *Config) { c.PingTimeout = 300 * time.Millisecond })
	h.pingEvery = 400 * time.Millisecond
	b := h.broadcast(t, "x", 0)
	good, mute := h.player(t, "x"), h.player(t, "x")
	go func() { _, _ = io.Copy(io.Discard, mute.conn) }()
	pings := 0
	for end := time.Now().Add(20 * time.Second); pings < 6 || h.Stats().Players > 1; {
		m, err := good.in.ReadMessage()
		if err != nil {
			t.Fatalf("the one that answers: %v", err)
		}
		if body := m.Tag[11:]; m.Type == 4 && body[1] == 6 {
			good.message(2, 4, 0, 0, []byte{0, 7, body[2], body[3], body[4], body[5]})
			pings++
		}
		if time.Now().After(end) {
			t.Fatalf("%d pings, %+v", pings, h.Stats())
		}
	}
	b.stop()
	_ = good.conn.Close()
	h.idle(t)
	if n := h.Stats().Ended[Timeout]; n != 1 {
		t.Errorf("%d ended for not answering", n)
	}
	if len(h.logged("play ended", "reason=timeout")) != 1 || len(h.logged("connection ended", "reason=timeout", "does not answer")) != 1 {
		t.Error("the log does not say so")
	}
}

// TestShedPlayers: when memory is short, of the players who do not read a tenth at a
// time is ended, and nobody who reads.
func TestShedPlayers(t *testing.T) {
	t.Parallel()
	h := playHarness(t, func(c *Config) {
		c.WriteTimeout = time.Minute
		c.PlayGather = 50 * time.Millisecond
		o := remux.DefaultOptions()
		o.MaxLag, o.Reconnect = time.Minute, 0
		c.Registry = remux.NewRegistry(o, nil)
	})
	b := h.broadcast(t, "x", 0)
	good := h.player(t, "x")
	const dead = 12
	for range dead {
		e := h.dial(t)
		_ = e.conn.(*net.TCPConn).SetReadBuffer(4 << 10)
		e.askPlay("live", "x")
	}
	if n := h.Shed(); n != 0 {
		t.Errorf("%d were ended while nobody was behind", n)
	}
	// All have stood still for so long that they are behind.
	stood, since := map[uint64]uint64{}, time.Now()
	for end := time.Now().Add(30 * time.Second); time.Since(since) < 2500*time.Millisecond; good.frame() {
		for _, p := range h.Players()[1:] {
			if p.Frames == 0 || p.Frames != stood[p.Session] {
				stood[p.Session], since = p.Frames, time.Now()
			}
		}
		if len(stood) < dead {
			since = time.Now()
		}
		if time.Now().After(end) {
			t.Fatalf("they go on: %v", stood)
		}
	}
	if n := h.Shed(); n != 2 {
		t.Errorf("of %d that do not read %d were ended, want 2", dead, n)
	}
	for end := time.Now().Add(20 * time.Second); h.Stats().Players > 1; good.frame() {
		h.Shed()
		if time.Now().After(end) {
			t.Fatalf("%d players are there", h.Stats().Players)
		}
	}
	if n := h.Shed(); n != 0 {
		t.Errorf("%d more were ended", n)
	}
	good.frame()
	if n := len(h.logged("play ended", "reason=memory")); n != dead {
		t.Errorf("%d are logged", n)
	}
	b.stop()
	_ = good.conn.Close()
	h.idle(t)
	if n := h.Stats().Ended[Memory]; n != dead {
		t.Errorf("%d are counted: %v", n, h.Stats().Ended)
	}
}

// TestSlowPlayerSkips: one that cannot keep up goes on at a key frame, and the
// second time is closed.
func TestSlowPlayerSkips(t *testing.T) {
	t.Parallel()
	o := remux.DefaultOptions()
	o.MaxLag = time.Second
	h := playHarness(t, func(c *Config) {
		c.Registry = remux.NewRegistry(o, nil)
		c.WriteTimeout = 20 * time.Second
	})
	h.broadcast(t, "x", 0)
	e := h.dial(t)
	_ = e.conn.(*net.TCPConn).SetReadBuffer(128 << 10)
	e.askPlay("live", "x")
	for begun := time.Now(); h.Stats().Players == 0 && time.Since(begun) < 10*time.Second; {
		time.Sleep(time.Millisecond)
	}
	// It reads at a third of the rate.
	buf := make([]byte, 12<<10)
	for end := time.Now().Add(30 * time.Second); h.Stats().Players > 0; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("it is still there: %+v", h.Stats())
		}
		_, _ = e.conn.Read(buf)
	}
	if n := h.Stats().PlaySkips; n != 2 {
		t.Errorf("skipped %d times", n)
	}
	if len(h.logged("play ended", "reason=slow", "skips=2")) != 1 {
		t.Error("not closed for being slow")
	}
}

// TestPingsBetweenBlocks: what a session says while its player is slow does not come in
// the midst of a message, and nothing of the media is lost.
func TestPingsBetweenBlocks(t *testing.T) {
	t.Parallel()
	h := playHarness(t, func(c *Config) { c.PlayGather = 50 * time.Millisecond })
	h.pingEvery = 3 * time.Millisecond
	b := h.broadcast(t, "x", 1<<24-1500) // timestamps change their form in between
	e := h.dial(t)
	_ = e.conn.(*net.TCPConn).SetReadBuffer(128 << 10)
	if code, text := e.askPlay("live", "x"); code != "NetStream.Play.Reset" {
		t.Fatalf("%s: %s", code, text)
	}
	var tags []tag
	pings := 0
	began, paused := time.Now(), false
	for time.Since(began) < 7*time.Second {
		if !paused && time.Since(began) > time.Second {
			paused = true
			time.Sleep(2 * time.Second) // the socket is full then, within a block
		}
		m, err := e.in.ReadMessage()
		if err != nil {
			t.Fatalf("behind %d tags and %d pings: %v", len(tags), pings, err)
		}
		body := m.Tag[11 : len(m.Tag)-4]
		switch {
		case m.Type == 8 || m.Type == 9:
			tags = append(tags, tag{m.Type, m.Timestamp, bytes.Clone(body)})
		case m.Type == 4 && body[1] == 6:
			if pings++; pings%20 == 0 {
				e.message(2, 4, 0, 0, []byte{0, 7, body[2], body[3], body[4], body[5]})
				e.command(0, "getStreamLength", 4, nil, "x") // which is answered
			}
		}
	}
	if pings < 200 || len(tags) < 250 {
		t.Errorf("%d pings and %d tags", pings, len(tags))
	}
	b.check(t, tags, 100, 0)
	b.stop()
}
