package rtmp

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"
	"time"
)

const connected = `{fmsVer: "FMS/3,5,7,7009", capabilities: 31, mode: 1} ` +
	`{level: "status", code: "NetConnection.Connect.Success", description: "Connection succeeded.", objectEncoding: 0} on 0`

func TestConnect(t *testing.T) {
	p := newSession(t, newJournal())
	p.command(0, "connect", 7, Object{{"app", "live"}, {"objectEncoding", 3}})
	got := p.replies("_result")
	want := []string{
		"type 1: 00010000", // before anything that may be longer than a chunk
		"type 5: 002625a0",
		"type 6: 002625a000",
		"event 0: 00000000",
		"_result 7 " + connected,
	}
	if !slices.Equal(got, want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestConnectEnhanced(t *testing.T) {
	p := newSession(t, newJournal())
	p.command(0, "connect", 1, Object{{"app", "live"}, {"fourCcList", Array{"hvc1"}}})
	got := p.reply("_result")
	for _, s := range []string{
		"fourCcList: [avc1 hvc1 av01 vp09 mp4a Opus fLaC ac-3 ec-3 .mp3]",
		"videoFourCcInfoMap: {avc1: 4, hvc1: 4, av01: 4, vp09: 4}",
		"audioFourCcInfoMap: {mp4a: 4, Opus: 4, fLaC: 4, ac-3: 4, ec-3: 4, .mp3: 4}",
		"capsEx: 14",
		"NetConnection.Connect.Success",
	} {
		if !strings.Contains(got, s) {
			t.Errorf("no %s in %s", s, got)
		}
	}
}

// TestOddConnects sends what real and unreal clients put into connect; each is
// accepted, and can publish.
func TestOddConnects(t *testing.T) {
	for _, c := range []struct {
		name string
		body []byte
		app  string
	}{
		{"number where a boolean belongs", AppendAMF(nil, "connect", 1, Object{{"app", "live"}, {"fpad", 0}}), "live"},
		{"undefined members", AppendAMF(nil, "connect", 1, Object{{"app", "live"}, {"swfUrl", Undefined{}}, {"pageUrl", nil}}), "live"},
		{"strings where numbers belong", AppendAMF(nil, "connect", 1, Object{{"app", "live"}, {"capabilities", "many"}, {"audioCodecs", "aac"}}), "live"},
		{"negative and fractional numbers", AppendAMF(nil, "connect", 1, Object{{"app", "live"}, {"objectEncoding", -1}, {"videoCodecs", 0.5}}), "live"},
		{"long strings", wire(AppendAMF(nil, "connect", 1), "03 0003 617070 02 0004 6c697665 0006 737766557269 0c 00000003 616263 000009"), "live"},
		{"invalid UTF-8", wire(AppendAMF(nil, "connect", 1), "03 0003 617070 02 0004 6c697665 0001 78 02 0003 fffe80 000009"), "live"},
		{"ECMA array", wire(AppendAMF(nil, "connect", 1), "08 00000001 0003 617070 02 0004 6c697665 000009"), "live"},
		{"nested objects", AppendAMF(nil, "connect", 1, Object{{"app", "live"}, {"x", Object{{"y", Array{Object{}}}}}}), "live"},
		{"dates, references, XML", wire(AppendAMF(nil, "connect", 1), "03 0003 617070 02 0004 6c697665 0001 61 0b 4000000000000000 0000 0001 62 07 0000 0001 63 0f 00000001 61 000009"), "live"},
		{"more arguments", AppendAMF(nil, "connect", 1, Object{{"app", "live"}}, "user", "password", Object{}), "live"},
		{"cut behind the application", wire(AppendAMF(nil, "connect", 1), "03 0003 617070 02 0004 6c697665 0001"), "live"},
		{"an unknown marker behind the application", wire(AppendAMF(nil, "connect", 1), "03 0003 617070 02 0004 6c697665 0001 61 11 05"), "live"},
		{"application in the URL alone", AppendAMF(nil, "connect", 1, Object{{"tcUrl", "rtmp://h:1935/live"}}), "live"},
		{"application with a query", AppendAMF(nil, "connect", 1, Object{{"app", "live?token=x"}}), "live?token=x"},
		{"quotes in the URL", AppendAMF(nil, "connect", 1, Object{{"app", "live"}, {"tcUrl", `"rtmp://h/live" app="x`}}), "live"},
		{"application is a number", AppendAMF(nil, "connect", 1, Object{{"app", 5}}), ""},
		{"null instead of the object", AppendAMF(nil, "connect", 1, nil), ""},
		{"no object", AppendAMF(nil, "connect", 1), ""},
		{"no transaction", AppendAMF(nil, "connect"), ""},
		{"NaN for a transaction", wire(AppendAMF(nil, "connect"), "00 7ff8000000000001 03 0003 617070 02 0004 6c697665 000009"), "live"},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := newJournal()
			p := newSession(t, j)
			p.message(3, typeCommand, 0, 0, c.body)
			if got := p.reply("_result"); !strings.HasSuffix(got, connected) {
				t.Errorf("got %s", got)
			}
			p.command(0, "createStream", 2, nil)
			p.want("_result 2 null 1 on 0")
			p.command(1, "publish", 3, nil, "x")
			p.want(started)
			if j.request.Connect.App != c.app {
				t.Errorf("application %q", j.request.Connect.App)
			}
		})
	}
}

// TestPublish goes through a whole session as FFmpeg has it.
func TestPublish(t *testing.T) {
	j := newJournal()
	p := newSession(t, j)
	p.connectTo("live")
	p.command(0, "releaseStream", 2, nil, "x")
	p.want("_result 2 null undefined on 0")
	p.command(0, "FCPublish", 3, nil, "x")
	p.want("_result 3 null undefined on 0")
	p.command(0, "createStream", 4, nil)
	p.want("_result 4 null 1 on 0")
	p.command(1, "publish", 5, nil, "x?key=secret", "live")
	p.want(`onFCPublish 0 null {level: "status", code: "NetStream.Publish.Start", description: "Publish succeeded."} on 1`)
	p.want(started)
	p.message(4, typeVideo, 1, 40, []byte("video"))
	p.message(4, typeAudio, 1, 41, []byte("audio"))
	if got, want := p.media(2), []got{{9, 40, 0, "video"}, {8, 41, 0, "audio"}}; !slices.Equal(got, want) {
		t.Errorf("got %+v", got)
	}
	p.command(0, "FCUnpublish", 6, nil, "x")
	p.want(`onStatus 0 null {level: "status", code: "NetStream.Unpublish.Success", description: "unpublished"} on 1`)
	p.want(`onFCUnpublish 0 null {level: "status", code: "NetStream.Unpublish.Success", description: "unpublished"} on 0`)
	p.want("_result 6 null undefined on 0")
	p.command(0, "deleteStream", 7, nil, 1)
	p.sync()
	_ = p.conn.Close()
	if err := j.reason(t); reasonText(err) != "EOF" {
		t.Errorf("ended with %v", err)
	}
	if got, want := j.history(), []string{"publish x?key=secret", "unpublish <nil>"}; !slices.Equal(got, want) {
		t.Errorf("history %q", got)
	}
	if c := j.request.Connect; c.App != "live" || c.FlashVer != "test" || c.TcURL != "rtmp://127.0.0.1/live" {
		t.Errorf("request %+v", j.request)
	}
}

func reasonText(err error) string { return fmt.Sprint(err) }

// TestPublishTypes sends publish in all the forms it comes in.
func TestPublishTypes(t *testing.T) {
	for _, c := range []struct {
		name   string
		stream uint32
		body   []byte
	}{
		{"live", 1, AppendAMF(nil, "publish", 3, nil, "x", "live")},
		{"record", 1, AppendAMF(nil, "publish", 3, nil, "x", "record")},
		{"append", 1, AppendAMF(nil, "publish", 3, nil, "x", "append")},
		{"null", 1, AppendAMF(nil, "publish", 3, nil, "x", nil)},
		{"without a type", 1, AppendAMF(nil, "publish", 3, nil, "x")},
		{"number for a type", 1, AppendAMF(nil, "publish", 3, nil, "x", 5)},
		{"without a transaction id", 1, AppendAMF(nil, "publish", 0, nil, "x", "live")},
		{"undefined for the command object", 1, AppendAMF(nil, "publish", 3, Undefined{}, "x", "live")},
		{"on message stream 0", 0, AppendAMF(nil, "publish", 3, nil, "x", "live")},
		{"on a message stream that nobody made", 5, AppendAMF(nil, "publish", 3, nil, "x", "live")},
		{"on one that cannot be", 1 << 31, AppendAMF(nil, "publish", 3, nil, "x", "live")},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newSession(t, newJournal())
			p.connectTo("live")
			p.command(0, "createStream", 2, nil)
			p.want("_result 2 null 1 on 0")
			p.message(3, typeCommand, c.stream, 0, c.body)
			p.want(strings.Replace(started, "on 1", fmt.Sprint("on ", c.stream), 1))
			p.message(6, typeVideo, c.stream, 1, []byte("video"))
			p.media(1)
			p.command(c.stream, "closeStream", 0, nil)
			p.reply("onStatus")
		})
	}
}

// TestPublishAgain publishes several times on one connection, ending each in
// another way.
func TestPublishAgain(t *testing.T) {
	j := newJournal()
	p := newSession(t, j)
	p.connectTo("live")
	p.command(0, "createStream", 2, nil)
	p.want("_result 2 null 1 on 0")
	var want []string
	for i, end := range []func(){
		func() { p.command(0, "FCUnpublish", 6, nil, "x") },
		func() { p.command(1, "closeStream", 0, nil) },
		func() { p.command(0, "FCUnpublish", 0, nil, "x"); p.command(1, "closeStream", 0, nil) },
		func() {
			p.command(0, "deleteStream", 0, nil, 1)
			p.command(0, "createStream", 2, nil)
			p.want("_result 2 null 1 on 0")
		},
		func() {
			p.command(0, "deleteStream", 0, nil, "1")
			p.command(0, "createStream", 2, nil)
			p.want("_result 2 null 1 on 0")
		},
		func() { p.command(1, "deleteStream", 0, nil); p.command(0, "createStream", 2, nil) },
	} {
		name := fmt.Sprint("x", i)
		p.command(1, "publish", 3, nil, name, "live")
		p.want(started)
		p.message(6, typeVideo, 1, uint32(i), []byte(name))
		p.media(i + 1)
		end()
		p.sync()
		p.message(6, typeVideo, 1, 0, []byte("too late"))
		p.media(i + 1)
		want = append(want, "publish "+name, "unpublish <nil>")
	}
	if got := j.history(); !slices.Equal(got, want) {
		t.Errorf("history %q\nwant %q", got, want)
	}
}

// TestPublishOnStreamsAnew uses other message streams each time, and 0.
func TestPublishOnStreamsAnew(t *testing.T) {
	j := newJournal()
	p := newSession(t, j)
	p.connectTo("live")
	for i := range 6 {
		p.command(0, "createStream", 2, nil)
		p.want(fmt.Sprintf("_result 2 null %d on 0", i+1))
	}
	n := 0
	for _, stream := range []uint32{3, 0, 1, 6, 0, 99, 3, 2} {
		p.command(stream, "publish", 3, nil, "x", "live")
		p.want(strings.Replace(started, "on 1", fmt.Sprint("on ", stream), 1))
		n++
		p.message(6, typeVideo, stream, 0, []byte("v"))
		p.media(n)
		if stream%2 == 0 {
			p.command(0, "FCUnpublish", 0, nil, "x")
			p.reply("onFCUnpublish")
		} else if stream < 9 {
			p.command(0, "deleteStream", 0, nil, int(stream))
			p.command(0, "createStream", 2, nil)
			p.want(fmt.Sprintf("_result 2 null %d on 0", stream))
		} else {
			p.command(stream, "closeStream", 0, nil)
			p.reply("onStatus")
		}
	}
}

// TestSecondPublish must not touch the first.
func TestSecondPublish(t *testing.T) {
	p := newSession(t, newJournal())
	p.publish("live", "x")
	for _, stream := range []uint32{1, 0, 2} {
		p.command(stream, "publish", 4, nil, "y", "live")
		p.want(fmt.Sprintf(`onStatus 0 null {level: "error", code: "NetStream.Publish.BadName", description: "this connection is publishing or playing already"} on %d`, stream))
	}
	p.command(1, "play", 5, nil, "x")
	p.want(`onStatus 0 null {level: "error", code: "NetStream.Play.Failed", description: "this connection is publishing or playing already"} on 1`)
	p.command(0, "connect", 6, Object{{"app", "other"}})
	p.want(`_error 6 null {level: "error", code: "NetConnection.Connect.Failed", description: "this connection is connected already"} on 0`)
	p.message(6, typeVideo, 1, 1, []byte("video"))
	p.media(1)
}

// TestRefusals checks that the answer is there to be read when the server closes.
func TestRefusals(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		err  error
		code string
		text string
	}{
		{&Status{PublishBadName, "no such name"}, PublishBadName, "no such name"},
		{&Status{PublishDenied, "wrong key"}, PublishDenied, "wrong key"},
		{fmt.Errorf("wrapped: %w", &Status{PublishRejected, "later"}), PublishRejected, "later"},
		{errors.New("secret detail"), PublishRejected, "publishing was refused"},
	} {
		j := newJournal()
		j.refuse = c.err
		p := newSession(t, j)
		p.connectTo("live")
		p.command(0, "createStream", 2, nil)
		p.want("_result 2 null 1 on 0")
		p.command(1, "publish", 3, nil, "x", "live")
		// An encoder that does not wait for the answer.
		for range 100 {
			p.message(6, typeVideo, 1, 0, make([]byte, 1000))
		}
		p.want(fmt.Sprintf(`onStatus 0 null {level: "error", code: %q, description: %q} on 1`, c.code, c.text))
		_ = p.conn.(*net.TCPConn).CloseWrite()
		p.eof()
		if err := j.reason(t); err != c.err {
			t.Errorf("ended with %v", err)
		}
		if got := j.history(); !slices.Equal(got, []string{"publish x"}) {
			t.Errorf("history %q", got)
		}
		if len(j.media) > 0 {
			t.Error("media was accepted")
		}
	}
}

func TestCommands(t *testing.T) {
	p := newSession(t, newJournal())
	p.connectTo("live")
	for _, c := range []struct{ send, want []any }{
		{[]any{"_checkbw", 5, nil}, []any{"_result", 5, nil, Undefined{}}},
		{[]any{"getStreamLength", 6, nil, "x"}, []any{"_result", 6, nil, 0}},
		{[]any{"somethingElse", 7}, []any{"_result", 7, nil, Undefined{}}},
		{[]any{"releaseStream", 8, nil}, []any{"_result", 8, nil, Undefined{}}},
		{[]any{"FCPublish", 9, Object{}, 5}, []any{"_result", 9, nil, Undefined{}}},
		{[]any{"FCUnpublish", 10, nil}, []any{"_result", 10, nil, Undefined{}}},
	} {
		p.command(0, c.send...)
		m := Message{Type: typeCommand, Tag: tagOf(AppendAMF(nil, c.want...))}
		p.want(describe(&m))
	}
	// None of these is answered, and none of them hurts.
	for _, c := range [][]any{
		{"somethingElse", 0, nil}, {"_result", 1, nil}, {"_error", 99}, {"onStatus", 0}, {"releaseStream", 0, nil},
		{"deleteStream", 5, nil, 77}, {"deleteStream", 5, nil, -1}, {"deleteStream", 5, nil, "x"}, {"deleteStream", 0, nil, 0},
		{"closeStream", 0, nil}, {}, {5, 5}, {""}, {nil},
	} {
		p.command(0, c...)
	}
	p.sync()
	p.command(0, "createStream", 11, nil)
	p.want("_result 11 null 1 on 0")
}

// TestAMF3Commands are AMF 0 behind one byte.
func TestAMF3Commands(t *testing.T) {
	j := newJournal()
	p := newSession(t, j)
	for i, c := range [][]any{
		{"connect", 1, Object{{"app", "live"}, {"objectEncoding", 3}}},
		{"createStream", 2, nil},
		{"publish", 3, nil, "x", "live"},
	} {
		body := AppendAMF(nil, c...)
		if i != 1 { // and some leave the byte out
			body = append([]byte{0}, body...)
		}
		p.message(3, typeCommandAMF3, uint32(i/2), 0, body)
	}
	p.want("_result 1 " + connected)
	p.want("_result 2 null 1 on 0")
	p.want(started)
	p.message(3, typeCommandAMF3, 0, 0, []byte{0x11, 1, 2, 3}) // real AMF 3
	p.message(3, typeCommandAMF3, 0, 0, nil)
	p.message(4, typeVideo, 1, 1, []byte("video"))
	p.media(1)
}

// TestWriteFails checks that a stream that rejects its media ends the session.
func TestWriteFails(t *testing.T) {
	j := newJournal()
	j.fail = errors.New("no good")
	p := newSession(t, j)
	p.publish("live", "x")
	p.message(6, typeVideo, 1, 0, []byte("video"))
	p.eof()
	if err := j.reason(t); err != j.fail {
		t.Errorf("ended with %v", err)
	}
	if got := j.history(); got[len(got)-1] != "unpublish no good" {
		t.Errorf("history %q", got)
	}
}

// panicky is a Handler with a fault.
type panicky struct {
	*journal
	where string
}

func (p *panicky) Publish(r Publish) error {
	if p.where == "publish" {
		panic("fault")
	}
	return p.journal.Publish(r)
}

func (p *panicky) Write(typ uint8, timestamp uint32, tag []byte) error {
	if p.where == "write" {
		panic("fault")
	}
	return errors.New("end")
}

func (p *panicky) Unpublish(err error) {
	p.journal.Unpublish(err)
	if p.where == "unpublish" {
		panic("fault")
	}
}

// TestPanic ends the session in which it happens and nothing else.
func TestPanic(t *testing.T) {
	t.Parallel()
	for _, where := range []string{"publish", "write", "unpublish"} {
		j := newJournal()
		client, server := net.Pipe()
		e := NewEngine()
		e.Start(server, &panicky{j, where}, Options{})
		p := &peer{t: t, conn: client, j: j, in: NewChunkReader(client, nil)}
		p.handshake()
		go p.eofQuietly()
		p.command(0, "connect", 1, Object{{"app", "live"}})
		p.command(0, "publish", 3, nil, "x", "live")
		p.message(6, typeVideo, 0, 0, []byte("video"))
		var fault *PanicError
		if err := j.reason(t); !errors.As(err, &fault) || fault.Value != "fault" || !bytes.Contains(fault.Stack, []byte("panicky")) {
			t.Errorf("%s: ended with %v", where, err)
		}
		e.Close()
	}
}

func (p *peer) eofQuietly() {
	b := make([]byte, 1000)
	for {
		if _, err := p.conn.Read(b); err != nil {
			return
		}
	}
}

// TestStop ends sessions from outside, in each of their states.
func TestStop(t *testing.T) {
	t.Parallel()
	stopped := errors.New("stopped")
	for _, c := range []struct {
		name  string
		begin func(p *peer)
		told  bool
	}{
		{"before the handshake", func(*peer) {}, false},
		{"after the handshake", func(p *peer) { p.handshake() }, false},
		{"connected", func(p *peer) { p.handshake(); p.connectTo("live") }, true},
		{"publishing", func(p *peer) { p.handshake(); p.publish("live", "x") }, true},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := newJournal()
			p := newPeer(t, j, Options{})
			c.begin(p)
			began := time.Now()
			p.s.Stop(stopped, Status{ConnectClosed, "good bye"})
			p.s.Stop(errors.New("again"), Status{PublishDenied, "and again"})
			if c.told {
				p.want(`onStatus 0 null {level: "status", code: "NetConnection.Connect.Closed", description: "good bye"} on 0`)
			}
			_ = p.conn.(*net.TCPConn).CloseWrite()
			p.eof()
			if err := j.reason(t); err != stopped {
				t.Errorf("ended with %v", err)
			}
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

// TestEngineClosed gives the connection back at once.
func TestEngineClosed(t *testing.T) {
	e := NewEngine()
	e.Close()
	client, server := net.Pipe()
	j := newJournal()
	e.Start(server, j, Options{})
	if err := j.reason(t); !errors.Is(err, net.ErrClosed) {
		t.Errorf("ended with %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); err == nil {
		t.Error("the connection is open")
	}
}
