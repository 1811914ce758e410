package turns

import (
	"sync/atomic"
	"time"
)

// Clock says when it is everybody's turn. It runs only while somebody waits.
type Clock struct {
	// fixed after New
	every time.Duration
	start time.Time
	timer *time.Timer

	turn atomic.Pointer[turn] // the one that comes next
}

// turn is a point in time that any number of goroutines wait for.
type turn struct {
	armed atomic.Bool   // the timer has been set for it
	come  chan struct{} // closed when it has come
}

// New returns a clock whose turns are at most every apart, which is more than 0.
func New(every time.Duration) *Clock {
	c := &Clock{every: every, start: time.Now()}
	c.turn.Store(newTurn())
	c.timer = time.AfterFunc(time.Hour, c.tick)
	c.timer.Stop()
	return c
}

func newTurn() *turn { return &turn{come: make(chan struct{})} }

// wait returns at the next turn.
func (c *Clock) wait() {
	t := c.turn.Load()
	if !t.armed.Load() && t.armed.CompareAndSwap(false, true) {
		c.timer.Reset(c.every - time.Since(c.start)%c.every)
	}
	<-t.come
}

// tick wakes everybody who waits: one timer and one close, however many they are.
func (c *Clock) tick() {
	close(c.turn.Swap(newTurn()).come)
}
