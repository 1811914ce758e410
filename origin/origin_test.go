package origin

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"io"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/remux"
	"headwater/remux/flv"
)

// A stream small enough to write by hand: H.264 baseline 320×240 with a fake
// slice a frame, and AAC frames of noise. Decoding is tested with real encoders
// elsewhere; here it is about HTTP.
var (
	avcHeader = append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
		0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80)
	aacHeader = []byte{0xaf, 0, 0x12, 0x10}
)

func message(t testing.TB, p *remux.Publisher, typ uint8, ts uint32, body []byte) {
	t.Helper()
	tag := flv.NewTag(len(body))
	copy(flv.Body(tag), body)
	if err := p.Write(typ, ts, tag); err != nil {
		t.Fatal(err)
	}
}

func videoBody(key bool, size int) []byte {
	b := make([]byte, 9+size)
	b[0], b[1] = 0x27, 1
	b[9] = 0x41
	if key {
		b[0], b[9] = 0x17, 0x65
	}
	binary.BigEndian.PutUint32(b[5:], uint32(size))
	return b
}

// feed writes video at 25 fps with a key frame every 2 s, and audio beside it,
// for stream times from up to but not including to, in ms.
func feed(t testing.TB, p *remux.Publisher, from, to int) {
	t.Helper()
	if from == 0 {
		message(t, p, flv.TypeVideo, 0, avcHeader)
		message(t, p, flv.TypeAudio, 0, aacHeader)
	}
	for ts := from; ts < to; ts += 40 {
		message(t, p, flv.TypeVideo, uint32(ts), videoBody(ts%2000 == 0, 1000))
		message(t, p, flv.TypeAudio, uint32(ts), append([]byte{0xaf, 1}, make([]byte, 100)...))
		message(t, p, flv.TypeAudio, uint32(ts+20), append([]byte{0xaf, 1}, make([]byte, 100)...))
	}
}

type fixture struct {
	registry  *remux.Registry
	publisher *remux.Publisher
	handler   *Handler
	server    *httptest.Server
}

func start(t testing.TB, seconds int) *fixture {
	t.Helper()
	r := remux.NewRegistry(remux.DefaultOptions(), nil)
	p, err := r.Publish(remux.Name{App: "live", Stream: "x"}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	feed(t, p, 0, seconds*1000)
	h := New(Config{Registry: r, CORSOrigin: "*", StartHold: 2 * time.Second})
	s := httptest.NewServer(h)
	t.Cleanup(func() {
		r.Close()
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		if err := h.Shutdown(ctx); err != nil {
			t.Errorf("shutdown: %v", err)
		}
		s.Close()
	})
	return &fixture{r, p, h, s}
}

func (f *fixture) do(t testing.TB, method, path string, header ...string) (*http.Response, []byte) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, f.server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept-Encoding", "identity")
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	client := http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	res, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	return res, body
}

// uris returns the lines of a playlist that are no tags.
func uris(playlist []byte) (all []string) {
	for line := range strings.Lines(string(playlist)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			all = append(all, line)
		}
	}
	return all
}

func TestAnswers(t *testing.T) {
	f := start(t, 20)
	_, media := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	_, ts := f.do(t, "GET", "/live/x/ts/index.m3u8")
	segment, tsSegment := "/live/x/fmp4/"+uris(media)[0], "/live/x/ts/"+uris(ts)[0]
	_, rest, _ := strings.Cut(string(media), `#EXT-X-MAP:URI="`)
	name, _, _ := strings.Cut(rest, `"`)
	initialization := "/live/x/fmp4/" + name

	const playlist, forever = "public, max-age=1", "public, max-age=31536000, immutable"
	tests := []struct {
		path   string
		status int
		cache  string
		typ    string
	}{
		{"/live/x.m3u8", 200, playlist, "application/vnd.apple.mpegurl"},
		{"/live/x.ts.m3u8", 200, playlist, "application/vnd.apple.mpegurl"},
		{"/live/x/fmp4/index.m3u8", 200, playlist, "application/vnd.apple.mpegurl"},
		{"/live/x/ts/index.m3u8", 200, playlist, "application/vnd.apple.mpegurl"},
		{segment, 200, forever, "video/mp4"},
		{initialization, 200, forever, "video/mp4"},
		{tsSegment, 200, forever, "video/mp2t"},
		{"/live/x/fmp4/index.m3u8?token=abc&CMCD=br%3D1", 200, playlist, "application/vnd.apple.mpegurl"},
		{"/live/y.m3u8", 404, "public, max-age=1", "text/plain; charset=utf-8"},
		{"/live/y.flv", 404, "public, max-age=1", "text/plain; charset=utf-8"},
		{"/live/x/fmp4/nothing.m4s", 404, "public, max-age=1", "text/plain; charset=utf-8"},
		{strings.Replace(segment, ".m4s", ".ts", 1), 404, "public, max-age=1", "text/plain; charset=utf-8"},
		{"/live/x/webm/index.m3u8", 404, "public, max-age=1", "text/plain; charset=utf-8"},
		{"/", 404, "public, max-age=1", "text/plain; charset=utf-8"},
		{"/live/%78.m3u8", 404, "public, max-age=1", "text/plain; charset=utf-8"},
		{"/live/../live/x.m3u8", 404, "public, max-age=1", "text/plain; charset=utf-8"},
		{"//live/x.m3u8", 404, "public, max-age=1", "text/plain; charset=utf-8"},
	}
	for _, test := range tests {
		for _, method := range []string{"GET", "HEAD"} {
			res, body := f.do(t, method, test.path)
			h := res.Header
			if res.StatusCode != test.status || h.Get("Cache-Control") != test.cache || h.Get("Content-Type") != test.typ {
				t.Errorf("%s %s: %d, %q, %q; want %d, %q, %q", method, test.path, res.StatusCode,
					h.Get("Cache-Control"), h.Get("Content-Type"), test.status, test.cache, test.typ)
			}
			if h.Get("Access-Control-Allow-Origin") != "*" || h.Get("X-Content-Type-Options") != "nosniff" || h.Get("Set-Cookie") != "" {
				t.Errorf("%s %s: headers %v", method, test.path, h)
			}
			if (len(body) == 0) != (method == "HEAD") {
				t.Errorf("%s %s: body of %d bytes", method, test.path, len(body))
			}
			if test.status == 200 && (h.Get("ETag") == "" || h.Get("Last-Modified") == "" || h.Get("Content-Length") == "") {
				t.Errorf("%s %s: no validators or length: %v", method, test.path, h)
			}
		}
	}
	if res, _ := f.do(t, "POST", "/live/x.m3u8"); res.StatusCode != 405 || res.Header.Get("Allow") == "" {
		t.Errorf("POST: %d", res.StatusCode)
	}
	res, _ := f.do(t, "OPTIONS", segment, "Origin", "http://a.example", "Access-Control-Request-Method", "GET")
	if res.StatusCode != 204 || !strings.Contains(res.Header.Get("Access-Control-Allow-Headers"), "Range") {
		t.Errorf("preflight: %d, %v", res.StatusCode, res.Header)
	}
}

func TestQueriesChangeNothing(t *testing.T) {
	f := start(t, 10)
	_, plain := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	_, asked := f.do(t, "GET", "/live/x/fmp4/index.m3u8?auth_key=1-2-3&sign=x")
	if !bytes.Equal(plain, asked) {
		t.Errorf("a query changed the body:\n%s\n%s", plain, asked)
	}
}

func TestConditionalAndRange(t *testing.T) {
	f := start(t, 10)
	_, media := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	path := "/live/x/fmp4/" + uris(media)[0]
	whole, body := f.do(t, "GET", path)
	tag := whole.Header.Get("ETag")
	tests := []struct {
		name, value string
		status      int
		want        []byte
	}{
		{"If-None-Match", tag, 304, nil},
		{"If-None-Match", `"other", ` + tag, 304, nil},
		{"If-None-Match", "*", 304, nil},
		{"If-None-Match", `"other"`, 200, body},
		{"If-Modified-Since", whole.Header.Get("Last-Modified"), 304, nil},
		{"Range", "bytes=0-9", 206, body[:10]},
		{"Range", "bytes=-5", 206, body[len(body)-5:]},
		{"Range", "bytes=100-", 206, body[100:]},
		{"Range", "bytes=0-1,5-6", 200, body},
		{"Range", "bytes=999999999-", 416, nil},
		{"Range", "bytes=0-99999999999999999999", 200, body},
		{"Range", "bytes=" + strings.Repeat("0-0,", 2000) + "0-0", 200, body},
		{"Range", "bytes=5-2", 200, body},
		{"Range", "bytes=-", 200, body},
		{"Range", "bytes=-0", 200, body},
		{"If-Match", `"other"`, 412, nil},
		{"If-Match", tag, 200, body},
		{"If-Unmodified-Since", "Mon, 01 Jan 2001 00:00:00 GMT", 412, nil},
		{"Range", "bytes=--5", 200, body},
		{"Range", "bytes=a-b", 200, body},
		{"Range", "bytes 0-5", 200, body},
		{"Range", "items=0-5", 200, body},
		{"Range", "nonsense", 200, body},
	}
	for _, test := range tests {
		res, got := f.do(t, "GET", path, test.name, test.value)
		if res.StatusCode != test.status || test.want != nil && !bytes.Equal(got, test.want) {
			t.Errorf("%s: %s: %d with %d bytes, want %d with %d", test.name, test.value, res.StatusCode, len(got), test.status, len(test.want))
		}
		if cache := res.Header.Get("Cache-Control"); (cache == "no-store") != (test.status >= 400) {
			t.Errorf("%s: %s: %d with Cache-Control %q", test.name, test.value, res.StatusCode, cache)
		}
	}
}

func TestGzip(t *testing.T) {
	f := start(t, 10)
	const path = "/live/x/ts/index.m3u8"
	plain, want := f.do(t, "GET", path)
	packed, body := f.do(t, "GET", path, "Accept-Encoding", "br, gzip;q=0.8")
	r, err := gzip.NewReader(bytes.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	got, err := io.ReadAll(r)
	if err != nil || !bytes.Equal(got, want) {
		t.Errorf("unpacked: %v, %q; want %q", err, got, want)
	}
	if packed.Header.Get("Content-Encoding") != "gzip" || packed.Header.Get("ETag") == plain.Header.Get("ETag") {
		t.Errorf("encoding %q, tag %q as for identity", packed.Header.Get("Content-Encoding"), packed.Header.Get("ETag"))
	}
	for _, res := range []*http.Response{plain, packed} {
		if res.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("Vary: %q", res.Header.Get("Vary"))
		}
	}
	res, _ := f.do(t, "GET", path, "Accept-Encoding", "gzip", "If-None-Match", packed.Header.Get("ETag"))
	if res.StatusCode != 304 {
		t.Errorf("revalidation of the packed one: %d", res.StatusCode)
	}
	for encoding, packed := range map[string]bool{"gzip;q=0": false, "*": true, "deflate": false, "gzip; q=0.0, *": false, "": false} {
		res, _ := f.do(t, "GET", path, "Accept-Encoding", encoding)
		if got := res.Header.Get("Content-Encoding") == "gzip"; got != packed {
			t.Errorf("Accept-Encoding %q: packed %v", encoding, got)
		}
	}
}

// A playlist that has listed a segment keeps it fetchable, and an entry never
// changes while it is listed.
func TestEntriesAreStable(t *testing.T) {
	f := start(t, 14)
	first := map[string]string{} // URI to what stands above it
	target := ""
	for at := 14000; at < 60000; at += 2000 {
		feed(t, f.publisher, at, at+2000)
		_, text := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
		var above []string
		for line := range strings.Lines(string(text)) {
			line = strings.TrimSpace(line)
			switch {
			case strings.HasPrefix(line, "#EXT-X-TARGETDURATION"):
				if target != "" && target != line {
					t.Fatalf("%s became %s", target, line)
				}
				target = line
			case strings.HasPrefix(line, "#EXTINF"), strings.HasPrefix(line, "#EXT-X-PROGRAM"):
				above = append(above, line)
			case line != "" && line[0] != '#':
				now := strings.Join(above, " ")
				if was, ok := first[line]; ok && was != now {
					t.Errorf("%s: %q became %q", line, was, now)
				}
				first[line], above = now, nil
			}
		}
	}
	if len(first) < 20 {
		t.Fatalf("%d segments seen", len(first))
	}
	for uri := range first {
		if res, _ := f.do(t, "GET", "/live/x/fmp4/"+uri); res.StatusCode != 200 {
			t.Errorf("%s, listed within the minute: %d", uri, res.StatusCode)
		}
	}
}

func TestHeldWhileStarting(t *testing.T) {
	f := start(t, 1)
	type answer struct {
		status int
		body   string
	}
	answers := make(chan answer, 2)
	for _, path := range []string{"/live/x.m3u8", "/live/x/ts/index.m3u8"} {
		go func() {
			res, body := f.do(t, "GET", path)
			answers <- answer{res.StatusCode, string(body)}
		}()
	}
	for f.handler.waiting.count() < 2 {
		time.Sleep(time.Millisecond)
	}
	feed(t, f.publisher, 1000, 2100)
	for range 2 {
		if a := <-answers; a.status != 200 || !strings.HasPrefix(a.body, "#EXTM3U") {
			t.Errorf("held request: %d %s", a.status, a.body)
		}
	}
}

func TestStartingForTooLong(t *testing.T) {
	f := start(t, 1)
	f.handler.config.StartHold = 20 * time.Millisecond
	res, _ := f.do(t, "GET", "/live/x.m3u8")
	if res.StatusCode != 404 || res.Header.Get("Cache-Control") != "public, max-age=1" || res.Header.Get("Retry-After") != "1" {
		t.Errorf("%d, %v", res.StatusCode, res.Header)
	}
}

// readTags reads n tags of an FLV body and returns their types and times.
func readTags(t *testing.T, r io.Reader, n int) (types []uint8, times []int) {
	t.Helper()
	head := make([]byte, 13)
	if _, err := io.ReadFull(r, head); err != nil {
		t.Fatal(err)
	}
	if string(head[:5]) != "FLV\x01\x05" {
		t.Fatalf("FLV header %q", head)
	}
	for range n {
		h := make([]byte, 11)
		if _, err := io.ReadFull(r, h); err != nil {
			t.Fatal(err)
		}
		body := make([]byte, int(h[1])<<16|int(h[2])<<8|int(h[3])+4)
		if _, err := io.ReadFull(r, body); err != nil {
			t.Fatal(err)
		}
		types = append(types, h[0])
		times = append(times, int(h[7])<<24|int(h[4])<<16|int(h[5])<<8|int(h[6]))
	}
	return types, times
}

func TestFLV(t *testing.T) {
	f := start(t, 5)
	req, err := http.NewRequestWithContext(t.Context(), "GET", f.server.URL+"/live/x.flv", nil)
	if err != nil {
		t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "video/x-flv" || res.Header.Get("Cache-Control") != "no-store" || res.ContentLength != -1 {
		t.Fatalf("%d, %v", res.StatusCode, res.Header)
	}
	types, times := readTags(t, res.Body, 4)
	if !bytes.Equal(types, []byte{9, 8, 9, 8}) || times[2] != 4000 {
		t.Errorf("tags %v at %v; want both headers and the key frame at 4000", types, times)
	}
	if n := f.handler.Viewers(); n != 1 {
		t.Errorf("%d viewers, want 1", n)
	}
	feed(t, f.publisher, 5000, 6000)
	f.registry.Close()
	rest, err := io.ReadAll(res.Body)
	if err != nil {
		t.Errorf("after the stream's end: %v", err)
	}
	if want := (25+25-1)*1024 + 99*117; len(rest) < want {
		t.Errorf("%d bytes followed, want at least %d", len(rest), want)
	}
}

func TestTooManyViewers(t *testing.T) {
	f := start(t, 5)
	f.handler.viewers.limit = 1
	res, err := http.Get(f.server.URL + "/live/x.flv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	refused, _ := f.do(t, "GET", "/live/x.flv")
	if refused.StatusCode != 503 || refused.Header.Get("Retry-After") == "" || refused.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("second of one viewer: %d, %v", refused.StatusCode, refused.Header)
	}
}

func TestUnknownNamesLeaveNothing(t *testing.T) {
	f := start(t, 1)
	for i := range 1000 {
		for _, path := range []string{".m3u8", ".flv", "/fmp4/index.m3u8"} {
			r := httptest.NewRequest("GET", "/live/none"+strconv.Itoa(i)+path, nil)
			w := httptest.NewRecorder()
			f.handler.ServeHTTP(w, r)
			if w.Code != 404 {
				t.Fatalf("%d", w.Code)
			}
		}
	}
	if n := len(f.registry.Streams()); n != 1 {
		t.Errorf("%d streams", n)
	}
}
