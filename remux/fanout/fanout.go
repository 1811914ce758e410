package fanout

import (
	"log/slog"
	"net"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"headwater/remux"
)

// Config says how a Fanout works.
type Config struct {
	// Gather is how long frames are gathered before they are written together, where
	// there are more viewers than a few; for those it is a part of it, about 20 ms. 0
	// writes each at once.
	Gather time.Duration
	// SkipPause is how long a viewer has to keep up after it was skipped ahead before
	// that may happen again; else it is closed. 0: 30 s.
	SkipPause time.Duration
	// Stall is how long a viewer's connection may take nothing. 0: 10 s.
	Stall  time.Duration
	Logger *slog.Logger // nil: none
}

// Fanout has the feeds and the loops.
type Fanout struct {
	// fixed
	config Config
	began  time.Time
	loops  []*loop
	steps  int64         // in which Gather is divided for few viewers
	step   time.Duration // one of them, about: the last is a little longer

	viewers atomic.Int64 // changed under mu

	mu      sync.Mutex
	feeds   map[feedKey]*feed    // that have viewers; guarded by mu
	runners map[*runner]struct{} // guarded by mu
	closed  bool                 // guarded by mu
	ended   sync.WaitGroup
}

// Viewer is who wants a stream, and how.
type Viewer struct {
	Stream  *remux.Stream
	Format  Format
	Framing Framing
	Head    []byte  // sent before all else, as it is
	Skipped func()  // called each time that it is skipped ahead; must not wait. nil: nothing is
	Counts  *Counts // of what it gets; nil: nobody asks
}

// End is how it went.
type End struct {
	Reason error  // io.EOF: the stream has ended, and the viewer has all of it
	Bytes  uint64 // of media
	Skips  int    // how often it was too slow
}

const (
	// fewViewers is how many cost so little that their frames need not wait for long.
	fewViewers = 50
	// fewGather is how long they wait at least.
	fewGather = 20 * time.Millisecond
	// roomFor is how long frames have to be gathered for each viewer of a loop before there
	// are too many for one: it needs some twentieth of the time for them at usual bit rates,
	// and that is how late the last of them gets what is sent.
	roomFor = time.Second / 3000
)

// New starts the loops, one a core.
func New(c Config) *Fanout {
	if c.SkipPause == 0 {
		c.SkipPause = skipPause
	}
	if c.Stall == 0 {
		c.Stall = stall
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	now, steps := time.Now(), max(1, c.Gather/fewGather)
	f := &Fanout{
		config: c, began: now, steps: int64(steps), step: c.Gather / steps,
		feeds: map[feedKey]*feed{}, runners: map[*runner]struct{}{},
	}
	if c.Gather > 0 { // turns are at the same times as those of others that gather
		f.began = now.Add(-time.Duration(now.UnixNano()) % c.Gather)
	}
	for range runtime.GOMAXPROCS(0) {
		l := &loop{
			fanout: f,
			wake:   make(chan struct{}, 1),
			quit:   make(chan struct{}),
			groups: map[*feed]*group{},
		}
		f.loops = append(f.loops, l)
		f.ended.Go(l.run)
	}
	return f
}

// Serve hands a plain TCP connection over; left is called once, from another
// goroutine, when the viewer is gone and conn is closed, and must not wait. Serve
// reports false, and does nothing, where conn is of another kind or after Close.
func (f *Fanout) Serve(conn net.Conn, v Viewer, left func(End)) bool {
	return f.attach(conn, v, &viewer{left: left}) != nil
}

// attach gives a viewer to a loop, which it returns; nil: it cannot.
func (f *Fanout) attach(conn net.Conn, v Viewer, w *viewer) *loop {
	fd, ok := descriptor(conn)
	if !ok {
		return nil
	}
	boundSendBuffer(fd)
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.closed {
		return nil
	}
	w.conn, w.fd, w.framing, w.lead, w.behind = conn, fd, v.Framing, v.Head, true
	w.place = f.enter(v)
	w.moved = f.now()
	if v.Framing == WebSocket {
		w.inbox = &inbox{}
	}
	l := f.roomiest()
	l.viewers++
	l.mu.Lock()
	l.added = append(l.added, w)
	l.mu.Unlock()
	l.signal()
	return l
}

// roomiest returns the loop that the next viewer goes to: the first that is not full, or
// that with the fewest viewers. Callers hold mu.
func (f *Fanout) roomiest() *loop {
	full := int(f.config.Gather / roomFor)
	for _, l := range f.loops {
		if l.viewers < full {
			return l
		}
	}
	return slices.MinFunc(f.loops, func(a, b *loop) int { return a.viewers - b.viewers })
}

// Close cuts all viewers of Serve off and waits for the loops to end.
func (f *Fanout) Close() {
	f.mu.Lock()
	if !f.closed {
		f.closed = true
		for _, l := range f.loops {
			close(l.quit)
		}
	}
	f.mu.Unlock()
	f.ended.Wait()
}

// enter gives a viewer its place. Callers hold mu.
func (f *Fanout) enter(v Viewer) place {
	key := feedKey{v.Stream, v.Format}
	feed := f.feeds[key]
	if feed == nil {
		feed = newFeed(key)
		f.feeds[key] = feed
	}
	feed.users++
	f.viewers.Add(1)
	return place{feed: feed, pause: f.config.SkipPause, skipped: v.Skipped, counts: v.Counts}
}

// leave gives it back. Callers hold mu.
func (f *Fanout) leave(feed *feed) {
	f.viewers.Add(-1)
	if feed.users--; feed.users == 0 {
		delete(f.feeds, feed.key)
	}
}

// now is the time on the clock of the turns.
func (f *Fanout) now() time.Duration { return time.Since(f.began) }

// few reports whether the viewers are no more than a few.
func (f *Fanout) few() bool { return f.viewers.Load() <= fewViewers }

// every is how far apart the turns are at which all viewers are sent to; 0: not far.
func (f *Fanout) every() time.Duration {
	if f.few() {
		return 0
	}
	return f.config.Gather
}

// turn numbers the turns, steps to a time of Gather: of many viewers only the first of
// these is one. Without gathering there are none: any time is a new one.
func (f *Fanout) turn(now time.Duration) int64 {
	if f.config.Gather == 0 {
		return int64(now)
	}
	turn := int64(now/f.config.Gather) * f.steps
	if f.few() {
		turn += min(int64(now%f.config.Gather/f.step), f.steps-1)
	}
	return turn
}

// following is when the next turn begins.
func (f *Fanout) following(now time.Duration) time.Duration {
	if f.config.Gather == 0 {
		return now + idleTurn
	}
	within := now % f.config.Gather
	next := f.config.Gather
	if step := within/f.step + 1; f.few() && step < time.Duration(f.steps) {
		next = step * f.step
	}
	return now - within + next
}
