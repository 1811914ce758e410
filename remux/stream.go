package remux

import (
	"crypto/rand"
	"errors"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"headwater/remux/av"
)

// Stream is what viewers see of one live stream. All of it may be used from any
// goroutine.
type Stream struct {
	Name  Name
	Began time.Time

	options Options
	memory  *Memory
	log     log
	index   Watch[*Index]
	config  atomic.Pointer[av.Config] // in force; nil until the first frame
	extras  atomic.Pointer[[]*Extra]  // replaced, never changed
	coming  atomic.Uint64             // of index
	served  servedMark
	wanted  wanted

	mu       sync.Mutex     // guards what follows
	live     *Publisher     // nil while the publisher is away
	lastSeen time.Time      // when it left
	ended    time.Time      // zero while the stream goes on
	past     PublisherStats // of the publishers that have left

	// Owned by the publisher that is live, under its mu; by nobody else's leave.
	timeline timeline
	next     time.Duration // stream time at which the next publisher begins

	remembered *Segment // newest when the memory was last told; owned like timeline
}

// newStream returns a stream without a publisher, which goes on from what the
// memory has of its name. Without that, media sequence numbers begin at the second
// of its start: segments last longer than a second, so the numbers go on above
// those of an earlier stream.
func newStream(name Name, o Options, m *Memory, now time.Time) *Stream {
	s := &Stream{Name: name, Began: now, options: o, memory: m, lastSeen: now}
	from, goesOn := m.start(name, now)
	s.timeline.init(o, from, goesOn, &s.served)
	s.index.Store(s.timeline.index(now, false))
	return s
}

// newEpoch returns eight random characters.
func newEpoch() string { return strings.ToLower(rand.Text()[:8]) }

// Index returns what can be asked of the stream now.
func (s *Stream) Index() *Index { return s.index.Load() }

// Coming returns the media sequence number of the segment that is open or comes next;
// 0 while there has been none. It costs less than asking the Index.
func (s *Stream) Coming() uint64 { return s.coming.Load() }

// WatchIndex returns the index for waiting on.
func (s *Stream) WatchIndex() *Watch[*Index] { return &s.index }

// Config returns the parameters in force, nil while they are not known.
func (s *Stream) Config() *av.Config { return s.config.Load() }

// Metadata returns the newest onMetaData message as an FLV tag, nil if there has
// been none.
func (s *Stream) Metadata() []byte {
	s.log.mu.Lock()
	defer s.log.mu.Unlock()
	return s.log.metadata
}

// Live says whether a publisher is there, and since when it is not.
func (s *Stream) Live() (live bool, since time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live != nil, s.lastSeen
}

// attach makes p the stream's publisher, unless there is one that is not to be
// replaced, or the stream has ended.
func (s *Stream) attach(p *Publisher, takeover bool) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.ended.IsZero() {
		return errEnded
	}
	if s.live != nil {
		if !takeover {
			return ErrBusy
		}
		s.remove(ErrReplaced, time.Now())
	}
	s.live = p
	s.timeline.attach(&p.clock)
	p.clock.origin, p.clock.resumed = s.next, s.config.Load() != nil
	return nil
}

// Kick removes the stream's publisher, if it has one.
func (s *Stream) Kick() (removed bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	removed = s.live != nil
	if removed {
		s.remove(ErrKicked, time.Now())
	}
	return removed
}

// detach takes the publisher's leave: the open segment ends, the name is free.
func (s *Stream) detach(p *Publisher, now time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live == p {
		s.remove(nil, now)
	}
}

// remove takes the stream from its publisher: for a reason of others, or because
// it leaves. It waits for a Write that is under way. Callers hold mu.
func (s *Stream) remove(reason error, now time.Time) {
	p := s.live
	p.mu.Lock()
	if p.search != nil {
		p.search.cancel()
		p.search.alone.Store(true)
	}
	p.finish()
	p.lost = reason
	if reason == nil {
		p.lost = errClosed
	}
	s.next = max(s.next, p.clock.end())
	s.past.add(p.stats)
	p.mu.Unlock()
	s.live, s.lastSeen = nil, now
	s.timeline.breakOff(now)
	s.publish(now, false)
	if reason != nil && p.evicted != nil {
		go p.evicted(reason)
	}
}

// errClosed is what Write returns after Close.
var errClosed = errors.New("the publisher is closed")

// expire ends a stream whose publisher has been away for too long, and says
// whether even its viewers have had their time.
func (s *Stream) expire(now time.Time) (gone bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.live != nil || now.Sub(s.lastSeen) < s.options.Reconnect {
		return false
	}
	if s.ended.IsZero() {
		s.end(now)
	}
	return now.Sub(s.ended) >= s.options.Linger || len(s.timeline.held) == 0
}

// end writes ENDLIST and lets cursors run out. Callers hold mu.
func (s *Stream) end(now time.Time) {
	s.ended = now
	s.publish(now, true)
	if s.remembered != nil { // what goes on from here is another stream
		state := s.timeline.state(now)
		state.Past = nil
		s.memory.remember(s.Name, state)
	}
	for _, l := range s.logs() {
		l.end()
	}
}

// append adds a frame of the publisher's to both views of the stream. With a Config that
// is still shown HLS goes on with that, and takes pictures alone.
func (s *Stream) append(f av.Frame, at int64, start bool, shown *av.Config, now func() time.Time) {
	f.Time, f.Start = at, start
	s.log.append(&f, s.options.Window, s.options.MaxBytes)
	switch {
	case f.Kind == av.Data, f.Kind == av.Audio && shown != nil:
		return
	case shown != nil:
		f.Config = shown
	}
	if s.timeline.push(&f, now) {
		s.publish(now(), false)
	}
}

// publish shows readers the timeline as it is.
func (s *Stream) publish(now time.Time, ended bool) {
	ix := s.timeline.index(now, ended)
	if len(ix.Segments) > 0 && ix.newest() != s.remembered {
		s.remembered = ix.newest()
		s.memory.remember(s.Name, s.timeline.state(now))
	}
	s.coming.Store(ix.coming())
	s.index.Store(ix)
}

// coming is what Stream.Coming returns.
func (ix *Index) coming() uint64 {
	if ix.Open != nil {
		return ix.Open.Sequence
	}
	if n := len(ix.Segments); n > 0 {
		return ix.Segments[n-1].Sequence + 1
	}
	return 0
}

// breakOff tells the timeline that a discontinuity follows.
func (s *Stream) breakOff(now time.Time) {
	if s.timeline.breakOff(now) {
		s.publish(now, false)
	}
}

// Notify has something sent to c, if it has room, whenever the stream has a new
// frame or ends, until the function that is returned is called. It is for readers
// of many streams, which wait for all of them at a time.
func (s *Stream) Notify(c chan<- struct{}) (stop func()) {
	l := &s.log
	l.mu.Lock()
	defer l.mu.Unlock()
	l.watchers = append(l.watchers, c)
	return func() {
		l.mu.Lock()
		defer l.mu.Unlock()
		if i := slices.Index(l.watchers, c); i >= 0 {
			l.watchers = slices.Delete(l.watchers, i, i+1)
		}
	}
}
