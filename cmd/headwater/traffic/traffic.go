// Package traffic watches the public listener from outside its handler: it counts
// requests by kind of object, knows who holds a connection open, writes the access
// log, and finds out who is behind a proxy that may say so.
//
// What it costs a request is a few atomic additions; what an endless body costs is
// its beginning and its end.
package traffic

import (
	"net/http"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"headwater/cmd/headwater/histogram"
)

// Traffic watches. Its methods may be called by many goroutines at once.
type Traffic struct {
	log     *AccessLog // nil: none
	trusted atomic.Pointer[[]netip.Prefix]
	kinds   [numKinds]kindCounters
	now     atomic.Int64 // requests under way, endless bodies apart
	viewers viewers
	readers readers
	tracer  Tracer // nil: none
}

// Tracer makes spans of requests.
type Tracer interface {
	// Begin returns a request that knows its span, and the span; nil where it is not
	// traced. stream is the APP/NAME that the path is about, if there were one; trusted
	// that it came by a trusted proxy.
	Begin(r *http.Request, kind Kind, stream string, trusted bool) (*http.Request, Span)
}

// Span is a request from its begin to its end.
type Span interface {
	Answering() // the answer begins
	End(status int, bytes uint64)
}

// Trace makes spans of requests to come. A nil tracer makes none. It must be called
// before there are any.
func (t *Traffic) Trace(tracer Tracer) { t.tracer = tracer }

// New returns a Traffic that has seen nothing. What proxies say of their clients
// counts if they are trusted; a nil log is none.
func New(log *AccessLog, trusted []netip.Prefix) *Traffic {
	t := &Traffic{log: log}
	t.viewers.byID = map[uint64]*viewer{}
	t.readers.seen = map[uint64]reading{}
	for i := range t.kinds {
		t.kinds[i].durations = histogram.New(buckets...)
	}
	t.Trust(trusted)
	return t
}

// Trust replaces the proxies whose word counts.
func (t *Traffic) Trust(proxies []netip.Prefix) { t.trusted.Store(&proxies) }

// InFlight returns how many requests are being answered, endless bodies apart.
func (t *Traffic) InFlight() int { return int(t.now.Load()) }

// Handler returns next, watched. What next sees as the remote address of a request
// is its client's.
func (t *Traffic) Handler(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		t.now.Add(1)
		defer t.now.Add(-1)
		client, trusted := t.client(r)
		if trusted {
			r.RemoteAddr = netip.AddrPortFrom(client, 0).String()
		}
		s := recorders.Get().(*recorder)
		*s = recorder{ResponseWriter: w, traffic: t, request: r, kind: KindOf(r.URL.Path), began: time.Now()}
		if t.tracer != nil {
			r, s.span = t.tracer.Begin(r, s.kind, streamOf(r.URL.Path), trusted)
		}
		defer func() {
			s.done()
			*s = recorder{}
			recorders.Put(s)
		}()
		next.ServeHTTP(s, r)
	})
}

var recorders = sync.Pool{New: func() any { return new(recorder) }}
