//go:build linux

package main

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"strings"
	"time"
)

const (
	chunkSize = 4096 // what OBS sends

	typeSetChunkSize = 1
	typeData         = 18
	typeCommand      = 20
)

// appendMessage appends one RTMP message in chunks (RTMP 1.0, 5.3.1): a type 0
// header, then type 3. It knows no extended timestamps: a measurement is shorter
// than 2^24 ms.
func appendMessage(dst []byte, chunkStream, typ byte, stream, time uint32, body []byte) []byte {
	n := len(body)
	dst = append(dst, chunkStream, byte(time>>16), byte(time>>8), byte(time), byte(n>>16), byte(n>>8), byte(n), typ)
	dst = binary.LittleEndian.AppendUint32(dst, stream)
	for {
		k := min(chunkSize, len(body))
		dst = append(dst, body[:k]...)
		if body = body[k:]; len(body) == 0 {
			return dst
		}
		dst = append(dst, 0xc0|chunkStream)
	}
}

// AMF0, as far as a publisher's commands need it.

func amfString(s string) []byte { return append([]byte{2, byte(len(s) >> 8), byte(len(s))}, s...) }

func amfNumber(f float64) []byte {
	return binary.BigEndian.AppendUint64([]byte{0}, math.Float64bits(f))
}

func amfObject(pairs ...string) []byte {
	o := []byte{3}
	for i := 0; i+1 < len(pairs); i += 2 {
		o = append(o, byte(len(pairs[i])>>8), byte(len(pairs[i])))
		o = append(append(o, pairs[i]...), amfString(pairs[i+1])...)
	}
	return append(o, 0, 0, 9)
}

var amfNull = []byte{5}

func command(name string, id float64, args ...[]byte) []byte {
	return append(append(amfString(name), amfNumber(id)...), bytes.Join(args, nil)...)
}

// session is one publishing connection.
type session struct {
	conn   net.Conn
	reader messageReader
	stream uint32 // message stream id
}

// publish connects to addr and publishes app/name. The connection is ready for
// media when it returns.
func publish(addr, app, name string) (*session, error) {
	return begin(addr, app, name, "NetStream.Publish.Start", command("publish", 5, amfNull, amfString(name), amfString("live")))
}

// play connects to addr and plays app/name. Media follows.
func play(addr, app, name string) (*session, error) {
	return begin(addr, app, name, "NetStream.Play.Start", command("play", 5, amfNull, amfString(name), amfNumber(-2000)))
}

// begin opens a stream and sends a command that is answered with code.
func begin(addr, app, name, code string, what []byte) (*session, error) {
	conn, err := net.DialTimeout("tcp", addr, 5*time.Second)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, reader: messageReader{r: bufio.NewReader(conn), size: 128}}
	if err := conn.SetDeadline(time.Now().Add(30 * time.Second)); err != nil {
		return nil, err
	}
	if err := s.open(addr, app, name, code, what); err != nil {
		_ = conn.Close()
		return nil, fmt.Errorf("%s/%s, %s: %w", app, name, code, err)
	}
	return s, conn.SetDeadline(time.Time{})
}

func (s *session) open(addr, app, name, code string, what []byte) error {
	hello := make([]byte, 1537)
	hello[0] = 3
	if _, err := s.conn.Write(hello); err != nil {
		return err
	}
	answer := make([]byte, 1+1536+1536)
	if _, err := io.ReadFull(s.reader.r, answer); err != nil {
		return fmt.Errorf("handshake: %w", err)
	}
	out := bytes.Clone(answer[1:1537])
	out = appendMessage(out, 2, typeSetChunkSize, 0, 0, binary.BigEndian.AppendUint32(nil, chunkSize))
	out = appendMessage(out, 3, typeCommand, 0, 0, command("connect", 1,
		amfObject("app", app, "type", "nonprivate", "flashVer", "FMLE/3.0 (compatible; benchload)", "tcUrl", "rtmp://"+addr+"/"+app)))
	out = appendMessage(out, 3, typeCommand, 0, 0, command("releaseStream", 2, amfNull, amfString(name)))
	out = appendMessage(out, 3, typeCommand, 0, 0, command("FCPublish", 3, amfNull, amfString(name)))
	out = appendMessage(out, 3, typeCommand, 0, 0, command("createStream", 4, amfNull))
	if _, err := s.conn.Write(out); err != nil {
		return err
	}
	result, err := s.wait(command("_result", 4, amfNull, []byte{0}))
	if err != nil {
		return fmt.Errorf("createStream: %w", err)
	}
	if len(result) < 8 {
		return errors.New("createStream: no number in the answer")
	}
	s.stream = uint32(math.Float64frombits(binary.BigEndian.Uint64(result)))
	if _, err := s.conn.Write(appendMessage(nil, 8, typeCommand, s.stream, 0, what)); err != nil {
		return err
	}
	for {
		status, err := s.wait(amfString("onStatus"))
		switch {
		case err != nil:
			return err
		case strings.Contains(string(status), code):
			return nil
		case !strings.Contains(string(status), "NetStream.Play.Reset"):
			return fmt.Errorf("refused: %q", status)
		}
	}
}

// wait reads messages until a command begins with prefix and returns the rest
// of it.
func (s *session) wait(prefix []byte) ([]byte, error) {
	for {
		typ, body, err := s.reader.next()
		if err != nil {
			return nil, err
		}
		if rest, ok := bytes.CutPrefix(body, prefix); typ == typeCommand && ok {
			return rest, nil
		}
	}
}

// messageReader takes RTMP messages out of chunks, as far as a server's answers
// to a publisher need it.
type messageReader struct {
	r       *bufio.Reader
	size    int
	streams [64]struct {
		typ    byte
		length int
		body   []byte
	}
}

func (m *messageReader) next() (typ byte, body []byte, err error) {
	for {
		first, err := m.r.ReadByte()
		if err != nil {
			return 0, nil, err
		}
		id, format := first&0x3f, first>>6
		if id < 2 {
			return 0, nil, errors.New("a long chunk stream id")
		}
		s := &m.streams[id]
		header := make([]byte, [4]int{11, 7, 3, 0}[format])
		if _, err := io.ReadFull(m.r, header); err != nil {
			return 0, nil, err
		}
		if format < 2 {
			s.length, s.typ = int(header[3])<<16|int(header[4])<<8|int(header[5]), header[6]
		}
		part := make([]byte, min(m.size, s.length-len(s.body)))
		if _, err := io.ReadFull(m.r, part); err != nil {
			return 0, nil, err
		}
		if s.body = append(s.body, part...); len(s.body) < s.length {
			continue
		}
		body, s.body = s.body, nil
		if s.typ == typeSetChunkSize && len(body) == 4 {
			m.size = int(binary.BigEndian.Uint32(body) & 0x7fffffff)
			continue
		}
		return s.typ, body, nil
	}
}
