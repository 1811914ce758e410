package rtmp

import (
	"bytes"
	"slices"
	"testing"
)

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
	for typ := uint8(23); typ < 83; typ++ {
		p.message(6, typ, 1, 0, []byte("of an unknown type"))
	}
	p.message(2, typeAck, 0, 0, []byte{0, 0, 0, 1})
	p.message(2, typePeerBandwidth, 0, 0, []byte{0, 0, 0, 1, 2})
	for event := range byte(40) {
		if event != eventPingRequest {
			p.message(2, typeUserControl, 0, 0, []byte{0, event, 0, 0, 0, 1, 0, 0, 0, 2})
		}
	}
	p.media(0)
	// Encoders that do not know of message streams are let through.
	p.message(6, typeVideo, 0, 5, []byte("on stream 0"))
	p.message(6, typeVideo, 7, 6, []byte("on one that is not open"))
	if got := p.media(2); got[0].body != "on stream 0" {
		t.Errorf("got %+v", got)
	}
	if n := p.s.g.ignored.Load(); n < 100 {
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
