package conformance

import (
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"
)

// Recording is all that was asked of one stream and answered, with its times, and
// what was published meanwhile. Rules read it; a Recorder writes it.
type Recording struct {
	Name string
	// Paced says that media was published as fast as it plays, so that rules about
	// time have a meaning.
	Paced bool
	// Whole says that all of the stream was recorded, from its first segment, so
	// that what was published can be held against what was played.
	Whole bool
	// Slack is what a busy machine may add to any answer.
	Slack time.Duration
	// Window is the media that the server is configured to list.
	Window time.Duration

	Renditions []*Rendition
	Multis     []*Multi
	Probes     []*Probe
	Events     []Event
	Sent       []Sent

	mu sync.Mutex // held by Recorder and Feed while they add to it
}

// Rendition is one media playlist and what stands in it.
type Rendition struct {
	Format  string // fmp4 or ts
	Path    string // of the media playlist
	Lists   []*List
	Objects map[string]*Object // by path
}

// List is an answer to a request for a media playlist. Lists of a Rendition were
// asked for one after the other.
type List struct {
	Exchange
	Until time.Time // the same text was answered up to here
}

// ObjectKind says how a playlist names an object.
type ObjectKind string

// The kinds of objects.
const (
	SegmentObject ObjectKind = "segment"
	PartObject    ObjectKind = "part"
	InitObject    ObjectKind = "init"
)

// Object is a segment, a part or an initialization section, and each time it was
// asked for.
type Object struct {
	Kind   ObjectKind
	Gets   []*Exchange
	Hinted bool // the first of Gets was made because of an EXT-X-PRELOAD-HINT
}

// Body is what the object is: the first whole answer.
func (o *Object) Body() []byte {
	for _, x := range o.Gets {
		if x.Status == http.StatusOK {
			return x.Body
		}
	}
	return nil
}

// Multi is an answer to a request for a multivariant playlist.
type Multi struct {
	Exchange
	Format string // of the media playlist that it has to lead to
}

// Exchange is a request and its answer.
type Exchange struct {
	Method  string
	Path    string // with the query
	Request http.Header
	Sent    time.Time
	First   time.Time // the first byte of the answer
	Done    time.Time // the last one
	Status  int
	Header  http.Header
	Body    []byte
	Err     string
}

// Took is the time from the request to the end of the answer.
func (x *Exchange) Took() time.Duration { return x.Done.Sub(x.Sent) }

// OK says that the answer is whole and positive.
func (x *Exchange) OK() bool { return x.Err == "" && x.Status == http.StatusOK }

// Probe is a question that was put in order to learn how it is answered. Before
// is the playlist as it was known when the question was put, After as it was
// afterwards, where that matters.
type Probe struct {
	Kind          string
	Target        string // multi, list, segment, part or init
	Format        string
	Exchanges     []*Exchange
	Before, After *Media
}

// Event is something that was done to the stream.
type Event struct {
	Kind EventKind
	At   time.Time
}

// EventKind is what was done.
type EventKind string

// The events: the publisher has left, one has come (back), the server was killed
// and runs again, it did so without its data, the publisher fell silent and
// speaks again.
const (
	Left      EventKind = "left"
	Came      EventKind = "came"
	Restarted EventKind = "restarted"
	LostData  EventKind = "lost data"
	Stalled   EventKind = "stalled"
	Resumed   EventKind = "resumed"
)

// Sent is one frame that was published.
type Sent struct {
	Session int
	Video   bool
	Key     bool
	Time    int64 // DTS in ms, not wrapped
	At      time.Time
}

// Rendition returns the one with that format, nil if it was not recorded.
func (r *Recording) Rendition(format string) *Rendition {
	for _, n := range r.Renditions {
		if n.Format == format {
			return n
		}
	}
	return nil
}

// Note adds an event.
func (r *Recording) Note(kind EventKind) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.Events = append(r.Events, Event{kind, time.Now()})
}

// between says whether an event of one of these kinds lies between two times.
func (r *Recording) between(from, to time.Time, kinds ...EventKind) bool {
	return slices.ContainsFunc(r.Events, func(e Event) bool {
		return !e.At.Before(from) && !e.At.After(to) && (len(kinds) == 0 || slices.Contains(kinds, e.Kind))
	})
}

// Clone returns a deep copy but for the bytes of bodies, which are replaced and
// never changed.
func (r *Recording) Clone() *Recording {
	c := &Recording{Name: r.Name, Paced: r.Paced, Whole: r.Whole, Slack: r.Slack, Window: r.Window,
		Events: slices.Clone(r.Events), Sent: slices.Clone(r.Sent)}
	for _, n := range r.Renditions {
		m := &Rendition{Format: n.Format, Path: n.Path, Objects: map[string]*Object{}}
		for _, l := range n.Lists {
			m.Lists = append(m.Lists, &List{*l.clone(), l.Until})
		}
		for name, o := range n.Objects {
			m.Objects[name] = &Object{Kind: o.Kind, Gets: cloneAll(o.Gets), Hinted: o.Hinted}
		}
		c.Renditions = append(c.Renditions, m)
	}
	for _, m := range r.Multis {
		c.Multis = append(c.Multis, &Multi{*m.clone(), m.Format})
	}
	for _, p := range r.Probes {
		q := *p
		q.Exchanges = cloneAll(p.Exchanges)
		c.Probes = append(c.Probes, &q)
	}
	return c
}

func (x *Exchange) clone() *Exchange {
	c := *x
	c.Request, c.Header = x.Request.Clone(), x.Header.Clone()
	return &c
}

func cloneAll(all []*Exchange) (out []*Exchange) {
	for _, x := range all {
		out = append(out, x.clone())
	}
	return out
}

// resolve returns the path that a URI means in a playlist at base.
func resolve(base, uri string) string {
	b, err := url.Parse(base)
	if err != nil {
		return uri
	}
	u, err := b.Parse(uri)
	if err != nil {
		return uri
	}
	return u.RequestURI()
}
