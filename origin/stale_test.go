package origin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"headwater/remux"
)

// A playlist that stands still is refused after the bound, so that a cache turns to
// another origin; what it lists stays to be had, and with the next part all is well.
func TestStalePlaylists(t *testing.T) {
	f := start(t, 20)
	f.handler.config.Stale = 500 * time.Millisecond
	playlists := []string{"/live/x.m3u8", "/live/x/fmp4/index.m3u8", "/live/x/fmp4/index.m3u8?_HLS_msn=1", "/live/x/ts/index.m3u8"}
	feed(t, f.publisher, 20000, 22000)
	res, media := f.do(t, "GET", playlists[1])
	if res.StatusCode != http.StatusOK {
		t.Fatalf("live: %d", res.StatusCode)
	}
	for f.registry.Streams()[0].Index().Quiet() <= f.handler.config.Stale {
		time.Sleep(10 * time.Millisecond)
	}
	for _, path := range playlists {
		res, body := f.do(t, "GET", path)
		if res.StatusCode != http.StatusServiceUnavailable || res.Header.Get("Cache-Control") != "no-store" || res.Header.Get("Retry-After") == "" ||
			res.Header.Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: %d %q, %v", path, res.StatusCode, body, res.Header)
		}
	}
	if res, _ := f.do(t, "GET", "/live/x/fmp4/"+uris(media)[0]); res.StatusCode != http.StatusOK {
		t.Errorf("a segment: %d", res.StatusCode)
	}
	feed(t, f.publisher, 22000, 24000)
	if res, _ := f.do(t, "GET", playlists[0]); res.StatusCode != http.StatusOK {
		t.Errorf("live again: %d", res.StatusCode)
	}
	f.publisher.Close()
	if res, _ := f.do(t, "GET", playlists[0]); res.StatusCode != http.StatusOK {
		t.Errorf("without its publisher: %d", res.StatusCode)
	}
}

// A playlist of a stream that was there before the server was restarted is waited for,
// one of a stream that never was is not.
func TestStreamIsExpectedAfterRestart(t *testing.T) {
	m := remux.OpenMemory("", nil)
	before := remux.NewRegistry(remux.DefaultOptions(), m)
	p, err := before.Publish(remux.Name{App: "live", Stream: "x"}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	feed(t, p, 0, 10000)
	after := remux.NewRegistry(remux.DefaultOptions(), m)
	demand := func(context.Context, remux.Name) *remux.Stream { return nil } // nobody else has it
	h := New(Config{Registry: after, StartHold: 5 * time.Second, Demand: demand})
	s := httptest.NewServer(h)
	defer s.Close()
	f := &fixture{registry: after, handler: h, server: s}
	if res, _ := f.do(t, "GET", "/live/y.m3u8"); res.StatusCode != http.StatusNotFound {
		t.Errorf("a stream that never was: %d", res.StatusCode)
	}
	answer := make(chan int)
	go func() {
		res, err := http.Get(s.URL + "/live/x/fmp4/index.m3u8")
		if err != nil {
			answer <- 0
			return
		}
		_ = res.Body.Close()
		answer <- res.StatusCode
	}()
	for h.waiting.count() == 0 {
		time.Sleep(time.Millisecond)
	}
	if p, err = after.Publish(remux.Name{App: "live", Stream: "x"}, remux.Claim{}); err != nil {
		t.Fatal(err)
	}
	feed(t, p, 0, 4100)
	if status := <-answer; status != http.StatusOK {
		t.Errorf("answered %d", status)
	}
}
