package origin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"
)

// TestPlayIsAsked: playlists and HTTP-FLV are asked for, whether there is such a
// stream or not, segments are not, and no answer is for shared caches.
func TestPlayIsAsked(t *testing.T) {
	f := start(t, 10)
	var mu sync.Mutex
	var asked []PlayRequest
	ended := make(chan PlayEnd, 4)
	f.handler.config.Authorize = func(_ context.Context, r PlayRequest) (func(PlayEnd), error) {
		mu.Lock()
		defer mu.Unlock()
		asked = append(asked, r)
		switch r.Query.Get("token") {
		case "yes":
			return func(e PlayEnd) { ended <- e }, nil
		case "later":
			return nil, &Refusal{http.StatusServiceUnavailable, "later"}
		case "broken":
			return nil, errors.New("hush")
		}
		return nil, &Refusal{http.StatusForbidden, "a token is needed"}
	}
	_, playlist := f.do(t, "GET", "/live/x/fmp4/index.m3u8?token=yes")
	segment := "/live/x/fmp4/" + uris(playlist)[0]
	for _, c := range []struct {
		path   string
		status int
		cache  string // prefix
		name   string // asked about; "": not asked
	}{
		{"/live/x.m3u8?token=yes", 200, "private, max-age=", "live/x (hls)"},
		{"/live/x.ts.m3u8?token=yes", 200, "private, max-age=", "live/x (hls)"},
		{"/live/x/fmp4/index.m3u8?token=yes", 200, "private, max-age=", "live/x (hls)"},
		{"/live/x/ts/index.m3u8?token=yes", 200, "private, max-age=", "live/x (hls)"},
		{"/live/none.m3u8?token=yes", 404, "private, max-age=1", "live/none (hls)"},
		{"/live/none.flv?token=yes", 404, "private, max-age=1", "live/none (http-flv)"},
		{"/live/x.m3u8", 403, "no-store", "live/x (hls)"},
		{"/live/none.m3u8", 403, "no-store", "live/none (hls)"},
		{"/live/none.ts.m3u8", 403, "no-store", "live/none (hls)"},
		{"/live/x/fmp4/index.m3u8?_HLS_msn=1", 403, "no-store", "live/x (hls)"},
		{"/live/none/ts/index.m3u8", 403, "no-store", "live/none (hls)"},
		{"/live/x.flv", 403, "no-store", "live/x (http-flv)"},
		{"/live/none.flv", 403, "no-store", "live/none (http-flv)"},
		{"/live/x.m3u8?token=later", 503, "no-store", "live/x (hls)"},
		{"/live/x.m3u8?token=broken", 500, "no-store", "live/x (hls)"},
		{segment, 200, immutable, ""},
	} {
		asked = nil
		res, body := f.do(t, "GET", c.path, "User-Agent", "player")
		if res.StatusCode != c.status || !strings.HasPrefix(res.Header.Get("Cache-Control"), c.cache) || bytes.Contains(body, []byte("hush")) {
			t.Errorf("%s: %d, %q: %.60s", c.path, res.StatusCode, res.Header.Get("Cache-Control"), body)
		}
		if c.status == 503 && res.Header.Get("Retry-After") == "" {
			t.Errorf("%s: no Retry-After", c.path)
		}
		if c.name == "" && len(asked) > 0 || c.name != "" && (len(asked) != 1 || !strings.HasPrefix(asked[0].String(), c.name+" for 127.0.0.1:") || asked[0].Player != "player") {
			t.Errorf("%s: asked %v", c.path, asked)
		}
		if s := fmt.Sprintf("%v %+v %#v", asked, asked, asked); strings.Contains(s, "later") || strings.Contains(s, "token") {
			t.Errorf("the query is shown: %s", s)
		}
	}
	if e := <-ended; e.Reason != "refused" {
		t.Errorf("a viewer of no stream: %+v", e)
	}
}

// TestPlayEndIsTold of an HTTP-FLV viewer.
func TestPlayEndIsTold(t *testing.T) {
	t.Parallel()
	f := start(t, 4)
	ended := make(chan PlayEnd, 4)
	f.handler.config.Authorize = func(context.Context, PlayRequest) (func(PlayEnd), error) {
		return func(e PlayEnd) { ended <- e }, nil
	}
	res, err := http.Get(f.server.URL + "/live/x.flv")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := res.Body.Read(make([]byte, 1000)); err != nil {
		t.Fatal(err)
	}
	_ = res.Body.Close()
	select {
	case e := <-ended:
		if e.Reason != "closed" || e.Bytes == 0 || e.Duration <= 0 {
			t.Errorf("told %+v", e)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("nobody is told")
	}
}

// A viewer that has read a stream to its end has not left.
func TestPlayEndsWithItsStream(t *testing.T) {
	f := start(t, 5)
	ended := make(chan PlayEnd, 1)
	f.handler.config.Authorize = func(context.Context, PlayRequest) (func(PlayEnd), error) {
		return func(e PlayEnd) { ended <- e }, nil
	}
	res, err := http.Get(f.server.URL + "/live/x.flv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	f.registry.Close()
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Error(err)
	}
	if e := <-ended; e.Reason != "ended" || e.Bytes == 0 {
		t.Errorf("told %+v", e)
	}
}

// TestTokenInThePath: a token in front of the path is as good as one in the query, and
// goes along to all that a playlist names.
func TestTokenInThePath(t *testing.T) {
	f := start(t, 10)
	f.handler.config.Authorize = func(_ context.Context, r PlayRequest) (func(PlayEnd), error) {
		if r.Query.Get("token") != "ey.J_-~" || r.App != "live" || r.Name != "x" {
			return nil, &Refusal{http.StatusForbidden, "a token is needed"}
		}
		return nil, nil
	}
	_, bare := f.do(t, "GET", "/live/x/fmp4/index.m3u8?token=ey.J_-~")
	for path, status := range map[string]int{
		"/token=ey.J_-~/live/x.m3u8":                         200,
		"/token=ey.J_-~/live/x.m3u8?token=other":             200,
		"/token=ey.J_-~/live/x/fmp4/index.m3u8":              200,
		"/token=ey.J_-~/live/x/fmp4/index.m3u8?_HLS_msn=1":   200,
		"/token=ey.J_-~/live/x/fmp4/index.m3u8?_HLS_msn=x":   400,
		"/token=ey.J_-~/live/x/fmp4/" + uris(bare)[0]:        200,
		"/token=other/live/x.m3u8":                           403,
		"/token=other/live/x.m3u8?token=ey.J_-~":             403,
		"/token=/live/x.m3u8":                                403,
		"/token=ey.J_-~":                                     404,
		"/token=ey.J_-~/":                                    404,
		"/token=ey.J_-~/token=ey.J_-~/live/x.m3u8":           404,
		"/token=a%26token=ey.J_-~/live/x.m3u8":               404,
		"/token=a%3Btoken%3Dey.J_-~/live/x.m3u8?token=other": 404,
	} {
		res, body := f.do(t, "GET", path)
		if res.StatusCode != status {
			t.Errorf("%s: %d %.60s, want %d", path, res.StatusCode, body, status)
		}
		if bytes.Contains(body, []byte("ey.J_-~")) {
			t.Errorf("%s: the answer shows the token", path)
		}
	}
	_, prefixed := f.do(t, "GET", "/token=ey.J_-~/live/x/fmp4/index.m3u8")
	if !bytes.Equal(bare, prefixed) {
		t.Error("the token changes the playlist")
	}
}

// TestEdgeSecret: an edge that decides about its viewers gets everything, to keep for
// all of them.
func TestEdgeSecret(t *testing.T) {
	f := start(t, 10)
	asked := 0
	f.handler.config.Authorize = func(context.Context, PlayRequest) (func(PlayEnd), error) {
		asked++
		return nil, &Refusal{http.StatusForbidden, "a token is needed"}
	}
	f.handler.config.EdgeSecret = "between-us"
	for _, c := range []struct {
		path, secret string
		status       int
		cache        string
	}{
		{"/live/x.m3u8", "between-us", 200, "public, max-age=1"},
		{"/live/x/fmp4/index.m3u8", "between-us", 200, "public, max-age=1"},
		{"/live/x/ts/index.m3u8", "between-us", 200, "public, max-age=1"},
		{"/live/none.m3u8", "between-us", 404, "public, max-age=1"},
		{"/live/x.m3u8", "", 403, "no-store"},
		{"/live/x.m3u8", "between-u", 403, "no-store"},
		{"/live/x.m3u8", "between-us2", 403, "no-store"},
	} {
		was := asked
		res, _ := f.do(t, "GET", c.path, EdgeHeader, c.secret)
		if res.StatusCode != c.status || res.Header.Get("Cache-Control") != c.cache || res.Header.Get("Vary") != "" && c.status != 200 {
			t.Errorf("%s with %q: %d, %v", c.path, c.secret, res.StatusCode, res.Header)
		}
		if (asked == was) != (c.secret == "between-us") {
			t.Errorf("%s with %q: asked %d times", c.path, c.secret, asked-was)
		}
	}
	f.handler.config.EdgeSecret = ""
	if res, _ := f.do(t, "GET", "/live/x.m3u8", EdgeHeader, ""); res.StatusCode != 403 {
		t.Errorf("without a secret an empty one is as good as any: %d", res.StatusCode)
	}
}
