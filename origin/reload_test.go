package origin

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/remux"
)

// lastSegment is the media sequence number of a playlist's newest whole segment.
func lastSegment(playlist []byte) (sequence uint64) {
	for line := range strings.Lines(string(playlist)) {
		if v, ok := strings.CutPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"); ok {
			sequence, _ = strconv.ParseUint(strings.TrimSpace(v), 10, 64)
		}
	}
	return sequence + uint64(strings.Count(string(playlist), "#EXTINF")) - 1
}

func reloadPath(sequence uint64, rest string) string {
	return "/live/x/fmp4/index.m3u8?_HLS_msn=" + strconv.FormatUint(sequence, 10) + rest
}

func TestReloadAnswers(t *testing.T) {
	f := start(t, 21) // 10 segments, and a second of the next: 3 parts
	_, text := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	last := lastSegment(text)
	const asked, plain = "public, max-age=12", "public, max-age=1"
	tests := []struct {
		path   string
		status int
		cache  string
	}{
		{reloadPath(last, ""), 200, asked},
		{reloadPath(last-100, ""), 200, asked},
		{reloadPath(last, "&_HLS_part=0"), 200, asked},
		{reloadPath(last+1, "&_HLS_part=0"), 200, asked},
		{reloadPath(last+1, "&_HLS_part=1"), 200, asked},
		{reloadPath(last, "&_HLS_part=77"), 200, asked}, // behind the last of a finished segment
		{reloadPath(last, "&_HLS_skip=YES"), 200, asked},
		{"/live/x/fmp4/index.m3u8?_HLS_skip=v2", 200, plain},
		{"/live/x/ts/index.m3u8?_HLS_msn=1", 200, plain},
		{reloadPath(last+3, ""), 400, plain},
		{reloadPath(last+1_000_000_000, ""), 400, plain},
		{reloadPath(last+1, "&_HLS_part=12"), 400, plain},
		{reloadPath(last+2, "&_HLS_part=9"), 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_part=1", 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=", 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=-1", 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=%2B1", 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=1e3", 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=99999999999999999999999", 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=1&_HLS_msn=2", 400, plain},
		{reloadPath(last, "&_HLS_part=0&_HLS_part=0"), 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=%zz", 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=1;_HLS_part=2", 400, plain},
		{"/live/x/fmp4/index.m3u8?other=%zz&a;b", 200, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=18446744073709551615", 400, plain},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=18446744073709551616", 400, plain},
		{reloadPath(last, "&_HLS_part=-1"), 400, plain},
		{reloadPath(last+1, "&_HLS_part=4294967296"), 400, plain},
		{reloadPath(last+1, "&_HLS_part=2147483647"), 400, plain},
		{reloadPath(last, "&_HLS_part=x"), 400, plain},
	}
	for _, test := range tests {
		res, body := f.do(t, "GET", test.path)
		if res.StatusCode != test.status || res.Header.Get("Cache-Control") != test.cache {
			t.Errorf("%s: %d, %q; want %d, %q\n%s", test.path, res.StatusCode, res.Header.Get("Cache-Control"), test.status, test.cache, body)
		}
	}
}

// get asks in the background; the answer comes through the channel.
func (f *fixture) get(t *testing.T, path string) <-chan *http.Response {
	t.Helper()
	answered := make(chan *http.Response, 1)
	before := f.handler.waiting.count()
	go func() {
		res, body := f.do(t, "GET", path)
		res.Header.Set("Test-Body", strings.ReplaceAll(string(body), "\n", "|"))
		answered <- res
	}()
	for f.handler.waiting.count() == before {
		time.Sleep(time.Millisecond)
	}
	return answered
}

func (f *fixture) unanswered(t *testing.T, c <-chan *http.Response) {
	t.Helper()
	select {
	case res := <-c:
		t.Fatalf("answered too early: %d %s", res.StatusCode, res.Header.Get("Test-Body"))
	case <-time.After(30 * time.Millisecond):
	}
}

func TestReloadWaitsForWhatIsAsked(t *testing.T) {
	f := start(t, 20) // ends just before the key frame at 20 s
	_, text := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	last := lastSegment(text)

	whole := f.get(t, reloadPath(last+1, ""))
	next := f.get(t, reloadPath(last+2, "&_HLS_part=0"))
	feed(t, f.publisher, 20000, 20040) // the key frame that ends last+1
	f.unanswered(t, whole)             // nothing follows it yet
	f.unanswered(t, next)
	feed(t, f.publisher, 20040, 20600)
	res := <-whole
	if body := res.Header.Get("Test-Body"); res.StatusCode != 200 || lastSegment([]byte(strings.ReplaceAll(body, "|", "\n"))) != last+1 {
		t.Errorf("whole segment: %d %s", res.StatusCode, body)
	}
	res = <-next
	if body := res.Header.Get("Test-Body"); res.StatusCode != 200 || strings.Count(body[strings.LastIndex(body, "#EXTINF"):], "#EXT-X-PART:") != 1 {
		t.Errorf("first part: %d %s", res.StatusCode, body)
	}
}

func TestHintedPartIsHeldAndThenWhole(t *testing.T) {
	f := start(t, 20)
	_, text := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	_, hint, ok := strings.Cut(string(text), `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`)
	if !ok {
		t.Fatalf("no hint in\n%s", text)
	}
	hint, _, _ = strings.Cut(hint, `"`)
	held := f.get(t, "/live/x/fmp4/"+hint)
	f.unanswered(t, held)
	feed(t, f.publisher, 20000, 20600)
	res := <-held
	if res.StatusCode != 200 || res.Header.Get("Cache-Control") != immutable || res.ContentLength < 1000 {
		t.Errorf("hinted part: %d, %v", res.StatusCode, res.Header)
	}
	_, later := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	if !strings.Contains(string(later), `URI="`+hint+`"`) {
		t.Errorf("the hinted name %s is in no EXT-X-PART of\n%s", hint, later)
	}
	if res, _ := f.do(t, "GET", "/live/x/fmp4/"+strings.Replace(hint, "-p", "-p9", 1)); res.StatusCode != 404 {
		t.Errorf("a part that nobody has hinted: %d, want 404", res.StatusCode)
	}
}

// A segment is the concatenation of its parts, byte for byte.
func TestPartsMakeTheSegment(t *testing.T) {
	f := start(t, 20)
	_, text := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	var parts []byte
	compared := 0
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSpace(line)
		if strings.HasPrefix(line, "#EXT-X-PART:") {
			_, uri, _ := strings.Cut(line, `URI="`)
			uri, _, _ = strings.Cut(uri, `"`)
			_, body := f.do(t, "GET", "/live/x/fmp4/"+uri)
			parts = append(parts, body...)
		} else if line != "" && line[0] != '#' && len(parts) > 0 {
			_, body := f.do(t, "GET", "/live/x/fmp4/"+line)
			if string(body) != string(parts) {
				t.Errorf("%s has %d bytes, its parts %d, or others", line, len(body), len(parts))
			}
			parts = nil
			compared++
		}
	}
	if compared < 2 {
		t.Errorf("%d segments with parts", compared)
	}
}

func TestBlockedRequestsEnd(t *testing.T) {
	f := start(t, 20)
	_, text := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	last := lastSegment(text)
	blocked := f.get(t, reloadPath(last+2, ""))
	f.publisher.Close()
	f.unanswered(t, blocked) // the publisher may come back
	f.handler.cancel()
	if res := <-blocked; res.StatusCode != 503 || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("at shutdown: %d, %v", res.StatusCode, res.Header)
	}
}

// TestBlockedUntilTheEnd: who waits when a stream ends gets its last playlist, which a
// cache must not keep as the answer to that question.
func TestBlockedUntilTheEnd(t *testing.T) {
	t.Parallel()
	o := remux.DefaultOptions()
	o.Reconnect = 0
	r := remux.NewRegistry(o, nil)
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { r.Run(ctx) })
	defer running.Wait()
	defer cancel()
	p, err := r.Publish(remux.Name{App: "live", Stream: "x"}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	feed(t, p, 0, 20_000)
	h := New(Config{Registry: r})
	s := httptest.NewServer(h)
	defer s.Close()
	f := &fixture{r, p, h, s}
	_, text := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	blocked := f.get(t, reloadPath(lastSegment(text)+2, ""))
	p.Close()
	res := <-blocked
	if res.StatusCode != 200 || res.Header.Get("Cache-Control") != "public, max-age=1" || !strings.Contains(res.Header.Get("Test-Body"), "#EXT-X-ENDLIST") {
		t.Errorf("%d, %v", res.StatusCode, res.Header)
	}
}
