package rtmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
	"headwater/scripts/lib/rig"
)

// newClient returns a client of a session.
func newClient(t *testing.T, j *journal, o Options, target Target) (*Client, net.Conn) {
	t.Helper()
	client, server := rig.Connection(t)
	e := NewEngine()
	e.Start(server, j, o)
	t.Cleanup(func() {
		_ = client.Close()
		_ = j.reason(t)
		e.Close()
	})
	return NewClient(client, target, ClientOptions{}), client
}

var toX = Target{App: "live", TcURL: "rtmp://host/live", Name: "x?key=y"}

func TestClientPublishes(t *testing.T) {
	j := newJournal()
	c, conn := newClient(t, j, Options{RelayID: "server"}, Target{App: "live", TcURL: "rtmp://host/live", Name: "x?key=y", Via: []string{"a", "b"}})
	w, err := c.Publish()
	if err != nil {
		t.Fatal(err)
	}
	if c.ServerID() != "server" {
		t.Errorf("the server is %q", c.ServerID())
	}
	read := make(chan error, 1)
	go func() {
		_, err := c.Next()
		read <- err
	}()
	config := &av.Config{Video: track(av.HEVC, 9, hevcHeader), Audio: track(av.AAC, 8, aacHeader)}
	metadata := tagOf(AppendAMF(nil, "onMetaData", Object{{"width", 640}}))
	flv.Seal(metadata, flv.TypeScript, 0)
	key := strings.Repeat("key frame ", 20_000)
	frames := []av.Frame{frame(av.Video, (1<<24)*time.Millisecond, config, key), frame(av.Audio, (1<<24+1)*time.Millisecond, config, "sound")}
	if err := w.send(metadata, frames...); err != nil {
		t.Fatal(err)
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	j.waitEntry(t, "unpublish")
	want := []got{
		{18, 1 << 24, 0, string(flv.Body(metadata))}, {9, 1 << 24, 0, hevcHeader}, {8, 1 << 24, 0, aacHeader},
		{9, 1 << 24, 0, key}, {8, 1<<24 + 1, 0, "sound"},
	}
	j.mu.Lock()
	for i, m := range j.media {
		if i >= len(want) || m != want[i] {
			t.Errorf("message %d: %.60v", i, m)
		}
	}
	if len(j.media) != len(want) {
		t.Errorf("%d messages", len(j.media))
	}
	if r := j.request; r.Name != "x?key=y" || r.Connect.App != "live" || !strings.HasPrefix(r.Connect.FlashVer, "FMLE/") || fmt.Sprint(r.Connect.Via) != "[a b]" {
		t.Errorf("asked for %+v", r)
	}
	j.mu.Unlock()
	_ = conn.Close()
	if err := <-read; err == nil {
		t.Error("reading ended without an error")
	}
}

func TestClientPlays(t *testing.T) {
	j := newJournal()
	config := &av.Config{Video: track(av.H264, 9, avcHeader), Audio: track(av.Opus, 8, opusHeader)}
	key := strings.Repeat("key frame ", 20_000)
	j.view = func(ctx context.Context, to *Player) error {
		if err := to.Ping(); err != nil {
			return err
		}
		return sends(nil, nil, frame(av.Video, 1<<32*time.Millisecond-time.Millisecond, config, key),
			frame(av.Audio, 1<<32*time.Millisecond, config, "sound"), frame(av.Data, 1<<32*time.Millisecond, config, "\x02\x00\x01x"))(ctx, to)
	}
	c, _ := newClient(t, j, Options{}, toX)
	if err := c.Play(); err != nil {
		t.Fatal(err)
	}
	const last = 1<<32 - 1
	for i, want := range []got{
		{9, last, 1, avcHeader}, {8, last, 1, opusHeader}, {9, last, 1, key}, {8, 0, 1, "sound"}, {18, 0, 1, "\x02\x00\x01x"},
	} {
		m, err := c.Next()
		if err != nil {
			t.Fatal(err)
		}
		if g := (got{m.Type, m.Timestamp, m.StreamID, string(m.body())}); g != want {
			t.Errorf("message %d: %.60v", i, g)
		}
	}
	if _, err := c.Next(); err != io.EOF {
		t.Errorf("the end is %v", err)
	}
}

func TestClientIsRefused(t *testing.T) {
	for _, code := range []string{PublishBadName, PublishDenied, PlayNotFound} {
		j := newJournal()
		j.refuse = &Status{code, "because"}
		c, _ := newClient(t, j, Options{}, toX)
		var err error
		if code == PlayNotFound {
			err = c.Play()
		} else {
			_, err = c.Publish()
		}
		if s, ok := errors.AsType[*Status](err); !ok || s.Code != code || s.Description != "because" {
			t.Errorf("%s: %v", code, err)
		}
	}
}

// TestClientNoticesLoops before it says what it wants.
func TestClientNoticesLoops(t *testing.T) {
	j := newJournal()
	c, _ := newClient(t, j, Options{RelayID: "b"}, Target{App: "live", Name: "x", Via: []string{"a", "b"}})
	if _, err := c.Publish(); !errors.Is(err, ErrLoop) {
		t.Errorf("got %v", err)
	}
	if len(j.history()) > 0 {
		t.Errorf("history %q", j.history())
	}
}

// TestClientIsTold: a server that ends it says why.
func TestClientIsTold(t *testing.T) {
	client, server := rig.Connection(t)
	e, j := NewEngine(), newJournal()
	session := e.Start(server, j, Options{})
	defer func() {
		_ = client.Close()
		_ = j.reason(t)
		e.Close()
	}()
	c := NewClient(client, toX, ClientOptions{})
	if _, err := c.Publish(); err != nil {
		t.Fatal(err)
	}
	go session.Stop(errors.New("operator"), Status{PublishRejected, "removed"})
	_, err := c.Next()
	if s, ok := errors.AsType[*Status](err); !ok || *s != (Status{PublishRejected, "removed"}) {
		t.Errorf("told %v", err)
	}
}

// scriptedServer is one that has said everything already.
type scriptedServer struct{ memoryConn }

func newScripted(parts ...any) *scriptedServer {
	hello := append([]byte{rtmpVersion}, make([]byte, 2*handshakeSize)...)
	return &scriptedServer{memoryConn{bytes.NewReader(append(hello, wire(parts...)...))}}
}

func said(stream uint32, values ...any) []byte {
	return appendChunks(nil, 3, typeCommand, stream, 0, AppendAMF(nil, values...), defaultChunkSize)
}

// TestClientWithOtherServers: what servers answer that are not ours.
func TestClientWithOtherServers(t *testing.T) {
	t.Parallel()
	ok := said(0, "_result", 1, Object{{"fmsVer", "FMS/3"}}, Object{{"code", "NetConnection.Connect.Success"}})
	bandwidth := said(0, "onBWDone", 0, nil, 8192)
	created := said(0, "_result", 2, nil, 1)
	start := said(1, "onStatus", 0, nil, Object{{"level", "status"}, {"code", "NetStream.Play.Start"}})
	media := func(typ uint8, body string) []byte {
		return appendChunks(nil, 6, typ, 1, 40, []byte(body), defaultChunkSize)
	}
	video := media(9, "video")
	for _, c := range []struct {
		name  string
		says  []byte
		media string // messages, joined
		err   string
	}{
		{"all in order", wire(ok, bandwidth, created, start, video), "9 video", "EOF"},
		{"media without a status", wire(ok, created, video, start, video), "9 video,9 video", "EOF"},
		{"media before createStream", wire(video, ok, created, start), "", "EOF"},
		{"sample access and metadata", wire(ok, created, start, media(18, string(AppendAMF(nil, "|RtmpSampleAccess", true, true))),
			media(18, string(AppendAMF(nil, "onStatus", Object{{"code", "NetStream.Data.Start"}}))),
			media(18, string(AppendAMF(nil, "@setDataFrame", "onMetaData", nil)))), "18 \x02\x00\nonMetaData\x05", "EOF"},
		{"aggregate", wire(ok, created, start, media(22, string(aggregateOf(got{typ: 9, body: "a"}, got{typ: 8, body: "b"})))), "9 a,8 b", "EOF"},
		{"empty messages", wire(ok, created, start, media(9, ""), video), "9 video", "EOF"},
		{"the end", wire(ok, created, start, video, said(1, "onStatus", 0, nil, Object{{"code", "NetStream.Play.UnpublishNotify"}}), video), "9 video", "EOF"},
		{"an error later", wire(ok, created, start, said(1, "onStatus", 0, nil, Object{{"level", "error"}, {"code", "X"}, {"description", "y"}})), "", "X: y"},
		{"a server that closes", wire(ok, created, start, said(0, "onStatus", 0, nil, Object{{"code", ConnectClosed}, {"description", "bye"}})), "", "Closed: bye"},
		{"close", wire(ok, created, start, said(0, "close", 0, nil)), "", "EOF"},
		{"refused", said(0, "_error", 1, nil, Object{{"level", "error"}, {"code", "NetConnection.Connect.Rejected"}, {"description", "no"}}), "", "connect: NetConnection.Connect.Rejected: no"},
		{"refused without words", said(0, "_error", 1), "", "connect: the server refused"},
		{"no such stream", wire(ok, created, said(1, "onStatus", 0, nil, Object{{"code", PlayNotFound}})), "", "play: " + PlayNotFound},
		{"no stream left", wire(ok, said(0, "_error", 2, nil)), "", "createStream: the server refused"},
		{"silence", nil, "", "unexpected EOF"},
		{"deep values", wire(ok, said(0, "x", 0, Array{Array{Array{Array{Array{Array{Array{Array{Array{Array{Array{Array{Array{Array{Array{Array{Array{Array{}}}}}}}}}}}}}}}}}})), "", "nested too deep"},
		{"too many commands", wire(ok, bytes.Repeat(bandwidth, 2*commandBurst)), "", "too many commands"},
		{"a long answer", wire(ok, appendChunks(nil, 3, typeCommand, 0, 0, make([]byte, maxControl+1), defaultChunkSize)), "", "control message too long"},
		{"a long frame", wire(ok, created, start, "06 000000 ffffff 09 01000000"), "", "media message too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			client := NewClient(newScripted(c.says), toX, ClientOptions{})
			err := client.Play()
			var all []string
			for err == nil {
				var m Message
				if m, err = client.Next(); err == nil {
					all = append(all, fmt.Sprintf("%d %s", m.Type, m.body()))
				}
			}
			if got := strings.Join(all, ","); got != c.media {
				t.Errorf("media %q, want %q", got, c.media)
			}
			if !strings.Contains(err.Error(), c.err) {
				t.Errorf("error %v, want %s", err, c.err)
			}
		})
	}
}

// TestClientDoesNotWaitForEver: for a server that accepts and says nothing, and for
// one that stops sending.
func TestClientDoesNotWaitForEver(t *testing.T) {
	t.Parallel()
	client, _ := rig.Connection(t)
	c := NewClient(client, toX, ClientOptions{Open: 50 * time.Millisecond})
	if _, err := c.Publish(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a server that says nothing: %v", err)
	}
	client, server := rig.Connection(t)
	e := NewEngine()
	j := newJournal()
	e.Start(server, j, Options{})
	defer func() {
		_ = client.Close()
		_ = j.reason(t)
		e.Close()
	}()
	c = NewClient(client, toX, ClientOptions{Idle: 100 * time.Millisecond})
	if err := c.Play(); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Next(); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a server that stops: %v", err)
	}
}

// FuzzClient feeds a client what a server may say.
func FuzzClient(f *testing.F) {
	ok := said(0, "_result", 1, Object{{"fmsVer", "FMS/3"}, {relayID, "x"}}, Object{{"code", connectSuccess}})
	f.Add(false, wire(ok, said(0, "_result", 2, nil, 1), said(1, "onStatus", 0, nil, Object{{"code", playStart}}),
		appendChunks(nil, 6, 9, 1, 1<<25, []byte("video"), 128), appendMessage(nil, 2, header{typ: typeSetChunkSize}, []byte{0, 0, 16, 0}),
		appendMessage(nil, 7, header{typ: typeAggregate}, aggregateOf(got{typ: 9, body: "a"}, got{typ: 18, body: "b"}))))
	f.Add(true, wire(ok, said(0, "_result", 4, nil, 1), said(1, "onStatus", 0, nil, Object{{"code", publishStart}}),
		appendEvent(nil, eventPingRequest, 7), said(0, "onStatus", 0, nil, Object{{"level", "error"}, {"code", PublishBadName}})))
	f.Add(false, wire(ok, said(0, "_error", 2, nil, Object{{"level", "error"}})))
	f.Fuzz(func(t *testing.T, publish bool, b []byte) {
		c := NewClient(newScripted(b), Target{App: "live", Name: "x", Via: []string{"me"}}, ClientOptions{MaxMessage: 1 << 20})
		var err error
		if publish {
			_, err = c.Publish()
		} else {
			err = c.Play()
		}
		messages := 0
		for err == nil {
			var m Message
			if m, err = c.Next(); err != nil {
				break
			}
			if publish {
				t.Fatal("media from a server that is published to")
			}
			if messages++; messages > len(b) {
				t.Fatal("more messages than bytes")
			}
			if m.Type != 8 && m.Type != 9 && m.Type != 18 || m.Tag == nil {
				t.Fatalf("message of type %d", m.Type)
			}
		}
		if limit := len(b)*2 + maxChunkStreams*(firstStep+32); c.in.parked > limit {
			t.Fatalf("%d bytes held for %d", c.in.parked, len(b))
		}
		if strings.Contains(err.Error(), "write") {
			t.Fatalf("ended with %v", err)
		}
	})
}
