package rtmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// track returns a track whose header has that body.
func track(codec av.Codec, typ uint8, header string) *av.Track {
	t := &av.Track{Codec: codec}
	if header != "" {
		t.Header = tagOf([]byte(header))
		flv.Seal(t.Header, typ, 77)
	}
	return t
}

func frame(kind av.Kind, at time.Duration, c *av.Config, body string) av.Frame {
	tag := tagOf([]byte(body))
	flv.Seal(tag, map[av.Kind]uint8{av.Video: 9, av.Audio: 8, av.Data: 18}[kind], 0)
	return av.Frame{Kind: kind, DTS: at, Config: c, Tag: tag}
}

const (
	avcHeader  = "\x17\x00\x00\x00\x00avcC"
	aacHeader  = "\xaf\x00\x12\x10"
	hevcHeader = "\x90hvc1hvcC"
	opusHeader = "\x90OpusOpusHead"
)

// played does what a player does and returns the media that it gets.
func (p *peer) play(name string, until int) (media []got) {
	p.t.Helper()
	p.connectTo("live")
	p.command(0, "createStream", 2, nil)
	p.want("_result 2 null 1 on 0")
	p.command(1, "play", 0, nil, name, -2000)
	p.wantStart(1)
	for range until {
		m, err := p.in.ReadMessage()
		if err != nil {
			p.t.Fatalf("after %d messages: %v", len(media), err)
		}
		media = append(media, got{m.Type, m.Timestamp, m.StreamID, string(m.body())})
	}
	return media
}

// wantStart checks what comes before the first frame.
func (p *peer) wantStart(stream int) {
	p.t.Helper()
	m := func(values ...any) string {
		return fmt.Sprintf("type %d: %x", typeData, AppendAMF(nil, values...))
	}
	want := []string{
		fmt.Sprintf("event 0: %08x", stream),
		fmt.Sprintf(`onStatus 0 null {level: "status", code: "NetStream.Play.Reset", description: "playing from the live edge"} on %d`, stream),
		fmt.Sprintf(`onStatus 0 null {level: "status", code: "NetStream.Play.Start", description: "playing"} on %d`, stream),
		m("|RtmpSampleAccess", true, true),
		m("onStatus", Object{{"code", "NetStream.Data.Start"}}),
	}
	for _, w := range want {
		m, err := p.in.ReadMessage()
		if err != nil {
			p.t.Fatalf("waiting for %s: %v", w, err)
		}
		if got := describe(&m); got != w {
			p.t.Fatalf("got\n%s, want\n%s", got, w)
		}
	}
}

// chunks returns what a peer of a Format is sent that gets these frames from their
// beginning.
func chunks(f Format, metadata []byte, frames ...av.Frame) (out []byte, err error) {
	p := f.Packer(func() []byte { return metadata })
	var config *av.Config
	for _, fr := range frames {
		if fr.Config != config {
			out = append(out, p.Headers(config, fr.Config, fr.DTS)...)
			config = fr.Config
		}
		if out, err = p.Append(out, []av.Frame{fr}, false); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// sends returns a View that sends frames and returns err.
func sends(err error, metadata []byte, frames ...av.Frame) View {
	return func(_ context.Context, to *Player) error {
		if err := to.send(metadata, frames...); err != nil {
			return err
		}
		return err
	}
}

func (w *MediaWriter) send(metadata []byte, frames ...av.Frame) error {
	b, err := chunks(w.Format(), metadata, frames...)
	if err != nil {
		return err
	}
	return w.Send(net.Buffers{b})
}

func TestPlay(t *testing.T) {
	c := &av.Config{Video: track(av.H264, 9, avcHeader), Audio: track(av.AAC, 8, aacHeader)}
	second := &av.Config{Video: track(av.H264, 9, avcHeader+"2"), Audio: c.Audio}
	key := strings.Repeat("key frame ", 20_000) // four chunks
	late := 1<<24*time.Millisecond - 40*time.Millisecond
	metadata := tagOf(AppendAMF(nil, "onMetaData", Object{{"width", 640}}))
	flv.Seal(metadata, flv.TypeScript, 0)
	end := frame(av.Data, late+42*time.Millisecond, second, "\x17\x02\x00\x00\x00") // the end of a sequence is data to us
	flv.Seal(end.Tag, flv.TypeVideo, 0)
	j := newJournal()
	j.view = sends(nil, metadata,
		frame(av.Video, late, c, key), frame(av.Audio, late+10*time.Millisecond, c, "sound"),
		frame(av.Data, late+11*time.Millisecond, c, "text"),
		frame(av.Video, late+40*time.Millisecond, c, key), frame(av.Audio, late+41*time.Millisecond, second, "more sound"),
		end,
		frame(av.Video, (1<<32+5)*time.Millisecond, second, "wrapped"))
	p := newSession(t, j)
	media := p.play("x?token=y", 11)
	const at, far = 1<<24 - 40, 1 << 24
	want := []got{
		{18, at, 1, string(flv.Body(metadata))}, {9, at, 1, avcHeader}, {8, at, 1, aacHeader}, {9, at, 1, key}, {8, at + 10, 1, "sound"},
		{18, at + 11, 1, "text"},
		{9, far, 1, key}, {9, far + 1, 1, avcHeader + "2"}, {8, far + 1, 1, "more sound"}, {9, far + 2, 1, "\x17\x02\x00\x00\x00"},
		{9, 5, 1, "wrapped"},
	}
	for i := range want {
		if media[i] != want[i] {
			t.Errorf("message %d: %.60v, want %.60v", i, media[i], want[i])
		}
	}
	p.want(`onStatus 0 null {level: "status", code: "NetStream.Play.UnpublishNotify", description: "the stream has ended"} on 1`)
	if m, err := p.in.ReadMessage(); err != nil || describe(&m) != "event 1: 00000001" {
		t.Errorf("then %s, %v", describe(&m), err)
	}
	_ = p.conn.(*net.TCPConn).CloseWrite()
	p.eof()
	if err := j.reason(t); err != ErrPlayed {
		t.Errorf("ended with %v", err)
	}
	if got := j.history(); !slices.Equal(got, []string{"play x?token=y", "played <nil>: <nil>"}) {
		t.Errorf("history %q", got)
	}
}

// TestPlayWire looks at the bytes: an extended timestamp is in every chunk.
func TestPlayWire(t *testing.T) {
	body := bytes.Repeat([]byte{7}, outerChunkSize+3)
	out := appendMedia(nil, 6, Message{Type: 9, Timestamp: 0x01020304, StreamID: 1}, body)
	out = appendMedia(out, 4, Message{Type: 8, Timestamp: 0xfffffe, StreamID: 1}, []byte{1})
	out = appendMedia(out, 4, Message{Type: 8, Timestamp: 0xffffff, StreamID: 1}, nil)
	want := wire("06 ffffff 010003 09 01000000 01020304", body[:outerChunkSize], "c6 01020304", body[:3],
		"04 fffffe 000001 08 01000000 01", "04 ffffff 000000 08 01000000 00ffffff")
	if !bytes.Equal(out, want) {
		t.Errorf("%d bytes, want %d", len(out), len(want))
	}
}

// TestPlayOnlyWhatIsListed: tracks of Enhanced RTMP go to players that list them,
// or list nothing.
func TestPlayOnlyWhatIsListed(t *testing.T) {
	list := func(codecs ...any) Member { return Member{"fourCcList", Array(codecs)} }
	hevc := &av.Config{Video: track(av.HEVC, 9, hevcHeader), Audio: track(av.AAC, 8, aacHeader)}
	opus := &av.Config{Video: track(av.H264, 9, avcHeader), Audio: track(av.Opus, 8, opusHeader)}
	both := &av.Config{Video: track(av.HEVC, 9, hevcHeader), Audio: track(av.Opus, 8, opusHeader)}
	legacy := &av.Config{Video: track(av.HEVC, 9, "\x1c\x00\x00\x00\x00hvcC")}
	mp3 := &av.Config{Video: track(av.AV1, 9, "\x90av01av1C"), Audio: track(av.MP3, 8, "")}
	ac3 := &av.Config{Video: track(av.H264, 9, "\x90avc1avcC"), Audio: track(av.AC3, 8, "")}
	for _, c := range []struct {
		name         string
		config       *av.Config
		connect      Object
		video, audio bool
	}{
		{"nothing listed", both, nil, true, true},
		{"capsEx alone", both, Object{{"capsEx", 15}}, true, true},
		{"listed", hevc, Object{list("hvc1", "av01")}, true, true},
		{"not listed", hevc, Object{list("av01")}, false, true},
		{"empty list", hevc, Object{list()}, false, true},
		{"audio not listed", opus, Object{list("hvc1")}, true, false},
		{"neither", both, Object{list("av01")}, false, false},
		{"all", both, Object{list("*")}, true, true},
		{"decodes", both, Object{{"videoFourCcInfoMap", Object{{"hvc1", 1}}}, {"audioFourCcInfoMap", Object{{"Opus", 4}}}}, true, true},
		{"encodes only", both, Object{{"videoFourCcInfoMap", Object{{"hvc1", 2}}}, {"audioFourCcInfoMap", Object{{"*", 1}}}}, true, true},
		{"encodes one only", both, Object{{"videoFourCcInfoMap", Object{{"hvc1", 2}}}, {"audioFourCcInfoMap", Object{{"Opus", 1}}}}, false, true},
		{"HEVC in the old form", legacy, Object{list("av01")}, true, false},
		{"MP3", mp3, Object{list("vp09")}, false, true},
		{"without headers", ac3, Object{list("avc1")}, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			cmd, _, err := parseCommand(AppendAMF(nil, "connect", 1, append(Object{{"app", "live"}}, c.connect...)), 0)
			if err != nil {
				t.Fatal(err)
			}
			con := cmd.connect()
			sent, err := chunks(newFormat(1, con.accepts), nil, frame(av.Video, 0, c.config, "video"), frame(av.Audio, 0, c.config, "audio"))
			if s, ok := errors.AsType[*Status](err); (ok && s.Code == PlayNoTrack) != (!c.video && !c.audio) {
				t.Fatalf("error %v", err)
			}
			has := func(body string) bool { return bytes.Contains(sent, []byte("\x01\x00\x00\x00"+body)) }
			if v, a := has("video"), has("audio"); v != c.video || a != c.audio {
				t.Errorf("video %v, audio %v", v, a)
			}
			for _, t2 := range []struct {
				track *av.Track
				sent  bool
			}{{c.config.Video, c.video}, {c.config.Audio, c.audio}} {
				if t2.track != nil && t2.track.Header != nil && has(string(flv.Body(t2.track.Header))) != t2.sent {
					t.Errorf("header of %v: sent %v", t2.track.Codec, !t2.sent)
				}
			}
		})
	}
}

func TestPlayRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err        error
		code, text string
	}{
		{&Status{PlayNotFound, "no such stream"}, PlayNotFound, "no such stream"},
		{fmt.Errorf("wrapped: %w", &Status{PlayFailed, "later"}), PlayFailed, "later"},
		{errors.New("secret detail"), PlayFailed, "playing was refused"},
	} {
		for _, stream := range []uint32{1, 0} {
			j := newJournal()
			j.refuse = c.err
			p := newSession(t, j)
			p.connectTo("live")
			p.command(0, "createStream", 2, nil)
			p.want("_result 2 null 1 on 0")
			p.command(stream, "play", 0, nil, "x", -2000)
			p.want(fmt.Sprintf(`onStatus 0 null {level: "error", code: %q, description: %q} on %d`, c.code, c.text, stream))
			_ = p.conn.(*net.TCPConn).CloseWrite()
			p.eof()
			if err := j.reason(t); err != c.err {
				t.Errorf("ended with %v", err)
			}
		}
	}
}

// TestPlayerStaysAndLeaves goes through all that a player may say, and each way in
// which it may leave.
func TestPlayerStaysAndLeaves(t *testing.T) {
	t.Parallel()
	harmless := [][]any{
		{"pause", 0, nil, true, 100}, {"pauseRaw", 0, nil, true}, {"seek", 0, nil, 5000}, {"receiveAudio", 0, nil, false},
		{"receiveVideo", 0, nil, false}, {"play2", 0, nil, Object{}}, {"FCSubscribe", 0, nil, "x"}, {"closeStream", 0, nil, 7},
		{"deleteStream", 0, nil, 5},
	}
	for _, c := range []struct {
		name  string
		leave func(p *peer)
		cause string
	}{
		{"closed", func(p *peer) { _ = p.conn.Close() }, "EOF"},
		{"reset", func(p *peer) { _ = p.conn.(*net.TCPConn).SetLinger(0); _ = p.conn.Close() }, "connection reset by peer"},
		{"deleted", func(p *peer) { p.command(0, "deleteStream", 0, nil, 1) }, ErrUnplayed.Error()},
		{"closeStream", func(p *peer) { p.command(1, "closeStream", 0, nil) }, ErrUnplayed.Error()},
		{"stopped", func(p *peer) { p.s.Stop(errors.New("operator"), Status{PlayEnded, "operator"}) }, "operator"},
		{"too much", func(p *peer) {
			for range 2 * chatterBurst {
				p.message(2, typeAck, 0, 0, []byte{0, 0, 0, 1})
			}
		}, "too many messages from a player"},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			j := newJournal()
			p := newSession(t, j)
			p.play("x", 0)
			for _, cmd := range harmless {
				if cmd[0] == "closeStream" {
					p.command(0, cmd...)
				} else {
					p.command(1, cmd...)
				}
			}
			p.message(2, typeUserControl, 0, 0, []byte{0, eventBufferLength, 0, 0, 0, 1, 0, 0, 1, 0})
			p.message(2, typeUserControl, 0, 0, []byte{0, eventPingRequest, 0, 0, 0, 1})
			p.message(6, typeVideo, 1, 0, []byte("media of a player"))
			p.command(0, "getStreamLength", 4, nil, "x")
			p.want("_result 4 null 0 on 0")
			p.command(1, "play", 0, nil, "y")
			p.want(`onStatus 0 null {level: "error", code: "NetStream.Play.Failed", description: "this connection is publishing or playing already"} on 1`)
			p.command(1, "publish", 0, nil, "y")
			p.want(`onStatus 0 null {level: "error", code: "NetStream.Publish.BadName", description: "this connection is publishing or playing already"} on 1`)
			p.sync()
			if got := j.history(); !slices.Equal(got, []string{"play x"}) {
				t.Fatalf("history %q", got)
			}
			c.leave(p)
			j.waitEntry(t, "played")
			if got := j.history(); len(got) != 2 || !strings.Contains(got[1], c.cause) {
				t.Errorf("history %q, want %s", got, c.cause)
			}
		})
	}
}

// waitEntry waits for an entry that begins so.
func (j *journal) waitEntry(t *testing.T, prefix string) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); time.Sleep(time.Millisecond) {
		if slices.ContainsFunc(j.history(), func(s string) bool { return strings.HasPrefix(s, prefix) }) {
			return
		}
	}
	t.Fatalf("no %s in %q", prefix, j.history())
}

// TestPlayAgain: one connection plays, plays again, publishes and plays.
func TestPlayAgain(t *testing.T) {
	j := newJournal()
	p := newSession(t, j)
	p.connectTo("live")
	p.command(0, "createStream", 2, nil)
	p.want("_result 2 null 1 on 0")
	for i := range 3 {
		p.command(1, "play", 0, nil, fmt.Sprint("x", i))
		p.wantStart(1)
		p.command(1, "closeStream", 0, nil)
	}
	p.command(1, "publish", 3, nil, "y", "live")
	p.want(started)
	p.command(1, "closeStream", 0, nil)
	p.reply("onStatus")
	p.command(1, "play", 0, nil, "z")
	p.wantStart(1)
	p.sync()
	if got := j.history(); len(got) != 9 || got[8] != "play z" {
		t.Errorf("history %q", got)
	}
}

// TestPlayerThatDoesNotRead is closed when it has taken nothing for a while.
func TestPlayerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	j := newJournal()
	c := &av.Config{Video: track(av.H264, 9, avcHeader)}
	body := string(make([]byte, 1<<20))
	var failure error
	j.view = func(ctx context.Context, to *Player) error {
		to.LimitBuffer(64 << 10)
		for i := range 1000 {
			if failure = to.send(nil, frame(av.Video, time.Duration(i)*time.Second, c, body)); failure != nil {
				return failure
			}
		}
		return nil
	}
	p := newPeer(t, j, Options{Write: 200 * time.Millisecond})
	p.handshake()
	p.play("x", 1)
	err := j.reason(t)
	var stuck *writeError
	if !errors.As(err, &stuck) || !errors.As(failure, &stuck) {
		t.Errorf("the session ended with %v, the view with %v", err, failure)
	}
}

// TestPlayPing: a silent stream still says that the connection lives.
func TestPlayPing(t *testing.T) {
	j := newJournal()
	j.view = func(ctx context.Context, to *Player) error {
		if err := to.Ping(); err != nil {
			return err
		}
		<-ctx.Done()
		return nil
	}
	p := newSession(t, j)
	media := p.play("x", 1)
	if media[0].typ != typeUserControl || !strings.HasPrefix(media[0].body, "\x00\x06") {
		t.Errorf("got %v", media[0])
	}
	p.message(2, typeUserControl, 0, 0, append([]byte{0, eventPingResponse}, media[0].body[2:]...))
	p.sync()
}

// TestPlayersAnswer: whatever a player says after a ping answers it; one that says
// nothing is closed when its time is over.
func TestPlayersAnswer(t *testing.T) {
	pong := func(ping got) []byte { return append([]byte{0, eventPingResponse}, ping.body[2:]...) }
	for name, c := range map[string]struct {
		answer func(p *peer, ping got)
		within time.Duration // of the first ping; 0: it stays
	}{
		"pong":            {func(p *peer, ping got) { p.message(2, typeUserControl, 0, 0, pong(ping)) }, 0},
		"acknowledgement": {func(p *peer, _ got) { p.message(2, typeAck, 0, 0, []byte{0, 0, 0, 9}) }, 0},
		"late": {func(p *peer, ping got) {
			time.Sleep(9 * time.Second)
			p.message(2, typeUserControl, 0, 0, pong(ping))
		}, 0},
		"nothing": {func(*peer, got) {}, 11 * time.Second},
	} {
		synctest.Test(t, func(t *testing.T) {
			j := newJournal()
			j.view = func(ctx context.Context, to *Player) error {
				for ctx.Err() == nil {
					if err := to.Ping(); err != nil {
						return err
					}
					select {
					case <-time.After(15 * time.Second):
					case <-ctx.Done():
					}
				}
				return nil
			}
			p, end := newPipe(t, j, Options{})
			defer end()
			p.connected()
			p.command(0, "createStream", 2, nil)
			p.reply("_result")
			p.command(1, "play", 0, nil, "x")
			began, pings := time.Now(), 0
			for time.Since(began) < time.Minute {
				m, err := p.in.ReadMessage()
				if err != nil {
					break
				}
				if b := m.body(); m.Type == typeUserControl && b[1] == eventPingRequest {
					if pings == 0 {
						began = time.Now()
					}
					pings++
					c.answer(p, got{body: string(b)})
				}
			}
			lasted := time.Since(began)
			if c.within == 0 {
				if pings < 4 {
					t.Errorf("%s: closed after %v and %d pings: %v", name, lasted, pings, j.reason(t))
				}
				return
			}
			if err := j.reason(t); !errors.Is(err, ErrUnanswered) || lasted < c.within-time.Second || lasted > c.within {
				t.Errorf("%s: closed after %v: %v", name, lasted, err)
			}
		})
	}
}

// TestPlayPanic ends the session and nothing else.
func TestPlayPanic(t *testing.T) {
	j := newJournal()
	j.view = func(context.Context, *Player) error { panic("oh") }
	p := newSession(t, j)
	p.play("x", 0)
	p.eof()
	var panicked *PanicError
	if err := j.reason(t); !errors.As(err, &panicked) {
		t.Errorf("ended with %v", err)
	}
}

// TestRelayNames: a relay is told whom it has reached, others are not.
func TestRelayNames(t *testing.T) {
	for via, want := range map[string]string{"a,b": "me", "": ""} {
		j := newJournal()
		p := newPeer(t, j, Options{RelayID: "me"})
		p.handshake()
		o := Object{{"app", "live"}}
		if via != "" {
			o = append(o, Member{relayVia, via})
		}
		p.command(0, "connect", 1, o)
		if got := p.reply("_result"); strings.Contains(got, `headwaterId: "me"`) != (want != "") {
			t.Errorf("via %q: %s", via, got)
		}
		p.command(0, "createStream", 2, nil)
		p.command(1, "play", 0, nil, "x")
		p.reply("onStatus")
		j.mu.Lock()
		if got := strings.Join(j.played.Connect.Via, ","); got != via {
			t.Errorf("via %q is taken for %q", via, got)
		}
		j.mu.Unlock()
	}
}
