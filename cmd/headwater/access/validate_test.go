package access

import (
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/goccy/go-yaml"
)

func TestDefaultsAreValid(t *testing.T) {
	if problems := DefaultConfig().Validate(); len(problems) > 0 {
		t.Error(problems)
	}
	if DefaultConfig().Decides() {
		t.Error("the defaults decide who may publish")
	}
}

// every is a file with every key.
const every = `
publish:
  key: the-key
  secrets:
    - {id: show, name: live/show, key: key-of-show}
    - {name: "tv/*", key_file: FILE}
    - {id: env, key_env: ACCESS_TEST_KEY}
  keys: {sk_1234: live/show, studio/sk_5678: tv/news}
  allow: [192.0.2.0/24, "2001:db8::/32"]
  deny: [192.0.2.66/32]
  without_secret_from: [127.0.0.1/32]
  max_failures: 7
play:
  access: protected
  allow: [0.0.0.0/0]
  deny: []
tokens:
  secrets: [{id: main, key: 0123456789abcdef0123456789abcdef, name: live/*}]
  max_age: 24h
jwt:
  keys:
    - {id: a, alg: HS256, key: 0123456789abcdef0123456789abcdef}
  jwks: https://issuer.example/.well-known/jwks.json
  jwks_refresh: 1h
  issuer: me
  audience: origin
callbacks:
  on_publish: http://a.example/publish
  on_publish_done: http://a.example/done
  on_play: http://a.example/play
  on_play_done: http://a.example/stop
  format: srs
  secret: callback-secret
  timeout: 1s
  on_failure: allow
  play_cache: 5s
`

// TestYAML: the tags are what the configuration file uses.
func TestYAML(t *testing.T) {
	file := filepath.Join(t.TempDir(), "key")
	if err := os.WriteFile(file, []byte("key-of-tv\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	t.Setenv("ACCESS_TEST_KEY", "key-of-env")
	var c Config
	if err := yaml.UnmarshalWithOptions([]byte(strings.ReplaceAll(every, "FILE", file)), &c, yaml.Strict()); err != nil {
		t.Fatal(err)
	}
	want := Config{
		Publish: Publishing{
			Key:     "the-key",
			Secrets: []Key{{ID: "show", Name: "live/show", Key: "key-of-show"}, {Name: "tv/*", KeyFile: file}, {ID: "env", KeyEnv: "ACCESS_TEST_KEY"}},
			Keys:    StreamKeys{"sk_1234": "live/show", "studio/sk_5678": "tv/news"},
			Allow:   networks(t, "192.0.2.0/24", "2001:db8::/32"), Deny: networks(t, "192.0.2.66"), WithoutSecretFrom: networks(t, "127.0.0.1"),
			MaxFailures: 7,
		},
		Play:   Playing{Access: "protected", Allow: networks(t, "0.0.0.0/0"), Deny: []netip.Prefix{}},
		Tokens: Tokens{Secrets: []Key{{ID: "main", Name: "live/*", Key: "0123456789abcdef0123456789abcdef"}}, MaxAge: 24 * time.Hour},
		JWT: JWT{
			Keys: []JWTKey{{ID: "a", Alg: "HS256", Key: "0123456789abcdef0123456789abcdef"}}, JWKS: "https://issuer.example/.well-known/jwks.json",
			JWKSRefresh: time.Hour, Issuer: "me", Audience: "origin",
		},
		Callbacks: Callbacks{
			OnPublish: "http://a.example/publish", OnPublishDone: "http://a.example/done", OnPlay: "http://a.example/play", OnPlayDone: "http://a.example/stop",
			Format: "srs", Secret: "callback-secret", Timeout: time.Second, OnFailure: "allow", PlayCache: 5 * time.Second,
		},
	}
	if !reflect.DeepEqual(c, want) {
		t.Errorf("got  %#v\nwant %#v", c, want)
	}
	p, err := New(c, Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close(t.Context())
	for shown, id := range map[string]string{"key-of-tv": "publish.secrets 2", "key-of-env": "env", "the-key": "publish.key"} {
		if got, ok := p.keys.find(shown, "tv", "x"); !ok || got != id {
			t.Errorf("%s: %q, %v", shown, got, ok)
		}
	}
}

func TestValidate(t *testing.T) {
	const hush = "hush-0123456789abcdef0123456789abcdef"
	tests := []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Publish.Key = hush + "+" }, "publish.key: may hold only"},
		{func(c *Config) { c.Publish.Secrets = []Key{{Key: hush + " "}} }, "publish.secrets: entry 1: key: may hold only"},
		{func(c *Config) { c.Publish.Secrets = []Key{{ID: "a b", Key: hush}} }, "publish.secrets: entry 1: id may hold only"},
		{func(c *Config) { c.Publish.Secrets = []Key{{ID: "a", Key: hush}, {ID: "a", Key: hush}} }, `publish.secrets: entry 2: a second one with the id "a"`},
		{func(c *Config) { c.Publish.Secrets = []Key{{Key: hush}, {Key: hush}} }, ""},
		{func(c *Config) { c.Publish.Secrets = []Key{{Name: "live", Key: hush}} }, `publish.secrets: entry 1: name "live": is neither APP/NAME`},
		{func(c *Config) { c.Publish.Secrets = []Key{{}} }, "publish.secrets: entry 1: give one of key, key_file and key_env; there are 0"},
		{func(c *Config) { c.Publish.Secrets = []Key{{Key: hush, KeyFile: "f"}} }, "there are 2"},
		{func(c *Config) { c.Publish.Keys = StreamKeys{hush + " ": "live/show"} }, `publish.keys: the stream key of "live/show" must be NAME or APP/NAME`},
		{func(c *Config) { c.Publish.Keys = StreamKeys{"": "live/show"} }, `publish.keys: the stream key of "live/show" must be NAME or APP/NAME`},
		{func(c *Config) { c.Publish.Keys = StreamKeys{hush: "show"} }, `publish.keys: "show" is not a public name`},
		{func(c *Config) { c.Publish.Keys = StreamKeys{hush: "live/*"} }, `publish.keys: "live/*" is not a public name`},
		{func(c *Config) { c.Publish.Keys = StreamKeys{"a/b/c": "live/show"} }, "must be NAME or APP/NAME"},
		{func(c *Config) { c.Publish.Keys = StreamKeys{"one": "live/two", "two": "live/three"} }, `publish.keys: the public name "live/two" holds a stream key`},
		{func(c *Config) { c.Publish.Keys = StreamKeys{"one": "live/two", "live/two": "live/three"} }, `publish.keys: the public name "live/two" holds a stream key`},
		{func(c *Config) { c.Publish.MaxFailures = -1 }, "publish.max_failures: -1 is not between"},
		{func(c *Config) { c.Play.Access = "closed" }, `play.access: "closed" is none of open, protected`},
		{func(c *Config) { c.Tokens.Secrets = []Key{{Key: hush}} }, "tokens.secrets: entry 1: id is not 1 to 64 characters long"},
		{func(c *Config) { c.Tokens.Secrets = []Key{{ID: "a", Key: "hush"}} }, "tokens.secrets: entry 1: key: the secret is shorter than 32"},
		{func(c *Config) { c.Tokens.MaxAge = 0 }, "tokens.max_age: 0s is not between"},
		{func(c *Config) { c.JWT.Keys = []JWTKey{{Alg: "none", Key: hush}} }, `jwt.keys: entry 1: alg "none" is none of HS256, RS256, ES256`},
		{func(c *Config) { c.JWT.Keys = []JWTKey{{Alg: "HS256"}} }, "jwt.keys: entry 1: give one of"},
		{func(c *Config) { c.JWT.JWKS = "file:///etc/hush" }, "jwt.jwks: is not a URL"},
		{func(c *Config) { c.JWT.JWKSRefresh = time.Second }, "jwt.jwks_refresh: 1s is not between"},
		{func(c *Config) { c.Callbacks.OnPublish = "a.example/hush" }, "callbacks.on_publish: is not a URL"},
		{func(c *Config) { c.Callbacks.OnPublish = "http://" }, "callbacks.on_publish: is not a URL"},
		{func(c *Config) { c.Callbacks.OnPlay = "http://a.example/%zz?hush" }, "callbacks.on_play: is not a URL"},
		{func(c *Config) { c.Callbacks.OnPlayDone = "http://a.example/#hush" }, "callbacks.on_play_done: has a fragment"},
		{func(c *Config) { c.Callbacks.OnPublishDone = "ftp://a.example/" }, "callbacks.on_publish_done: is not a URL"},
		{func(c *Config) { c.Callbacks.Format = "xml" }, `callbacks.format: "xml" is none of headwater, nginx-rtmp, srs`},
		{func(c *Config) { c.Callbacks.OnFailure = "panic" }, "callbacks.on_failure"},
		{func(c *Config) { c.Callbacks.Timeout = time.Minute }, "callbacks.timeout: 1m0s is not between"},
		{func(c *Config) { c.Callbacks.PlayCache = -1 }, "callbacks.play_cache"},
		{func(c *Config) { c.Callbacks.Secret, c.Callbacks.SecretFile = hush, "f" }, "callbacks.secret_file: callbacks.secret is set too"},
	}
	for _, tt := range tests {
		c := DefaultConfig()
		tt.change(&c)
		problems := c.Validate()
		if tt.want == "" {
			if len(problems) > 0 {
				t.Errorf("got %v", problems)
			}
			continue
		}
		if len(problems) != 1 || !strings.Contains(problems[0].String(), tt.want) || strings.Contains(problems[0].String(), "hush") {
			t.Errorf("got  %v\nwant %s", problems, tt.want)
		}
		if _, err := New(c, Options{}); err == nil {
			t.Errorf("New took what has the problem %v", problems)
		}
	}
}

// TestNewNamesTheKey: what can only be found out at the start.
func TestNewNamesTheKey(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	tests := []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Publish.Secrets = []Key{{ID: "a", KeyFile: dir + "/none"}} }, "publish.secrets: entry 1 (a): open"},
		{func(c *Config) { c.Publish.Secrets = []Key{{ID: "a", KeyFile: write("plus", "hush+hush")}} }, "publish.secrets: entry 1 (a): may hold only"},
		{func(c *Config) { c.Publish.Secrets = []Key{{ID: "a", KeyEnv: "ACCESS_TEST_NOT_SET"}} }, "publish.secrets: entry 1 (a): the environment variable ACCESS_TEST_NOT_SET"},
		{func(c *Config) { c.Tokens.Secrets = []Key{{ID: "a", KeyFile: write("short", "hush")}} }, "tokens.secrets: entry 1 (a): the secret is shorter"},
		{func(c *Config) { c.JWT.Keys = []JWTKey{{Alg: "RS256", Key: "hush"}} }, "jwt.keys: entry 1: is not an RSA public key"},
		{func(c *Config) { c.Callbacks.SecretFile = write("empty", "") }, "callbacks.secret: "},
	}
	for _, tt := range tests {
		c := DefaultConfig()
		tt.change(&c)
		_, err := New(c, Options{})
		if err == nil || !strings.Contains(err.Error(), tt.want) || strings.Contains(err.Error(), "hush") {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}
