package rtmp

// maxMessageStreams is how many message streams a peer may have open.
const maxMessageStreams = 8

// messageStreams maps the message stream ids that a peer knows to go-rtmp's.
// They differ once a peer publishes on stream 0, as some do, or publishes again
// on a stream of which go-rtmp thinks that it is still being published to.
// go-rtmp gives every new stream the lowest id that is free, so that its
// answer need not be awaited.
type messageStreams struct {
	inner [maxMessageStreams + 1]uint32 // by the peer's id; 0: not open
}

// create opens the lowest stream that is free and returns both its ids. ok is
// false if there is none.
func (m *messageStreams) create() (id, inner uint32, ok bool) {
	for id := uint32(1); id <= maxMessageStreams; id++ {
		if m.inner[id] == 0 {
			return id, m.open(id), true
		}
	}
	return 0, 0, false
}

// open gives id the inner id that go-rtmp will give to the next stream.
func (m *messageStreams) open(id uint32) uint32 {
	inner := uint32(1)
	for i := 0; i < len(m.inner); i++ {
		if m.inner[i] == inner {
			inner, i = inner+1, -1
		}
	}
	m.inner[id] = inner
	return inner
}

// lookup returns the inner id of a stream, 0 if it is not open.
func (m *messageStreams) lookup(id uint32) uint32 {
	if id < uint32(len(m.inner)) {
		return m.inner[id]
	}
	return 0
}

// drop forgets a stream that is open.
func (m *messageStreams) drop(id uint32) { m.inner[id] = 0 }
