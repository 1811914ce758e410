package origin

import (
	"context"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"headwater/remux"
)

// TestDemand: what is not published here is asked for, for playlists and endless
// bodies alone, and whoever takes anything of it keeps it.
func TestDemand(t *testing.T) {
	t.Parallel()
	registry := remux.NewRegistry(remux.DefaultOptions(), nil)
	var mu sync.Mutex
	asked := map[string]int{}
	h := New(Config{
		Registry: registry, StartHold: 2 * time.Second,
		Demand: func(ctx context.Context, name remux.Name) *remux.Stream {
			mu.Lock()
			defer mu.Unlock()
			asked[name.String()]++
			if _, ok := ctx.Deadline(); !ok {
				t.Error("no deadline")
			}
			if name.Stream != "far" || asked[name.String()] > 1 {
				return nil
			}
			p, err := registry.Publish(name, remux.Claim{})
			if err != nil {
				t.Error(err)
				return nil
			}
			feed(t, p, 0, 5000)
			return p.Stream()
		},
	})
	s := httptest.NewServer(h)
	defer s.Close()
	defer func() { _ = h.Shutdown(t.Context()) }()
	get := func(path string) int {
		t.Helper()
		r, err := http.Get(s.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = r.Body.Close() }()
		_, _ = io.CopyN(io.Discard, r.Body, 100)
		return r.StatusCode
	}
	times := func(name string) int {
		mu.Lock()
		defer mu.Unlock()
		return asked[name]
	}
	for _, c := range []struct {
		path   string
		status int
		asked  int // for live/far
	}{
		{"/live/far/fmp4/init0.mp4", 404, 0},
		{"/live/none.m3u8", 404, 0},
		{"/live/far.m3u8", 200, 1},
		{"/live/far/fmp4/index.m3u8", 200, 1}, // it is published now
		{"/live/a*b.flv", 404, 1},
	} {
		if status := get(c.path); status != c.status || times("live/far") != c.asked {
			t.Errorf("%s: %d, asked %d times", c.path, status, times("live/far"))
		}
	}
	if times("live/none") != 1 || times("live/a*b") != 0 || len(registry.Streams()) != 1 {
		t.Errorf("asked for %v, %d streams", asked, len(registry.Streams()))
	}
	// Requests keep a stream that is pulled on demand.
	stream := registry.Stream(remux.Name{App: "live", Stream: "far"})
	for stream.Unwatched() < 20*time.Millisecond {
		time.Sleep(time.Millisecond)
	}
	began := time.Now()
	if get("/live/far/ts/index.m3u8"); stream.Unwatched() > time.Since(began) {
		t.Error("nobody noticed the request")
	}
	// While its publisher is away it is asked for again, and served as it is.
	stream.Kick()
	if status := get("/live/far.m3u8"); status != 200 || times("live/far") != 2 {
		t.Errorf("%d, asked %d times", status, times("live/far"))
	}
	if status := get("/live/far.flv"); status != 200 || times("live/far") != 3 {
		t.Errorf("%d, asked %d times", status, times("live/far"))
	}
}
