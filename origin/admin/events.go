package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"net/http"
	"sync/atomic"
	"time"

	"headwater/remux"
)

const (
	// maxSubscribers bounds the clients that are told of changes at a time.
	maxSubscribers = 32
	// lookEvery is how often it is looked what has changed; a stream that begins is
	// told at once.
	lookEvery = 500 * time.Millisecond
	// heartbeatEvery keeps proxies from taking a quiet connection for a dead one.
	heartbeatEvery = 15 * time.Second
	// eventStall is how long a client may take for what it is sent.
	eventStall = 10 * time.Second
)

// What changes.
const (
	streamBegun   = "stream_begun"
	streamEnded   = "stream_ended"
	publisherCame = "publisher_came"
	publisherLeft = "publisher_left"
)

// Event is the data of one server-sent event.
type Event struct {
	Stream string    `json:"stream"`
	Time   time.Time `json:"time"`
}

// subscriptions count the clients.
type subscriptions struct{ n atomic.Int64 }

// seen is what a client knows of a stream.
type seen struct {
	stream    *remux.Stream
	publisher *remux.Publisher
	ended     bool
}

// changes sends what changes from now on (WHATWG HTML, 9.2). Nothing is queued: each
// client is told the difference to what it knows, so that one that is slow misses
// what was undone meanwhile and nothing else.
func (a *api) changes(w http.ResponseWriter, r *http.Request) error {
	if a.events.n.Add(1) > maxSubscribers {
		a.events.n.Add(-1)
		w.Header().Set("Retry-After", "10")
		return NewProblem(http.StatusServiceUnavailable, "%d clients are told of changes already", maxSubscribers)
	}
	defer a.events.n.Add(-1)
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		return nil
	}
	known := look(a.config.Registry)
	control := http.NewResponseController(w)
	send := func(b []byte) bool {
		_ = control.SetWriteDeadline(time.Now().Add(eventStall)) // unsupported only in tests
		_, err := w.Write(b)
		return err == nil && control.Flush() == nil
	}
	if !send([]byte(": changes from now on\n\n")) {
		return nil
	}
	for last := time.Now(); a.wait(r.Context()); {
		now := look(a.config.Registry)
		b := difference(known, now)
		known = now
		if len(b) == 0 && time.Since(last) >= heartbeatEvery {
			b = []byte(": still here\n\n")
		}
		if len(b) == 0 {
			continue
		}
		if last = time.Now(); !send(b) {
			return nil // it has left, or takes nothing
		}
	}
	return nil
}

// wait returns when it is time to look again, and false when the client has left.
func (a *api) wait(ctx context.Context) bool {
	limited, cancel := context.WithTimeout(ctx, lookEvery)
	defer cancel()
	begun := a.config.Registry.Begun()
	n := begun.Load()
	_, _ = begun.Wait(limited, func(m uint64) bool { return m != n }) // either way it is time
	return ctx.Err() == nil
}

// look returns all streams as they are.
func look(r *remux.Registry) map[remux.Name]seen {
	all := map[remux.Name]seen{}
	for _, s := range r.Streams() {
		all[s.Name] = seen{s, s.Publisher(), s.Index().Ended}
	}
	return all
}

// difference returns the events that lead from one to the other.
func difference(before, now map[remux.Name]seen) []byte {
	var b bytes.Buffer
	add := func(kind string, n remux.Name) {
		data, err := json.Marshal(Event{n.String(), time.Now().UTC()})
		if err != nil {
			return // there is only text in it
		}
		b.WriteString("event: " + kind + "\ndata: ")
		b.Write(data)
		b.WriteString("\n\n")
	}
	for name, old := range before {
		s, there := now[name]
		gone := !there || s.stream != old.stream
		if old.publisher != nil && (gone || s.publisher != old.publisher) {
			add(publisherLeft, name)
		}
		if !old.ended && (gone || s.ended) {
			add(streamEnded, name)
		}
	}
	for name, s := range now {
		old := before[name]
		fresh := s.stream != old.stream
		if fresh && !s.ended {
			add(streamBegun, name)
		}
		if s.publisher != nil && (fresh || s.publisher != old.publisher) {
			add(publisherCame, name)
		}
	}
	return b.Bytes()
}
