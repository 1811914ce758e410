package rtmp

import (
	"errors"
	"iter"
	"time"

	"headwater/remux/flv"
)

// media hands an audio or video message on.
func (g *guard) media(m *Message) error {
	if !g.publish.active || g.foreign(m) {
		g.ignored.Add(1)
		return nil
	}
	g.progress()
	if len(m.body()) == 0 {
		g.ignored.Add(1) // some encoders send these to say that they are there
		return nil
	}
	return g.write(m.Type, m.Timestamp, m.Tag)
}

// write hands a message to the Handler.
func (g *guard) write(typ uint8, timestamp uint32, tag []byte) error {
	err := g.handler.Write(typ, timestamp, tag)
	if p, ok := errors.AsType[Pause](err); ok {
		g.pause += time.Duration(p)
		return nil
	}
	return err
}

// foreign reports whether a message came on another stream than the published.
// Encoders that take no notice of message streams are let through.
func (g *guard) foreign(m *Message) bool {
	return m.StreamID != g.publish.stream && m.StreamID != 0 && g.streams.lookup(m.StreamID) != 0
}

// names of data messages, as AMF 0 strings with their markers.
var (
	setDataFrame   = AppendAMF(nil, "@setDataFrame")
	clearDataFrame = AppendAMF(nil, "@clearDataFrame")
)

// data hands a data message on.
func (g *guard) data(m *Message) error {
	if !g.publish.active || g.foreign(m) {
		g.ignored.Add(1)
		return nil
	}
	body, ok := scriptBody(m)
	if !ok {
		g.ignored.Add(1)
		return nil
	}
	return g.write(typeData, m.Timestamp, retag(m, body))
}

// scriptBody returns a data message as FLV carries it: without the byte in front
// that AMF 3 puts there, and without the command to the server to keep it.
func scriptBody(m *Message) (body []byte, ok bool) {
	body = m.body()
	if m.Type == typeDataAMF3 && len(body) > 0 && body[0] == 0 {
		body = body[1:]
	}
	if hasPrefix(body, setDataFrame) {
		body = body[len(setDataFrame):]
	}
	return body, len(body) >= 3 && body[0] == amfString && !hasPrefix(body, clearDataFrame) && harmless(body)
}

// retag returns a tag with a body that is the end of m's.
func retag(m *Message, body []byte) []byte {
	if len(body) == len(m.body()) {
		return m.Tag
	}
	tag := flv.NewTag(len(body))
	copy(flv.Body(tag), body)
	return tag
}

func hasPrefix(b, prefix []byte) bool {
	return len(b) >= len(prefix) && string(b[:len(prefix)]) == string(prefix)
}

// aggregate dispatches the messages of an aggregate. Nothing but media belongs
// there.
func (g *guard) aggregate(m *Message) error {
	for part := range m.parts() {
		if part.Tag == nil {
			g.ignored.Add(1)
			continue
		}
		if err := g.dispatch(&part); err != nil {
			return err
		}
	}
	return nil
}

// parts takes an aggregate message apart (RTMP 7.1.6): it is a row of FLV tags whose
// timestamps count from that of the first. What is not media, or is cut, has no Tag.
func (m *Message) parts() iter.Seq[Message] {
	return func(yield func(Message) bool) {
		rest := m.body()
		var first uint32
		for i := 0; len(rest) >= flv.HeaderSize; i++ {
			size := int(uint24(rest[1:]))
			stamp := uint24(rest[4:]) | uint32(rest[7])<<24
			if size > len(rest)-flv.HeaderSize {
				break
			}
			if i == 0 {
				first = stamp
			}
			part := Message{Type: rest[0], Timestamp: m.Timestamp + stamp - first, StreamID: m.StreamID}
			switch part.Type {
			case typeAudio, typeVideo, typeData, typeDataAMF3:
				part.Tag = flv.NewTag(size)
				copy(flv.Body(part.Tag), rest[flv.HeaderSize:])
			}
			if !yield(part) {
				return
			}
			rest = rest[flv.HeaderSize+size:]
			rest = rest[min(len(rest), flv.TrailerSize):] // some leave out the last back pointer
		}
		if len(rest) > 0 {
			yield(Message{Type: m.Type})
		}
	}
}
