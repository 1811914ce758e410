package fanout

import (
	"errors"
	"io"
	"net"
	"time"
)

const (
	// maxPieces bounds what one system call writes.
	maxPieces = 64
	// probeAfter is how long nothing has to have been sent to a viewer before it is
	// looked whether it is still there, and how often a WebSocket is listened to.
	probeAfter = 2 * time.Second
)

// viewer is one connection in a loop.
type viewer struct {
	place
	off     int           // bytes of the next block that were sent
	moved   time.Duration // when the connection last took something, or was found open
	fd      int           // of conn, which nobody else closes
	framing Framing
	behind  bool // it is worth another try before the next turn
	final   bool // lead is the end

	lead []byte // comes before the next block; of that nothing has been sent then
	replies
	saying bool // the loan has something to be said
	gone   bool
	heard  time.Duration
	inbox  *inbox // of a WebSocket

	// fixed
	conn net.Conn
	left func(End)
	loan *Loan // nil: the connection is the loop's, to read and to close
}

// serve sends one viewer what is due, as far as its socket takes it. It fails with
// io.EOF when the viewer has all that there will be.
func (l *loop) serve(v *viewer, newest, start *block, now time.Duration) error {
	if v.framing != WebSocket && !v.saying && v.off == 0 && v.last != nil && len(v.lead) == 0 && len(v.answers) == 0 && v.last.next.Load() == newest && continues(v.last, newest) {
		// In step with all others: this is where the time goes. That v.last has
		// been sent as a whole is all that has to be noted.
		b := newest.wire
		if v.framing == Bare {
			b = newest.payload()
		}
		if len(b) > 0 {
			n, err := write(v.fd, b)
			if n == len(b) {
				v.sent(newest)
				v.moved, v.behind = now, false
				return nil
			}
			if err != nil {
				return err
			}
			if v.off = n; n > 0 {
				v.moved, v.behind = now, true
				return nil
			}
		}
	}
	return l.catchUp(v, newest, start, now)
}

// catchUp sends a viewer that is not in step what it lacks.
func (l *loop) catchUp(v *viewer, newest, start *block, now time.Duration) error {
	if err := v.listen(now); err != nil {
		return err
	}
	v.behind = false
	for {
		if err := v.prepare(newest, start, now); err != nil {
			return err
		}
		l.bufs = v.pieces(l.bufs[:0])
		if len(l.bufs) == 0 {
			switch {
			case v.leaving && v.final:
				return ErrLeft
			case v.final:
				return io.EOF
			}
			return v.probe(now)
		}
		n, whole, err := l.write(v.fd, l.bufs)
		clear(l.bufs)
		if err != nil {
			return err
		}
		v.consume(n)
		if n > 0 {
			v.moved = now
		} else if now-v.moved > l.fanout.config.Stall {
			return ErrStalled
		}
		if !whole {
			v.behind = n > 0
			return nil
		}
	}
}

// prepare puts what has to be said before the next block into lead.
func (v *viewer) prepare(newest, start *block, now time.Duration) error {
	if v.final {
		return nil
	}
	if len(v.lead) > 0 && v.last != nil {
		if next := v.last.next.Load(); next != nil && v.feed.lags(next, newest, 2) {
			return ErrTooSlow // it takes hardly anything
		}
		return nil
	}
	v.follow(newest, start, v.off > 0)
	if v.off > 0 {
		return nil
	}
	lead, err := v.enter(newest, start, now)
	switch {
	case errors.Is(err, io.EOF) || v.leaving:
		v.lead, v.answers = append(v.lead, v.answers...), nil
		v.end()
		return nil
	case err != nil:
		return err
	}
	v.lead = v.framing.appendFramed(v.lead[:len(v.lead):len(v.lead)], lead)
	v.lead, v.answers = append(v.lead, v.answers...), nil
	if v.last != nil {
		if next := v.last.next.Load(); next != nil && next.ended {
			v.end()
		}
	}
	return nil
}

// end says good-bye.
func (v *viewer) end() {
	if !v.final {
		v.final = true
		v.lead = v.framing.appendEnd(v.lead)
	}
}

// pieces appends what is to be written next.
func (v *viewer) pieces(dst net.Buffers) net.Buffers {
	if len(v.lead) > 0 {
		dst = append(dst, v.lead)
	}
	if v.last == nil || v.final {
		return dst
	}
	last, off := v.last, v.off
	for len(dst) < maxPieces {
		b := last.next.Load()
		if !continues(last, b) {
			break
		}
		dst = b.pieces(dst, v.framing, off)
		last, off = b, 0
		if v.off > 0 && len(v.answers) > 0 {
			break // they go in behind this one
		}
	}
	return dst
}

// consume notes that n bytes of pieces were written.
func (v *viewer) consume(n int) {
	k := min(n, len(v.lead))
	if v.lead = v.lead[k:]; len(v.lead) == 0 {
		v.lead = nil // the room it had
	}
	n -= k
	if len(v.lead) > 0 || v.last == nil || v.final {
		return
	}
	for b := v.last.next.Load(); continues(v.last, b); b = v.last.next.Load() {
		rest := b.size(v.framing) - v.off
		if n < rest || n == 0 && rest > 0 {
			v.off += n
			return
		}
		n -= rest
		v.off = 0
		v.sent(b)
		if n == 0 {
			return
		}
	}
}

// probe finds out whether a viewer is still there that nothing has been sent to for
// a while: reading gives its end, or an error, and what it says otherwise is of no
// interest.
func (v *viewer) probe(now time.Duration) error {
	if v.loan != nil { // who reads it knows
		v.moved = now
		return nil
	}
	if v.inbox != nil || now-v.moved < probeAfter {
		return nil
	}
	v.moved = now
	var room [512]byte
	if _, err := read(v.fd, room[:]); err != nil {
		return ErrLeft
	}
	return nil
}

// listen takes what is to be said to the viewer of a loan, and reads what a WebSocket
// client says: a ping is answered, and so is its wish to leave.
func (v *viewer) listen(now time.Duration) error {
	if v.saying && len(v.answers) == 0 {
		v.answers, v.saying = v.loan.take(), false
	}
	if v.inbox == nil || now-v.heard < probeAfter/2 {
		return nil
	}
	v.heard = now
	var room [2048]byte
	n, err := read(v.fd, room[:])
	if err != nil || !v.inbox.read(room[:n], v.control) && !v.leaving {
		return ErrLeft
	}
	return nil
}
