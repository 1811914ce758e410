package fanout

import (
	"errors"
	"net"
	"slices"
	"sync"
)

// maxSaid bounds what waits to be said to the viewer of a Loan.
const maxSaid = 64 << 10

// Loan is the writing side of a connection that somebody else reads, and goes on with
// when the Loan has ended. Its methods are for any goroutine.
type Loan struct {
	loop   *loop
	viewer *viewer
	done   chan struct{}

	// fixed when done is closed
	end  End
	rest net.Buffers // of what was begun

	mu   sync.Mutex
	said []byte // guarded by mu
}

// Lend hands the writing side of a plain TCP connection over until Return, which has to
// be called before conn is closed. It returns nil where conn is of another kind and
// after Close. v is to have no framing.
func (f *Fanout) Lend(conn net.Conn, v Viewer) *Loan {
	n := &Loan{done: make(chan struct{})}
	n.viewer = &viewer{loan: n}
	n.viewer.left = func(e End) {
		defer close(n.done)
		n.end = e
		if !errors.Is(e.Reason, ErrPanicked) { // or nobody knows
			n.rest = n.viewer.unsent()
		}
	}
	n.mu.Lock() // nobody can say anything before loop is set
	defer n.mu.Unlock()
	if n.loop = f.attach(conn, v, n.viewer); n.loop == nil {
		return nil
	}
	return n
}

// Done is closed when nothing more is sent. Then End says why.
func (n *Loan) Done() <-chan struct{} { return n.done }

// End is how it went, once Done is closed.
func (n *Loan) End() End { return n.end }

// Say has b sent at once, but not within a block. It returns false, and b is not sent,
// where too much waits already.
func (n *Loan) Say(b []byte) bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	if len(n.said)+len(b) > maxSaid {
		return false
	}
	first := len(n.said) == 0
	n.said = append(n.said, b...)
	if first {
		n.loop.tell(n.viewer, n.loop.hear)
	}
	return true
}

// take returns what is to be said.
func (n *Loan) take() []byte {
	n.mu.Lock()
	defer n.mu.Unlock()
	said := n.said
	n.said = nil
	return said
}

// Return ends the Loan, within a turn, and returns what has to be sent before anything
// else may be: the rest of what was begun, and what was said.
func (n *Loan) Return() net.Buffers {
	n.loop.tell(n.viewer, n.loop.release)
	<-n.done
	rest := slices.Clone(n.rest)
	if said := n.take(); len(said) > 0 {
		rest = append(rest, said)
	}
	return rest
}

// tell has the loop do something about a viewer, unless that is gone by then.
func (l *loop) tell(v *viewer, what func(*viewer)) {
	l.mu.Lock()
	l.asked = append(l.asked, func() {
		if !v.gone {
			what(v)
		}
	})
	l.mu.Unlock()
	l.signal()
}

// hear notes that there is something to be said.
func (l *loop) hear(v *viewer) {
	v.saying, v.behind = true, true
	l.groups[v.feed].behind = true
}

// release drops a viewer that is to be returned.
func (l *loop) release(v *viewer) {
	feed, g := v.feed, l.groups[v.feed]
	if i := slices.Index(g.viewers, v); i >= 0 {
		g.viewers = slices.Delete(g.viewers, i, i+1)
	}
	l.drop(v, ErrLeft)
	l.tidy(feed, g)
}

// unsent is what a viewer has to get before anything else can be sent to it.
func (v *viewer) unsent() (rest net.Buffers) {
	if len(v.lead) > 0 {
		rest = append(rest, v.lead)
	}
	if v.off > 0 {
		rest = v.last.next.Load().pieces(rest, v.framing, v.off)
	}
	if len(v.answers) > 0 {
		rest = append(rest, v.answers)
	}
	return rest
}
