package rtmp

import (
	"net"
	"time"
)

// Player is the way to a peer that plays. It belongs to the View's goroutine.
type Player struct {
	MediaWriter
	guard *guard
}

func newPlayer(g *guard) *Player {
	return &Player{
		MediaWriter: MediaWriter{out: &g.out.sender, format: newFormat(g.publish.stream, g.connect.accepts)},
		guard:       g,
	}
}

// Lend gives the connection's writing side to whom take returns, until Reclaim, the end
// of the View or that of the session. It returns false where take returns nil, or the
// peer takes no more. What the session has to say meanwhile goes through the Line.
func (p *Player) Lend(take func(net.Conn) Line) bool { return p.out.lend(take) }

// Reclaim ends Lend, if nothing else has.
func (p *Player) Reclaim() { p.out.reclaim() }

// Ping asks the peer for a sign of life (RTMP 7.1.7), which is whatever it says next.
// If it says nothing for Options.Answer the session ends with ErrUnanswered.
func (p *Player) Ping() error {
	p.guard.ask()
	ms := uint32(time.Since(processStart) / time.Millisecond)
	return p.out.write(appendEvent(nil, eventPingRequest, ms))
}

// LimitBuffer bounds what the kernel holds for a peer that does not read.
func (p *Player) LimitBuffer(bytes int) {
	conn := p.guard.conn
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = c.NetConn()
	}
	if c, ok := conn.(interface{ SetWriteBuffer(int) error }); ok {
		_ = c.SetWriteBuffer(bytes)
	}
}
