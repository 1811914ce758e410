//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// client asks for bodies as they are; compression has its own test.
var client = &http.Client{Transport: &http.Transport{DisableCompression: true, MaxIdleConnsPerHost: 16}}

// reply is a whole HTTP answer.
type reply struct {
	status int
	header http.Header
	body   []byte
}

// request asks once. Headers are given as key, value pairs.
func request(ctx context.Context, method, url string, headers ...string) (reply, error) {
	req, err := http.NewRequestWithContext(ctx, method, url, nil)
	if err != nil {
		return reply{}, err
	}
	for i := 0; i+1 < len(headers); i += 2 {
		req.Header.Set(headers[i], headers[i+1])
	}
	resp, err := client.Do(req)
	if err != nil {
		return reply{}, err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	return reply{resp.StatusCode, resp.Header, body}, err
}

// segmentPull is a segment with its bytes and what the answer said of them.
type segmentPull struct {
	segmentEntry
	reply
}

// hlsPull is a player of one media playlist that keeps everything: each state
// of the playlist that differs from the one before, and each segment, fetched
// when it is first seen.
type hlsPull struct {
	url    string
	fmp4   bool
	cancel context.CancelFunc
	done   chan struct{}

	mu       sync.Mutex
	lists    []mediaList
	replies  []reply // of the lists
	segments []segmentPull
	inits    map[string]reply
	errs     []error
	changed  time.Time
}

// pollEvery is far below any target duration, so that no state is missed.
const pollEvery = 200 * time.Millisecond

// pullHLS follows the media playlist at url from now on.
func pullHLS(t *testing.T, url string, fmp4 bool) *hlsPull {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	p := &hlsPull{url: url, fmp4: fmp4, cancel: cancel, done: make(chan struct{}), inits: map[string]reply{}}
	go func() {
		defer close(p.done)
		for ctx.Err() == nil && !p.poll(ctx) {
			select {
			case <-ctx.Done():
			case <-time.After(pollEvery):
			}
		}
	}()
	t.Cleanup(func() {
		cancel()
		<-p.done
	})
	return p
}

// poll reads the playlist once and fetches what is new in it. It returns true
// after EXT-X-ENDLIST.
func (p *hlsPull) poll(ctx context.Context) (ended bool) {
	r, err := request(ctx, http.MethodGet, p.url)
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case ctx.Err() != nil:
		return true
	case err != nil:
		p.errs = append(p.errs, fmt.Errorf("get playlist: %w", err))
		return false
	case r.status != http.StatusOK:
		if len(p.lists) > 0 {
			p.errs = append(p.errs, fmt.Errorf("get playlist: status %d: %.200s", r.status, r.body))
		}
		return false
	case len(p.replies) > 0 && bytes.Equal(p.replies[len(p.replies)-1].body, r.body):
		return false
	}
	l, err := parseMedia(string(r.body))
	if err != nil {
		p.errs = append(p.errs, fmt.Errorf("parse playlist: %w\n%s", err, r.body))
		return false
	}
	p.lists, p.replies, p.changed = append(p.lists, l), append(p.replies, r), time.Now()
	for _, e := range l.segments {
		if len(p.segments) == 0 || e.msn > p.segments[len(p.segments)-1].msn {
			p.fetch(ctx, e)
		}
	}
	return l.ended
}

func (p *hlsPull) fetch(ctx context.Context, e segmentEntry) {
	if _, ok := p.inits[e.mapURI]; !ok && e.mapURI != "" {
		r, err := p.get(ctx, e.mapURI)
		if err != nil {
			p.errs = append(p.errs, err)
		}
		p.inits[e.mapURI] = r
	}
	r, err := p.get(ctx, e.uri)
	if err != nil {
		p.errs = append(p.errs, err)
	}
	p.segments = append(p.segments, segmentPull{e, r})
}

func (p *hlsPull) get(ctx context.Context, uri string) (reply, error) {
	r, err := request(ctx, http.MethodGet, p.resolve(uri))
	if err == nil && r.status != http.StatusOK {
		err = fmt.Errorf("get %s: status %d: %.200s", uri, r.status, r.body)
	}
	return r, err
}

func (p *hlsPull) resolve(uri string) string { return resolve(p.url, uri) }

func resolve(base, uri string) string {
	b, err := url.Parse(base)
	if err != nil {
		return uri
	}
	u, err := b.Parse(uri)
	if err != nil {
		return uri
	}
	return u.String()
}

// count returns how many segments have been fetched.
func (p *hlsPull) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.segments)
}

// waitSegments waits until n segments have been fetched.
func (p *hlsPull) waitSegments(t *testing.T, n int, limit time.Duration) {
	t.Helper()
	end := time.Now().Add(limit)
	for p.count() < n {
		if time.Now().After(end) {
			t.Fatalf("%s: %d segments after %v, want %d", p.url, p.count(), limit, n)
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// finish ends the player once the playlist has ended or has not changed for
// quiet, and fails the test on everything that went wrong on the way.
func (p *hlsPull) finish(t *testing.T, quiet time.Duration) {
	t.Helper()
	for settled := false; !settled; {
		select {
		case <-p.done:
			settled = true
		case <-time.After(pollEvery):
			p.mu.Lock()
			settled = time.Since(p.changed) > quiet
			p.mu.Unlock()
		}
	}
	p.cancel()
	<-p.done
	if err := errors.Join(p.errs...); err != nil {
		t.Errorf("%s: %v", p.url, err)
	}
	if len(p.segments) == 0 {
		t.Fatalf("%s: no segment", p.url)
	}
}

// capture is one run of segments under one init section, joined to a file.
type segmentFile struct {
	capture
	segments []segmentPull
	starts   []int64 // byte offset of each segment in the file
}

// join writes the segments [from, to) behind their init section and reads the
// file back.
func (p *hlsPull) join(t *testing.T, from, to int) segmentFile {
	t.Helper()
	f := segmentFile{segments: p.segments[from:to]}
	name, b := "joined.ts", []byte(nil)
	if p.fmp4 {
		name, b = "joined.mp4", bytes.Clone(p.inits[p.segments[from].mapURI].body)
	}
	for _, s := range f.segments {
		f.starts = append(f.starts, int64(len(b)))
		b = append(b, s.body...)
	}
	f.file = filepath.Join(t.TempDir(), name)
	writeFile(t, f.file, b)
	c, err := readCapture(f.file)
	if err != nil {
		t.Fatalf("%s: %v", p.url, err)
	}
	f.capture = c
	return f
}

// within returns the packets of tr that lie in segment i. A packet without a
// position belongs where the one before it does.
func (f segmentFile) within(tr track, i int) track {
	end := int64(1 << 62)
	if i+1 < len(f.starts) {
		end = f.starts[i+1]
	}
	var in track
	pos := int64(-1)
	for _, p := range tr {
		if p.pos >= 0 {
			pos = p.pos
		}
		if pos >= f.starts[i] && pos < end {
			in = append(in, p)
		}
	}
	return in
}

// checkCuts checks where the segments begin and how long they say they are:
// each starts with a key frame, its sound with its picture (but for the first,
// where a publisher may start them apart), and EXTINF is the time from its first picture (or sound) to the next segment's, in sum to
// within a millisecond.
func (f segmentFile) checkCuts() (errs []error) {
	lead := f.video
	if len(lead) == 0 {
		lead = f.audio
	}
	var said time.Duration
	start := time.Duration(-1)
	for i, s := range f.segments {
		first := f.within(lead, i)
		if len(first) == 0 {
			errs = append(errs, fmt.Errorf("%s: holds no frame", s.uri))
			continue
		}
		if !first[0].key {
			errs = append(errs, fmt.Errorf("%s: does not start with a key frame", s.uri))
		}
		if start < 0 {
			start = first[0].dts
		}
		if d := first[0].dts - start - said; d.Abs() > time.Millisecond {
			errs = append(errs, fmt.Errorf("%s: begins %v off the sum of EXTINF before it", s.uri, d))
		}
		said += s.duration()
		if sound := f.within(f.audio, i); i > 0 && len(f.video) > 0 && len(f.audio) > 0 {
			if len(sound) == 0 {
				errs = append(errs, fmt.Errorf("%s: holds no sound", s.uri))
			} else if skew := sound[0].pts - first[0].dts; skew.Abs() > 200*time.Millisecond {
				errs = append(errs, fmt.Errorf("%s: its sound starts %v after its picture", s.uri, skew))
			}
		}
	}
	return errs
}
