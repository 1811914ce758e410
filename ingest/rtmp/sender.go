package rtmp

import (
	"encoding/binary"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"time"
)

// sender writes to a peer, whole messages at a time, from any goroutine.
type sender struct {
	conn    net.Conn
	timeout time.Duration // for the peer to take what is written

	mu     sync.Mutex
	begun  bool                       // the chunk size has been announced
	failed atomic.Pointer[writeError] // of the first write that failed
}

// writeError says that the peer did not take what was written.
type writeError struct{ err error }

func (e *writeError) Error() string { return fmt.Sprintf("write to peer: %v", e.err) }
func (e *writeError) Unwrap() error { return e.err }

// raw writes bytes that are not chunks.
func (s *sender) raw(b []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush(b)
}

// write writes whole chunks.
func (s *sender) write(chunks []byte) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.flush(append(s.begin(nil), chunks...))
}

// begin puts Set Chunk Size in front of the first message: some encoders
// expect it before any that is longer than 128 bytes.
func (s *sender) begin(dst []byte) []byte {
	if s.begun {
		return dst
	}
	s.begun = true
	return appendMessage(dst, controlChunks, header{typ: typeSetChunkSize}, binary.BigEndian.AppendUint32(nil, outerChunkSize))
}

// flush writes b to the connection. A peer that does not take it in time is
// gone, and the connection is closed so that the reading ends too.
func (s *sender) flush(b []byte) error {
	if err := s.failed.Load(); err != nil {
		return err
	}
	if len(b) == 0 {
		return nil
	}
	s.arm()
	_, err := s.conn.Write(b)
	return s.result(err)
}

// send writes what was gathered, and empties it. The peer has the timeout for each
// step.
func (s *sender) send(g *gather) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	defer g.reset()
	if err := s.flush(s.begin(nil)); err != nil {
		return err
	}
	for first, rest := step(g.bufs); len(first) > 0; first, rest = step(rest) {
		s.arm()
		if err := s.result(g.write(s.conn, first)); err != nil {
			return err
		}
	}
	return nil
}

// arm gives the peer the timeout from now on.
func (s *sender) arm() {
	_ = s.conn.SetWriteDeadline(time.Now().Add(s.timeout))
	if s.failed.Load() != nil {
		_ = s.conn.SetWriteDeadline(time.Unix(1, 0))
	}
}

// result keeps the first error of writing, and ends the reading with it.
func (s *sender) result(err error) error {
	if err == nil {
		return nil
	}
	s.failed.CompareAndSwap(nil, &writeError{err})
	_ = s.conn.SetReadDeadline(time.Unix(1, 0))
	return s.failed.Load()
}

// abort ends the write that is under way, from another goroutine, and all others.
func (s *sender) abort(err error) {
	s.failed.CompareAndSwap(nil, &writeError{err})
	_ = s.conn.SetWriteDeadline(time.Unix(1, 0))
}
