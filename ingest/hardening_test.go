package ingest

import (
	"context"
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

// TestHalfOpen has a thousand peers that say nothing, say half, or say it slowly.
func TestHalfOpen(t *testing.T) {
	const peers, within = 1000, 700 * time.Millisecond
	h := shortHarness(t, 0, func(c *Config) { c.HandshakeTimeout, c.MaxConnections = within, 2*peers })
	b := h.bystander(t)
	routines := runtime.NumGoroutine()
	var before runtime.MemStats
	runtime.ReadMemStats(&before)
	began := time.Now()
	hello := append([]byte{3}, make([]byte, 1536)...)
	var all sync.WaitGroup
	for i := range peers {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		all.Go(func() {
			defer func() { _ = conn.Close() }()
			_ = conn.SetDeadline(began.Add(15 * time.Second))
			switch i % 3 {
			case 0:
				_, _ = conn.Write(hello[:i])
			case 1:
				_, _ = conn.Write(hello)
			}
			for j := 0; i%3 == 2; j++ {
				if _, err := conn.Write(hello[j : j+1]); err != nil {
					break
				}
				time.Sleep(100 * time.Millisecond)
			}
			_, _ = io.Copy(io.Discard, conn)
		})
	}
	h.encoder(t, "live", "meanwhile").reset()
	all.Wait()
	if d := time.Since(began); d > within+5*time.Second {
		t.Errorf("all are closed after %v", d)
	}
	b.unharmed()
	if st := h.Stats(); st.Ended[Timeout] != peers {
		t.Errorf("stats %+v", st)
	}
	if n := runtime.NumGoroutine(); n > routines+5 {
		t.Errorf("%d goroutines, %d before", n, routines)
	}
}

// encoderSession is what an encoder sends from the first byte to the last, and where
// its messages begin.
func encoderSession(t *testing.T) (b []byte, messages []int) {
	t.Helper()
	client, server := net.Pipe()
	defer func() { _ = client.Close() }()
	done := make(chan struct{})
	go func() {
		defer close(done)
		for buf := make([]byte, 64<<10); ; {
			n, err := server.Read(buf)
			if err != nil {
				return
			}
			messages = append(messages, len(b))
			b = append(b, buf[:n]...)
		}
	}()
	e := &encoder{t: t, conn: client}
	e.send(append([]byte{3}, make([]byte, 2*1536)...))
	e.message(2, 1, 0, 0, []byte{0, 0xff, 0xff, 0xff})
	e.command(0, "connect", 1, rtmp.Object{{Name: "app", Value: "live"}})
	e.command(0, "createStream", 2, nil)
	e.command(1, "publish", 3, nil, "cut", "live")
	e.video(0, avcHeader)
	for i := range 60 {
		e.video(uint32(i*40), picture(i%25 == 0, 500))
	}
	e.command(0, "FCUnpublish", 4, nil, "cut")
	e.command(0, "deleteStream", 5, nil, 1)
	_ = client.Close()
	<-done
	return b, append(messages, len(b))
}

// TestResetAtEveryPoint breaks an encoder's session at each message and at every 499th
// byte. The name is free at once each time, and in the end nothing is left.
func TestResetAtEveryPoint(t *testing.T) {
	h := shortHarness(t, 0, nil)
	b := h.bystander(t)
	session, cuts := encoderSession(t)
	for at := 0; at < len(session); at += 499 {
		cuts = append(cuts, at)
	}
	for i, at := range cuts {
		conn, err := net.Dial("tcp", h.addr)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := conn.Write(session[:at]); err != nil {
			t.Fatal(err)
		}
		if i%2 == 0 { // let it be read: what has come is lost to a reset
			_ = conn.(*net.TCPConn).CloseWrite()
			_, _ = io.Copy(io.Discard, conn)
		}
		_ = conn.(*net.TCPConn).SetLinger(0)
		_ = conn.Close()
		for began := time.Now(); h.Stats().Connections > 2; time.Sleep(100 * time.Microsecond) {
			if time.Since(began) > 2*time.Second {
				t.Fatalf("cut at %d of %d: it stays", at, len(session))
			}
		}
	}
	b.unharmed()
	st := h.Stats()
	ended := uint64(0)
	for why, n := range st.Ended {
		if why != Closed && why != Reset {
			t.Errorf("%d ended for %s", n, why)
		}
		ended += n
	}
	if ended != st.Accepted-uint64(st.Connections) {
		t.Errorf("%d have ended: %+v", ended, st)
	}
	started, done := len(h.logged("publish started", "name=live/cut")), len(h.logged("publish ended", "name=live/cut"))
	if started == 0 || started != done {
		t.Errorf("%d began, %d ended", started, done)
	}
}

// TestRaceWithTakeover lets encoders with a proof take one name from each other, all
// at once. Each that has been replaced is told so, one has it in the end, and whoever
// it is, its media comes through.
func TestRaceWithTakeover(t *testing.T) {
	h := shortHarness(t, 0, func(c *Config) {
		c.Takeover = true
		c.Authorize = func(_ context.Context, r PublishRequest) (Grant, error) {
			return Grant{Name: r.Name, Proved: true}, nil
		}
	})
	b := h.bystander(t)
	const racers = 20
	replaced := make(chan bool, racers)
	var asking sync.WaitGroup
	var encoders [racers]*encoder
	for i := range racers {
		encoders[i] = h.dial(t)
	}
	for _, e := range encoders {
		asking.Add(1)
		go func() {
			code, text := e.ask("live", "", "race")
			asking.Done()
			var err error
			if code == "NetStream.Publish.Start" {
				var o rtmp.Object
				o, err = e.status()
				code, text = o.String("code"), o.String("description")
			}
			if err == nil && (code != "NetStream.Publish.BadName" || !strings.Contains(text, "taken")) {
				t.Errorf("told %s: %s", code, text)
			}
			replaced <- err == nil
		}()
	}
	asking.Wait()
	for range racers - 1 {
		if !<-replaced {
			t.Error("one was closed without a word")
		}
	}
	stream := h.config.Registry.Stream(remux.Name{App: "live", Stream: "race"})
	for end := time.Now().Add(10 * time.Second); h.Stats().Ended[Replaced] < racers-1 && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	if live, _ := stream.Live(); !live || h.Stats().Publishers != 2 || h.Stats().Ended[Replaced] != racers-1 {
		t.Errorf("live %v, %+v", live, h.Stats())
	}
	for _, e := range encoders {
		e.video(0, avcHeader) // those that are gone do not mind
		for i := range 60 {
			e.video(uint32(i*40), picture(i%25 == 0, 100))
		}
	}
	for end := time.Now().Add(10 * time.Second); stream.Coming() == 0; time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal("nothing comes through")
		}
	}
	for _, e := range encoders {
		e.reset()
	}
	<-replaced
	b.unharmed()
}

// status waits for an onStatus.
func (e *encoder) status() (rtmp.Object, error) {
	for {
		m, err := e.in.ReadMessage()
		if err != nil {
			return nil, err
		}
		values, _ := rtmp.DecodeAMF(m.Tag[11 : len(m.Tag)-4])
		if m.Type == 20 && len(values) > 3 && values[0] == "onStatus" {
			o, _ := values[3].(rtmp.Object)
			return o, nil
		}
	}
}

// TestFlappingStream publishes a name 200 times, each time with a picture or two, and
// breaks. All of it is one stream, whose segments keep their order.
func TestFlappingStream(t *testing.T) {
	h := shortHarness(t, time.Minute, nil)
	b := h.bystander(t)
	var stream *remux.Stream
	last := uint64(0)
	for i := range 200 {
		e := h.encoder(t, "live", "flap")
		e.video(0, avcHeader)
		e.video(0, picture(true, 100))
		e.video(uint32(i*7), picture(false, 100))
		s := h.config.Registry.Stream(remux.Name{App: "live", Stream: "flap"})
		if stream == nil {
			stream = s
		}
		if i%2 == 0 {
			e.reset()
		} else {
			_ = e.conn.Close()
		}
		for { // a name that is taken is refused, and an encoder tries again
			if live, _ := s.Live(); !live {
				break
			}
			time.Sleep(100 * time.Microsecond)
		}
		if s != stream {
			t.Fatal("it has become another stream")
		}
		if n := s.Coming(); n < last {
			t.Fatalf("segment %d after %d", n, last)
		} else {
			last = n
		}
	}
	b.unharmed()
}

// chunk is a message at time 0, in one chunk.
func chunk(csid, typ uint8, stream uint32, body []byte) []byte {
	n := len(body)
	return append([]byte{csid, 0, 0, 0, byte(n >> 16), byte(n >> 8), byte(n), typ, byte(stream), 0, 0, 0}, body...)
}

// TestReplyBacklog has publishers ask and ask without ever reading an answer. What the
// server owes them is bounded, and so is the time for which it puts up with them.
func TestReplyBacklog(t *testing.T) {
	h := shortHarness(t, 0, func(c *Config) { c.WriteTimeout = 300 * time.Millisecond })
	b := h.bystander(t)
	long := strings.Repeat("x", 1000)
	command := func(stream uint32, values ...any) []byte { return chunk(3, 20, stream, rtmp.AppendAMF(nil, values...)) }
	for _, ask := range []func(i int) []byte{
		func(i int) []byte { return command(0, "FCPublish", i, nil, long) },
		func(i int) []byte { return command(1, "publish", i, nil, long) }, // refused: it publishes already
		func(i int) []byte { return command(0, "createStream", i, nil) },
		func(i int) []byte { return chunk(2, 4, 0, []byte{0, 6, 0, 0, 0, byte(i)}) },
		func(int) []byte {
			return append(chunk(2, 5, 0, make([]byte, 4)), chunk(6, 9, 1, picture(false, 200<<10))...)
		},
	} {
		e := h.encoder(t, "live", "mute")
		_ = e.conn.(*net.TCPConn).SetReadBuffer(1)
		began := time.Now()
		_ = e.conn.SetWriteDeadline(began.Add(3 * time.Second))
		for i := range 1000 {
			if _, err := e.conn.Write(ask(i)); err != nil {
				break
			}
		}
		e.reset()
		for h.Stats().Connections > 2 {
			time.Sleep(time.Millisecond)
		}
		if d := time.Since(began); d > 5*time.Second {
			t.Errorf("took %v", d)
		}
	}
	b.unharmed()
}

// TestNamesInTheLog: nothing that a peer calls itself or what it wants breaks a line of
// the log, turns it around or floods it.
func TestNamesInTheLog(t *testing.T) {
	h := shortHarness(t, 0, nil)
	for _, evil := range []string{
		"a\u202eb", "\u2066x\u2069", "\u200bx", "😀", "a\x00b", "a\r\nlevel=ERROR msg=forged", "\x1b[31mred\x1b[0m", "a\x7fb", "a\u0085b", "a\u2028b",
		"a\xff\xfeb", "../../etc/passwd", "%2e%2e/x", `a\b"c`, strings.Repeat("long", 3000), "",
	} {
		for _, ask := range []func(e *encoder) (string, string){
			func(e *encoder) (string, string) { return e.ask("live", "rtmp://h/"+evil, evil) },
			func(e *encoder) (string, string) { return e.ask(evil, evil, "x"+evil) },
			func(e *encoder) (string, string) { return e.askPlay("live", evil) },
			func(e *encoder) (string, string) { return e.askPlay(evil, "x"+evil) },
			func(e *encoder) (string, string) {
				e.message(2, 1, 0, 0, []byte{0, 0xff, 0xff, 0xff})
				e.command(0, "connect", 1, rtmp.Object{{Name: "app", Value: "live"}, {Name: "flashVer", Value: evil}, {Name: "pageUrl", Value: evil}, {Name: "tcUrl", Value: evil}})
				e.reply("_result")
				e.command(0, evil, 2, nil, evil)
				e.command(0, "createStream", 2, nil)
				e.reply("_result")
				e.command(1, "publish", 3, nil, "named", evil)
				return e.reply("onStatus").String("code"), ""
			},
		} {
			e := h.dial(t)
			code, text := ask(e)
			if strings.ContainsAny(text, "\r\n\x00\x1b\u202e\u2066\u2028") || len(text) > 300 {
				t.Errorf("%.20q: told %s %q", evil, code, text)
			}
			e.closed()
			h.idle(t)
		}
	}
	for line := range strings.Lines(h.log.String()) {
		if len(line) > 1000 || !strings.HasPrefix(line, "time=") {
			t.Errorf("a line of %d bytes: %.100q", len(line), line)
		}
		for _, c := range strings.TrimSuffix(line, "\n") {
			if c < ' ' || 0x7f <= c && c < 0xa0 || 0x2000 <= c && c <= 0x206f {
				t.Errorf("%U is in the log: %.200q", c, line)
			}
		}
	}
	if names := h.config.Registry.Streams(); len(names) > 1 {
		t.Errorf("there are streams: %v", names)
	}
}
