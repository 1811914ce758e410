package rtmp

import (
	"bytes"
	"context"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

func FuzzChunkReader(f *testing.F) {
	for _, c := range chunkTests {
		f.Add(c.wire)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c := NewChunkReader(bytes.NewReader(b), nil)
		c.all = &assembly{limit: maxAssembly}
		total := 0
		for {
			m, err := c.ReadMessage()
			if c.parked > len(b)*2+len(c.streams)*(firstStep+32) {
				t.Fatalf("%d bytes held for %d received", c.parked, len(b))
			}
			if err != nil {
				break
			}
			total += len(m.body())
		}
		if total > len(b) {
			t.Fatalf("%d bytes of messages out of %d", total, len(b))
		}
		open := 0
		for _, s := range c.streams {
			open += len(s.tag)
		}
		if all := c.all.held.Load(); open != c.parked || int64(open) != all {
			t.Fatalf("%d bytes held, %d and %d accounted for", open, c.parked, all)
		}
		if c.release(); c.parked != 0 || c.all.held.Load() != 0 {
			t.Fatalf("%d and %d bytes left", c.parked, c.all.held.Load())
		}
	})
}

// memoryConn is a connection whose peer has said everything already, and does
// not care what it is told.
type memoryConn struct{ *bytes.Reader }

func (memoryConn) Write(p []byte) (int, error)      { return len(p), nil }
func (memoryConn) Close() error                     { return nil }
func (memoryConn) LocalAddr() net.Addr              { return nil }
func (memoryConn) RemoteAddr() net.Addr             { return nil }
func (memoryConn) SetDeadline(time.Time) error      { return nil }
func (memoryConn) SetReadDeadline(time.Time) error  { return nil }
func (memoryConn) SetWriteDeadline(time.Time) error { return nil }

// script makes a conversation of fuzzed bytes: each step takes a few of them
// and becomes a message that is nearly right, or just bytes.
type script struct {
	b     []byte
	out   []byte
	chunk int
}

func (s *script) byte() byte {
	if len(s.b) == 0 {
		return 0
	}
	c := s.b[0]
	s.b = s.b[1:]
	return c
}

func (s *script) bytes(n int) []byte {
	n = min(n, len(s.b))
	b := s.b[:n]
	s.b = s.b[n:]
	return b
}

var scriptNames = []string{
	"connect", "createStream", "publish", "play", "releaseStream", "FCPublish", "FCUnpublish",
	"deleteStream", "closeStream", "_checkbw", "_result", "onStatus", "x", "", "play", "getStreamLength", "pause",
}

func (s *script) value() any {
	switch s.byte() % 8 {
	case 0:
		return nil
	case 1:
		return int(s.byte()) - 5
	case 2:
		return string(s.bytes(int(s.byte() % 40)))
	case 3:
		return Object{{"app", string(s.bytes(4))}, {string(s.bytes(3)), Array{1, nil}}}
	case 4:
		return Undefined{}
	case 5:
		return s.byte() > 127
	}
	return "live"
}

func (s *script) message(typ uint8, body []byte) {
	csid := 2 + s.byte()%12
	s.out = appendChunks(s.out, csid, typ, uint32(s.byte()%5), uint32(s.byte())<<(s.byte()%24), body, s.chunk)
}

// step appends the next thing to say.
func (s *script) step() {
	switch op := s.byte() % 12; op {
	case 0, 1, 2, 3:
		body := AppendAMF(nil, scriptNames[int(s.byte())%len(scriptNames)], int(s.byte()), s.value(), s.value(), s.value())
		s.message(typeCommand, body)
	case 4, 5:
		s.message(typeAudio+op%2, s.bytes(int(s.byte())))
	case 6:
		s.message(typeData, AppendAMF(nil, "@setDataFrame", s.value(), s.value()))
	case 7:
		s.message(typeAggregate, aggregateOf(got{typ: s.byte() % 23, body: string(s.bytes(int(s.byte() % 32)))}, got{typ: 9, body: "x"}))
	case 8:
		s.chunk = int(s.byte()) + 1
		s.message(typeSetChunkSize, []byte{0, 0, byte(s.chunk >> 8), byte(s.chunk)})
	case 9:
		s.message(s.byte()%24, s.bytes(int(s.byte()%16)))
	case 10:
		s.out = append(s.out, s.bytes(int(s.byte()%8))...)
	case 11:
		s.out = s.out[:len(s.out)-min(len(s.out), int(s.byte()%4))] // lose bytes
	}
}

// FuzzSession holds whole conversations, go-rtmp included, and checks that the
// Handler's rules hold in each.
func FuzzSession(f *testing.F) {
	f.Add(false, []byte{})
	f.Add(true, []byte{4, 6, 1, 0, 0, 5, 'v', 'i', 'd', 'e', 'o', 0, 6, 9, 0, 0})
	f.Add(true, bytes.Repeat([]byte{0, 2, 3, 0, 6, 6, 3, 1, 0, 0, 0, 6, 1, 0, 0, 0, 3, 1, 0, 0}, 10))
	f.Add(false, bytes.Repeat([]byte{0, 0, 1, 3, 'l', 'i', 'v', 'e', 'a', 'b', 'c', 0, 0, 3, 0, 0, 0, 0, 1, 2, 0, 0, 0, 3, 0, 0, 0}, 6))
	f.Fuzz(func(t *testing.T, publishing bool, b []byte) {
		s := script{b: b, chunk: defaultChunkSize}
		s.out = append([]byte{3}, make([]byte, 2*handshakeSize)...)
		if publishing {
			s.out = appendChunks(s.out, 3, typeCommand, 0, 0, AppendAMF(nil, "connect", 1, Object{{"app", "live"}}), s.chunk)
			s.out = appendChunks(s.out, 3, typeCommand, 0, 0, AppendAMF(nil, "createStream", 2, nil), s.chunk)
			s.out = appendChunks(s.out, 3, typeCommand, 1, 0, AppendAMF(nil, "publish", 3, nil, "x", "live"), s.chunk)
		}
		for len(s.b) > 0 {
			s.step()
		}
		j := newJournal()
		j.view = fuzzView
		fuzzEngine().Start(memoryConn{bytes.NewReader(s.out)}, j, Options{})
		err := j.reason(t)
		if err == nil {
			t.Fatal("the session ended for no reason")
		}
		for _, bad := range []error{errInner, io.ErrNoProgress} {
			if err == bad {
				t.Fatalf("ended with %v", err)
			}
		}
		if strings.Contains(err.Error(), "panic") || strings.Contains(err.Error(), "write to peer") || strings.Contains(err.Error(), "reply:") {
			t.Fatalf("ended with %v", err)
		}
	})
}

// fuzzView sends frames until the peer wants no more.
func fuzzView(ctx context.Context, to *Player) error {
	f := av.Frame{Kind: av.Video, Config: &av.Config{Video: &av.Track{Codec: av.H264}}, Tag: tagOf([]byte("frame"))}
	flv.Seal(f.Tag, flv.TypeVideo, 0)
	for ctx.Err() == nil {
		if err := to.send(nil, f); err != nil {
			return err
		}
		f.DTS += time.Hour
	}
	return nil
}

var sharedEngine *Engine

// fuzzEngine returns one engine for all inputs; TestMain closes it.
func fuzzEngine() *Engine {
	if sharedEngine == nil {
		sharedEngine = NewEngine()
	}
	return sharedEngine
}
