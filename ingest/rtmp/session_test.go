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
		"capsEx: 4",
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
		p.want(fmt.Sprintf(`onStatus 0 null {level: "error", code: "NetStream.Publish.BadName", description: "this connection is publishing already"} on %d`, stream))
	}
	p.command(1, "play", 5, nil, "x")
	p.want(`onStatus 0 null {level: "error", code: "NetStream.Play.Failed", description: "RTMP play is not available yet"} on 1`)
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

func TestPlayIsRefused(t *testing.T) {
	for _, stream := range []uint32{1, 0} {
		j := newJournal()
		p := newSession(t, j)
		p.connectTo("live")
		p.command(0, "createStream", 2, nil)
		p.want("_result 2 null 1 on 0")
		p.command(stream, "play", 0, nil, "x", -2000)
		p.want(fmt.Sprintf(`onStatus 0 null {level: "error", code: "NetStream.Play.Failed", description: "RTMP play is not available yet"} on %d`, stream))
		_ = p.conn.Close()
		if err := j.reason(t); err != playUnavailable {
			t.Errorf("ended with %v", err)
		}
	}
}

func TestCommands(t *testing.T) {
	p := newSession(t, newJournal())
	p.connectTo("live")
	for _, c := range []struct{ send, want []any }{
		{[]any{"_checkbw", 5, nil}, []any{"_result", 5, nil, Undefined{}}},
		{[]any{"getStreamLength", 6, nil, "x"}, []any{"_result", 6, nil, Undefined{}}},
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

func TestDataMessages(t *testing.T) {
	meta := AppendAMF(nil, "onMetaData", Object{{"width", 640}})
	meta[13] = amfECMAArray
	ecma := wire(AppendAMF(nil, "onMetaData"), "08 00000001 0001 61 05 000009")
	text := AppendAMF(nil, "onTextData", Object{{"text", "hello"}})
	lists := AppendAMF(nil, "onMetaData", Object{{"times", make(Array, 5000)}})
	cue := AppendAMF(nil, "onCuePoint", Object{})
	for _, c := range []struct {
		name string
		typ  uint8
		body []byte
		want []byte // nil: dropped
	}{
		{"@setDataFrame", typeData, wire(AppendAMF(nil, "@setDataFrame"), ecma), ecma},
		{"bare onMetaData", typeData, ecma, ecma},
		{"onMetaData with an object", typeData, meta, meta},
		{"onTextData", typeData, text, text},
		{"onCuePoint", typeData, cue, cue},
		{"@setDataFrame onTextData", typeData, wire(AppendAMF(nil, "@setDataFrame"), text), text},
		{"AMF 3", typeDataAMF3, wire("00", ecma), ecma},
		{"AMF 3 @setDataFrame", typeDataAMF3, wire("00", AppendAMF(nil, "@setDataFrame"), ecma), ecma},
		{"AMF 3 without its byte", typeDataAMF3, ecma, ecma},
		{"@clearDataFrame", typeData, AppendAMF(nil, "@clearDataFrame", "onMetaData"), nil},
		{"@setDataFrame of nothing", typeData, AppendAMF(nil, "@setDataFrame"), nil},
		{"no name", typeData, AppendAMF(nil, 5), nil},
		{"empty", typeData, nil, nil},
		{"AMF 3 empty", typeDataAMF3, nil, nil},
		{"AMF 3 of nothing", typeDataAMF3, []byte{0}, nil},
		{"AMF 3 indeed", typeDataAMF3, wire("00 11 06 01"), nil},
		{"long lists", typeData, lists, lists},
		{"nested deep", typeData, append(AppendAMF(nil, "onMetaData"), bytes.Repeat(wire("03 0001 61"), 5000)...), nil},
		{"an array that lies", typeData, wire(AppendAMF(nil, "onMetaData"), "0a 7fffffff"), nil},
		{"too long", typeData, append(bytes.Clone(text), make([]byte, maxControl)...), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newSession(t, newJournal())
			p.publish("live", "x")
			p.message(5, c.typ, 1, 123, c.body)
			if c.want == nil {
				p.media(0)
				return
			}
			if got := p.media(1)[0]; got != scriptData(123, c.want) {
				t.Errorf("got %+v, want %q", got, c.want)
			}
		})
	}
}

func scriptData(timestamp uint32, body []byte) got {
	return got{typeData, timestamp, 0, string(body)}
}

// aggregateOf puts FLV tags together.
func aggregateOf(parts ...got) (b []byte) {
	for _, m := range parts {
		n := len(m.body)
		b = append(b, m.typ, byte(n>>16), byte(n>>8), byte(n),
			byte(m.timestamp>>16), byte(m.timestamp>>8), byte(m.timestamp), byte(m.timestamp>>24), 0, 0, 0)
		b = append(b, m.body...)
		b = append(b, 0, 0, 0, byte(n+11))
	}
	return b
}

func TestAggregates(t *testing.T) {
	v := got{9, 1000, 0, "video"}
	a := got{8, 1023, 0, "audio"}
	late := got{9, 0x01000010, 0, "late"}
	for _, c := range []struct {
		name      string
		timestamp uint32
		body      []byte
		want      []got
	}{
		{"times count from the first", 5000, aggregateOf(v, a), []got{{9, 5000, 0, "video"}, {8, 5023, 0, "audio"}}},
		{"the same clock", 1000, aggregateOf(v, a), []got{v, a}},
		{"past 2^24 ms", 0x01000010, aggregateOf(late, late), []got{late, late}},
		{"over the wrap", 0xfffffff0, aggregateOf(v, a), []got{{9, 0xfffffff0, 0, "video"}, {8, 7, 0, "audio"}}},
		{"data", 1000, aggregateOf(v, got{18, 1000, 0, string(AppendAMF(nil, "onTextData", nil))}), []got{v, {18, 1000, 0, string(AppendAMF(nil, "onTextData", nil))}}},
		{"without the last back pointer", 1000, aggregateOf(v, a)[:16+4+16], []got{v, a}},
		{"the second cut", 1000, aggregateOf(v, a)[:16+4+15], []got{v}},
		{"nested", 1000, aggregateOf(v, got{22, 1000, 0, string(aggregateOf(a))}, a), []got{v, a}},
		{"commands inside", 1000, aggregateOf(got{20, 0, 0, string(AppendAMF(nil, "deleteStream", 0, nil, 1))}, v), []got{{9, 2000, 0, "video"}}},
		{"empty parts", 1000, aggregateOf(got{9, 1000, 0, ""}, a), []got{a}},
		{"empty", 1000, nil, nil},
		{"lengths that lie", 1000, bytes.Repeat([]byte{9, 255, 255, 255}, 50), nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newSession(t, newJournal())
			p.publish("live", "x")
			p.send(extendedChunks(6, typeAggregate, 1, c.timestamp, c.body))
			if got := p.media(len(c.want)); !slices.Equal(got, c.want) {
				t.Errorf("got %+v, want %+v", got, c.want)
			}
		})
	}
}

// extendedChunks is appendChunks with the extended timestamp where it is needed.
func extendedChunks(csid, typ uint8, stream, timestamp uint32, body []byte) []byte {
	b := appendChunks(nil, csid, typ, stream, timestamp, body, defaultChunkSize)
	if timestamp < extended {
		return b
	}
	stamp := []byte{byte(timestamp >> 24), byte(timestamp >> 16), byte(timestamp >> 8), byte(timestamp)}
	out := append(bytes.Clone(b[:12]), stamp...)
	for rest := b[12:]; ; {
		n := min(len(rest), defaultChunkSize)
		out = append(out, rest[:n]...)
		if rest = rest[n:]; len(rest) == 0 {
			return out
		}
		out = append(append(out, rest[0]), stamp...)
		rest = rest[1:]
	}
}

// TestTimestamps follows a stream over 2^24 ms and over 2^32 ms.
func TestTimestamps(t *testing.T) {
	p := newSession(t, newJournal())
	p.publish("live", "x")
	body := make([]byte, 300)
	var want []uint32
	for _, at := range []uint32{0, 0xfffffe, 0xffffff, 0x1000000, 0x1000021, 0x7fffffff, 0x80000000, 0xffffffff, 3, 36} {
		p.send(extendedChunks(6, typeVideo, 1, at, body))
		want = append(want, at)
	}
	for i, m := range p.media(len(want)) {
		if m.timestamp != want[i] || len(m.body) != len(body) {
			t.Errorf("message %d: %d bytes at %#x, want %#x", i, len(m.body), m.timestamp, want[i])
		}
	}
}

// TestMediaThatIsDropped must not reach the Handler, nor end the session.
func TestMediaThatIsDropped(t *testing.T) {
	j := newJournal()
	p := newSession(t, j)
	p.message(6, typeVideo, 1, 0, []byte("before connect"))
	p.connectTo("live")
	p.message(6, typeVideo, 1, 0, []byte("before createStream"))
	p.command(0, "createStream", 2, nil)
	p.want("_result 2 null 1 on 0")
	p.message(6, typeVideo, 1, 0, []byte("before publish"))
	p.message(6, typeData, 1, 0, AppendAMF(nil, "onMetaData", nil))
	p.message(6, typeAggregate, 1, 0, aggregateOf(got{9, 0, 0, "x"}))
	p.command(0, "createStream", 3, nil)
	p.want("_result 3 null 2 on 0")
	p.command(1, "publish", 4, nil, "x")
	p.want(started)
	p.message(6, typeVideo, 2, 0, []byte("on another stream"))
	p.message(6, typeData, 2, 0, AppendAMF(nil, "onMetaData", nil))
	p.message(6, typeVideo, 1, 0, nil) // zero length
	for typ := range uint8(255) {
		switch typ {
		case typeSetChunkSize, typeAbort, typeWindowAckSize, typeAudio, typeVideo, typeData, typeDataAMF3, typeCommand, typeCommandAMF3:
		default:
			p.message(6, typ, 1, 0, []byte("of an unknown type"))
		}
	}
	for event := range byte(40) {
		p.message(2, typeUserControl, 0, 0, []byte{0, event})
		if event != eventPingRequest {
			p.message(2, typeUserControl, 0, 0, []byte{0, event, 0, 0, 0, 1, 0, 0, 0, 2})
		}
	}
	p.message(2, typeUserControl, 0, 0, nil)
	p.media(0)
	// Encoders that do not know of message streams are let through.
	p.message(6, typeVideo, 0, 5, []byte("on stream 0"))
	p.message(6, typeVideo, 7, 6, []byte("on one that is not open"))
	if got := p.media(2); got[0].body != "on stream 0" {
		t.Errorf("got %+v", got)
	}
	if n := p.s.g.ignored.Load(); n < 200 {
		t.Errorf("%d messages are counted as ignored", n)
	}
}

// TestAbortInSession drops half a frame.
func TestAbortInSession(t *testing.T) {
	p := newSession(t, newJournal())
	p.publish("live", "x")
	p.send("06 000001 000200 09 01000000", make([]byte, 128))
	p.message(2, typeAbort, 0, 0, []byte{0, 0, 0, 6})
	p.message(6, typeVideo, 1, 2, []byte("whole"))
	if got := p.media(1); got[0].body != "whole" {
		t.Errorf("got %+v", got)
	}
}

// TestChunkSizeBeforeConnect is what OBS does.
func TestChunkSizeBeforeConnect(t *testing.T) {
	p := newSession(t, newJournal())
	p.message(2, typeSetChunkSize, 0, 0, []byte{0, 0, 16, 0})
	p.publish("live", "x")
	p.send(appendChunks(nil, 4, typeVideo, 1, 0, make([]byte, 10_000), 4096))
	p.media(1)
}

func TestAcknowledgements(t *testing.T) {
	for _, c := range []struct {
		name   string
		window []byte // nil: none
		every  int
	}{
		{"of the server's own window", nil, ackWindow / 2},
		{"window of 0", []byte{0, 0, 0, 0}, 64 << 10},
		{"window of 1", []byte{0, 0, 0, 1}, 64 << 10},
		{"window of 200000", []byte{0, 3, 0x0d, 0x40}, 100_000},
		{"window of 2^32-1", []byte{255, 255, 255, 255}, ackWindow / 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			p := newSession(t, newJournal())
			p.publish("live", "x")
			if c.window != nil {
				p.message(2, typeWindowAckSize, 0, 0, c.window)
			}
			const frames, size = 400, 10_000
			go func() {
				b := appendChunks(nil, 6, typeVideo, 1, 0, make([]byte, size), defaultChunkSize)
				for range frames {
					if _, err := p.conn.Write(b); err != nil {
						return
					}
				}
				_, _ = p.conn.Write(wire("02 000000 000006 04 00000000 0006 00000bad"))
			}()
			acks := 0
			for {
				m, err := p.in.ReadMessage()
				if err != nil {
					t.Fatal(err)
				}
				if m.Type == typeUserControl {
					break
				}
				if n, _ := m.control(); m.Type != typeAck || n < uint32(acks*c.every) {
					t.Errorf("got %s after %d acknowledgements", describe(&m), acks)
				}
				acks++
			}
			total := frames * (size + size/128 + 12)
			if low, high := total/(c.every+maxReaderSize+2*size), total/c.every+1; acks < low || acks > high {
				t.Errorf("%d acknowledgements of %d bytes, want %d to %d", acks, total, low, high)
			}
		})
	}
}

func TestPings(t *testing.T) {
	p := newSession(t, newJournal())
	p.connectTo("live")
	p.send("42 000005 000006 04 0006 01020304") // librtmp: type 1 on a chunk stream
	m, err := p.in.ReadMessage()
	if err != nil || describe(&m) != "event 7: 01020304" {
		t.Fatalf("got %s, %v", describe(&m), err)
	}
	for range 150 { // a flood is not worth an answer each
		p.send(wire("02 000000 000006 04 00000000 0006 00000001"))
	}
	p.command(0, "createStream", 9, nil)
	all := p.replies("_result")
	if len(all) > 50 {
		t.Errorf("%d pings answered", len(all)-1)
	}
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
			p.s.Stop(stopped, "good bye")
			p.s.Stop(errors.New("again"), "and again")
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
