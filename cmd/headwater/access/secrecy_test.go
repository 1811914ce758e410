package access

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"headwater/scripts/lib/rig"

	"github.com/golang-jwt/jwt/v5"
)

// marker is part of every secret of TestSecretsStaySecret.
const marker = "hush"

// TestSecretsStaySecret publishes and plays with every kind of secret, right and
// wrong, against callbacks that work and fail, and looks through everything that
// can end in a log: the log itself, errors, and whatever prints.
func TestSecretsStaySecret(t *testing.T) {
	secret := Secret("hush-0123456789abcdef0123456789abcdef")
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("hush-file"), 0o600); err != nil {
		t.Fatal(err)
	}
	synctest.Test(t, func(t *testing.T) {
		var log rig.Log
		logger := logger(&log)
		c := DefaultConfig()
		c.Publish.Key = "hush-key"
		c.Publish.MaxFailures = 0
		c.Publish.Secrets = []Key{{ID: "a", Name: "live/*", Key: "hush-secret"}, {ID: "b", KeyFile: file}}
		c.Publish.Keys = StreamKeys{"hush-stream-key": "live/show"}
		c.Play.Access = "protected"
		c.Tokens.Secrets = []Key{{ID: "main", Key: secret}}
		c.JWT.Keys = []JWTKey{{ID: "j", Alg: "HS256", Key: secret}}
		c.JWT.JWKS = "https://hush:hush@issuer.example/hush?hush=hush"
		c.Callbacks.Secret = "hush-callback"
		for _, e := range []*Endpoint{&c.Callbacks.OnPublish, &c.Callbacks.OnPublishDone, &c.Callbacks.OnPlay, &c.Callbacks.OnPlayDone} {
			*e = "https://hush:hush@hooks.example/hush?hush=hush"
		}
		p, err := New(c, Options{Logger: logger, MadeKey: "hush-made"})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close(t.Context())
		var answers atomic.Int64
		answers.Store(200)
		fail := roundTripper(func(*http.Request) (*http.Response, error) {
			switch status := int(answers.Load()); status {
			case 0:
				return nil, errors.New("connection refused")
			case 1:
				return nil, fmt.Errorf("dial: %w", os.ErrDeadlineExceeded)
			default:
				return respond(status, "")
			}
		})
		p.use(fail)
		p.jwt.remote.client = &http.Client{Transport: fail}

		token := func(action Action) string {
			text, err := c.Tokens.Issue(Order{Action: action, Name: "live/*", Expires: time.Hour, Once: action == Publish}, "", time.Now())
			if err != nil {
				t.Fatal(err)
			}
			return text
		}
		ec := testKeys().ec
		var shown []string
		show := func(v any) {
			shown = append(shown, fmt.Sprintf("%v %+v %#v %s", v, v, v, v))
			logger.Info("shown", "value", v, "any", slog.AnyValue(v))
			if text, err := json.Marshal(v); err == nil {
				shown = append(shown, string(text))
			}
		}
		tokens := []string{token(Publish), token(Publish)[:40], token(Play)}
		for _, status := range []int64{200, 403, 500, 302, 0, 1} {
			answers.Store(status)
			once := token(Publish)
			tokens = append(tokens, once)
			hsJWT := signJWT(t, jwt.SigningMethodHS256, []byte(secret), "j", claims(nil))
			badJWT := signJWT(t, jwt.SigningMethodES256, ec, "hush-kid", claims(nil))
			tokens = append(tokens, hsJWT, badJWT)
			for _, request := range []string{
				"live/show?key=hush-key", "live/show?key=hush-wrong", "live/x?key=hush-secret", "tv/x?key=hush-secret", "tv/x?key=hush-file",
				"live/hush-stream-key", "live/hush-stream-kez", "hush-app/hush-stream", "live/..hush\x00", "live/a hush",
				"live/show?token=" + tokens[1], "live/show?token=" + once, "live/show?token=" + once, "live/show?token=" + hsJWT, "live/show?token=" + badJWT,
				"live/show?token=hush", "live/show?password=hush", "live/show?key=hush-key&other=hush",
			} {
				r := from(t, "192.0.2.1", request)
				r.TCURL = "rtmp://hush:hush@origin.example/live?hush"
				show(r)
				g, err := p.Publish(t.Context(), r)
				if err != nil {
					r := refusalOf(t, err)
					show(err)
					show(*r)
					logger.Warn("publish refused", "error", err, "detail", r.Detail, "name", r.Name)
					continue
				}
				show(g)
				show(*g)
				g.Done(End{})
			}
			for _, query := range []string{"", "?token=hush", "?token=" + tokens[2], "?token=" + hsJWT} {
				r := player(t, "192.0.2.1", "live/show"+query, HTTPFLV)
				show(r)
				g, err := p.Play(t.Context(), r)
				if err != nil {
					show(err)
					show(*refusalOf(t, err))
					continue
				}
				show(g)
				g.Done(End{})
			}
			time.Sleep(time.Minute)
		}
		show(c)
		show(c.Publish.Keys)
		show(c.Callbacks.OnPublish)
		show(p.Stats())
		if len(shown) < 300 || log.String() == "" || !strings.Contains(log.String(), "callback fails") {
			t.Fatalf("only %d texts were looked at; the log:\n%s", len(shown), log.String())
		}
		for _, text := range append(shown, log.String()) {
			if i := strings.Index(text, marker); i >= 0 {
				t.Fatalf("a secret is shown: …%s…", text[max(0, i-200):min(len(text), i+100)])
			}
			for _, token := range tokens {
				mac := token[strings.LastIndexByte(token, '.')+1:]
				if mac != "" && strings.Contains(text, mac) {
					t.Fatalf("a token is shown: %.300s", text)
				}
			}
		}
	})
}

// TestShownName: names that may be secret are told apart and nothing more.
func TestShownName(t *testing.T) {
	plain := newPolicy(t, func(*Config, *Options) {})
	_, err := plain.Publish(cancelled(t), from(t, "192.0.2.1", "live/show"))
	if r := refusalOf(t, err); r.Name != "live/show" {
		t.Errorf("got %q", r.Name)
	}
	names := func(p *Policy) []string {
		var names []string
		for _, name := range []string{"live/sk_1", "live/sk_1", "live/sk_2"} {
			_, err := p.Publish(cancelled(t), from(t, "192.0.2.1", name))
			names = append(names, refusalOf(t, err).Name)
		}
		return names
	}
	keyed := func(c *Config, _ *Options) { c.Publish.Keys = StreamKeys{"sk_1234": "live/show"} }
	a, b := names(newPolicy(t, keyed)), names(newPolicy(t, keyed))
	form := regexp.MustCompile(`^#[0-9a-f]{8}$`)
	if !form.MatchString(a[0]) || a[0] != a[1] || a[0] == a[2] || a[0] == b[0] {
		t.Errorf("got %q, and %q with another salt", a, b)
	}
}
