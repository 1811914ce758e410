package fanout

import (
	"errors"
	"io"
	"time"
)

const (
	// stall is how long a viewer's connection may take nothing.
	stall = 10 * time.Second
	// skipPause is how long a viewer has to keep up after it was skipped ahead; if it
	// cannot, it is closed.
	skipPause = 30 * time.Second
)

// Why a viewer was closed; io.EOF says that the stream has ended.
var (
	ErrTooSlow  = errors.New("fell behind twice")
	ErrStalled  = errors.New("takes nothing")
	ErrLeft     = errors.New("left")
	ErrShutdown = errors.New("server shuts down")
)

// place is where one viewer is in its feed. It belongs to whoever writes to the
// viewer.
type place struct {
	feed    *feed
	pause   time.Duration // skipPause, but in tests that have no time
	last    *block        // the newest that was sent; nil: none was
	jumped  time.Duration // when it was last skipped ahead
	skips   int
	skipped func() // told of each; nil: nobody is
	bytes   uint64 // of media sent
	counts  *Counts
	hurried bool // jumped holds
}

// follow sees to it that what comes next is what the viewer is to get: where it has
// fallen behind, that is the newest key frame. begun says that it has been sent a
// part of the next block already; the jump comes behind that one then. So a viewer
// holds on to no more blocks than its lag allows.
func (p *place) follow(newest, start *block, begun bool) {
	if p.last == nil {
		return
	}
	next := p.last.next.Load()
	if next == nil {
		if p.last != newest && start != nil && start.number > p.last.number { // it was cut loose
			p.last = p.last.standIn(start)
		}
		return
	}
	if next == newest || !p.feed.lags(next, newest, 1) {
		return
	}
	var to *block
	switch {
	case start != nil && start.number > next.number:
		to = start
	case !p.feed.lags(next, newest, 2):
		return // it has time until there is a key frame
	}
	if !begun {
		p.last = p.last.standIn(to)
	} else if next.next.Load() != to {
		p.last = p.last.standIn(next.apart(to))
	}
}

// enter returns what the viewer needs in front of the next block, if that is not the
// one behind the last: at its beginning, and where it is skipped ahead. It fails with
// ErrTooSlow, and with io.EOF where there is nothing to begin with and never will be.
func (p *place) enter(newest, start *block, now time.Duration) (lead []byte, err error) {
	if p.last == nil {
		switch {
		case start != nil:
			p.last = before(start)
			lead = p.feed.packer.Headers(nil, start.config, start.dts)
			p.counts.wrote(len(lead))
			return lead, nil
		case newest.ended:
			return nil, io.EOF
		}
		return nil, nil
	}
	next := p.last.next.Load()
	if next == nil || next.number == p.last.number+1 {
		return nil, nil
	}
	p.skips++
	p.counts.skip()
	if p.skipped != nil {
		p.skipped()
	}
	if !next.late { // or it may not be the viewer who was
		if p.hurried && now-p.jumped < p.pause {
			return nil, ErrTooSlow
		}
		p.hurried, p.jumped = true, now
	}
	lead = p.feed.packer.Headers(p.last.config, next.config, next.dts)
	p.last = before(next)
	lead = append(lead[:len(lead):len(lead)], next.lead...)
	p.counts.wrote(len(lead))
	return lead, nil
}

// sent moves on behind the next block.
func (p *place) sent(b *block) {
	p.bytes += uint64(b.media)
	p.counts.sent(b)
	p.last = b
}

// continues says that b can be sent behind the last block as it is.
func continues(last, b *block) bool { return b != nil && !b.ended && b.number == last.number+1 }
