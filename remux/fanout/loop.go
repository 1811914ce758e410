package fanout

import (
	"net"
	"runtime"
	"sync"
	"syscall"
	"time"
)

const (
	// retry is the pause before another try where a socket was full but takes what it
	// is given.
	retry = 10 * time.Millisecond
	// idleTurn is the time between two looks at viewers to whom nothing is sent, where
	// frames wake the loop.
	idleTurn = time.Second
	// fair is how many viewers are served before others may use the processor.
	fair = 64
)

// loop writes to its share of the viewers.
type loop struct {
	fanout *Fanout

	wake chan struct{} // something to do before the next turn; holds one
	quit chan struct{} // closed to cut all viewers off

	viewers int // guarded by Fanout.mu

	mu    sync.Mutex
	added []*viewer // guarded by mu
	asked []func()  // guarded by mu

	// owned by run
	groups map[*feed]*group
	bufs   net.Buffers
	iovecs []syscall.Iovec
}

// group is the viewers of one feed.
type group struct {
	viewers []*viewer
	behind  bool   // some are to be tried again before the next turn
	stop    func() // ends the feed's waking of the loop
}

func (l *loop) signal() {
	select {
	case l.wake <- struct{}{}:
	default:
	}
}

// run has a thread of its own: on one processor's caches the same sockets cost a tenth
// less than from whichever thread is free.
func (l *loop) run() {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var next time.Duration // of the turn in which all viewers are looked at
	for {
		select {
		case <-l.quit:
			l.cutOff()
			return
		case <-l.wake:
		case <-timer.C:
		}
		l.take()
		now := l.fanout.now()
		all := now >= next || l.fanout.config.Gather == 0
		if all {
			next = l.fanout.following(now)
		}
		behind := false
		for feed, g := range l.groups {
			if all || g.behind {
				l.turn(feed, g, now, all)
			}
			behind = behind || g.behind
		}
		timer.Reset(l.idle(next, behind))
	}
}

// idle is the time until there is something to do: nothing while nobody watches.
func (l *loop) idle(next time.Duration, behind bool) time.Duration {
	if len(l.groups) == 0 {
		return time.Hour
	}
	d := max(next-l.fanout.now(), 0)
	if behind {
		d = min(d, retry)
	}
	return d
}

// take moves new viewers into their groups, and does what the loop was asked to.
func (l *loop) take() {
	l.mu.Lock()
	added, asked := l.added, l.asked
	l.added, l.asked = nil, nil
	l.mu.Unlock()
	for _, v := range added {
		g := l.groups[v.feed]
		if g == nil {
			g = &group{stop: func() {}}
			if l.fanout.config.Gather == 0 {
				g.stop = v.feed.key.stream.Notify(l.wake)
			}
			l.groups[v.feed] = g
		}
		g.viewers = append(g.viewers, v)
		g.behind = true
	}
	for _, what := range asked {
		what()
	}
}

// turn serves the viewers of a feed, or of these only those that are behind, and
// drops those that are gone.
func (l *loop) turn(feed *feed, g *group, now time.Duration, all bool) {
	newest, start := l.fanout.advance(feed, l.fanout.turn(now))
	gone, served := 0, 0
	g.behind = false
	for i, v := range g.viewers {
		if all || v.behind {
			if err := l.try(v, newest, start, now); err != nil {
				l.drop(v, err)
				gone++
				continue
			}
			g.behind = g.behind || v.behind
			if served++; served%fair == 0 {
				runtime.Gosched()
			}
		}
		if gone > 0 {
			g.viewers[i-gone] = v
		}
	}
	if gone == 0 {
		return
	}
	left := len(g.viewers) - gone
	clear(g.viewers[left:])
	g.viewers = g.viewers[:left]
	l.tidy(feed, g)
}

// tidy forgets a group without viewers.
func (l *loop) tidy(feed *feed, g *group) {
	if len(g.viewers) == 0 {
		g.stop()
		delete(l.groups, feed)
	}
}

func (l *loop) drop(v *viewer, reason error) {
	v.gone = true
	if v.loan == nil {
		_ = v.conn.Close() // nothing to be done about it
	}
	l.fanout.mu.Lock()
	l.viewers--
	l.fanout.leave(v.feed)
	l.fanout.mu.Unlock()
	l.bury(v, End{v.feed.verdict(reason), v.bytes, v.skips})
}

func (l *loop) cutOff() {
	l.take()
	for _, g := range l.groups {
		for _, v := range g.viewers {
			l.drop(v, ErrShutdown)
		}
		g.stop()
	}
	l.groups = nil
}
