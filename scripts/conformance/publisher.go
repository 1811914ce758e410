package conformance

import (
	"bufio"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"time"
)

// RTMP message types.
const (
	msgSetChunkSize = 1
	msgAudio        = 8
	msgVideo        = 9
	msgData         = 18
	msgCommand      = 20
)

// Publisher is a session that publishes one stream over RTMP (Adobe's
// specification 1.0). It writes what it is told, at once, with the timestamps it
// is told.
type Publisher struct {
	conn      net.Conn
	r         *bufio.Reader
	w         *bufio.Writer
	chunkSize int // of what is written
	readSize  int // of what is read
	stream    uint32
	partial   map[uint32]*partialMessage
	gone      chan struct{} // closed when the server has closed the connection
}

// partialMessage is a chunk stream's state while reading.
type partialMessage struct {
	kind     byte
	length   int
	extended bool
	body     []byte
}

// Publish connects to addr ("127.0.0.1:1935") and publishes "app/name". Messages
// go out in chunks of chunkSize bytes.
func Publish(ctx context.Context, addr, app, name string, chunkSize int) (*Publisher, error) {
	conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
	if err != nil {
		return nil, err
	}
	p := &Publisher{conn: conn, r: bufio.NewReader(conn), w: bufio.NewWriterSize(conn, 64<<10),
		chunkSize: 128, readSize: 128, partial: map[uint32]*partialMessage{}, gone: make(chan struct{})}
	_ = conn.SetDeadline(time.Now().Add(15 * time.Second)) // fails on a closed connection: so does what follows
	if err := p.open(addr, app, name, chunkSize); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("publish %s/%s: %w", app, name, err)
	}
	_ = conn.SetDeadline(time.Time{})
	go func() {
		defer close(p.gone)
		_, _ = io.Copy(io.Discard, p.r) // acknowledgements
	}()
	return p, nil
}

func (p *Publisher) open(addr, app, name string, chunkSize int) error {
	if err := p.handshake(); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	if err := p.message(2, msgSetChunkSize, 0, 0, binary.BigEndian.AppendUint32(nil, uint32(chunkSize))); err != nil {
		return err
	}
	p.chunkSize = chunkSize
	_, err := p.call(1, "connect", []amfField{{"app", app}, {"type", "nonprivate"},
		{"flashVer", "FMLE/3.0 (compatible; conformance)"}, {"tcUrl", "rtmp://" + addr + "/" + app}})
	if err != nil {
		return err
	}
	results, err := p.call(2, "createStream", nil)
	if err != nil {
		return err
	}
	id, ok := results[len(results)-1].(float64)
	if !ok {
		return errors.New("createStream: no stream id")
	}
	p.stream = uint32(id)
	_, err = p.call(3, "publish", nil, name, "live")
	return err
}

// handshake is the simple one (5.2).
func (p *Publisher) handshake() error {
	c := make([]byte, 1+1536)
	c[0] = 3
	if _, err := rand.Read(c[9:]); err != nil {
		return err
	}
	if _, err := p.conn.Write(c); err != nil {
		return err
	}
	s := make([]byte, 1+1536+1536)
	if _, err := io.ReadFull(p.r, s); err != nil {
		return err
	}
	_, err := p.conn.Write(s[1:1537])
	return err
}

// call sends a command and returns the values of its answer: of _result, or of
// the onStatus that publish gets.
func (p *Publisher) call(id float64, name string, args ...any) ([]any, error) {
	b := appendAMF(appendAMF(nil, name), id)
	for _, a := range args {
		b = appendAMF(b, a)
	}
	if err := p.message(3, msgCommand, 0, p.stream, b); err != nil {
		return nil, err
	}
	for {
		kind, body, err := p.read()
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		if kind != msgCommand {
			continue
		}
		values, err := commandValues(body)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		switch {
		case values[0] == "_result" && values[1] == id:
			return values, nil
		case values[0] == "onStatus" && name == "publish":
			info, _ := values[len(values)-1].(map[string]any)
			if info["code"] == "NetStream.Publish.Start" {
				return values, nil
			}
			return nil, fmt.Errorf("%v: %v", info["code"], info["description"])
		case values[0] == "_error":
			return nil, fmt.Errorf("%s: %v", name, values)
		}
	}
}

func commandValues(b []byte) (values []any, err error) {
	for len(b) > 0 {
		var v any
		if v, b, err = readAMF(b); err != nil {
			return nil, err
		}
		values = append(values, v)
	}
	if len(values) < 2 {
		return nil, errAMF
	}
	return values, nil
}

// Write sends one audio, video or data message.
func (p *Publisher) Write(kind byte, timestamp uint32, payload []byte) error {
	return p.message(map[byte]byte{msgAudio: 4, msgVideo: 6, msgData: 5}[kind], kind, timestamp, p.stream, payload)
}

// message writes chunks: a type 0 header first, type 3 for the rest, both with
// the extended timestamp where there is one (5.3.1.3).
func (p *Publisher) message(chunkStream, kind byte, timestamp, stream uint32, payload []byte) error {
	be, le := binary.BigEndian, binary.LittleEndian
	var extended []byte
	short := timestamp
	if timestamp >= 0xffffff {
		short, extended = 0xffffff, be.AppendUint32(nil, timestamp)
	}
	h := []byte{chunkStream, byte(short >> 16), byte(short >> 8), byte(short),
		byte(len(payload) >> 16), byte(len(payload) >> 8), byte(len(payload)), kind}
	h = append(le.AppendUint32(h, stream), extended...)
	_, _ = p.w.Write(h) // a bufio.Writer keeps its error for Flush
	for first := true; first || len(payload) > 0; first = false {
		if !first {
			_ = p.w.WriteByte(3<<6 | chunkStream)
			_, _ = p.w.Write(extended)
		}
		n := min(p.chunkSize, len(payload))
		_, _ = p.w.Write(payload[:n])
		payload = payload[n:]
	}
	if err := p.w.Flush(); err != nil {
		return fmt.Errorf("write message: %w", err)
	}
	return nil
}

// read returns the next whole message.
func (p *Publisher) read() (kind byte, body []byte, err error) {
	for {
		m, whole, err := p.chunk()
		if err != nil {
			return 0, nil, err
		}
		if !whole {
			continue
		}
		body := m.body
		m.body = nil
		if m.kind == msgSetChunkSize && len(body) == 4 {
			p.readSize = int(binary.BigEndian.Uint32(body))
			continue
		}
		return m.kind, body, nil
	}
}

// chunk reads one chunk (5.3.1).
func (p *Publisher) chunk() (m *partialMessage, whole bool, err error) {
	b, err := p.r.ReadByte()
	if err != nil {
		return nil, false, err
	}
	id := uint32(b & 0x3f)
	if id < 2 {
		return nil, false, fmt.Errorf("chunk stream id of form %d", id)
	}
	if m = p.partial[id]; m == nil {
		m = &partialMessage{}
		p.partial[id] = m
	}
	h := make([]byte, [4]int{11, 7, 3, 0}[b>>6])
	if _, err := io.ReadFull(p.r, h); err != nil {
		return nil, false, err
	}
	if len(h) >= 3 {
		m.extended = h[0]&h[1]&h[2] == 0xff
	}
	if len(h) >= 7 {
		m.length, m.kind = int(h[3])<<16|int(h[4])<<8|int(h[5]), h[6]
	}
	if m.extended {
		if _, err := p.r.Discard(4); err != nil {
			return nil, false, err
		}
	}
	part := make([]byte, min(p.readSize, m.length-len(m.body)))
	if _, err := io.ReadFull(p.r, part); err != nil {
		return nil, false, err
	}
	m.body = append(m.body, part...)
	return m, len(m.body) == m.length, nil
}

// Close takes its leave as encoders do, and waits for the server to have read
// everything.
func (p *Publisher) Close() error {
	for i, name := range []string{"FCUnpublish", "deleteStream"} {
		b := appendAMF(appendAMF(appendAMF(nil, name), float64(4+i)), nil)
		if i == 1 {
			b = appendAMF(b, float64(p.stream))
		}
		_ = p.message(3, msgCommand, 0, 0, b) // it may have left before
	}
	if c, ok := p.conn.(*net.TCPConn); ok {
		_ = c.CloseWrite()
	}
	select {
	case <-p.gone:
	case <-time.After(5 * time.Second):
	}
	return p.conn.Close()
}

// Abort resets the connection, as a crash or a broken network does. What the
// server's kernel has not handed over yet is lost, so it waits a little first.
func (p *Publisher) Abort() error {
	time.Sleep(50 * time.Millisecond)
	if c, ok := p.conn.(*net.TCPConn); ok {
		_ = c.SetLinger(0)
	}
	return p.conn.Close()
}
