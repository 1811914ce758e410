package fanout

import (
	"cmp"
	"errors"
	"slices"
	"time"
)

// ErrMemory is why Shed closes a viewer.
var ErrMemory = errors.New("memory is short, and it was among the slowest")

const (
	// shedLag is how far a viewer has to be behind to be shed: far more than one whose
	// line hiccups, and than frames are gathered.
	shedLag = 2 * time.Second
	// shedShare is the part of those that is shed at a time, a tenth.
	shedShare = 10
)

// Shed closes some of the slowest viewers when memory is short: of those that are more
// than two seconds of media behind what there is, the tenth that is furthest behind,
// and at least one. It returns how many. Who keeps up is never closed.
func (f *Fanout) Shed() int {
	now := f.now()
	lags := f.runnersLag(now)
	for _, l := range f.loops {
		lags = append(lags, l.ask(func() []time.Duration { return l.lags(now) })...)
	}
	if len(lags) == 0 {
		return 0
	}
	slices.SortFunc(lags, func(a, b time.Duration) int { return cmp.Compare(b, a) })
	most := (len(lags) + shedShare - 1) / shedShare
	least := lags[most-1]
	n := f.shedRunners(now, least, most)
	for _, l := range f.loops {
		n += len(l.ask(func() []time.Duration { return l.shed(now, least, most-n) }))
	}
	return n
}

// ask has the loop call what, between two of its turns, and returns what that returns;
// nothing if the loop has ended.
func (l *loop) ask(what func() []time.Duration) []time.Duration {
	answer := make(chan []time.Duration, 1)
	l.mu.Lock()
	l.asked = append(l.asked, func() { answer <- what() })
	l.mu.Unlock()
	l.signal()
	select {
	case a := <-answer:
		return a
	case <-l.quit:
		return nil
	}
}

// lags returns how far behind those are that may be shed.
func (l *loop) lags(now time.Duration) (lags []time.Duration) {
	for feed, g := range l.groups {
		newest, _ := l.fanout.advance(feed, l.fanout.turn(now))
		for _, v := range g.viewers {
			if lag := v.lag(newest); lag > shedLag {
				lags = append(lags, lag)
			}
		}
	}
	return lags
}

// shed drops viewers that are at least so far behind, and no more than most.
func (l *loop) shed(now, least time.Duration, most int) (shed []time.Duration) {
	for feed, g := range l.groups {
		newest, _ := l.fanout.advance(feed, l.fanout.turn(now))
		g.viewers = slices.DeleteFunc(g.viewers, func(v *viewer) bool {
			lag := v.lag(newest)
			if lag < least || len(shed) >= most {
				return false
			}
			shed = append(shed, lag)
			l.drop(v, ErrMemory)
			return true
		})
		l.tidy(feed, g)
	}
	return shed
}

// lag is how far the viewer is behind the newest block.
func (p *place) lag(newest *block) time.Duration {
	if p.last == nil {
		return 0
	}
	return newest.dts - p.last.dts
}

// runnersLag returns how far behind those are that may be shed.
func (f *Fanout) runnersLag(now time.Duration) (lags []time.Duration) {
	for r := range f.running() {
		if lag := r.behind(f, now); lag > shedLag {
			lags = append(lags, lag)
		}
	}
	return lags
}

// shedRunners ends those that are at least so far behind, and no more than most.
func (f *Fanout) shedRunners(now, least time.Duration, most int) (n int) {
	for r := range f.running() {
		if n < most && r.behind(f, now) >= least {
			r.shed.Store(true)
			r.cancel()
			n++
		}
	}
	return n
}

// behind is lag for another goroutine than the runner's, which may be waiting in a
// write. One that is on its way out counts no more.
func (r *runner) behind(f *Fanout, now time.Duration) time.Duration {
	last := r.at.Load()
	if last == nil || r.shed.Load() {
		return 0
	}
	newest, _ := f.advance(r.feed, f.turn(now))
	return newest.dts - last.dts
}
