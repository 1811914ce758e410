package rtmp

import (
	"encoding/binary"
	"errors"
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
	line   Line                       // who writes in its place; nil: nobody
	owed   net.Buffers                // comes before all else: the line was in the midst of it
	failed atomic.Pointer[writeError] // of the first write that failed
}

// Line is who has a connection's writing side for a while.
type Line interface {
	// Say sends whole chunks as soon as it can. It returns false if it never will.
	Say(chunks []byte) bool
	// Return ends it, and returns what has to be sent before anything else may be.
	Return() net.Buffers
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
	if s.line != nil {
		if len(b) > 0 && !s.line.Say(b) {
			return s.result(errUnsaid)
		}
		return nil
	}
	if err := s.settleUp(s.timeout); err != nil {
		return err
	}
	for ; len(b) > 0; b = b[min(len(b), stepBytes):] {
		s.arm(s.timeout)
		if _, err := s.conn.Write(b[:min(len(b), stepBytes)]); err != nil {
			return s.result(err)
		}
	}
	return nil
}

// errUnsaid is why a peer is gone that does not take answers, and asks on.
var errUnsaid = errors.New("too many answers wait for the peer to take them")

// stepBytes is what a peer must take within one deadline: who takes little is
// slow, and only who takes nothing is gone.
const stepBytes = 128 << 10

// lend gives the writing side to whom take returns, if that is not nil. The peer need
// not be told what the chunk size is any more.
func (s *sender) lend(take func(net.Conn) Line) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.line != nil || s.flush(s.begin(nil)) != nil {
		return false
	}
	s.line = take(s.conn)
	return s.line != nil
}

// reclaim ends lend, if that is not over.
func (s *sender) reclaim() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.takeBack()
}

// takeBack is reclaim for callers that hold mu.
func (s *sender) takeBack() {
	if s.line != nil {
		s.owed, s.line = s.line.Return(), nil
	}
}

// settleUp writes what is owed. The peer has so long for it.
func (s *sender) settleUp(d time.Duration) error {
	if len(s.owed) == 0 {
		return nil
	}
	s.arm(d)
	_, err := s.owed.WriteTo(s.conn)
	s.owed = nil
	return s.result(err)
}

// farewellTries is how many milliseconds a write may still take that is in the way.
const farewellTries = 20

// hurry locks mu for the last words. If a write is stuck that is under way it ends
// that, and all others, and returns false.
func (s *sender) hurry(err error) bool {
	for tries := 0; !s.mu.TryLock(); tries++ {
		if tries == farewellTries {
			s.abort(err)
			return false
		}
		time.Sleep(time.Millisecond)
	}
	return true
}

// arm gives the peer time from now on.
func (s *sender) arm(d time.Duration) {
	_ = s.conn.SetWriteDeadline(time.Now().Add(d))
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
