package rtmp

import (
	"errors"
	"fmt"
	"io"
	"net"
	"testing"
	"time"
)

// looper replays a slice for ever.
type looper struct {
	b  []byte
	at int
}

func (l *looper) Read(p []byte) (int, error) {
	n := copy(p, l.b[l.at:])
	l.at += n
	if l.at == len(l.b) {
		l.at = 0
	}
	return n, nil
}

// second is one second of a publisher's messages as it is on the wire: 30
// frames of video, one of them large, and 43 of audio.
func second(chunk int) (wire []byte, messages, bytes int) {
	add := func(csid uint8, typ uint8, n int) {
		wire = appendChunks(wire, csid, typ, 1, 0, make([]byte, n), chunk)
		messages++
		bytes += n
	}
	audio := 0
	for i := range 30 {
		n := 22_000
		if i == 0 {
			n = 110_000
		}
		add(6, typeVideo, n)
		for ; audio < (i+1)*43/30; audio++ {
			add(4, typeAudio, 370)
		}
	}
	return wire, messages, bytes
}

// appendChunks appends a message in chunks of the given size, with a header of
// type 0.
func appendChunks(dst []byte, csid, typ uint8, stream, timestamp uint32, body []byte, chunk int) []byte {
	head := min(len(body), chunk)
	at := len(dst)
	dst = appendMessage(dst, csid, header{typ, stream}, body[:head])
	stamp := min(timestamp, extended)
	dst[at+1], dst[at+2], dst[at+3] = byte(stamp>>16), byte(stamp>>8), byte(stamp)
	dst[at+4], dst[at+5], dst[at+6] = byte(len(body)>>16), byte(len(body)>>8), byte(len(body))
	for body = body[head:]; len(body) > 0; body = body[head:] {
		head = min(len(body), chunk)
		dst = append(append(dst, 0xc0|csid), body[:head]...)
	}
	return dst
}

var chunkSizes = []int{128, 4096, 65536}

func BenchmarkChunkReader(b *testing.B) {
	for _, size := range chunkSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			wire, messages, _ := second(size)
			c := NewChunkReader(&looper{b: wire}, nil)
			c.chunkSize = size
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				for range messages {
					if _, err := c.ReadMessage(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(messages), "messages/op")
		})
	}
}

// counter is a Handler that counts.
type counter struct {
	DiscardHandler
	messages, bytes int
}

// DiscardHandler accepts everything and keeps nothing.
type DiscardHandler struct{}

func (DiscardHandler) Publish(Publish) error             { return nil }
func (DiscardHandler) Write(uint8, uint32, []byte) error { return nil }
func (DiscardHandler) Unpublish(error)                   {}
func (DiscardHandler) Closed(error)                      {}
func (DiscardHandler) Play(Play) (View, error)           { return nil, errors.New("no") }

func (c *counter) Write(_ uint8, _ uint32, tag []byte) error {
	c.messages++
	c.bytes += len(tag)
	return nil
}

// loopConn is a connection from which a looper can be read.
type loopConn struct {
	net.Conn
	looper
}

func (c *loopConn) Read(p []byte) (int, error)       { return c.looper.Read(p) }
func (c *loopConn) Write(p []byte) (int, error)      { return len(p), nil }
func (c *loopConn) SetReadDeadline(time.Time) error  { return nil }
func (c *loopConn) SetWriteDeadline(time.Time) error { return nil }
func (c *loopConn) Close() error                     { return nil }

// BenchmarkGuard is the whole way of media through the guard, go-rtmp idle.
func BenchmarkGuard(b *testing.B) {
	for _, size := range chunkSizes {
		b.Run(fmt.Sprint(size), func(b *testing.B) {
			wire, messages, _ := second(size)
			h := &counter{}
			g := newGuard(&loopConn{looper: looper{b: wire}}, h, Options{}.withDefaults())
			g.publish.active, g.publish.stream = true, 1
			g.in.chunkSize, g.in.maxParked = size, maxParked
			b.SetBytes(int64(len(wire)))
			b.ReportAllocs()
			for b.Loop() {
				for end := h.messages + messages; h.messages < end; {
					if err := g.step(); err != nil {
						b.Fatal(err)
					}
				}
			}
			b.ReportMetric(float64(messages), "messages/op")
		})
	}
}

var _ io.Reader = (*looper)(nil)
