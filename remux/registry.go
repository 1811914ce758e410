package remux

import (
	"context"
	"errors"
	"slices"
	"strings"
	"sync"
	"time"
)

// ErrBusy says that the name has a publisher already.
var ErrBusy = errors.New("the stream already has a publisher")

// Why a publisher has lost its stream.
var (
	ErrReplaced = errors.New("another publisher has taken the stream over")
	ErrKicked   = errors.New("the publisher was removed by the operator")
)

// Claim is how a publisher asks for a name.
type Claim struct {
	// Takeover replaces a publisher that is there, and so lets an encoder back in
	// whose old connection nobody has noticed to be dead.
	Takeover bool
	// Evicted is called once, from another goroutine, when the publisher has lost
	// its stream: with ErrReplaced, ErrKicked or ErrStandstill. Write fails with the same from
	// then on. It must not call back into this package. nil: nothing is called.
	Evicted func(error)
}

// errEnded says that a stream is over and a new one takes its name.
var errEnded = errors.New("the stream has ended")

// Registry maps names to streams. Asking for a name that is not there leaves
// nothing behind.
type Registry struct {
	// fixed after NewRegistry
	options Options
	memory  *Memory

	begun Watch[uint64]
	twin  func(*twinSearch, Name) // asks it; nil: there is none

	mu      sync.Mutex
	streams map[Name]*Stream
}

// NewRegistry returns an empty registry. Its Run ends streams whose publishers
// have left. A nil memory is one without a file.
func NewRegistry(o Options, m *Memory) *Registry {
	if m == nil {
		m = OpenMemory("", nil)
	}
	return &Registry{options: o, memory: m, streams: map[Name]*Stream{}}
}

// Publish claims name for one publisher. It fails with ErrBusy while another
// holds it, unless the claim takes over. A stream whose last publisher left within
// the reconnect window goes on; else a new one begins.
func (r *Registry) Publish(name Name, c Claim) (*Publisher, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if s := r.streams[name]; s != nil {
		p, err := r.attach(s, c)
		if !errors.Is(err, errEnded) {
			return p, err
		}
	}
	s := newStream(name, r.options, r.memory, time.Now())
	p, err := r.attach(s, c)
	if err != nil {
		return nil, err
	}
	r.streams[name] = s
	r.begun.Store(r.begun.Load() + 1)
	return p, nil
}

// attach makes a publisher of a stream.
func (r *Registry) attach(s *Stream, c Claim) (*Publisher, error) {
	p := newPublisher(s, c.Evicted)
	if r.twin != nil {
		p.search = newTwinSearch()
	}
	if err := s.attach(p, c.Takeover); err != nil {
		return nil, err
	}
	if r.twin != nil {
		go r.twin(p.search, s.Name)
	}
	return p, nil
}

// Begun counts the streams that have begun: waiting for it to change is how to hear
// of a new one. A publisher that comes back to its stream begins none.
func (r *Registry) Begun() *Watch[uint64] { return &r.begun }

// Stream returns the stream of that name, nil if there is none.
func (r *Registry) Stream(name Name) *Stream {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.streams[name]
}

// Expects says that a stream of that name was live a short time ago, in a process that
// is gone: its publisher and its players may be on the way back.
func (r *Registry) Expects(name Name) bool { return r.memory.expects(name, time.Now()) }

// Streams returns all streams, in order of their names.
func (r *Registry) Streams() []*Stream {
	r.mu.Lock()
	all := make([]*Stream, 0, len(r.streams))
	for _, s := range r.streams {
		all = append(all, s)
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b *Stream) int { return strings.Compare(a.Name.String(), b.Name.String()) })
	return all
}

// Run ends streams whose reconnect window has passed and forgets those that have
// been over for Linger, until ctx is done.
func (r *Registry) Run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			r.expire(now)
		}
	}
}

func (r *Registry) expire(now time.Time) {
	for _, s := range r.Streams() {
		if !s.expire(now) {
			continue
		}
		r.mu.Lock()
		if r.streams[s.Name] == s {
			delete(r.streams, s.Name)
		}
		r.mu.Unlock()
		for _, l := range s.logs() {
			l.release()
		}
	}
}

// Close lets all cursors run out, because the process ends. No playlist gets
// ENDLIST: the streams are not over.
func (r *Registry) Close() {
	for _, s := range r.Streams() {
		for _, l := range s.logs() {
			l.end()
		}
	}
}
