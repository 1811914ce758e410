package rtmp

import (
	"encoding/binary"
	"errors"

	"headwater/remux/flv"
)

// Message types (RTMP 5.4, 6.2 and 7.1).
const (
	typeSetChunkSize  = 1
	typeAbort         = 2
	typeAck           = 3
	typeUserControl   = 4
	typeWindowAckSize = 5
	typePeerBandwidth = 6
	typeAudio         = 8
	typeVideo         = 9
	typeDataAMF3      = 15
	typeCommandAMF3   = 17
	typeData          = 18
	typeCommand       = 20
	typeAggregate     = 22
)

// User control events (RTMP 6.2 and 7.1.7).
const (
	eventStreamBegin    = 0
	eventStreamEOF      = 1
	eventStreamDry      = 2
	eventBufferLength   = 3
	eventStreamRecorded = 4
	eventPingRequest    = 6
	eventPingResponse   = 7
)

// Message is one RTMP message.
type Message struct {
	Type      uint8
	Timestamp uint32 // milliseconds, as they came: they wrap and may jump
	StreamID  uint32 // the message stream
	// Tag was made by flv.NewTag and holds the payload as its body; it belongs
	// to who got the message. It is nil where the payload was not kept.
	Tag []byte
}

// body returns the payload.
func (m *Message) body() []byte {
	if m.Tag == nil {
		return nil
	}
	return flv.Body(m.Tag)
}

// control reads a protocol control message's only number.
func (m *Message) control() (uint32, error) {
	b, least := m.body(), 4
	if m.Type == typePeerBandwidth {
		least = 5 // a limit type follows (RTMP 5.4.5)
	}
	if len(b) < least {
		return 0, errControlCut
	}
	return binary.BigEndian.Uint32(b), nil
}

// errControlCut ends a session whose peer sends control messages that are shorter
// than their format.
var errControlCut = protocolError("control message cut")

var errUnknownEvent = errors.New("unknown user control event")

// event reads a user control message: the event, and the four bytes behind it.
func (m *Message) event() (event uint16, number []byte, err error) {
	b := m.body()
	if len(b) < 2 {
		return 0, nil, errControlCut
	}
	event, least := binary.BigEndian.Uint16(b), 6
	switch event {
	case eventStreamBegin, eventStreamEOF, eventStreamDry, eventStreamRecorded, eventPingRequest, eventPingResponse:
	case eventBufferLength:
		least = 10
	default:
		return event, nil, errUnknownEvent
	}
	if len(b) < least {
		return event, nil, errControlCut
	}
	return event, b[2:6], nil
}

// appendMessage appends m's header and body as one chunk of type 0. The body
// must not be longer than the chunk size that the peer was told.
func appendMessage(dst []byte, chunkStream uint8, m header, body []byte) []byte {
	n := len(body)
	dst = append(dst, chunkStream, 0, 0, 0, byte(n>>16), byte(n>>8), byte(n), m.typ)
	dst = binary.LittleEndian.AppendUint32(dst, m.stream)
	return append(dst, body...)
}

// appendEvent appends a user control message (RTMP 7.1.7) with one number.
func appendEvent(dst []byte, event uint16, value uint32) []byte {
	body := binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(nil, event), value)
	return appendMessage(dst, controlChunks, header{typ: typeUserControl}, body)
}

// header is what appendMessage needs to know; everything we send has the
// timestamp 0.
type header struct {
	typ    uint8
	stream uint32
}
