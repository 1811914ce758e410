package rtmp

import (
	"errors"
	"io"
	"runtime/debug"
	"time"
)

// sharer is a connection that is read together with others, on a goroutine that they
// share (package turns).
type sharer interface {
	// Await has t called with what comes, room[at:], until that returns false or
	// something is the matter. It does not wait if it is to be read the ordinary way.
	Await(t interface {
		Turn(room []byte, at int, now time.Time) bool
	}) (waited bool, err error)
}

// mostInTurn is how many messages are handled in a turn. Whoever sends more has them
// handled on its own goroutine.
const mostInTurn = 32

// more has more bytes come.
func (g *guard) more() error {
	if g.in.in.total-g.acked >= g.ackEvery {
		if err := g.acknowledge(); err != nil {
			return err
		}
	}
	if g.shared == nil || !g.publish.active {
		return g.in.fill()
	}
	if err := g.throttle(); err != nil {
		return err
	}
	waited, err := g.shared.Await(g)
	switch {
	case !waited && err == nil:
		return g.in.fill()
	case g.fault != nil:
		err, g.fault = g.fault, nil
	case errors.Is(err, io.EOF) && g.in.inside():
		err = io.ErrUnexpectedEOF
	}
	return err
}

// Turn handles the media that a turn has brought. All else, and whatever may wait or
// takes long, is left to the session's own goroutine: then it returns false.
func (g *guard) Turn(room []byte, at int, now time.Time) (done bool) {
	own := g.in.in.lend(room, at)
	defer func() {
		if v := recover(); v != nil {
			g.fault, done = &PanicError{Value: v, Stack: debug.Stack()}, false
		}
		g.in.in.restore(own)
	}()
	g.now = now
	g.flow.took(len(room)-at, now)
	if g.fault = g.look(); g.fault != nil {
		return false
	}
	for range mostInTurn {
		m, err := g.in.next()
		switch {
		case errors.Is(err, errMore):
			return g.flow.since.IsZero() && g.in.in.total-g.acked < g.ackEvery
		case err != nil:
			g.fault = err
			return false
		case m.Tag == nil || m.Type != typeAudio && m.Type != typeVideo:
			g.kept = &m
			return false
		}
		if g.fault = g.handle(&m); g.fault != nil || g.pause > 0 {
			return false
		}
	}
	return false
}

// next returns the next message that is there; errMore if there is none.
func (g *guard) next() (Message, error) {
	if m := g.kept; m != nil {
		g.kept = nil
		return *m, nil
	}
	return g.in.next()
}
