package origin

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"
)

// raw sends bytes and returns the answer to the first request among them, and whether
// the connection is closed behind it.
func (f *fixture) raw(t *testing.T, text string) (res *http.Response, closed bool) {
	t.Helper()
	c, err := net.Dial("tcp", f.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	if _, err := io.WriteString(c, text); err != nil {
		t.Fatal(err)
	}
	_ = c.SetReadDeadline(time.Now().Add(5 * time.Second))
	r := bufio.NewReader(c)
	if res, err = http.ReadResponse(r, nil); err != nil {
		t.Fatalf("%.60q: %v", text, err)
	}
	if _, err := io.Copy(io.Discard, res.Body); err != nil {
		t.Fatal(err)
	}
	if res.Close {
		if more, err := io.ReadAll(r); err != nil || len(more) > 0 {
			t.Errorf("%.60q: %q follows, %v", text, more, err)
		}
	}
	return res, res.Close
}

// TestOddRequests: a target has a bound, and a body is never read as something else.
func TestOddRequests(t *testing.T) {
	f := start(t, 10)
	const host = " HTTP/1.1\r\nHost: h\r\n"
	long := func(n int) string { return "/live/x.m3u8?" + strings.Repeat("a", n-len("/live/x.m3u8?")) }
	const smuggled = "GET /live/x.ts.m3u8" + host + "\r\n"
	for _, test := range []struct {
		text   string
		status int
		closed bool
	}{
		{"GET " + long(4096) + host + "\r\n", 200, false},
		{"GET " + long(4097) + host + "\r\n", 414, false},
		{"GET /" + strings.Repeat("a", 9000) + host + "\r\n", 414, false},
		{"POST " + long(4097) + host + "\r\n", 405, false},
		{"GET /live/x.m3u8" + host + "Content-Length: 0\r\n\r\n", 200, false},
		{"GET /live/x.m3u8" + host + fmt.Sprintf("Content-Length: %d\r\n\r\n", len(smuggled)) + smuggled, 400, true},
		{"GET /live/x.m3u8" + host + "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400, true},
		{"GET /live/x.m3u8" + host + "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n" + smuggled, 400, true},
		{"POST /live/x.m3u8" + host + "Content-Length: 3\r\n\r\nabc" + smuggled, 405, true},
		{"OPTIONS /live/x.m3u8" + host + "Content-Length: 3\r\n\r\nabc" + smuggled, 204, true},
	} {
		res, closed := f.raw(t, test.text)
		if res.StatusCode != test.status || closed != test.closed {
			t.Errorf("%.80q: %d, closed %v; want %d, %v", test.text, res.StatusCode, closed, test.status, test.closed)
		}
		if res.StatusCode >= 400 && res.Header.Get("Cache-Control") != "public, max-age=1" {
			t.Errorf("%.80q: Cache-Control %q", test.text, res.Header.Get("Cache-Control"))
		}
	}
}

// TestNothingIsReflected marks everything that a client may say, and looks for the mark
// in what it is answered.
func TestNothingIsReflected(t *testing.T) {
	f := start(t, 10)
	const mark = "mirror"
	for _, path := range []string{
		"/live/x.m3u8", "/live/x.ts.m3u8", "/live/x/fmp4/index.m3u8", "/live/x/ts/index.m3u8", "/live/x/fmp4/index.m3u8?_HLS_msn=" + mark,
		"/live/" + mark + ".m3u8", "/live/" + mark + ".flv", "/" + mark, "/live/x/" + mark + "/index.m3u8", "/live/x/fmp4/" + mark + ".m4s",
		"/live/%22" + mark + "%0d%0aX-Evil:1.m3u8", "//" + mark + "/", "/live/x.m3u8?" + mark + "=%0d%0aX-Evil:1",
	} {
		for _, method := range []string{"GET", "HEAD", "OPTIONS", "POST", "TRACE"} {
			res, body := f.do(t, method, path+map[bool]string{true: "", false: "?"}[strings.Contains(path, "?")]+"&"+mark,
				"Host", mark+".example", "Origin", "https://"+mark+".example", "Referer", "https://"+mark+".example/", "User-Agent", mark,
				"X-Forwarded-For", mark, "X-Forwarded-Host", mark+".example", "X-Forwarded-Proto", mark, "Forwarded", "host="+mark+";proto="+mark,
				"X-Original-URL", "/"+mark, "X-Rewrite-URL", "/"+mark, "X-HTTP-Method-Override", mark, "Cookie", mark+"="+mark,
				"Access-Control-Request-Headers", mark, "Access-Control-Request-Method", mark, "If-None-Match", `"`+mark+`"`, "Range", mark)
			if text := string(body); strings.Contains(text, mark) || strings.Contains(text, "Evil") {
				t.Errorf("%s %s: %s", method, path, body)
			}
			if shown := fmt.Sprint(res.Header); strings.Contains(shown, mark) || res.Header.Get("X-Evil") != "" || res.Header.Get("Location") != "" || res.Header.Get("Server") != "" {
				t.Errorf("%s %s: %v", method, path, shown)
			}
		}
	}
}

func TestWaitingRoom(t *testing.T) {
	w := &waitingRoom{places: 20, share: 3, byAddr: map[netip.Prefix]int{}}
	var leave []func()
	enter := func(remote string, want bool) {
		t.Helper()
		out, err := w.enter(remote)
		if (err == nil) != want {
			t.Fatalf("%s, with %d inside: %v", remote, w.count(), err)
		}
		if out != nil {
			leave = append(leave, out)
		}
	}
	for range 10 { // while there is room, one may have it all
		enter("192.0.2.1:5", true)
	}
	enter("192.0.2.1:5", false)
	enter("[::ffff:192.0.2.1]:5", false)
	for range 3 { // and others have their share
		enter("[2001:db8::1]:5", true)
	}
	enter("[2001:db8::2]:5", false) // the same network
	enter("[2001:db8:0:1::2]:5", true)
	for range 6 {
		enter("127.0.0.1:5", true)
	}
	enter("127.0.0.1:5", false)
	enter("192.0.2.2:5", false)
	leave[0]()
	leave = leave[1:]
	enter("192.0.2.1:5", false)
	w.setUnlimited([]netip.Prefix{netip.MustParsePrefix("192.0.2.1/32")}) // a CDN's
	enter("192.0.2.1:5", true)
	enter("192.0.2.1:5", false) // there is no room for anybody
	for _, out := range leave {
		out()
	}
	if w.count() != 0 || len(w.byAddr) != 0 {
		t.Errorf("all have left, and %d are inside, from %v", w.count(), w.byAddr)
	}
}

// TestTooManyWait: who is refused a place is told to come again.
func TestTooManyWait(t *testing.T) {
	f := start(t, 20)
	_, text := f.do(t, "GET", "/live/x/fmp4/index.m3u8")
	path := reloadPath(lastSegment(text)+2, "")
	f.handler.waiting.places = 1
	held := f.get(t, path)
	res, _ := f.do(t, "GET", path)
	if res.StatusCode != 503 || res.Header.Get("Retry-After") == "" || res.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("one too many: %d, %v", res.StatusCode, res.Header)
	}
	if res, _ := f.do(t, "GET", "/live/x/fmp4/index.m3u8"); res.StatusCode != 200 {
		t.Errorf("a request that need not wait: %d", res.StatusCode)
	}
	f.handler.cancel()
	<-held
}
