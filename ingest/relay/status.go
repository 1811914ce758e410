package relay

import (
	"cmp"
	"log/slog"
	"slices"
	"sync"
	"time"

	"headwater/ingest/feed"
	"headwater/remux"
)

// Kind is a relay's direction.
type Kind string

const (
	Pushing Kind = "push"
	Pulling Kind = "pull"
)

// State is how a relay is getting on.
type State string

const (
	Waiting    State = "waiting" // for the stream's publisher to come back
	Connecting State = "connecting"
	Live       State = "live"
	Retrying   State = "retrying" // after an error, until the pause is over
)

// Status is one stream on its way to or from one target.
type Status struct {
	Kind    Kind
	Name    remux.Name
	Target  string // the URL, without what is secret
	State   State
	Since   time.Time // of the state
	Tries   uint64    // connections so far
	Error   string    // the last one; "": there was none
	ErrorAt time.Time
	Bytes   uint64 // sent or received, of all connections
	Frames  uint64 // likewise
	Skips   uint64 // how often the target was too slow
}

// job keeps the status of one relay.
type job struct {
	// fixed
	template template // with the names filled in
	log      *slog.Logger

	mu     sync.Mutex
	status Status
	feed   *feed.Feed // of the connection that is open; nil: there is none
}

func newJob(kind Kind, name remux.Name, t template, log *slog.Logger) *job {
	j := &job{template: t.at(name)}
	j.status = Status{Kind: kind, Name: name, Target: j.template.shown(), State: Connecting, Since: time.Now()}
	j.log = log.With("relay", string(kind), "name", name.String(), "target", j.status.Target)
	return j
}

// enter notes a new state.
func (j *job) enter(s State) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if s == Connecting {
		j.status.Tries++
	}
	if j.status.State != s {
		j.status.State, j.status.Since = s, time.Now()
	}
}

// fail notes why a try has ended, and says so unless it is of little interest.
func (j *job) fail(err error, retry time.Duration, quiet bool) {
	text := j.template.redact(err.Error(), j.status.Name)
	j.mu.Lock()
	same := j.status.Error == text && j.status.State != Live
	j.status.Error, j.status.ErrorAt = text, time.Now()
	j.mu.Unlock()
	say := j.log.Warn
	if quiet || same { // or it has been said
		say = j.log.Debug
	}
	say("relay interrupted", "error", text, "retry", retry.Round(time.Millisecond))
}

// sending notes that f sends from now on; nil: that it has ended.
func (j *job) sending(f *feed.Feed) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.feed != nil {
		j.status.add(j.feed)
	}
	j.feed = f
}

// received counts a frame.
func (j *job) received(bytes int) {
	j.mu.Lock()
	defer j.mu.Unlock()
	j.status.Frames++
	j.status.Bytes += uint64(bytes)
}

func (s *Status) add(f *feed.Feed) {
	s.Bytes += f.Bytes()
	s.Frames += f.Frames()
	s.Skips += f.Skips()
}

func (j *job) snapshot() Status {
	j.mu.Lock()
	defer j.mu.Unlock()
	s := j.status
	if j.feed != nil {
		s.add(j.feed)
	}
	return s
}

// Status returns every relay that is at work, in order of kinds, names and targets.
func (r *Relay) Status() []Status {
	r.mu.Lock()
	all := make([]Status, 0, len(r.pushes)+len(r.pulls))
	for _, p := range r.pushes {
		all = append(all, p.snapshot())
	}
	for _, p := range r.pulls {
		all = append(all, p.snapshot())
	}
	r.mu.Unlock()
	slices.SortFunc(all, func(a, b Status) int {
		return cmp.Or(cmp.Compare(b.Kind, a.Kind), cmp.Compare(a.Name.String(), b.Name.String()), cmp.Compare(a.Target, b.Target))
	})
	return all
}
