package ingest

import (
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"strings"
	"testing"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux/flv"
)

// encoder is a publisher under a test's control.
type encoder struct {
	t    *testing.T
	conn net.Conn
	in   *rtmp.ChunkReader
}

// dial connects and does the handshake.
func (h *harness) dial(t *testing.T) *encoder {
	t.Helper()
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	return h.greet(t, conn)
}

// greet does the handshake on a connection.
func (h *harness) greet(t *testing.T, conn net.Conn) *encoder {
	t.Helper()
	t.Cleanup(func() { _ = conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	e := &encoder{t: t, conn: conn}
	hello := make([]byte, 1+1536)
	hello[0] = 3
	e.send(hello)
	answer := make([]byte, 1+2*1536)
	if _, err := io.ReadFull(conn, answer); err != nil {
		t.Fatalf("handshake: %v", err)
	}
	e.send(answer[1 : 1+1536])
	e.in = rtmp.NewChunkReader(conn, nil)
	return e
}

func (e *encoder) send(b []byte) {
	e.t.Helper()
	if _, err := e.conn.Write(b); err != nil {
		e.t.Logf("send: %v", err)
	}
}

// message sends a message of less than 128 bytes, or any once the chunk size
// has been raised.
func (e *encoder) message(csid, typ uint8, stream, timestamp uint32, body []byte) {
	e.t.Helper()
	n := len(body)
	b := []byte{csid, byte(timestamp >> 16), byte(timestamp >> 8), byte(timestamp), byte(n >> 16), byte(n >> 8), byte(n), typ}
	b = binary.LittleEndian.AppendUint32(b, stream)
	e.send(append(b, body...))
}

func (e *encoder) command(stream uint32, values ...any) {
	e.t.Helper()
	e.message(3, 20, stream, 0, rtmp.AppendAMF(nil, values...))
}

// reply waits for a command of that name and returns its last value.
func (e *encoder) reply(name string) rtmp.Object {
	e.t.Helper()
	for {
		m, err := e.in.ReadMessage()
		if err != nil {
			e.t.Fatalf("waiting for %s: %v", name, err)
		}
		if m.Type != 20 {
			continue
		}
		values, err := rtmp.DecodeAMF(flv.Body(m.Tag))
		if err != nil {
			e.t.Fatal(err)
		}
		if values[0] == name {
			o, _ := values[len(values)-1].(rtmp.Object)
			return o
		}
	}
}

// ask goes as far as the answer to publish, which it returns as code and text.
func (e *encoder) ask(app, tcURL, name string) (code, description string) {
	e.t.Helper()
	e.message(2, 1, 0, 0, []byte{0, 0xff, 0xff, 0xff})
	e.command(0, "connect", 1, rtmp.Object{{Name: "app", Value: app}, {Name: "flashVer", Value: "encoder\r\n1"}, {Name: "tcUrl", Value: tcURL}})
	e.reply("_result")
	e.command(0, "createStream", 2, nil)
	e.reply("_result")
	e.command(1, "publish", 3, nil, name, "live")
	o := e.reply("onStatus")
	return o.String("code"), o.String("description")
}

// publish is ask where the answer must be yes.
func (h *harness) encoder(t *testing.T, app, name string) *encoder {
	t.Helper()
	e := h.dial(t)
	if code, text := e.ask(app, "rtmp://"+h.addr+"/"+app, name); code != "NetStream.Publish.Start" {
		t.Fatalf("%s/%s: %s: %s", app, name, code, text)
	}
	return e
}

// closed waits until the server has closed the connection.
func (e *encoder) closed() {
	e.t.Helper()
	if c, ok := e.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_, _ = io.Copy(io.Discard, e.conn)
	_ = e.conn.Close()
}

// reset closes the connection as a crash does.
func (e *encoder) reset() {
	_ = e.conn.(*net.TCPConn).SetLinger(0)
	_ = e.conn.Close()
}

// frames sends n video messages.
func (e *encoder) frames(n int) {
	e.t.Helper()
	for i := range n {
		e.message(6, 9, 1, uint32(i*40), fmt.Appendf(nil, "frame %d", i))
	}
}

// logged returns the lines of the log that contain all of the texts.
func (h *harness) logged(texts ...string) (lines []string) {
next:
	for line := range strings.Lines(h.log.String()) {
		for _, s := range texts {
			if !strings.Contains(line, s) {
				continue next
			}
		}
		lines = append(lines, line)
	}
	return lines
}
