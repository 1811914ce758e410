package twin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"headwater/remux"
)

func TestAsk(t *testing.T) {
	next := int64(48000)
	want := remux.TwinState{ID: "b", Phase: remux.TwinLive, Joints: []remux.Joint{{
		Epoch: "abcdefgh", Sequence: 7, Part: 40, Start: 3 * time.Second, ProgramTime: time.Now().UTC(), AudioNext: &next, Timestamp: 1 << 31, Hash: "00",
	}}}
	answers := map[string]http.HandlerFunc{
		"/api/v1/streams/live/x/twin":      func(w http.ResponseWriter, _ *http.Request) { _ = json.NewEncoder(w).Encode(want) },
		"/api/v1/streams/live/none/twin":   http.NotFound,
		"/api/v1/streams/live/away/twin":   func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "/elsewhere", http.StatusFound) },
		"/api/v1/streams/live/broken/twin": func(w http.ResponseWriter, _ *http.Request) { _, _ = fmt.Fprint(w, `{"id": 1}`) },
		"/api/v1/streams/live/endless/twin": func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, `{"id": "%s"}`, strings.Repeat("x", 2*maxAnswer))
		},
	}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Header.Get("Authorization") != "Bearer secret" {
			http.Error(w, "no", http.StatusUnauthorized)
			return
		}
		answers[r.URL.Path](w, r)
	}))
	defer s.Close()
	ask := New(Config{URL: s.URL + "/", Token: "secret"})
	got, err := ask(t.Context(), remux.Name{App: "live", Stream: "x"})
	if err != nil || fmt.Sprint(got.Joints[0].ProgramTime, *got.Joints[0].AudioNext) != fmt.Sprint(want.Joints[0].ProgramTime, next) {
		t.Fatalf("%+v, %v", got, err)
	}
	got.Joints[0].AudioNext, want.Joints[0].AudioNext = nil, nil
	if fmt.Sprintf("%+v", got) != fmt.Sprintf("%+v", want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, err := ask(t.Context(), remux.Name{App: "live", Stream: "none"}); !errors.Is(err, ErrNoStream) {
		t.Errorf("no stream: %v", err)
	}
	for name, text := range map[string]string{"away": "redirects", "broken": "read twin's answer", "endless": "read twin's answer"} {
		if _, err := ask(t.Context(), remux.Name{App: "live", Stream: name}); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%s: %v", name, err)
		}
	}
	_, err = New(Config{URL: s.URL, Token: "other"})(t.Context(), remux.Name{App: "live", Stream: "x"})
	if err == nil || !strings.Contains(err.Error(), "401") || strings.Contains(err.Error(), "other") {
		t.Errorf("another token: %v", err)
	}
}

func TestAskOneThatIsNotThere(t *testing.T) {
	s := httptest.NewServer(nil)
	s.Close()
	begun := time.Now()
	if _, err := New(Config{URL: s.URL})(t.Context(), remux.Name{App: "live", Stream: "x"}); err == nil {
		t.Error("no error")
	}
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { <-r.Context().Done() }))
	defer silent.Close()
	if _, err := New(Config{URL: silent.URL})(t.Context(), remux.Name{App: "live", Stream: "x"}); err == nil {
		t.Error("no error")
	}
	if d := time.Since(begun); d > 3*timeout {
		t.Errorf("took %v", d)
	}
}

func TestValidate(t *testing.T) {
	for _, ok := range []string{"http://10.0.0.2:8081", "https://b.example/", "http://[::1]:8081"} {
		if err := (Config{URL: ok}).Validate(); err != nil {
			t.Errorf("%s: %v", ok, err)
		}
	}
	for _, bad := range []string{"10.0.0.2:8081", "ftp://x", "http://", "http://u:p@x", "http://x/api", "http://x/?a", ":"} {
		if err := (Config{URL: bad}).Validate(); err == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}
