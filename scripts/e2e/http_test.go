//go:build e2e

package e2e

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// TestHTTP holds every kind of answer of the public listener against the table
// of headers that CDNs are configured by.
func TestHTTP(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	s := startServer(t)
	ts := pullHLS(t, s.url("/live/x/ts/index.m3u8"), false)
	fmp4 := pullHLS(t, s.url("/live/x/fmp4/index.m3u8"), true)
	src.publish(t, s.publishURL("x"), "-stream_loop", "2")
	ts.waitSegments(t, 2, 30*time.Second)
	fmp4.waitSegments(t, 2, 30*time.Second)

	for _, p := range []*hlsPull{ts, fmp4} {
		kind := map[bool]string{false: "ts", true: "fmp4"}[p.fmp4]
		p.mu.Lock()
		segment, target := p.segments[0], p.lists[0].target
		p.mu.Unlock()
		t.Run(kind+"/playlist", func(t *testing.T) { checkPlaylistHTTP(t, p.url, target) })
		t.Run(kind+"/segment", func(t *testing.T) {
			checkMediaHTTP(t, p.resolve(segment.uri), map[bool]string{false: "video/mp2t", true: "video/mp4"}[p.fmp4])
		})
		if p.fmp4 {
			t.Run(kind+"/init", func(t *testing.T) { checkMediaHTTP(t, p.resolve(segment.mapURI), "video/mp4") })
		}
		t.Run(kind+"/gone", func(t *testing.T) {
			checkMissing(t, p.resolve(segment.uri)+"x")
			checkMissing(t, p.resolve("x"+segment.uri))
		})
	}
	t.Run("multivariant", func(t *testing.T) { checkPlaylistHTTP(t, s.url("/live/x.m3u8"), 0) })
	t.Run("multivariant over TS", func(t *testing.T) { checkPlaylistHTTP(t, s.url("/live/x.ts.m3u8"), 0) })
	t.Run("unknown", func(t *testing.T) {
		for _, path := range []string{"/live/y.m3u8", "/live/y.flv", "/live/y/ts/index.m3u8", "/live/y/fmp4/index.m3u8",
			"/live/y/ts/1.ts", "/other/x.m3u8", "/live/%2e%2e/x.m3u8", "/live/" + strings.Repeat("a", 200) + ".flv"} {
			checkMissing(t, s.url(path))
		}
	})
	t.Run("malformed", func(t *testing.T) {
		for _, query := range []string{"_HLS_part=1", "_HLS_msn=x", "_HLS_msn=99999999999"} {
			r := ask(t, http.MethodGet, s.url("/live/x/fmp4/index.m3u8?"+query))
			if r.status == http.StatusBadRequest {
				checkCommon(t, r.header)
			} else if r.status != http.StatusOK {
				t.Errorf("%s: status %d", query, r.status)
			}
		}
	})
	t.Run("query", func(t *testing.T) { checkQuery(t, s.url("/live/x.m3u8"), s.url("/live/x.m3u8?token=a&CMCD=bl%3D1")) })
}

func ask(t *testing.T, method, url string, headers ...string) reply {
	t.Helper()
	r, err := request(t.Context(), method, url, headers...)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return r
}

// checkCommon checks what stands on every media answer, errors included.
func checkCommon(t *testing.T, h http.Header) {
	t.Helper()
	for key, want := range map[string]string{"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff",
		"Set-Cookie": "", "Location": "", "Access-Control-Allow-Credentials": ""} {
		if got := h.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	if h.Get("Date") == "" {
		t.Error("no Date")
	}
	exposed := strings.ToLower(h.Get("Access-Control-Expose-Headers"))
	for _, name := range []string{"date", "age", "content-length", "content-range", "etag"} {
		if !strings.Contains(exposed, name) {
			t.Errorf("Access-Control-Expose-Headers %q lacks %s", exposed, name)
		}
	}
}

// checkMethods checks HEAD and OPTIONS beside a GET that went well.
func checkMethods(t *testing.T, url string, get reply, stable bool) {
	t.Helper()
	head := ask(t, http.MethodHead, url)
	if head.status != http.StatusOK || len(head.body) > 0 {
		t.Errorf("HEAD: status %d, %d bytes", head.status, len(head.body))
	}
	for _, key := range []string{"Content-Type", "Cache-Control", "Vary", "Access-Control-Allow-Origin"} {
		if head.header.Get(key) != get.header.Get(key) {
			t.Errorf("HEAD: %s is %q, GET has %q", key, head.header.Get(key), get.header.Get(key))
		}
	}
	if stable && head.header.Get("Content-Length") != strconv.Itoa(len(get.body)) {
		t.Errorf("HEAD: Content-Length %q for %d bytes", head.header.Get("Content-Length"), len(get.body))
	}
	options := ask(t, http.MethodOptions, url, "Origin", "http://player.example", "Access-Control-Request-Method", "GET",
		"Access-Control-Request-Headers", "range,cmcd-request")
	if options.status != http.StatusOK && options.status != http.StatusNoContent {
		t.Errorf("OPTIONS: status %d", options.status)
	}
	for key, want := range map[string]string{"Access-Control-Allow-Origin": "*", "Access-Control-Allow-Methods": "get",
		"Access-Control-Allow-Headers": "range"} {
		if got := strings.ToLower(options.header.Get(key)); got != "*" && !strings.Contains(got, want) {
			t.Errorf("OPTIONS: %s is %q, want %q in it", key, got, want)
		}
	}
}

func checkPlaylistHTTP(t *testing.T, url string, target int) {
	t.Helper()
	plain := ask(t, http.MethodGet, url)
	if plain.status != http.StatusOK {
		t.Fatalf("status %d: %.200s", plain.status, plain.body)
	}
	checkCommon(t, plain.header)
	checkMethods(t, url, plain, false)
	h := plain.header
	if ct, _, _ := strings.Cut(h.Get("Content-Type"), ";"); ct != "application/vnd.apple.mpegurl" {
		t.Errorf("Content-Type is %q", h.Get("Content-Type"))
	}
	if want := fmt.Sprintf("public, max-age=%d", max(1, target/2)); target > 0 && h.Get("Cache-Control") != want {
		t.Errorf("Cache-Control is %q, want %q", h.Get("Cache-Control"), want)
	} else if !strings.HasPrefix(h.Get("Cache-Control"), "public, max-age=") {
		t.Errorf("Cache-Control is %q", h.Get("Cache-Control"))
	}
	if !strings.Contains(strings.ToLower(strings.Join(h.Values("Vary"), ",")), "accept-encoding") {
		t.Errorf("Vary is %q without gzip", h.Values("Vary"))
	}
	if strings.HasPrefix(h.Get("ETag"), "W/") || len(h.Get("ETag")) < 3 {
		t.Errorf("ETag is %q, want a strong one", h.Get("ETag"))
	}
	if at, err := http.ParseTime(h.Get("Last-Modified")); err != nil || time.Since(at).Abs() > time.Minute {
		t.Errorf("Last-Modified is %q", h.Get("Last-Modified"))
	}
	checkConditional(t, url, false)
	checkGzip(t, url)
}

// checkConditional asks again with the validator of a first answer. A playlist
// may change in between, so that one of a few tries has to be answered 304.
func checkConditional(t *testing.T, url string, stable bool) {
	t.Helper()
	for range 5 {
		etag := ask(t, http.MethodGet, url).header.Get("ETag")
		r := ask(t, http.MethodGet, url, "If-None-Match", etag)
		if r.status == http.StatusNotModified {
			checkCommon(t, r.header)
			if len(r.body) > 0 || r.header.Get("ETag") != etag || r.header.Get("Cache-Control") == "" {
				t.Errorf("304 with %d bytes, ETag %q, Cache-Control %q", len(r.body), r.header.Get("ETag"), r.header.Get("Cache-Control"))
			}
			if r := ask(t, http.MethodGet, url, "If-None-Match", `"no such tag"`); r.status != http.StatusOK {
				t.Errorf("If-None-Match with another tag: status %d", r.status)
			}
			return
		}
		if stable {
			break
		}
	}
	t.Error("If-None-Match with the tag just sent is not answered 304")
}

// checkGzip compares the two encodings of one state of a playlist.
func checkGzip(t *testing.T, url string) {
	t.Helper()
	for range 5 {
		plain := ask(t, http.MethodGet, url)
		packed := ask(t, http.MethodGet, url, "Accept-Encoding", "gzip")
		if packed.header.Get("Content-Encoding") != "gzip" {
			t.Errorf("Accept-Encoding: gzip is answered with Content-Encoding %q", packed.header.Get("Content-Encoding"))
			return
		}
		r, err := gzip.NewReader(bytes.NewReader(packed.body))
		if err != nil {
			t.Error(err)
			return
		}
		body, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
			return
		}
		if !bytes.Equal(body, plain.body) {
			continue // it changed in between
		}
		if packed.header.Get("ETag") == plain.header.Get("ETag") {
			t.Errorf("both encodings have the strong ETag %s", plain.header.Get("ETag"))
		}
		if packed.header.Get("Vary") == "" {
			t.Error("gzip without Vary")
		}
		if r := ask(t, http.MethodGet, url, "Accept-Encoding", "gzip;q=0"); r.header.Get("Content-Encoding") != "" {
			t.Error("gzip;q=0 is answered with gzip")
		}
		return
	}
	t.Error("the gzip body is never that of the plain playlist")
}

// checkMediaHTTP checks a segment or an init section.
func checkMediaHTTP(t *testing.T, url, contentType string) {
	t.Helper()
	whole := ask(t, http.MethodGet, url, "Accept-Encoding", "gzip")
	if whole.status != http.StatusOK {
		t.Fatalf("status %d: %.200s", whole.status, whole.body)
	}
	checkCommon(t, whole.header)
	checkMethods(t, url, whole, true)
	for key, want := range map[string]string{"Cache-Control": "public, max-age=31536000, immutable", "Content-Type": contentType,
		"Content-Length": strconv.Itoa(len(whole.body)), "Accept-Ranges": "bytes", "Content-Encoding": ""} {
		if got := whole.header.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
	etag := whole.header.Get("ETag")
	if strings.HasPrefix(etag, "W/") || len(etag) < 3 {
		t.Errorf("ETag is %q, want a strong one", etag)
	}
	checkConditional(t, url, true)
	n := len(whole.body)
	for spec, span := range map[string][2]int{"bytes=10-29": {10, 30}, "bytes=100-": {100, n}, "bytes=-50": {n - 50, n},
		fmt.Sprintf("bytes=0-%d", n+1000): {0, n}} {
		r := ask(t, http.MethodGet, url, "Range", spec)
		want := fmt.Sprintf("bytes %d-%d/%d", span[0], span[1]-1, n)
		if r.status != http.StatusPartialContent || r.header.Get("Content-Range") != want || !bytes.Equal(r.body, whole.body[span[0]:span[1]]) {
			t.Errorf("Range %s: status %d, Content-Range %q, %d bytes", spec, r.status, r.header.Get("Content-Range"), len(r.body))
		}
		if r := ask(t, http.MethodGet, url, "Range", spec, "If-Range", `"another"`); r.status != http.StatusOK || len(r.body) != n {
			t.Errorf("If-Range with another tag: status %d, %d bytes", r.status, len(r.body))
		}
		if r := ask(t, http.MethodGet, url, "Range", spec, "If-Range", etag); r.status != http.StatusPartialContent {
			t.Errorf("If-Range with the tag: status %d", r.status)
		}
	}
	r := ask(t, http.MethodGet, url, "Range", fmt.Sprintf("bytes=%d-", n))
	if r.status != http.StatusRequestedRangeNotSatisfiable || r.header.Get("Content-Range") != fmt.Sprintf("bytes */%d", n) {
		t.Errorf("Range behind the end: status %d, Content-Range %q", r.status, r.header.Get("Content-Range"))
	}
	checkCommon(t, r.header)
	if strings.Contains(r.header.Get("Cache-Control"), "immutable") {
		t.Errorf("416 with Cache-Control %q", r.header.Get("Cache-Control"))
	}
}

func checkMissing(t *testing.T, url string) {
	t.Helper()
	r := ask(t, http.MethodGet, url)
	if r.status != http.StatusNotFound || r.header.Get("Cache-Control") != "public, max-age=1" {
		t.Errorf("%s: status %d, Cache-Control %q", url, r.status, r.header.Get("Cache-Control"))
	}
	if !strings.HasPrefix(r.header.Get("Content-Type"), "text/plain") || len(r.body) == 0 || len(r.body) > 500 {
		t.Errorf("%s: Content-Type %q, %d bytes", url, r.header.Get("Content-Type"), len(r.body))
	}
	checkCommon(t, r.header)
}

// checkQuery: parameters that are none of ours change nothing and go nowhere.
func checkQuery(t *testing.T, plain, query string) {
	t.Helper()
	for range 5 {
		a, b := ask(t, http.MethodGet, plain), ask(t, http.MethodGet, query)
		if bytes.Equal(a.body, b.body) {
			return
		}
	}
	t.Errorf("%s has another body than %s", query, plain)
}
