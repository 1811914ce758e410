package rtmp

import "encoding/binary"

// dispatch handles one message from the server. Commands are returned; media is
// added to held.
func (c *Client) dispatch(m *Message) (*command, error) {
	if c.in.in.total-c.acked >= c.ackEvery {
		c.acked = c.in.in.total
		n := binary.BigEndian.AppendUint32(nil, uint32(c.acked))
		if err := c.out.write(appendMessage(nil, controlChunks, header{typ: typeAck}, n)); err != nil {
			return nil, err
		}
	}
	if m.Tag == nil {
		return nil, nil
	}
	switch m.Type {
	case typeCommand, typeCommandAMF3:
		return c.parse(m)
	case typeUserControl:
		return nil, c.userControl(m.body())
	case typeWindowAckSize:
		n, err := m.control()
		if err == nil {
			c.ackEvery = max(64<<10, min(uint64(n), ackWindow)/2)
		}
		return nil, err
	}
	c.hold(m)
	return nil, nil
}

func (c *Client) parse(m *Message) (*command, error) {
	if !c.commands.take(c.now) {
		return nil, limitError("too many commands")
	}
	body := m.body()
	if m.Type == typeCommandAMF3 && len(body) > 0 && body[0] == 0 {
		body = body[1:]
	}
	cmd, ok, err := parseCommand(body, m.StreamID)
	if err != nil || !ok {
		return nil, err
	}
	return &cmd, nil
}

// userControl answers pings.
func (c *Client) userControl(b []byte) error {
	if len(b) < 6 || binary.BigEndian.Uint16(b) != eventPingRequest || !c.pings.take(c.now) {
		return nil
	}
	return c.out.write(appendEvent(nil, eventPingResponse, binary.BigEndian.Uint32(b[2:])))
}

// hold keeps the media of a message.
func (c *Client) hold(m *Message) {
	switch m.Type {
	case typeAudio, typeVideo:
		if len(m.body()) > 0 {
			c.held = append(c.held, *m)
		}
	case typeData, typeDataAMF3:
		if body, ok := scriptBody(m); ok && !isAboutSession(body) {
			c.held = append(c.held, Message{Type: typeData, Timestamp: m.Timestamp, StreamID: m.StreamID, Tag: retag(m, body)})
		}
	case typeAggregate:
		for part := range m.parts() {
			c.hold(&part)
		}
	}
}

// aboutSession are data messages to this player, and not part of the stream.
var aboutSession = [][]byte{AppendAMF(nil, "|RtmpSampleAccess"), AppendAMF(nil, "onStatus")}

func isAboutSession(body []byte) bool {
	for _, name := range aboutSession {
		if hasPrefix(body, name) {
			return true
		}
	}
	return false
}
