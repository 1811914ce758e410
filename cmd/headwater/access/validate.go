package access

import (
	"fmt"
	"headwater/remux"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
)

// Problem is a value that cannot be used.
type Problem struct {
	Key  string // of the configuration: publish.secrets
	Text string
}

// String returns "KEY: TEXT".
func (p Problem) String() string { return p.Key + ": " + p.Text }

// Validate checks everything that can be checked without reading files and
// variables. No text repeats a secret.
func (c Config) Validate() []Problem {
	var v validator
	v.publishing(c.Publish)
	v.oneOf("play.access", c.Play.Access, "open", "protected")
	if err := checkUnreserved(string(c.Play.EdgeSecret)); err != nil {
		v.report("play.edge_secret", "%v", err)
	}
	v.keys("tokens.secrets", c.Tokens.Secrets, true, checkSigning)
	v.between("tokens.max_age", c.Tokens.MaxAge, time.Minute, 10*365*24*time.Hour)
	v.jwt(c.JWT)
	v.callbacks(c.Callbacks)
	return v.problems
}

type validator struct{ problems []Problem }

func (v *validator) report(key, format string, args ...any) {
	v.problems = append(v.problems, Problem{key, fmt.Sprintf(format, args...)})
}

func (v *validator) publishing(p Publishing) {
	if err := checkUnreserved(string(p.Key)); err != nil {
		v.report("publish.key", "%v", err)
	}
	v.keys("publish.secrets", p.Secrets, false, checkUnreserved)
	if p.MaxFailures < 0 || p.MaxFailures > 60_000 {
		v.report("publish.max_failures", "%d is not between 0 and 60000", p.MaxFailures)
	}
	v.streamKeys(p.Keys)
}

// streamKeys are named by what they stand for: they are secret themselves.
func (v *validator) streamKeys(keys StreamKeys) {
	const key = "publish.keys"
	for _, secret := range slices.Sorted(maps.Keys(keys)) {
		public := keys[secret]
		app, name, both := strings.Cut(string(secret), "/")
		if !both {
			app, name = "app", app
		}
		if _, err := parsePublicName(app+"/"+name, ""); err != nil {
			v.report(key, "the stream key of %q must be NAME or APP/NAME, each 1 to 128 of A-Z a-z 0-9 . _ ~ -", public)
		}
		if _, err := parsePublicName(public, ""); err != nil {
			v.report(key, "%q is not a public name such as live/show: %v", public, err)
			continue
		}
		_, name, _ = strings.Cut(public, "/")
		_, alone := keys[Secret(name)]
		if _, whole := keys[Secret(public)]; whole || alone {
			v.report(key, "the public name %q holds a stream key, which would make it known", public)
		}
	}
}

// keys checks a list of secrets; check looks at one that is written out.
func (v *validator) keys(key string, list []Key, needID bool, check func(string) error) {
	seen := map[string]bool{}
	for i, k := range list {
		at := fmt.Sprintf("entry %d", i+1)
		if err := checkID(k.ID); err != nil && (k.ID != "" || needID) {
			v.report(key, "%s: id %v", at, err)
		} else if k.ID != "" && seen[k.ID] {
			v.report(key, "%s: a second one with the id %q", at, k.ID)
		}
		seen[k.ID] = true
		if _, err := remux.ParsePattern(k.Name); err != nil && k.Name != "" {
			v.report(key, "%s: name %q: %v", at, k.Name, err)
		}
		v.source(key, at, k.Key, k.KeyFile, k.KeyEnv)
		if err := check(string(k.Key)); err != nil && k.Key != "" {
			v.report(key, "%s: key: %v", at, err)
		}
	}
}

// source checks that a secret is given in one way.
func (v *validator) source(key, at string, value Secret, file, env string) {
	given := 0
	for _, s := range []string{string(value), file, env} {
		if s != "" {
			given++
		}
	}
	if given != 1 {
		v.report(key, "%s: give one of key, key_file and key_env; there are %d", at, given)
	}
}

func (v *validator) jwt(c JWT) {
	for i, k := range c.Keys {
		at := fmt.Sprintf("entry %d", i+1)
		if !slices.Contains([]string{"HS256", "RS256", "ES256"}, k.Alg) {
			v.report("jwt.keys", "%s: alg %q is none of HS256, RS256, ES256", at, k.Alg)
		}
		v.source("jwt.keys", at, k.Key, k.KeyFile, k.KeyEnv)
	}
	v.endpoint("jwt.jwks", c.JWKS)
	v.between("jwt.jwks_refresh", c.JWKSRefresh, 30*time.Second, maxJWKSAge)
}

func (v *validator) callbacks(c Callbacks) {
	v.endpoint("callbacks.on_publish", c.OnPublish)
	v.endpoint("callbacks.on_publish_done", c.OnPublishDone)
	v.endpoint("callbacks.on_play", c.OnPlay)
	v.endpoint("callbacks.on_play_done", c.OnPlayDone)
	v.oneOf("callbacks.format", c.Format, "headwater", "nginx-rtmp", "srs")
	v.oneOf("callbacks.on_failure", c.OnFailure, "refuse", "allow")
	v.between("callbacks.timeout", c.Timeout, 100*time.Millisecond, 8*time.Second)
	v.between("callbacks.play_cache", c.PlayCache, 0, time.Hour)
	if c.Secret != "" && c.SecretFile != "" {
		v.report("callbacks.secret_file", "callbacks.secret is set too; give one of them")
	}
}

// endpoint checks a URL. The text does not repeat it: it may hold a secret.
func (v *validator) endpoint(key string, e Endpoint) {
	if e == "" {
		return
	}
	u, err := url.Parse(string(e))
	switch {
	case err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Hostname() == "":
		v.report(key, "is not a URL such as https://example.com/hook")
	case u.Fragment != "":
		v.report(key, "has a fragment (#), which is never sent")
	}
}

func (v *validator) oneOf(key, value string, values ...string) {
	if !slices.Contains(values, value) {
		v.report(key, "%q is none of %s", value, strings.Join(values, ", "))
	}
}

func (v *validator) between(key string, d, least, most time.Duration) {
	if d < least || d > most {
		v.report(key, "%s is not between %s and %s", d, least, most)
	}
}

// checkUnreserved checks that a secret can be typed into a URL as it is.
func checkUnreserved(secret string) error {
	for _, c := range []byte(secret) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._~-", c) >= 0) {
			return fmt.Errorf("may hold only A-Z a-z 0-9 . _ ~ - so that it can be typed as it is")
		}
	}
	return nil
}
