package access

import (
	"cmp"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// TestPublish goes through what a configuration makes of a request. want is the
// public name, or the text of the refusal.
func TestPublish(t *testing.T) {
	main, old := longKey(), longKey()
	tokens := Tokens{MaxAge: time.Hour, Secrets: []Key{{ID: "main", Key: main}, {ID: "old", Key: old, Name: "old/*"}}}
	issue := func(o Order) string {
		o.Action, o.Expires = cmp.Or(o.Action, Publish), time.Hour
		text, err := tokens.Issue(o, "", time.Now())
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	signed, err := Sign(Token{KeyID: "old", Action: Publish, Name: everything, Expires: inAnHour()}, []byte(old))
	if err != nil {
		t.Fatal(err)
	}
	hs := longKey()
	jwtToken := signJWT(t, jwt.SigningMethodHS256, []byte(hs), "", claims(nil))

	const (
		needKey   = "a publish key is needed: the Stream Key is NAME?key=SECRET"
		wrongKey  = "the publish key is wrong or not for this name"
		needToken = "a token is needed: the Stream Key is NAME?token=TOKEN"
		badToken  = "the token is not valid"
		badKey    = "the stream key is wrong"
	)
	nothing := func(_ *Config, o *Options) { o.MadeKey = "made-key" }
	oneKey := func(c *Config, o *Options) { c.Publish.Key, o.MadeKey = "the-key", "made-key" }
	secrets := func(c *Config, _ *Options) {
		c.Publish.Secrets = []Key{{ID: "show", Name: "live/show", Key: "key-of-show"}, {Name: "tv/*", Key: "key-of-tv"}}
	}
	streamKeysOnly := func(c *Config, _ *Options) {
		c.Publish.Keys = StreamKeys{"sk_1234": "live/show", "studio/sk_5678": "tv/news"}
	}
	withTokens := func(c *Config, _ *Options) { c.Tokens = tokens }
	withJWT := func(c *Config, _ *Options) { c.JWT.Keys = []JWTKey{{Alg: "HS256", Key: hs}} }
	lists := func(c *Config, _ *Options) {
		c.Publish.Key = "the-key"
		c.Publish.Allow, c.Publish.Deny = networks(t, "192.0.2.0/24", "127.0.0.1"), networks(t, "192.0.2.66")
		c.Publish.WithoutSecretFrom = networks(t, "192.0.2.10")
	}

	tests := []struct {
		about   string
		config  func(*Config, *Options)
		addr    string
		request string
		want    string
		key     string // its id
	}{
		{"nothing set, loopback", nothing, "127.0.0.1", "live/show", "live/show", ""},
		{"nothing set, loopback of 6", nothing, "::1", "live/show", "live/show", ""},
		{"nothing set, mapped loopback", nothing, "::ffff:127.0.0.1", "live/show", "live/show", ""},
		{"nothing set, loopback, wrong key", nothing, "127.0.0.1", "live/show?key=wrong", "live/show", ""},
		{"nothing set, elsewhere", nothing, "192.0.2.1", "live/show", needKey, ""},
		{"nothing set, empty key", nothing, "192.0.2.1", "live/show?key=", wrongKey, ""},
		{"nothing set, wrong key", nothing, "192.0.2.1", "live/show?key=made-ke", wrongKey, ""},
		{"nothing set, made key", nothing, "192.0.2.1", "live/show?key=made-key", "live/show", "made"},
		{"nothing set, bad name", nothing, "127.0.0.1", "live/..", `stream name: ".." is not a name`, ""},
		{"nothing set, no name", nothing, "127.0.0.1", "live/", "stream name: is empty", ""},
		{"nothing at all", func(*Config, *Options) {}, "127.0.0.1", "live/show", needToken, ""},
		{"nothing at all, empty key", func(*Config, *Options) {}, "127.0.0.1", "live/show?key=", wrongKey, ""},

		{"a key, loopback", oneKey, "127.0.0.1", "live/show", needKey, ""},
		{"a key", oneKey, "127.0.0.1", "live/show?key=the-key", "live/show", "publish.key"},
		{"a key: the made one is void", oneKey, "192.0.2.1", "live/show?key=made-key", wrongKey, ""},
		{"a key: the first counts", oneKey, "192.0.2.1", "live/show?key=the-key&key=wrong", "live/show", "publish.key"},
		{"a key and a token that is none", oneKey, "192.0.2.1", "live/show?key=the-key&token=x", "live/show", "publish.key"},

		{"secrets", secrets, "192.0.2.1", "live/show?key=key-of-show", "live/show", "show"},
		{"secrets, pattern", secrets, "192.0.2.1", "tv/news?key=key-of-tv", "tv/news", "publish.secrets 2"},
		{"secrets, another's name", secrets, "192.0.2.1", "tv/news?key=key-of-show", wrongKey, ""},
		{"secrets, none", secrets, "127.0.0.1", "tv/news", needKey, ""},

		{"stream key", streamKeysOnly, "192.0.2.1", "live/sk_1234", "live/show", "stream key of live/show"},
		{"stream key in another application", streamKeysOnly, "192.0.2.1", "app/sk_1234", "live/show", "stream key of live/show"},
		{"stream key with its application", streamKeysOnly, "192.0.2.1", "studio/sk_5678", "tv/news", "stream key of tv/news"},
		{"stream key in the wrong application", streamKeysOnly, "192.0.2.1", "live/sk_5678", badKey, ""},
		{"the public name is no key", streamKeysOnly, "192.0.2.1", "live/show", badKey, ""},
		{"nor from loopback", streamKeysOnly, "127.0.0.1", "live/show", badKey, ""},

		{"token", withTokens, "192.0.2.1", "live/show?token=" + issue(Order{Name: "live/*"}), "live/show", "token:main"},
		{"token of another secret", withTokens, "192.0.2.1", "old/show?token=" + issue(Order{Name: "old/show", KeyID: "old"}), "old/show", "token:old"},
		{"token beyond its secret's scope", withTokens, "192.0.2.1", "live/show?token=" + signed, "the token is for another name", ""},
		{"token for play", withTokens, "192.0.2.1", "live/show?token=" + issue(Order{Action: Play, Name: "live/*"}), "the token is for play, not for publish", ""},
		{"token of another address", withTokens, "192.0.2.1", "live/show?token=" + issue(Order{Name: "live/*", From: "192.0.2.2"}), "the token is for another address", ""},
		{"token in key's place", withTokens, "192.0.2.1", "live/show?key=" + issue(Order{Name: "live/*"}), wrongKey, ""},
		{"no token", withTokens, "127.0.0.1", "live/show", needToken, ""},
		{"a JWT where none is taken", withTokens, "192.0.2.1", "live/show?token=" + jwtToken, badToken, ""},

		{"JWT", withJWT, "192.0.2.1", "live/show?token=" + jwtToken, "live/show", "jwt"},
		{"JWT of another name", withJWT, "192.0.2.1", "tv/show?token=" + jwtToken, "the token does not allow to publish this name", ""},
		{"a token of an unknown secret", withJWT, "192.0.2.1", "live/show?token=" + signed, badToken, ""},

		{"allowed address", lists, "192.0.2.1", "live/show?key=the-key", "live/show", "publish.key"},
		{"allowed address still needs the key", lists, "192.0.2.1", "live/show", needKey, ""},
		{"denied address", lists, "192.0.2.66", "live/show?key=the-key", "publishing from this address is not allowed", ""},
		{"unlisted address", lists, "203.0.113.1", "live/show?key=the-key", "publishing from this address is not allowed", ""},
		{"without a secret", lists, "192.0.2.10", "live/show", "live/show", ""},
		{"a list of its own: loopback is not in it", lists, "127.0.0.1", "live/show", needKey, ""},
	}
	for _, tt := range tests {
		p := newPolicy(t, tt.config)
		g, err := p.Publish(cancelled(t), from(t, tt.addr, tt.request))
		if err != nil {
			if err.Error() != tt.want {
				t.Errorf("%s: refused with %q, want %q", tt.about, err, tt.want)
			}
			continue
		}
		if got := g.App + "/" + g.Name; got != tt.want || g.Key != tt.key || g.Session == "" {
			t.Errorf("%s: got %s with the key %q; want %s, %q", tt.about, got, g.Key, tt.want, tt.key)
		}
		g.Done(End{}) // without a callback it does nothing
	}
}

// TestCallbackDecides: what the callback is asked depends on what was checked.
func TestCallbackDecides(t *testing.T) {
	tests := []struct {
		about    string
		change   func(*Config)
		request  string
		asked    bool
		has, not []string
	}{
		{"alone: it gets every parameter", func(*Config) {}, "live/show?key=secret-one&token=secret-two&a=b", true,
			[]string{`"key":"secret-one"`, `"token":"secret-two"`, `"a":"b"`}, nil},
		{"after a key: it does not get the key", func(c *Config) { c.Publish.Key = "the-key" }, "live/show?key=the-key&token=x&a=b", true,
			[]string{`"a":"b"`, `"key":"publish.key"`}, []string{"the-key", `"token"`}},
		{"after a wrong key: it is not asked", func(c *Config) { c.Publish.Key = "the-key" }, "live/show?key=wrong", false, nil, nil},
		{"after a stream key: it gets the public name", func(c *Config) { c.Publish.Keys = StreamKeys{"sk_1234": "live/show"} }, "app/sk_1234", true,
			[]string{`"app":"live","name":"show"`}, []string{"sk_1234"}},
	}
	for _, tt := range tests {
		server := newCallbackServer(t, says(200, ""))
		p := newPolicy(t, func(c *Config, _ *Options) {
			c.Callbacks.OnPublish = Endpoint(server.URL)
			tt.change(c)
		})
		ctx := t.Context()
		if !tt.asked {
			ctx = cancelled(t)
		}
		_, err := p.Publish(ctx, from(t, "192.0.2.1", tt.request))
		got := server.requests()
		if (err == nil) != tt.asked || (len(got) == 1) != tt.asked {
			t.Errorf("%s: %v after %d requests", tt.about, err, len(got))
			continue
		}
		for _, s := range tt.has {
			if !strings.Contains(got[0].body, s) {
				t.Errorf("%s: %s lacks %s", tt.about, got[0].body, s)
			}
		}
		for _, s := range tt.not {
			if strings.Contains(got[0].body, s) {
				t.Errorf("%s: %s has %s", tt.about, got[0].body, s)
			}
		}
	}
}

// TestMigration is a whole life with the scripts that users of other servers
// have: the stream key is the name, the script gives the public one.
func TestMigration(t *testing.T) {
	server := newCallbackServer(t, func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })
	server.Config.Handler = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_ = r.ParseForm()
		server.mu.Lock()
		server.got = append(server.got, received{r.Header, r.Form.Encode()})
		server.mu.Unlock()
		if r.Form.Get("call") == "publish" && r.Form.Get("name") == "sk_1234" {
			w.Header().Set("Location", "show")
			w.WriteHeader(http.StatusFound)
			return
		}
		if r.Form.Get("call") == "publish" {
			w.WriteHeader(http.StatusForbidden)
		}
	})
	p := callbacks(t, server.URL, func(c *Callbacks) { c.Format = "nginx-rtmp" })
	g, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/sk_1234?user=me"))
	if err != nil || g.App != "live" || g.Name != "show" {
		t.Fatal(g, err)
	}
	g.Done(End{})
	p.Close(t.Context())
	got := server.requests()
	if len(got) != 2 || !strings.Contains(got[1].body, "call=publish_done") || !strings.Contains(got[1].body, "name=sk_1234") || !strings.Contains(got[1].body, "user=me") {
		t.Errorf("got %v", got)
	}
	if _, err := p.Publish(cancelled(t), from(t, "192.0.2.1", "live/other")); err == nil {
		t.Error("another name was granted")
	}
}

func TestNonce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := Tokens{MaxAge: 24 * time.Hour, Secrets: []Key{{ID: "main", Key: longKey()}}}
		answer := 200
		p := newPolicy(t, func(all *Config, _ *Options) {
			all.Tokens, all.Callbacks.OnPublish = c, "http://a.example/"
		})
		p.use(func(*http.Request) (*http.Response, error) { return respond(answer, "") })
		once := func() string {
			text, err := c.Issue(Order{Action: Publish, Name: "live/show", Expires: 2 * time.Hour, Once: true}, "", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		publish := func(token string) string {
			_, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show?token="+token))
			return textOf(err)
		}
		const used = "the token is for one use and has been used"
		first, second := once(), once()
		if got := publish(first); got != "" {
			t.Error(got)
		}
		if got := publish(first); got != used {
			t.Error(got)
		}
		answer = 500
		if got := publish(second); !strings.Contains(got, "try again") {
			t.Error(got)
		}
		answer = 200
		if got := publish(second); got != "" {
			t.Errorf("a use that came to nothing counted: %s", got)
		}
		time.Sleep(2*time.Hour + clockSkew - 5*time.Second) // the refusals took a second each
		if got := publish(first); got != used {
			t.Errorf("in its last seconds: %s", got)
		}
		time.Sleep(time.Minute)
		if got := publish(first); got != "the token has expired" {
			t.Error(got)
		}
	})
}

func TestNoncesAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n := newNonces()
		soon, late := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
		for i := range maxNonces {
			until := late
			if i%2 == 0 {
				until = soon
			}
			if n.use(string(rune(i))+"x"+time.Duration(i).String(), until) != nonceFresh {
				t.Fatal(i)
			}
		}
		if got := n.use("one more", late); got != nonceFull {
			t.Errorf("got %v", got)
		}
		time.Sleep(2 * time.Minute)
		if got := n.use("one more", late); got != nonceFresh || len(n.used.entries) != maxNonces/2+1 {
			t.Errorf("got %v, %d remembered", got, len(n.used.entries))
		}
		if n.use("one more", late) != nonceUsed {
			t.Error("used twice")
		}
		n.release("one more")
		if n.use("one more", late) != nonceFresh {
			t.Error("not released")
		}
	})
}

// TestFailureLimit: five wrong keys a minute, each answered after a second.
func TestFailureLimit(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPolicy(t, func(c *Config, _ *Options) { c.Publish.Key = "the-key" })
		publish := func(addr, key string) (Kind, time.Duration) {
			start := time.Now()
			_, err := p.Publish(t.Context(), from(t, addr, "live/show?key="+key))
			if err == nil {
				return "", time.Since(start)
			}
			return refusalOf(t, err).Kind, time.Since(start)
		}
		for range 5 {
			if kind, took := publish("192.0.2.1", "wrong"); kind != Denied || took != wrongSecretDelay {
				t.Errorf("got %s after %s", kind, took)
			}
		}
		if kind, took := publish("192.0.2.1", "the-key"); kind != Rejected || took != 0 {
			t.Errorf("the sixth: %s after %s", kind, took)
		}
		if kind, _ := publish("192.0.2.2", "the-key"); kind != "" {
			t.Errorf("another address: %s", kind)
		}
		time.Sleep(12 * time.Second)
		if kind, _ := publish("192.0.2.1", "the-key"); kind != "" {
			t.Errorf("after a while: %s", kind)
		}
		tries, denied := 0, 0
		for start := time.Now(); time.Since(start) < 10*time.Minute; time.Sleep(time.Second) {
			tries++
			if kind, _ := publish("192.0.2.1", "wrong"); kind == Denied {
				denied++
			}
		}
		if denied < 48 || denied > 55 {
			t.Errorf("of %d tries in ten minutes %d were looked at, want about 50", tries, denied)
		}
		for i := range 20 { // a whole /64 is one address
			if kind, _ := publish("2001:db8::"+string('a'+rune(i%6))+":1", "wrong"); (kind == Denied) != (i < 5) {
				t.Errorf("try %d of a /64: %s", i+1, kind)
			}
		}
		for range 20 {
			if kind, _ := publish("127.0.0.1", "wrong"); kind != Denied {
				t.Errorf("loopback: %s", kind)
			}
		}
		if s := p.Stats(); s.Limited < 100 || s.Publish.Granted != 2 || s.Publish.Rejected != s.Limited {
			t.Errorf("%+v", s)
		}
	})
}

func TestFailureLimitIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := newFailureLimit(5)
		addr := networks(t, "10.0.0.0")[0].Addr()
		for range maxLimited + 1000 {
			l.failed(addr)
			addr = addr.Next()
		}
		if n := len(l.debt.entries); n != maxLimited {
			t.Errorf("%d remembered", n)
		}
		time.Sleep(time.Minute)
		l.failed(networks(t, "192.0.2.1")[0].Addr())
		if n := len(l.debt.entries); n != 1 {
			t.Errorf("%d remembered after all was paid", n)
		}
		off := newFailureLimit(0)
		for range 100 {
			off.failed(addr)
		}
		if off.wait(addr) != 0 || len(off.debt.entries) != 0 {
			t.Error("no limit limits")
		}
	})
}

// TestLeaverIsNotDelayed: who hangs up does not keep a goroutine.
func TestLeaverIsNotDelayed(t *testing.T) {
	p := newPolicy(t, func(c *Config, _ *Options) { c.Publish.Key = "the-key" })
	start := time.Now()
	if _, err := p.Publish(cancelled(t), from(t, "192.0.2.1", "live/show?key=wrong")); err == nil || time.Since(start) > wrongSecretDelay/2 {
		t.Errorf("%v after %s", err, time.Since(start))
	}
}
