package access

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// newPolicy returns the policy of the defaults with changes, which is closed
// when the test ends.
func newPolicy(t *testing.T, change func(*Config, *Options)) *Policy {
	t.Helper()
	c, o := DefaultConfig(), Options{}
	change(&c, &o)
	p, err := New(c, o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close(t.Context()) })
	return p
}

// from returns a request as an encoder sends it: APP/NAME?QUERY.
func from(t testing.TB, addr, url_ string) Request {
	t.Helper()
	full, query, _ := strings.Cut(url_, "?")
	app, name, _ := strings.Cut(full, "/")
	values, err := url.ParseQuery(query)
	if err != nil {
		t.Fatal(err)
	}
	return Request{
		Remote: netip.AddrPortFrom(netip.MustParseAddr(addr), 51000), App: app, Name: name,
		Encoder: "FMLE/3.0 (test)", TCURL: "rtmp://origin.example/" + app + "?key=in-tcurl", Query: values,
	}
}

func player(t testing.TB, addr, url string, protocol Protocol) PlayRequest {
	t.Helper()
	r := from(t, addr, url)
	return PlayRequest{Remote: r.Remote, App: r.App, Name: r.Name, Query: r.Query, Protocol: protocol, Player: "test/1.0", Page: "https://example.com/watch"}
}

func refusalOf(t *testing.T, err error) *Refusal {
	t.Helper()
	r, ok := errors.AsType[*Refusal](err)
	if !ok {
		t.Fatalf("got %v, want a *Refusal", err)
	}
	return r
}

// received is what a callback server got.
type received struct {
	header http.Header
	body   string
}

// callbackServer answers every request with answer and keeps what it got.
type callbackServer struct {
	*httptest.Server
	mu  sync.Mutex
	got []received
}

func newCallbackServer(t *testing.T, answer http.HandlerFunc) *callbackServer {
	t.Helper()
	s := &callbackServer{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		s.mu.Lock()
		s.got = append(s.got, received{r.Header.Clone(), string(body)})
		s.mu.Unlock()
		answer(w, r)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *callbackServer) requests() []received {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]received(nil), s.got...)
}

// says answers with a status and a body.
func says(status int, body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(status)
		_, _ = io.WriteString(w, body)
	}
}

// roundTripper is a server without a network, for fake time.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func respond(status int, body string) (*http.Response, error) {
	return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
}

// use replaces the network of all callbacks.
func (p *Policy) use(f roundTripper) {
	for _, h := range p.hooks {
		if h != nil {
			h.client = &http.Client{Transport: f}
		}
	}
}

// logger writes to a log that a test looks at.
func logger(l *rig.Log) *slog.Logger {
	return slog.New(slog.NewJSONHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// eventually waits for what another goroutine does.
func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(5 * time.Second); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("it did not happen: %s", what)
		}
	}
}

// inAnHour is when claims expire.
func inAnHour() time.Time { return time.Now().Add(time.Hour) }
