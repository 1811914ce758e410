package traffic

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

func TestKindOf(t *testing.T) {
	tests := map[string]Kind{
		"/live/x.m3u8": Multivariant, "/live/x.ts.m3u8": Multivariant, "/live/x.flv": FLV, "/live/x.ts": TS,
		"/live/x/fmp4/index.m3u8": Playlist, "/live/x/ts/index.m3u8": Playlist,
		"/live/x/fmp4/abcdefgh-12.m4s": Segment, "/live/x/ts/abcdefgh-12.ts": Segment,
		"/live/x/fmp4/abcdefgh-p12.m4s": Part, "/live/x/fmp4/abcdefgh-init0.mp4": Init,
		"/": Other, "": Other, "/live": Other, "/live/x": Other, "/live/x/dash/index.m3u8": Other, "/live/x/fmp4/a/b": Other, "//": Other,
		"/token=a.b/live/x/fmp4/index.m3u8": Playlist, "/token=a.b/live/x.flv": FLV, "/token=a.b": Other,
	}
	for path, want := range tests {
		if got := KindOf(path); got != want {
			t.Errorf("%s is %s, want %s", path, got, want)
		}
	}
	for path, want := range map[string]string{"/live/x.m3u8": "live/x", "/live/x/fmp4/index.m3u8": "live/x", "/": "", "/live": "", "/live/x.y.flv": "live/x.y", "/token=a.b/live/x.flv": "live/x", "/token=a.b/live/x/fmp4/index.m3u8": "live/x", "/token=a.b": ""} {
		if got := streamOf(path); got != want {
			t.Errorf("%s is of %q, want %q", path, got, want)
		}
	}
}

func TestClient(t *testing.T) {
	tr := New(nil, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("::1/128")})
	tests := []struct {
		peer      string
		plain     []string
		forwarded string
		want      string
	}{
		{"10.0.0.1:5", []string{"192.0.2.7"}, "", "192.0.2.7"},
		{"10.0.0.1:5", nil, "", ""},
		{"192.0.2.1:5", []string{"192.0.2.7"}, "", ""},
		{"[::1]:5", []string{"2001:db8::7"}, "", "2001:db8::7"},
		{"10.0.0.1:5", []string{"1.1.1.1, 192.0.2.7, 10.2.3.4"}, "", "192.0.2.7"},
		{"10.0.0.1:5", []string{"1.1.1.1", "192.0.2.7"}, "", "192.0.2.7"},
		{"10.0.0.1:5", []string{"10.1.1.1, 10.2.3.4"}, "", "10.1.1.1"},
		{"10.0.0.1:5", []string{"192.0.2.7, nonsense, 10.2.3.4"}, "", "10.2.3.4"},
		{"10.0.0.1:5", []string{"nonsense"}, "", ""},
		{"10.0.0.1:5", []string{"192.0.2.7:4711"}, "", "192.0.2.7"},
		{"10.0.0.1:5", []string{"::ffff:192.0.2.7"}, "", "192.0.2.7"},
		{"10.0.0.1:5", nil, `for=1.1.1.1, for="[2001:db8::7]:80";proto=https`, "2001:db8::7"},
		{"10.0.0.1:5", nil, `proto=https;By=10.0.0.1;FOR=192.0.2.7`, "192.0.2.7"},
		{"10.0.0.1:5", nil, "for=192.0.2.7, for=unknown", ""},
		{"10.0.0.1:5", nil, "for=192.0.2.7, proto=https", ""},
		{"10.0.0.1:5", []string{"192.0.2.7"}, "for=1.1.1.1", ""}, // one of them is made up
		{"10.0.0.1:5", []string{"192.0.2.7"}, "for=192.0.2.7", "192.0.2.7"},
		{"[::ffff:10.0.0.1]:5", []string{"192.0.2.7"}, "", "192.0.2.7"},
	}
	for _, tt := range tests {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr = tt.peer
		for _, v := range tt.plain {
			r.Header.Add("X-Forwarded-For", v)
		}
		if tt.forwarded != "" {
			r.Header.Set("Forwarded", tt.forwarded)
		}
		got, ok := tr.client(r)
		if ok != (tt.want != "") || ok && got.String() != tt.want {
			t.Errorf("%s %q %q: %s, %v; want %q", tt.peer, tt.plain, tt.forwarded, got, ok, tt.want)
		}
	}
}

func FuzzClient(f *testing.F) {
	f.Add("1.1.1.1, 10.2.3.4", `for="[::1]:5", for=x`)
	f.Fuzz(func(t *testing.T, plain, standard string) {
		tr := New(nil, []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")})
		r := &http.Request{RemoteAddr: "10.0.0.1:1", Header: http.Header{"X-Forwarded-For": {plain}, "Forwarded": {standard}}}
		if a, ok := tr.client(r); ok && !a.IsValid() {
			t.Errorf("%q, %q is behind %v", plain, standard, a)
		}
	})
}

// serve answers paths as the origin does, as far as it matters here.
func serve(t *testing.T, tr *Traffic) *httptest.Server {
	t.Helper()
	s := httptest.NewServer(tr.Handler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case strings.HasSuffix(r.URL.Path, ".flv"):
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				t.Error(err)
				return
			}
			go func() {
				defer func() { _ = conn.Close() }()
				if _, err := io.WriteString(conn, "HTTP/1.1 200 OK\r\n\r\nFLV: "+r.RemoteAddr); err != nil {
					return
				}
				_, _ = io.Copy(io.Discard, conn)
			}()
		case strings.HasSuffix(r.URL.Path, "none.m3u8"):
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = io.WriteString(w, "0123456789")
		}
	})))
	t.Cleanup(s.Close)
	return s
}

func get(t *testing.T, url string, header ...string) {
	t.Helper()
	r, err := http.NewRequest("GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	_, _ = io.Copy(io.Discard, res.Body)
	_ = res.Body.Close()
}

func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(10 * time.Second); !is(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after 10 s still not: %s", what)
		}
	}
}

func TestViewers(t *testing.T) {
	tr := New(nil, nil)
	s := serve(t, tr)
	conn, err := net.Dial("tcp", s.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if _, err := fmt.Fprintf(conn, "GET /live/x.flv?token=hush HTTP/1.1\r\nHost: h\r\nUser-Agent: player 1\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	if line, err := in.ReadString('\n'); err != nil || !strings.Contains(line, "200") {
		t.Fatalf("%q, %v", line, err)
	}
	eventually(t, "bytes that arrived", func() bool { all := tr.Viewers(); return len(all) == 1 && all[0].Bytes > 0 })
	v := tr.Viewers()[0]
	if v.Stream != "live/x" || v.Protocol != "http-flv" || v.Remote != conn.LocalAddr().String() || v.Player != "player 1" || v.TLS || !v.Known {
		t.Errorf("viewer %+v", v)
	}
	get(t, s.URL+"/live/x/fmp4/index.m3u8?a=1", "User-Agent", "one")
	get(t, s.URL+"/live/x/fmp4/index.m3u8?a=2", "User-Agent", "one")
	get(t, s.URL+"/live/x/ts/index.m3u8", "User-Agent", "two")
	get(t, s.URL+"/live/none/none.m3u8", "User-Agent", "three")
	counted := map[string]int{}
	tr.Audience(func(stream, protocol string, n int) { counted[stream+" "+protocol] += n })
	if fmt.Sprint(counted) != "map[live/x hls:2 live/x http-flv:1]" {
		t.Errorf("audience %v", counted)
	}
	if n := tr.readers.count(time.Now().Add(2 * readerFor)); len(n) != 0 {
		t.Errorf("%v never leave", n)
	}
	if tr.Kick(v.ID + 1) {
		t.Error("nobody was kicked")
	}
	if !tr.Kick(v.ID) {
		t.Error("not kicked")
	}
	if _, err := io.Copy(io.Discard, in); err != nil {
		t.Errorf("the kicked viewer's connection: %v", err)
	}
	eventually(t, "nobody there", func() bool { return len(tr.Viewers()) == 0 })
}

func TestStats(t *testing.T) {
	tr := New(nil, nil)
	s := serve(t, tr)
	for _, path := range []string{"/live/x.m3u8", "/live/none.m3u8", "/live/x/fmp4/a-1.m4s", "/live/x/fmp4/a-p1.m4s", "/live/x/fmp4/a-p2.m4s"} {
		get(t, s.URL+path)
	}
	eventually(t, "all counted", func() bool { return tr.InFlight() == 0 })
	stats := tr.Stats()
	m, p := stats[Multivariant], stats[Part]
	if m.Codes["2xx"] != 1 || m.Codes["4xx"] != 1 || m.Bytes != 10 || m.Durations.Count != 2 {
		t.Errorf("multivariant %+v", m)
	}
	if p.Codes["2xx"] != 2 || p.Bytes != 20 || p.Durations.Count != 2 || p.Durations.Below[10] != 2 || p.Durations.Seconds <= 0 {
		t.Errorf("part %+v", p)
	}
}

func TestAccessLog(t *testing.T) {
	for _, asJSON := range []bool{false, true} {
		path := filepath.Join(t.TempDir(), "access.log")
		l, err := OpenAccessLog(path, asJSON, io.Discard)
		if err != nil {
			t.Fatal(err)
		}
		tr := New(l, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")})
		s := serve(t, tr)
		get(t, s.URL+"/live/x/fmp4/index.m3u8?_HLS_msn=5&token=hush&x=%22%0a", "X-Forwarded-For", "192.0.2.7", "User-Agent", `a "player"`, "Referer", "https://page/?sign=hush&b=1#hush")
		eventually(t, "a line", func() bool { b, _ := os.ReadFile(path); return len(b) > 0 })
		if err := os.Rename(path, path+".1"); err != nil {
			t.Fatal(err)
		}
		if err := l.Reopen(); err != nil {
			t.Fatal(err)
		}
		conn, err := net.Dial("tcp", s.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		if _, err := fmt.Fprintf(conn, "GET /live/x.flv?Auth_Key=hush HTTP/1.1\r\nHost: h\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		eventually(t, "a viewer", func() bool { all := tr.Viewers(); return len(all) == 1 && all[0].Bytes > 20 })
		_ = conn.Close()
		eventually(t, "its line", func() bool { b, _ := os.ReadFile(path); return len(b) > 0 })
		l.Close()
		first, _ := os.ReadFile(path + ".1")
		second, _ := os.ReadFile(path)
		if strings.Contains(string(first)+string(second), "hush") || strings.Count(string(first), "\n") != 1 || strings.Count(string(second), "\n") != 1 {
			t.Errorf("first file:\n%ssecond file:\n%s", first, second)
		}
		if asJSON {
			var e struct {
				Remote, URI, Kind, Agent, Referer string
				Status                            int
				Bytes                             uint64
			}
			if err := json.Unmarshal(first, &e); err != nil || e.Remote != "192.0.2.7:0" || e.URI != "/live/x/fmp4/index.m3u8?_HLS_msn=5&token=-&x=%22%0a" ||
				e.Kind != "playlist" || e.Status != 200 || e.Bytes != 10 || e.Agent != `a "player"` || e.Referer != "https://page/?sign=-&b=1" {
				t.Errorf("%+v, %v", e, err)
			}
			if err := json.Unmarshal(second, &e); err != nil || e.Kind != "flv" || e.Bytes < 20 {
				t.Errorf("%+v, %v", e, err)
			}
			continue
		}
		want := `^192\.0\.2\.7 - - \[\d\d/\w{3}/\d{4}:\d\d:\d\d:\d\d [+-]\d{4}\] "GET /live/x/fmp4/index\.m3u8\?_HLS_msn=5&token=-&x=%22%0a HTTP/1\.1" 200 10 "https://page/\?sign=-&b=1" "a \\"player\\"" \d\.\d{3}\n$`
		if !regexp.MustCompile(want).Match(first) {
			t.Errorf("got %s", first)
		}
	}
}

func TestAccessLogCannotOpen(t *testing.T) {
	if _, err := OpenAccessLog(filepath.Join(t.TempDir(), "no", "such"), false, io.Discard); err == nil {
		t.Error("no error")
	}
}

func BenchmarkHandler(b *testing.B) {
	tr := New(nil, nil)
	h := tr.Handler(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(nil) }))
	r := httptest.NewRequest("GET", "/live/x/fmp4/a-p1.m4s", nil)
	w := httptest.NewRecorder()
	b.ReportAllocs()
	for b.Loop() {
		h.ServeHTTP(w, r)
	}
}
