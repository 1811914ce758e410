package rtmp

import (
	"time"
)

// Player is the way to a peer that plays. It belongs to the View's goroutine.
type Player struct {
	MediaWriter
	guard *guard
}

func newPlayer(g *guard) *Player {
	return &Player{
		MediaWriter: MediaWriter{out: &g.out.sender, stream: g.publish.stream, accepts: g.connect.accepts},
		guard:       g,
	}
}

// Ping asks the peer for a sign of life (RTMP 7.1.7), so that it sees that the
// connection lives while the stream is silent.
func (p *Player) Ping() error {
	ms := uint32(time.Since(processStart) / time.Millisecond)
	return p.out.write(appendEvent(nil, eventPingRequest, ms))
}

// LimitBuffer bounds what the kernel holds for a peer that does not read.
func (p *Player) LimitBuffer(bytes int) {
	if c, ok := p.guard.conn.(interface{ SetWriteBuffer(int) error }); ok {
		_ = c.SetWriteBuffer(bytes)
	}
}
