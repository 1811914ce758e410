package fanout

import (
	"encoding/binary"
	"strconv"
)

// Framing is what an endless body is wrapped in on its connection.
type Framing uint8

const (
	Bare      Framing = iota // nothing: HTTP/1.0, where the end of the connection is the end
	Chunked                  // chunks of HTTP/1.1 (RFC 9112, 7.1)
	WebSocket                // binary messages (RFC 6455, 5.6)
)

// appendFramed appends a payload in the framing.
func (f Framing) appendFramed(dst, payload []byte) []byte {
	if len(payload) == 0 {
		return dst
	}
	switch f {
	case Chunked:
		dst = append(strconv.AppendUint(dst, uint64(len(payload)), 16), crlf...)
		return append(append(dst, payload...), crlf...)
	case WebSocket:
		dst = appendFrameHeader(dst, opBinary, len(payload))
	}
	return append(dst, payload...)
}

// appendEnd appends what says that nothing follows.
func (f Framing) appendEnd(dst []byte) []byte {
	switch f {
	case Chunked:
		return append(dst, lastChunk...)
	case WebSocket:
		return appendControl(dst, opClose, closeNormal)
	}
	return dst
}

// Opcodes of WebSocket frames (RFC 6455, 5.2).
const (
	opBinary = 0x2
	opClose  = 0x8
	opPing   = 0x9
	opPong   = 0xa
)

const (
	finalBit = 0x80
	maskBit  = 0x80
	// maxFrameHeader is the longest header of a frame without a mask.
	maxFrameHeader = 10
	// maxControl is the longest payload of a control frame (5.5).
	maxControl = 125
)

// closeNormal is the status code 1000 (7.4.1).
var closeNormal = []byte{0x03, 0xe8}

// appendFrameHeader appends the header of an unfragmented frame from a server.
func appendFrameHeader(dst []byte, op byte, size int) []byte {
	dst = append(dst, finalBit|op)
	switch {
	case size < 126:
		return append(dst, byte(size))
	case size < 1<<16:
		return binary.BigEndian.AppendUint16(append(dst, 126), uint16(size))
	}
	return binary.BigEndian.AppendUint64(append(dst, 127), uint64(size))
}

func appendControl(dst []byte, op byte, payload []byte) []byte {
	return append(appendFrameHeader(dst, op, len(payload)), payload...)
}
