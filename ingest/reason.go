package ingest

import (
	"errors"
	"io"
	"net"
	"os"
	"slices"
	"syscall"

	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/remux/fanout"
)

// Reason says in one word why a session ended; it is a metric's label.
type Reason string

const (
	Unpublished Reason = "unpublished" // in order, by command
	Ended       Reason = "ended"       // the stream that it played was over
	Stopped     Reason = "stopped"     // it stopped playing, by command
	Slow        Reason = "slow"        // it could not keep up with what it played
	Memory      Reason = "memory"      // likewise, when memory was short
	Closed      Reason = "closed"      // the peer closed the connection
	Reset       Reason = "reset"       // the peer's connection broke
	Timeout     Reason = "timeout"     // nothing came, or not what had to come
	Refused     Reason = "refused"     // it may not publish
	Protocol    Reason = "protocol"    // what it sent is not RTMP
	Limit       Reason = "limit"       // it sent more than is allowed
	Bitrate     Reason = "bitrate"     // it kept wanting to send faster than is allowed
	Stream      Reason = "stream"      // its media was no good
	Replaced    Reason = "replaced"    // another publisher took its name over
	Kicked      Reason = "kicked"      // the operator removed it
	Standstill  Reason = "standstill"  // its frames made no media for HLS
	Shutdown    Reason = "shutdown"    // the server ends
	Panicked    Reason = "panic"       // a fault of ours
	Other       Reason = "other"
)

// reasons are all of them.
var reasons = []Reason{Unpublished, Ended, Stopped, Slow, Memory, Closed, Reset, Timeout, Refused, Protocol, Limit, Bitrate, Stream, Replaced, Kicked, Standstill, Shutdown, Panicked, Other}

// Reasons returns all of them.
func Reasons() []Reason { return slices.Clone(reasons) }

// unexpected reports whether the error says more than the reason does.
func (r Reason) unexpected() bool {
	switch r {
	case Unpublished, Ended, Stopped, Slow, Memory, Closed, Reset, Timeout, Replaced, Kicked, Shutdown:
		return false
	}
	return true
}

// errFull refuses who is new.
var errFull = errors.New("the server is short of memory; try again later")

var errShutdown = errors.New("the server is shutting down")

func reasonOf(err error) Reason {
	_, refused := errors.AsType[*rtmp.Status](err)
	_, panicked := errors.AsType[*rtmp.PanicError](err)
	_, stream := errors.AsType[*streamError](err)
	_, tlsFault := errors.AsType[*tlsError](err)
	switch {
	case err == nil:
		return Unpublished
	case panicked, errors.Is(err, fanout.ErrPanicked):
		return Panicked
	case refused:
		return Refused
	case errors.Is(err, rtmp.ErrPlayed):
		return Ended
	case errors.Is(err, rtmp.ErrUnplayed):
		return Stopped
	case errors.Is(err, errTooSlow):
		return Slow
	case errors.Is(err, errMemory):
		return Memory
	case errors.Is(err, remux.ErrReplaced):
		return Replaced
	case errors.Is(err, remux.ErrKicked), errors.Is(err, errPlayerKicked):
		return Kicked
	case errors.Is(err, remux.ErrStandstill):
		return Standstill
	case stream:
		return Stream
	case errors.Is(err, errShutdown):
		return Shutdown
	case errors.Is(err, rtmp.ErrProtocol):
		return Protocol
	case errors.Is(err, rtmp.ErrBitrate):
		return Bitrate
	case errors.Is(err, rtmp.ErrLimit):
		return Limit
	case errors.Is(err, os.ErrDeadlineExceeded):
		return Timeout
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, net.ErrClosed):
		return Closed
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return Reset
	case tlsFault:
		return Protocol
	}
	return Other
}
