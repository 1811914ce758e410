package turns

import (
	"math"
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
	return &Clock{every: every, start: now.Add(-(time.Duration(now.UnixNano()) + ahead) % (aligned * every))}
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
	r := &round{clock: c, phase: phase, seats: 1, wake: make(chan struct{}, 1)}
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
	wake  chan struct{} // somebody has joined, or is late; holds one

	seats int // guarded by clock.mu

	late atomic.Bool // a deadline is over that was not when the last turn began

	mu      sync.Mutex // guards what follows
	running bool
	joined  []waiter // since the last turn
	next    int64    // the turn that it sleeps until
}

// waiter is a connection that waits, and all that a turn needs to know of it: what is
// elsewhere has left the processor's caches since the last turn.
type waiter struct {
	conn  *Conn
	fd    uintptr
	taker Taker // nil: it waits for no more than its turn
	pace  pace
	due   int64 // the turn in which it is read next, or any after that
}

// MostSkipped is how many turns in succession are left out where nobody waits for what
// they bring.
const MostSkipped = 4

// aligned is a number of turns that all numbers of them divide after which there may be
// another.
const aligned = 60

// pace is how many turns are left out between the last one and the next.
type pace struct{ skipped int }

// skip sets it behind a turn that has brought n bytes. At the rate at which they came the
// next one brings half of what the kernel has room for, so that the peer need not wait
// for room.
func (p *pace) skip(n int, c *Conn) {
	since := p.skipped + 1
	p.skipped = 0
	if c.Wanted == nil {
		return
	}
	wanted := c.Wanted()
	if wanted == 0 {
		return
	}
	p.skipped = min(MostSkipped, max(since*lowWater/2/max(n, 1), 1)-1)
	for p.skipped > 0 && wanted != math.MaxInt64 && wanted%(time.Duration(p.skipped+1)*c.clock.every) != 0 {
		p.skipped--
	}
}

// next is the turn to take behind another: full multiples, so that those who leave turns
// out leave out the same ones, and a round in which all do so sleeps.
func (p *pace) next(turn int64) int64 {
	n := int64(p.skipped) + 1
	return turn - turn%n + n
}

// join has a connection wait from the next turn on.
func (r *round) join(w waiter) {
	r.mu.Lock()
	r.joined = append(r.joined, w)
	early := w.due < r.next
	if !r.running {
		r.running, early = true, false
		go r.run()
	}
	r.mu.Unlock()
	if early {
		r.signal()
	}
}

// signal has the round not sleep for longer than until the next turn.
func (r *round) signal() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// turn is how many turns have begun since the clock started.
func (r *round) turn() int64 {
	return int64((time.Since(r.clock.start) + r.phase) / r.clock.every)
}

// sleep waits until a turn begins, or that which follows when somebody signals.
func (r *round) sleep(timer *time.Timer, turn int64) {
	for {
		timer.Reset(time.Duration(turn)*r.clock.every - r.phase - time.Since(r.clock.start))
		select {
		case <-timer.C:
			return
		case <-r.wake:
			turn = min(turn, r.turn()+1)
		}
	}
}

// lateTurns is how often the deadlines of all are looked at; those of who has sent
// nothing are in each turn that they take, as are all when one has been set that is over.
const lateTurns = 16

// run reads those that wait, at each turn that one of them takes, until there are none.
func (r *round) run() {
	var waiting []waiter
	room := make([]byte, headroom+roomSize)
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	looked := r.turn() // for deadlines
	for next := looked + 1; ; {
		r.sleep(timer, next)
		turn := r.turn()
		r.mu.Lock()
		waiting = append(waiting, r.joined...)
		clear(r.joined)
		r.joined = r.joined[:0]
		r.running = len(waiting) > 0
		r.mu.Unlock()
		if len(waiting) == 0 {
			return
		}
		late := r.late.Swap(false) || turn >= looked+lateTurns
		if late {
			looked = turn
		}
		waiting, next = r.read(waiting, room, turn, late)
		r.mu.Lock()
		for _, w := range r.joined { // meanwhile
			next = min(next, max(w.due, turn+1))
		}
		r.next = next
		r.mu.Unlock()
	}
}

// read takes a turn with those that are due. It returns who goes on waiting, and which
// turn is the next one that any of these takes.
func (r *round) read(waiting []waiter, room []byte, turn int64, late bool) (stay []waiter, next int64) {
	now := time.Now()
	next = turn + MostSkipped + 1
	stay = waiting[:0]
	for _, w := range waiting {
		switch {
		case late && w.conn.late(now), w.due <= turn && !w.turn(room, now):
			w.conn.back <- struct{}{}
			continue
		case w.due <= turn:
			w.due = w.pace.next(turn)
		}
		next = min(next, w.due)
		stay = append(stay, w)
	}
	clear(waiting[len(stay):])
	return stay, next
}
