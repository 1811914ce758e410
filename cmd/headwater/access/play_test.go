package access

import (
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

func TestPlay(t *testing.T) {
	hs := longKey()
	tokens := Tokens{MaxAge: time.Hour, Secrets: []Key{{ID: "main", Key: longKey()}}}
	issue := func(action Action, name string) string {
		text, err := tokens.Issue(Order{Action: action, Name: name, Expires: time.Hour}, "", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	open := func(c *Config, _ *Options) { c.Tokens = tokens }
	lists := func(c *Config, _ *Options) {
		c.Play.Allow, c.Play.Deny = networks(t, "192.0.2.0/24"), networks(t, "192.0.2.66")
	}
	protected := func(c *Config, _ *Options) {
		c.Play.Access, c.Tokens, c.JWT.Keys = "protected", tokens, []JWTKey{{Alg: "HS256", Key: hs}}
	}
	tests := []struct {
		about, request, addr string
		config               func(*Config, *Options)
		want                 string // text of the refusal
		key                  string
	}{
		{"open", "live/show", "192.0.2.1", open, "", ""},
		{"open, with nonsense", "live/show?token=x&key=y", "192.0.2.1", open, "", ""},
		{"bad name", "live/a b", "192.0.2.1", open, `stream name: holds ' '; only A-Z a-z 0-9 . _ ~ - are allowed`, ""},
		{"listed", "live/show", "192.0.2.1", lists, "", ""},
		{"denied", "live/show", "192.0.2.66", lists, "playing from this address is not allowed", ""},
		{"not listed", "live/show", "203.0.113.1", lists, "playing from this address is not allowed", ""},
		{"no token", "live/show", "127.0.0.1", protected, "a token is needed: URL?token=TOKEN", ""},
		{"token", "live/show?token=" + issue(Play, "live/*"), "192.0.2.1", protected, "", "token:main"},
		{"token again", "live/show?token=" + issue(Play, "live/*") + "&_HLS_msn=5", "192.0.2.1", protected, "", "token:main"},
		{"token to publish", "live/show?token=" + issue(Publish, "live/*"), "192.0.2.1", protected, "the token is for publish, not for play", ""},
		{"token of another name", "tv/show?token=" + issue(Play, "live/*"), "192.0.2.1", protected, "the token is for another name", ""},
		{"JWT", "live/show?token=" + signJWT(t, jwt.SigningMethodHS256, []byte(hs), "", claims(nil)), "192.0.2.1", protected, "", "jwt"},
		{"JWT to publish only", "live/show?token=" + signJWT(t, jwt.SigningMethodHS256, []byte(hs), "", claims(jwt.MapClaims{"headwater": map[string]any{"publish": []string{"*/*"}}})), "192.0.2.1", protected, "the token does not allow to play this name", ""},
	}
	for _, tt := range tests {
		for _, protocol := range []Protocol{HLS, HTTPFLV, HTTPTS, RTMP} {
			p := newPolicy(t, tt.config)
			g, err := p.Play(t.Context(), player(t, tt.addr, tt.request, protocol))
			if textOf(err) != tt.want || err == nil && (g.Key != tt.key || g.Name != "show") {
				t.Errorf("%s by %s: %v, %v", tt.about, protocol, g, err)
			}
			if err == nil {
				g.Done(End{})
			}
		}
	}
}

func TestOnPlay(t *testing.T) {
	server := newCallbackServer(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/done" {
			return
		}
		if r.URL.Query().Get("status") == "403" {
			w.WriteHeader(403)
		}
	})
	p := newPolicy(t, func(c *Config, _ *Options) {
		c.Callbacks.OnPlay, c.Callbacks.OnPlayDone = Endpoint(server.URL), Endpoint(server.URL+"/done")
	})
	g, err := p.Play(t.Context(), player(t, "192.0.2.1", "live/show?a=b&_HLS_msn=7", HTTPFLV))
	if err != nil {
		t.Fatal(err)
	}
	g.Done(End{Reason: "left", Bytes: 9})
	hls, err := p.Play(t.Context(), player(t, "192.0.2.1", "live/show", HLS))
	if err != nil {
		t.Fatal(err)
	}
	hls.Done(End{}) // HLS has no end to be told
	p.Close(t.Context())
	var plays, ends int
	for _, r := range server.requests() {
		switch {
		case containsAll(r.body, `"event":"play"`, `"address":"192.0.2.1"`, `"page":"https://example.com/watch"`, `"client":"test/1.0"`) && !containsAll(r.body, "_HLS_"):
			plays++
		case containsAll(r.body, `"event":"play_done"`, g.Session, `"reason":"left"`, `"bytes":9`):
			ends++
		default:
			t.Errorf("got %s", r.body)
		}
	}
	if plays != 2 || ends != 1 {
		t.Errorf("%d plays and %d ends", plays, ends)
	}
}

func containsAll(s string, parts ...string) bool {
	for _, p := range parts {
		if !strings.Contains(s, p) {
			return false
		}
	}
	return true
}

// TestPlayIsRemembered: an HLS player asks every second, the callback is not.
func TestPlayIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, func(c *Config, _ *Options) { c.Callbacks.OnPlay = "http://a.example/" })
		var asked, status atomic.Int64
		status.Store(200)
		p.use(func(*http.Request) (*http.Response, error) {
			asked.Add(1)
			return respond(int(status.Load()), `{"reason":"no"}`)
		})
		play := func(request string, protocol Protocol) error {
			_, err := p.Play(t.Context(), player(t, "192.0.2.1", request, protocol))
			return err
		}
		expect := func(about string, request string, protocol Protocol, ok bool, n int64) {
			t.Helper()
			if err := play(request, protocol); (err == nil) != ok || asked.Load() != n {
				t.Errorf("%s: %v after %d requests; want %v after %d", about, err, asked.Load(), ok, n)
			}
		}
		expect("the first", "live/show?u=1", HLS, true, 1)
		expect("the second", "live/show?u=1&_HLS_msn=3", HLS, true, 1)
		expect("another player", "live/show?u=2", HLS, true, 2)
		expect("another stream", "live/other?u=1", HLS, true, 3)
		expect("a connection is asked for each time", "live/show?u=1", HTTPFLV, true, 4)
		expect("a connection is asked for each time", "live/show?u=1", HTTPFLV, true, 5)
		status.Store(403)
		time.Sleep(29 * time.Second)
		expect("still remembered", "live/show?u=1", HLS, true, 5)
		time.Sleep(time.Second)
		expect("no more", "live/show?u=1", HLS, false, 6)
		expect("a refusal is remembered too", "live/show?u=1", HLS, false, 6)
		status.Store(200)
		time.Sleep(deniedPlayCache)
		expect("not for long", "live/show?u=1", HLS, true, 7)
		status.Store(500)
		expect("a failure", "live/show?u=3", HLS, false, 8)
		expect("is not remembered", "live/show?u=3", HLS, false, 9)
	})
}

func TestPlayCacheIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := newPlayCache(time.Minute)
		for i := range maxPlayCache + 100 {
			c.put(hashOf(time.Duration(i).String()), "", time.Minute)
		}
		if n := len(c.answers.entries); n != maxPlayCache {
			t.Errorf("%d remembered", n)
		}
		time.Sleep(time.Minute)
		c.put(hashOf("new"), "", time.Minute)
		if n := len(c.answers.entries); n != 1 {
			t.Errorf("%d remembered after all was over", n)
		}
		off := newPlayCache(0)
		off.put(hashOf("new"), "", 0)
		if len(off.answers.entries) != 0 {
			t.Error("no cache caches")
		}
	})
}
