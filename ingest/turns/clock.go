package turns

import (
	"sync"
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

// New returns a clock whose turns are at most every apart, which is more than 0.
func New(every time.Duration) *Clock { return &Clock{every: every, start: time.Now()} }

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
	// Rounds do not all wake up at once.
	phase := time.Duration(len(c.rounds)) * c.every * 3 / 8 % c.every
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

	mu      sync.Mutex // guards what follows
	running bool
	joined  []*Conn // since the last turn
}

// join has c wait from the next turn on.
func (r *round) join(c *Conn) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.joined = append(r.joined, c)
	if !r.running {
		r.running = true
		go r.run()
	}
}

// run reads those that wait, at each turn, until there are none.
func (r *round) run() {
	var waiting []*Conn
	room := make([]byte, headroom+roomSize)
	for {
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
		now, stay := time.Now(), 0
		for _, c := range waiting {
			if c.turn(room, now) {
				waiting[stay] = c
				stay++
			} else {
				c.back <- struct{}{}
			}
		}
		clear(waiting[stay:])
		waiting = waiting[:stay]
	}
}
