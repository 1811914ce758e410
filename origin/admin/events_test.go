package admin

import (
	"bufio"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"headwater/remux"
)

// TestDifference: whatever happened between two looks, the events lead from what a
// client knows to what is.
func TestDifference(t *testing.T) {
	name := remux.Name{App: "live", Stream: "x"}
	a, b := &remux.Stream{Name: name}, &remux.Stream{Name: name}
	p, q := &remux.Publisher{}, &remux.Publisher{}
	at := func(s *remux.Stream, p *remux.Publisher, ended bool) map[remux.Name]seen {
		if s == nil {
			return map[remux.Name]seen{}
		}
		return map[remux.Name]seen{name: {s, p, ended}}
	}
	// Publishers have fields, so that no two share an address.
	tests := []struct {
		what        string
		before, now map[remux.Name]seen
		want        string
	}{
		{"nothing", at(nil, nil, false), at(nil, nil, false), ""},
		{"the same", at(a, p, false), at(a, p, false), ""},
		{"begins", at(nil, nil, false), at(a, p, false), "stream_begun publisher_came"},
		{"publisher goes", at(a, p, false), at(a, nil, false), "publisher_left"},
		{"and comes", at(a, nil, false), at(a, p, false), "publisher_came"},
		{"another comes", at(a, p, false), at(a, q, false), "publisher_left publisher_came"},
		{"ends", at(a, nil, false), at(a, nil, true), "stream_ended"},
		{"is forgotten", at(a, nil, true), at(nil, nil, false), ""},
		{"all at once", at(a, p, false), at(nil, nil, false), "publisher_left stream_ended"},
		{"another of the name", at(a, p, false), at(b, q, false), "publisher_left stream_ended stream_begun publisher_came"},
		{"came and went", at(nil, nil, false), at(a, nil, true), ""},
	}
	for _, tt := range tests {
		var got []string
		for _, m := range regexp.MustCompile(`event: (\w+)\ndata: \{"stream":"live/x","time":"[^"]+"\}\n\n`).FindAllStringSubmatch(string(difference(tt.before, tt.now)), -1) {
			got = append(got, m[1])
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.what, got, tt.want)
		}
	}
}

// TestSubscribersAreBounded: one too many is told to come later, and one that leaves
// makes room.
func TestSubscribersAreBounded(t *testing.T) {
	s := httptest.NewServer(New(Config{}))
	defer s.Close()
	subscribe := func() *http.Response {
		t.Helper()
		res, err := http.Get(s.URL + "/api/v1/events")
		if err != nil {
			t.Fatal(err)
		}
		return res
	}
	var all []*http.Response
	for range maxSubscribers {
		res := subscribe()
		if line, err := bufio.NewReader(res.Body).ReadString('\n'); res.StatusCode != 200 || err != nil || line != ": changes from now on\n" {
			t.Fatalf("%d, %q, %v", res.StatusCode, line, err)
		}
		all = append(all, res)
	}
	over := subscribe()
	if _ = over.Body.Close(); over.StatusCode != 503 || over.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %s", over.Status)
	}
	for _, res := range all {
		_ = res.Body.Close()
	}
	for {
		res := subscribe()
		_ = res.Body.Close()
		if res.StatusCode == 200 {
			break
		}
	}
}

func TestAPIRoutes(t *testing.T) {
	h := New(Config{})
	tests := []struct {
		method, path string
		status       int
		allow        string
	}{
		{"GET", "/api/v1/nothing", 404, ""}, {"POST", "/api/v1/streams", 405, "GET, HEAD, OPTIONS"},
		{"OPTIONS", "/api/v1/keys", 204, "GET, HEAD, OPTIONS, POST"}, {"HEAD", "/api/v1/streams", 200, ""},
		{"GET", "/api/v1/streams/live/..%2fx", 404, ""}, {"DELETE", "/api/v1/keys/x", 404, ""}, {"GET", "/metrics", 404, ""},
		{"GET", "/debug/pprof/", 404, ""}, {"POST", "/api/v1/reload", 422, ""},
	}
	for _, tt := range tests {
		r := httptest.NewRequest(tt.method, tt.path, nil)
		r.Host = "127.0.0.1"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if w.Code != tt.status || w.Header().Get("Allow") != tt.allow {
			t.Errorf("%s %s: %d, %q", tt.method, tt.path, w.Code, w.Header().Get("Allow"))
		}
		if kind := w.Header().Get("Content-Type"); w.Code >= 400 && strings.HasPrefix(tt.path, "/api/") && kind != "application/problem+json" {
			t.Errorf("%s %s: %s", tt.method, tt.path, kind)
		}
		if tt.method == "HEAD" && w.Body.Len() > 0 {
			t.Errorf("HEAD has a body of %d bytes", w.Body.Len())
		}
	}
	w := httptest.NewRecorder()
	r := httptest.NewRequest("GET", "/debug/pprof/", nil)
	r.Host = "localhost"
	if New(Config{Pprof: true}).ServeHTTP(w, r); w.Code != 200 {
		t.Error(fmt.Sprint("with pprof: ", w.Code))
	}
}
