package conformance

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptrace"
	"sync"
	"time"
)

// Recorder plays one stream in all its renditions and writes down what happens.
type Recorder struct {
	Rec  *Recording
	App  string // "live/x"
	host string // http://127.0.0.1:1234

	client  *http.Client
	fetches sync.WaitGroup
	busy    chan struct{} // bounds the fetches at one time

	state    map[string]*Media // by format, the newest one; guarded by Rec.mu
	ended    map[string]bool
	departed map[string]*departure // by path of an object; guarded by Rec.mu
}

// departure is an object that no playlist lists any more.
type departure struct {
	rendition *Rendition
	at        time.Time
	checks    []time.Time // when it has to be asked for again
}

// NewRecorder returns a recorder of the stream app ("live/x") at host.
func NewRecorder(name, host, app string) *Recorder {
	rec := &Recording{Name: name, Slack: time.Second}
	for _, format := range []string{"fmp4", "ts"} {
		rec.Renditions = append(rec.Renditions, &Rendition{Format: format,
			Path: "/" + app + "/" + format + "/index.m3u8", Objects: map[string]*Object{}})
	}
	return &Recorder{
		Rec: rec, App: app, host: host,
		client: &http.Client{
			Transport:     &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 64},
			CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		},
		busy:  make(chan struct{}, 16),
		state: map[string]*Media{}, ended: map[string]bool{}, departed: map[string]*departure{},
	}
}

// Do asks once; header is key, value pairs. It never fails: what went wrong
// stands in the answer.
func (r *Recorder) Do(ctx context.Context, method, path string, header ...string) *Exchange {
	x := &Exchange{Method: method, Path: path, Request: http.Header{}}
	ctx = httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{
		GotFirstResponseByte: func() { x.First = time.Now() },
	})
	req, err := http.NewRequestWithContext(ctx, method, r.host+path, nil)
	if err != nil {
		x.Err = err.Error()
		return x
	}
	for i := 0; i+1 < len(header); i += 2 {
		x.Request.Set(header[i], header[i+1])
	}
	req.Header = x.Request.Clone()
	x.Sent = time.Now()
	if err := r.finish(req, x); err != nil {
		x.Err = err.Error()
	}
	x.Done = time.Now()
	return x
}

func (r *Recorder) finish(req *http.Request, x *Exchange) error {
	res, err := r.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	x.Status, x.Header = res.StatusCode, res.Header
	if x.Body, err = io.ReadAll(res.Body); err != nil {
		return fmt.Errorf("read body: %w", err)
	}
	return nil
}

// State returns the newest media playlist of a format, nil before the first.
func (r *Recorder) State(format string) *Media {
	r.Rec.mu.Lock()
	defer r.Rec.mu.Unlock()
	return r.state[format]
}

// Ended says whether that playlist has ENDLIST.
func (r *Recorder) Ended(format string) bool {
	r.Rec.mu.Lock()
	defer r.Rec.mu.Unlock()
	return r.ended[format]
}

// retryAfter is the pause after an answer that was no playlist.
const retryAfter = 100 * time.Millisecond

// FollowLive plays the low latency playlist until ctx is done or it ends: a
// blocking reload for each part, each third one a delta update, and each hinted
// part asked for before it is there.
func (r *Recorder) FollowLive(ctx context.Context) {
	n := r.Rec.Rendition("fmp4")
	for i := 0; ctx.Err() == nil && !r.Ended(n.Format); i++ {
		path := n.Path
		if m := r.State(n.Format); m != nil && m.Control["CAN-BLOCK-RELOAD"] == "YES" && i%40 != 0 {
			path += r.next(m, i)
		}
		x := r.Do(ctx, http.MethodGet, path)
		if ctx.Err() != nil {
			return
		}
		if !r.take(ctx, n, x) {
			i = -1 // begin again with a plain one
			pause(ctx, retryAfter)
		}
	}
}

// next is the query for the part that comes next. Where a segment has just
// closed, that part has two names (6.2.5.2); both are used.
func (r *Recorder) next(m *Media, i int) string {
	msn, part := m.Last()+1, m.OpenParts()
	if last := m.Find(m.Last()); part == 0 && i%2 == 0 && last != nil && len(last.Parts) > 0 {
		msn, part = m.Last(), len(last.Parts)
	}
	q := fmt.Sprintf("?_HLS_msn=%d&_HLS_part=%d", msn, part)
	if i%3 == 2 {
		q += "&_HLS_skip=YES"
	}
	return q
}

// FollowPlain polls a playlist until ctx is done or it ends.
func (r *Recorder) FollowPlain(ctx context.Context, format string, every time.Duration) {
	n := r.Rec.Rendition(format)
	for ctx.Err() == nil && !r.Ended(format) {
		x := r.Do(ctx, http.MethodGet, n.Path)
		if ctx.Err() != nil {
			return
		}
		r.take(ctx, n, x)
		pause(ctx, every)
	}
}

// pause waits, or until ctx is done.
func pause(ctx context.Context, d time.Duration) {
	select {
	case <-ctx.Done():
	case <-time.After(d):
	}
}

// take writes an answer down and fetches what is new in it. It says whether the
// answer is a playlist. The first answers may be that there is no stream yet:
// those say nothing.
func (r *Recorder) take(ctx context.Context, n *Rendition, x *Exchange) bool {
	r.Rec.mu.Lock()
	defer r.Rec.mu.Unlock()
	if !x.OK() {
		if len(n.Lists) > 0 {
			n.Lists = append(n.Lists, &List{*x, x.Done})
		}
		return false
	}
	if k := len(n.Lists); k > 0 && n.Lists[k-1].OK() && n.Lists[k-1].Path == x.Path && bytes.Equal(n.Lists[k-1].Body, x.Body) {
		n.Lists[k-1].Until = x.Done
		return true
	}
	n.Lists = append(n.Lists, &List{*x, x.Done})
	m := ParseMedia(x.Body)
	old := r.state[n.Format]
	r.state[n.Format], r.ended[n.Format] = m, m.Ended
	r.fetchNew(ctx, n, m)
	if old != nil {
		r.markDeparted(n, old, m, x.Done)
	}
	return true
}

// fetchNew asks for everything that a playlist names for the first time. Callers
// hold the recording's lock.
func (r *Recorder) fetchNew(ctx context.Context, n *Rendition, m *Media) {
	entries := m.Segments
	if m.Open != nil {
		entries = append(entries[:len(entries):len(entries)], m.Open)
	}
	for _, s := range entries {
		if s.Map != "" {
			r.fetch(ctx, n, InitObject, s.Map, false)
		}
		for _, p := range s.Parts {
			r.fetch(ctx, n, PartObject, p.URI, false)
		}
		if s.URI != "" && !s.Gap {
			r.fetch(ctx, n, SegmentObject, s.URI, false)
		}
	}
	for _, h := range m.Hints {
		kind := PartObject
		if h.Type == "MAP" {
			kind = InitObject
		}
		r.fetch(ctx, n, kind, h.URI, true)
	}
}

func (r *Recorder) fetch(ctx context.Context, n *Rendition, kind ObjectKind, uri string, hinted bool) {
	path := resolve(n.Path, uri)
	if o := n.Objects[path]; o != nil {
		return
	}
	o := &Object{Kind: kind, Hinted: hinted}
	n.Objects[path] = o
	r.fetches.Go(func() {
		if !hinted { // who waits must not keep others from it
			r.busy <- struct{}{}
			defer func() { <-r.busy }()
		}
		x := r.Do(ctx, http.MethodGet, path)
		r.Rec.mu.Lock()
		defer r.Rec.mu.Unlock()
		if ctx.Err() != nil && x.Err != "" {
			if len(o.Gets) == 0 {
				delete(n.Objects, path) // not asked to the end
			}
			return
		}
		o.Gets = append(o.Gets, x)
	})
}

// markDeparted notes the objects that old lists and m does not. Callers hold the
// recording's lock.
func (r *Recorder) markDeparted(n *Rendition, old, m *Media, now time.Time) {
	listed := map[string]bool{}
	for _, uri := range m.uris() {
		listed[resolve(n.Path, uri)] = true
	}
	first := m.Sequence + uint64(m.Skipped)
	for _, uri := range old.uris() {
		path := resolve(n.Path, uri)
		if s := old.owner(uri); s != nil && m.Sequence <= s.MSN && s.MSN < first {
			continue // in the part that a delta update skipped
		}
		if !listed[path] && r.departed[path] == nil {
			r.departed[path] = &departure{rendition: n, at: now, checks: []time.Time{now}}
		}
	}
}

// uris are all objects that a playlist names, hints apart.
func (m *Media) uris() (all []string) {
	for _, s := range m.Segments {
		for _, p := range s.Parts {
			all = append(all, p.URI)
		}
		if s.Map != "" {
			all = append(all, s.Map)
		}
		all = append(all, s.URI)
	}
	return all
}

// owner is the entry that a URI stands at.
func (m *Media) owner(uri string) *Segment {
	for _, s := range m.Segments {
		if s.URI == uri || s.Map == uri {
			return s
		}
		for _, p := range s.Parts {
			if p.URI == uri {
				return s
			}
		}
	}
	return nil
}

// CheckDeparted asks again for everything that left the playlists, as a player or
// a cache with an older playlist does, until ctx is done: at once, and again
// after each of the delays.
func (r *Recorder) CheckDeparted(ctx context.Context, delays ...time.Duration) {
	for ctx.Err() == nil {
		for _, path := range r.due(time.Now(), delays) {
			r.again(ctx, path)
		}
		pause(ctx, 50*time.Millisecond)
	}
}

// CheckAll asks again now for everything that has left less than within ago.
func (r *Recorder) CheckAll(ctx context.Context, within time.Duration) {
	r.Rec.mu.Lock()
	var paths []string
	for path, d := range r.departed {
		if time.Since(d.at) < within {
			paths = append(paths, path)
		}
	}
	r.Rec.mu.Unlock()
	for _, path := range paths {
		r.again(ctx, path)
	}
}

// due takes the checks that have to be made by now.
func (r *Recorder) due(now time.Time, delays []time.Duration) (paths []string) {
	r.Rec.mu.Lock()
	defer r.Rec.mu.Unlock()
	for path, d := range r.departed {
		if len(d.checks) == 0 || d.checks[0].After(now) {
			continue
		}
		paths = append(paths, path)
		if len(d.checks) == 1 && d.checks[0].Equal(d.at) {
			for _, after := range delays {
				d.checks = append(d.checks, d.at.Add(after))
			}
		}
		d.checks = d.checks[1:]
	}
	return paths
}

func (r *Recorder) again(ctx context.Context, path string) {
	r.Rec.mu.Lock()
	o := r.departed[path].rendition.Objects[path]
	r.Rec.mu.Unlock()
	if o == nil {
		return
	}
	x := r.Do(ctx, http.MethodGet, path)
	if ctx.Err() != nil {
		return
	}
	r.Rec.mu.Lock()
	defer r.Rec.mu.Unlock()
	o.Gets = append(o.Gets, x)
}

// Multivariant asks for both multivariant playlists.
func (r *Recorder) Multivariant(ctx context.Context) {
	for format, path := range map[string]string{"fmp4": "/" + r.App + ".m3u8", "ts": "/" + r.App + ".ts.m3u8"} {
		x := r.Do(ctx, http.MethodGet, path)
		r.Rec.mu.Lock()
		r.Rec.Multis = append(r.Rec.Multis, &Multi{*x, format})
		r.Rec.mu.Unlock()
	}
}

// Wait waits for the fetches that are under way.
func (r *Recorder) Wait() { r.fetches.Wait() }
