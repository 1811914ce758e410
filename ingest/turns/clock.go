package turns

import (
	"sync"
	"sync/atomic"
	"time"
)

// Clock says when it is whose turn.
type Clock struct {
	// fixed after New
	every time.Duration
	start time.Time

	mu     sync.Mutex
	rounds []*round
}

// ahead is how long before a full multiple of the time between turns they come, counted
// from the beginning of Unix time: that is when others send what these have brought,
// those that gather it for viewers. It must not wait for the next time.
const ahead = 4 * time.Millisecond

// New returns a clock whose turns are at most every apart, which is more than 0.
func New(every time.Duration) *Clock {
	now := time.Now()
	return &Clock{every: every, start: now.Add(-(time.Duration(now.UnixNano()) + ahead) % every)}
}

// Fitting returns a time between turns, at most every, of which gather is a multiple:
// then what viewers are sent together has been read just before. Where there is none that
// is half as long at least, it returns every.
func Fitting(gather, every time.Duration) time.Duration {
	least := (gather + every - 1) / every
	for n := least; n <= 2*least; n++ {
		if gather%n == 0 {
			return gather / n
		}
	}
	return every
}

// mostInRound is how many connections share a goroutine: reading them all takes it a
// tenth of the time between two turns at usual bit rates.
const mostInRound = 250

// seat gives one more connection a place in a round that has one.
func (c *Clock) seat() *round {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, r := range c.rounds {
		if r.seats < mostInRound {
			r.seats++
			return r
		}
	}
	// Rounds do not all wake up at once; each is done when the next one begins.
	phase := time.Duration(len(c.rounds)) * c.every / 8 % c.every
	r := &round{clock: c, phase: phase, seats: 1}
	c.rounds = append(c.rounds, r)
	return r
}

// leave gives a place back.
func (r *round) leave() {
	r.clock.mu.Lock()
	defer r.clock.mu.Unlock()
	r.seats--
}

// round is connections whose turn it is at the same times, and the goroutine that
// reads them, which there is while one of them waits.
type round struct {
	// fixed after seat
	clock *Clock
	phase time.Duration

	seats int // guarded by clock.mu

	late atomic.Bool // a deadline is over that was not when the last turn began

	mu      sync.Mutex // guards what follows
	running bool
	joined  []waiter // since the last turn
}

// waiter is a connection that waits, and all that a turn needs to know of it: what is
// elsewhere has left the processor's caches since the last turn.
type waiter struct {
	conn  *Conn
	fd    uintptr
	taker Taker // nil: it waits for no more than its turn

	pace pace
	rest int // turns of those that are left out, still to come
}

// MostSkipped is how many turns in succession are left out where nobody waits for what
// they bring.
const MostSkipped = 4

// pace is how many turns are left out between the last one and the next.
type pace struct{ skipped int }

// skip sets it behind a turn that has brought n bytes. At the rate at which they came the
// next one brings half of what the kernel has room for, so that the peer need not wait
// for room.
func (p *pace) skip(n int, unhurried func() bool) {
	since := p.skipped + 1
	p.skipped = 0
	if unhurried != nil && unhurried() {
		p.skipped = min(MostSkipped, max(since*lowWater/2/max(n, 1), 1)-1)
	}
}

// join has a connection wait from the next turn on.
func (r *round) join(w waiter) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joined = append(r.joined, w)
	if !r.running {
		r.running = true
		go r.run()
	}
}

// lateTurns is how often the deadlines of all are looked at; those of who has sent
// nothing are in each turn, as are all when one has been set that is over.
const lateTurns = 16

// run reads those that wait, at each turn, until there are none.
func (r *round) run() {
	var waiting []waiter
	room := make([]byte, headroom+roomSize)
	for n := 0; ; n++ {
		time.Sleep(r.clock.every - (time.Since(r.clock.start)+r.phase)%r.clock.every)
		r.mu.Lock()
		waiting = append(waiting, r.joined...)
		clear(r.joined)
		r.joined = r.joined[:0]
		r.running = len(waiting) > 0
		r.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		late := r.late.Swap(false) || n%lateTurns == 0
		now, stay := time.Now(), 0
		for _, w := range waiting {
			switch {
			case late && w.conn.late(now), w.rest == 0 && !w.turn(room, now):
				w.conn.back <- struct{}{}
				continue
			case w.rest > 0:
				w.rest--
			default:
				w.rest = w.pace.skipped
			}
			waiting[stay] = w
			stay++
		}
		clear(waiting[stay:])
		waiting = waiting[:stay]
	}
}
