package access

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headwater/scripts/lib/rig"
)

// callbacks returns a policy that asks and tells one URL.
func callbacks(t *testing.T, url string, change func(*Callbacks)) *Policy {
	return newPolicy(t, func(c *Config, _ *Options) {
		c.Callbacks.OnPublish, c.Callbacks.OnPublishDone = Endpoint(url), Endpoint(url)
		if change != nil {
			change(&c.Callbacks)
		}
	})
}

// TestOnPublish asks real servers that behave in every way.
func TestOnPublish(t *testing.T) {
	elsewhere := newCallbackServer(t, says(200, ""))
	hang := make(chan struct{})
	t.Cleanup(func() { close(hang) })
	tests := []struct {
		about   string
		answer  http.HandlerFunc
		allow   bool   // on_failure: allow
		granted string // the name; "": refused
		kind    Kind
		text    string
		detail  string
	}{
		{"allows", says(200, ""), false, "live/show", "", "", ""},
		{"renames", says(200, `{"name":"tv/news"}`), false, "tv/news", "", "", ""},
		{"refuses", says(403, `{"reason":"not on Sundays"}`), false, "", Denied, "not on Sundays", "on_publish refused"},
		{"refuses silently", says(404, ""), true, "", Denied, "refused by the server's owner", "on_publish refused"},
		{"fails", says(500, ""), false, "", Rejected, "this cannot be authorised at the moment; try again", "on_publish: status 500"},
		{"fails open", says(500, ""), true, "live/show", "", "", ""},
		{"is huge", says(200, strings.Repeat("x", 10<<20)), false, "", Rejected, "", "longer than 65536 bytes"},
		{"redirects", func(w http.ResponseWriter, r *http.Request) {
			http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
		}, false, "", Rejected, "", "status 307"},
		{"is slow", func(_ http.ResponseWriter, r *http.Request) { waitFor(r, hang) }, false, "", Rejected, "", "deadline exceeded"},
		{"is slow and open", func(_ http.ResponseWriter, r *http.Request) { waitFor(r, hang) }, true, "live/show", "", "", ""},
		{"trickles", func(w http.ResponseWriter, r *http.Request) {
			_ = http.NewResponseController(w).Flush()
			waitFor(r, hang)
		}, false, "", Rejected, "", "deadline exceeded"},
		{"hangs up", func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) }, false, "", Rejected, "", "EOF"},
	}
	for _, tt := range tests {
		t.Run(tt.about, func(t *testing.T) {
			server := newCallbackServer(t, tt.answer)
			p := callbacks(t, server.URL, func(c *Callbacks) {
				c.Timeout = 200 * time.Millisecond
				if tt.allow {
					c.OnFailure = "allow"
				}
			})
			start := time.Now()
			g, err := p.Publish(cancelledOnceDenied(t), from(t, "192.0.2.1", "live/show"))
			if took := time.Since(start); took > 3*time.Second {
				t.Errorf("it took %s", took)
			}
			if tt.granted != "" {
				if err != nil || g.App+"/"+g.Name != tt.granted {
					t.Errorf("got %v, %v; want %s", g, err, tt.granted)
				}
				return
			}
			r := refusalOf(t, err)
			if r.Kind != tt.kind || tt.text != "" && r.Text != tt.text || !strings.Contains(r.Detail, tt.detail) {
				t.Errorf("got %+v", r)
			}
		})
	}
	if n := len(elsewhere.requests()); n != 0 {
		t.Errorf("%d redirects were followed", n)
	}
}

func waitFor(r *http.Request, hang <-chan struct{}) {
	select {
	case <-r.Context().Done():
	case <-hang:
	}
}

// cancelledOnceDenied keeps a refusal from being delayed by a second.
func cancelledOnceDenied(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), 2500*time.Millisecond)
	t.Cleanup(cancel)
	return ctx
}

func TestDeadServer(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	url := "http://" + l.Addr().String()
	_ = l.Close()
	p := callbacks(t, url, nil)
	_, err = p.Publish(t.Context(), from(t, "192.0.2.1", "live/show"))
	if r := refusalOf(t, err); r.Kind != Rejected || !strings.Contains(r.Detail, "refused") {
		t.Errorf("got %+v", r)
	}
}

// TestSignature checks a request as its receiver would.
func TestSignature(t *testing.T) {
	server := newCallbackServer(t, says(200, ""))
	p := callbacks(t, server.URL, func(c *Callbacks) { c.Secret = "callback-secret" })
	g, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show?user=me"))
	if err != nil {
		t.Fatal(err)
	}
	g.Done(End{Reason: "unpublished", Bytes: 5, Duration: time.Second})
	p.Close(t.Context())
	got := server.requests()
	if len(got) != 2 {
		t.Fatalf("%d requests", len(got))
	}
	for _, r := range got {
		m := hmac.New(sha256.New, []byte("callback-secret"))
		_, _ = io.WriteString(m, r.header.Get("Headwater-Timestamp")+"."+r.body)
		if want := "v1=" + hex.EncodeToString(m.Sum(nil)); r.header.Get("Headwater-Signature") != want {
			t.Errorf("signature %s, want %s", r.header.Get("Headwater-Signature"), want)
		}
		if !strings.Contains(r.body, `"session":"`+g.Session+`"`) || !strings.Contains(r.body, `"user":"me"`) {
			t.Errorf("body %s", r.body)
		}
	}
	if !strings.Contains(got[1].body, `"event":"publish_done"`) || !strings.Contains(got[1].body, `"bytes":5`) || !strings.Contains(got[1].body, `"duration_ms":1000`) {
		t.Errorf("done: %s", got[1].body)
	}
	if a, b := got[0].header.Get("Idempotency-Key"), got[1].header.Get("Idempotency-Key"); a == "" || a == b {
		t.Errorf("keys %q and %q", a, b)
	}
	if server.requests()[0].header.Get("Content-Type") != "application/json" {
		t.Error("not JSON")
	}
}

// TestConnectionsAreReused also shows that a refusal leaves the connection fit
// for the next request.
func TestConnectionsAreReused(t *testing.T) {
	var connections atomic.Int64
	server := httptest.NewUnstartedServer(says(200, `{"name":"tv/news"}`))
	server.Config.ConnState = func(_ net.Conn, s http.ConnState) {
		if s == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	defer server.Close()
	p := callbacks(t, server.URL, nil)
	for range 20 {
		if _, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show")); err != nil {
			t.Fatal(err)
		}
	}
	if n := connections.Load(); n != 1 {
		t.Errorf("%d connections for 20 requests", n)
	}
}

// TestInFlight: no more than so many ask at a time, no more than so many wait,
// and another callback does not notice.
func TestInFlight(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, func(c *Config, _ *Options) {
			c.Callbacks.OnPublish, c.Callbacks.OnPlay = "http://a.example/", "http://a.example/"
		})
		var now, most atomic.Int64
		p.use(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(string(body), `"event":"play"`) {
				return respond(200, "")
			}
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			select {
			case <-time.After(2 * time.Second):
				return respond(200, "")
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		const all = maxInFlight + maxWaiting + 10
		var granted, busy atomic.Int64
		var wg sync.WaitGroup
		start := time.Now()
		for range all {
			wg.Go(func() {
				_, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show"))
				switch {
				case err == nil:
					granted.Add(1)
				case strings.Contains(refusalOf(t, err).Detail, errBusy.Error()):
					busy.Add(1)
				}
			})
		}
		synctest.Wait()
		if n := busy.Load(); n != 10 {
			t.Errorf("%d were turned away at once, want 10", n)
		}
		if _, err := p.Play(t.Context(), player(t, "192.0.2.1", "live/show", HTTPFLV)); err != nil || time.Since(start) > 0 {
			t.Errorf("play waited for publish: %v after %s", err, time.Since(start))
		}
		wg.Wait()
		if took := time.Since(start); took != 3*time.Second {
			t.Errorf("the last was told after %s", took)
		}
		if most.Load() != maxInFlight || granted.Load() != maxInFlight {
			t.Errorf("%d at a time, %d granted; want %d", most.Load(), granted.Load(), maxInFlight)
		}
	})
}

// TestBreaker: a dead server is let alone, and found when it is back.
func TestBreaker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log rig.Log
		p := newPolicy(t, func(c *Config, o *Options) {
			c.Callbacks.OnPublish, o.Logger = "http://user:hush@a.example/hush?hush", logger(&log)
		})
		var asked atomic.Int64
		var alive atomic.Bool
		p.use(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			if alive.Load() {
				return respond(200, "")
			}
			return nil, errors.New("connection refused")
		})
		publish := func() error {
			_, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show"))
			return err
		}
		for range 100 {
			if publish() == nil {
				t.Fatal("granted")
			}
		}
		if n := asked.Load(); n != threshold {
			t.Errorf("asked %d times in a row, want %d", n, threshold)
		}
		for range 600 { // ten minutes
			time.Sleep(time.Second)
			_ = publish()
		}
		if n := asked.Load(); n < threshold+20 || n > threshold+30 {
			t.Errorf("asked %d times in ten minutes", n)
		}
		alive.Store(true)
		time.Sleep(longestPause)
		for range 10 {
			if err := publish(); err != nil {
				t.Errorf("it is back: %v", err)
			}
		}
		text := log.String()
		if strings.Count(text, "callback fails") != 1 || strings.Count(text, "answers again") != 1 || strings.Contains(text, "hush") {
			t.Errorf("log:\n%s", text)
		}
		if s := p.Stats(); s.Callbacks["on_publish"].Failures != uint64(asked.Load())-10 {
			t.Errorf("%+v after %d requests", s, asked.Load())
		}
	})
}

// TestLeaverIsNoFailure: encoders that hang up while they wait say nothing about
// the callback.
func TestLeaverIsNoFailure(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := callbacks(t, "http://a.example/", nil)
		p.use(func(r *http.Request) (*http.Response, error) {
			select {
			case <-time.After(time.Second):
				return respond(200, "")
			case <-r.Context().Done():
				return nil, r.Context().Err()
			}
		})
		for range 20 {
			ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
			if _, err := p.Publish(ctx, from(t, "192.0.2.1", "live/show")); err == nil {
				t.Error("granted")
			}
			cancel()
		}
		if _, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show")); err != nil {
			t.Error(err)
		}
	})
}

// TestDone: an ended session is told until it was heard, and not for ever.
func TestDone(t *testing.T) {
	tests := []struct {
		about    string
		answers  []int // statuses; 0: none. The last one goes on.
		requests int
		took     time.Duration
		dropped  uint64
	}{
		{"heard", []int{200}, 1, 0, 0},
		{"whatever it says", []int{302}, 1, 0, 0},
		{"heard the second time", []int{503, 200}, 2, time.Second, 0},
		{"heard the third time", []int{0, 500, 204}, 3, 6 * time.Second, 0},
		{"never", []int{500}, 3, 6 * time.Second, 1},
		{"not wanted", []int{404}, 1, 0, 1},
	}
	for _, tt := range tests {
		synctest.Test(t, func(t *testing.T) {
			p := newPolicy(t, func(c *Config, o *Options) {
				c.Publish.Key, c.Callbacks.OnPublishDone = "the-key", "http://a.example/"
			})
			var requests atomic.Int64
			var last time.Time
			p.use(func(*http.Request) (*http.Response, error) {
				last = time.Now()
				n := requests.Add(1)
				if status := tt.answers[min(int(n), len(tt.answers))-1]; status > 0 {
					return respond(status, "{")
				}
				return nil, io.ErrUnexpectedEOF
			})
			g, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show?key=the-key"))
			if err != nil {
				t.Fatal(err)
			}
			start := time.Now()
			g.Done(End{})
			if time.Since(start) != 0 {
				t.Error("Done waits")
			}
			time.Sleep(time.Minute)
			if n := requests.Load(); n != int64(tt.requests) || last.Sub(start) != tt.took {
				t.Errorf("%s: %d requests, the last after %s; want %d after %s", tt.about, n, last.Sub(start), tt.requests, tt.took)
			}
			if s := p.Stats().Callbacks["on_publish_done"]; s.Dropped != tt.dropped {
				t.Errorf("%s: %+v", tt.about, s)
			}
		})
	}
}

// TestDoneIsBounded: a server that hangs does not make events pile up.
func TestDoneIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := callbacks(t, "http://a.example/", nil)
		var now, most atomic.Int64
		p.use(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			if !strings.Contains(string(body), "done") {
				return respond(200, "")
			}
			most.Store(max(most.Load(), now.Add(1)))
			defer now.Add(-1)
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		g, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show"))
		if err != nil {
			t.Fatal(err)
		}
		for range maxTellers {
			g.Done(End{})
		}
		synctest.Wait() // those are being told
		for range maxWaiting + 7 {
			g.Done(End{})
		}
		if n := p.Stats().Callbacks["on_publish_done"].Dropped; n != 7 {
			t.Errorf("%d dropped at once, want 7", n)
		}
		time.Sleep(time.Hour)
		if n := p.Stats().Callbacks["on_publish_done"].Dropped; n != maxTellers+maxWaiting+7 || most.Load() > maxTellers {
			t.Errorf("%d dropped in the end, %d at a time", n, most.Load())
		}
	})
}

// TestClose: what waits is told without pauses, and nothing after it.
func TestClose(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := callbacks(t, "http://a.example/", nil)
		var told atomic.Int64
		var failing atomic.Bool
		p.use(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(string(body), "done") {
				if failing.Load() {
					return respond(500, "")
				}
				told.Add(1)
			}
			return respond(200, "")
		})
		g, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show"))
		if err != nil {
			t.Fatal(err)
		}
		failing.Store(true)
		g.Done(End{})
		synctest.Wait() // it waits to try again
		failing.Store(false)
		for range 100 {
			g.Done(End{})
		}
		start := time.Now()
		p.Close(t.Context())
		if n := told.Load(); n != 101 || time.Since(start) != 0 {
			t.Errorf("%d told in %s", n, time.Since(start))
		}
		before := told.Load()
		g.Done(End{})
		p.Close(t.Context())
		synctest.Wait()
		if told.Load() != before {
			t.Error("told after Close")
		}
	})
}

// TestCloseDoesNotHang: a server that hangs is left when time is up.
func TestCloseDoesNotHang(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := callbacks(t, "http://a.example/", func(c *Callbacks) { c.Timeout = 8 * time.Second })
		p.use(func(r *http.Request) (*http.Response, error) {
			body, _ := io.ReadAll(r.Body)
			if strings.Contains(string(body), "done") {
				<-r.Context().Done()
				return nil, r.Context().Err()
			}
			return respond(200, "")
		})
		g, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show"))
		if err != nil {
			t.Fatal(err)
		}
		for range 500 {
			g.Done(End{})
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		start := time.Now()
		p.Close(ctx)
		if took := time.Since(start); took != time.Second {
			t.Errorf("it took %s", took)
		}
		if n := p.Stats().Callbacks["on_publish_done"].Dropped; n != 500 {
			t.Errorf("%d dropped, want 500", n)
		}
	})
}

// TestPanicInDialect: one bad event must not end the rest, nor the breaker stay
// as it is for ever.
func TestPanicInDialect(t *testing.T) {
	p := callbacks(t, "http://127.0.0.1:1/", nil)
	h := p.hooks[publishEnded]
	h.dialect.encode = func(e event) (string, []byte) { panic(fmt.Sprint("event of ", e.session)) }
	h.tell(event{kind: publishEnded, session: "1"})
	eventually(t, "the event is dropped", func() bool { return h.counts.dropped.Load() == 1 })
	if h.counts.failures.Load() != 1 {
		t.Error("the failure was not counted")
	}
}
