package origin

import (
	"net/http"
	"testing"
	"time"
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
