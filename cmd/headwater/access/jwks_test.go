package access

import (
	"context"
	"encoding/base64"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// keySet is a JWKS server whose keys and faults a test changes.
type keySet struct {
	text  atomic.Value
	fail  atomic.Bool
	delay atomic.Int64
	asked atomic.Int64
}

func (s *keySet) RoundTrip(r *http.Request) (*http.Response, error) {
	s.asked.Add(1)
	select {
	case <-time.After(time.Duration(s.delay.Load())):
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
	if s.fail.Load() {
		return nil, errors.New("no route to host")
	}
	return respond(http.StatusOK, s.text.Load().(string))
}

func newKeySet(t *testing.T, text string) (*keySet, *jwtVerifier) {
	t.Helper()
	s := &keySet{}
	s.text.Store(text)
	c := JWT{JWKS: "https://issuer.example/keys", JWKSRefresh: 10 * time.Minute}
	v, err := newJWTVerifier(c, 24*time.Hour, newJWKS(c, &http.Client{Transport: s}, slog.New(slog.DiscardHandler)))
	if err != nil {
		t.Fatal(err)
	}
	return s, v
}

// outcome names what became of a token.
func outcome(t *testing.T, v *jwtVerifier, token string) string {
	t.Helper()
	_, err, detail := v.verify(t.Context(), token, Publish, "live", "show")
	switch {
	case err == nil:
		return "ok"
	case detail != nil:
		return strings.TrimPrefix(detail.Error(), "JWT: ")
	}
	return err.Error()
}

// TestJWKSRotation goes through the life of a key set.
func TestJWKSRotation(t *testing.T) {
	k := testKeys()
	synctest.Test(t, func(t *testing.T) {
		first, second := jwkOf(t, "2024", &k.rsa.PublicKey), jwkOf(t, "2025", &k.ec.PublicKey)
		set, v := newKeySet(t, jwksText(t, first))
		old := func() string { return signJWT(t, jwt.SigningMethodRS256, k.rsa, "2024", claims(nil)) }
		fresh := func() string { return signJWT(t, jwt.SigningMethodES256, k.ec, "2025", claims(nil)) }
		expect := func(about, token, want string, asked int64) {
			t.Helper()
			if got := outcome(t, v, token); got != want || set.asked.Load() != asked {
				t.Errorf("%s: %s after %d fetches; want %s after %d", about, got, set.asked.Load(), want, asked)
			}
		}
		expect("the first token fetches", old(), "ok", 1)
		expect("the second does not", old(), "ok", 1)
		expect("a kid that is not there, right after a fetch", fresh(), errNoJWTKey.Error(), 1)
		set.text.Store(jwksText(t, first, second))
		time.Sleep(unknownKIDInterval)
		expect("the key has come", fresh(), "ok", 2)
		for range 50 { // made-up kids make no requests of their own
			expect("made up", signJWT(t, jwt.SigningMethodRS256, k.rsa, "made-up", claims(nil)), errNoJWTKey.Error(), 2)
		}
		expect("without a kid", signJWT(t, jwt.SigningMethodRS256, k.rsa, "", claims(nil)), "ok", 2)
		set.text.Store(jwksText(t, second))
		expect("revoked, not seen yet", old(), "ok", 2)
		time.Sleep(10 * time.Minute)
		expect("revoked", old(), errNoJWTKey.Error(), 3)
		expect("still there", fresh(), "ok", 3)

		set.fail.Store(true)
		time.Sleep(10 * time.Minute)
		expect("the server is down: the keys at hand count", fresh(), "ok", 4)
		expect("and it is let alone", fresh(), "ok", 4)
		time.Sleep(23 * time.Hour)
		expect("for a day", fresh(), "ok", 5)
		time.Sleep(time.Hour)
		expect("and no longer", fresh(), errJWKSDown.Error(), 6)
		set.fail.Store(false)
		time.Sleep(longestPause)
		expect("it is back", fresh(), "ok", 7)
	})
}

// TestJWKSSlow: one token waits for the set, whoever can do without does not.
func TestJWKSSlow(t *testing.T) {
	k := testKeys()
	synctest.Test(t, func(t *testing.T) {
		set, v := newKeySet(t, jwksText(t, jwkOf(t, "a", &k.ec.PublicKey)))
		token := signJWT(t, jwt.SigningMethodES256, k.ec, "a", claims(nil))
		if got := outcome(t, v, token); got != "ok" {
			t.Fatal(got)
		}
		set.delay.Store(int64(time.Minute)) // longer than anybody waits
		time.Sleep(10 * time.Minute)
		start := time.Now()
		done := make(chan time.Duration)
		go func() {
			outcome(t, v, token) // fetches, and comes back with the keys at hand
			done <- time.Since(start)
		}()
		synctest.Wait()
		if got := outcome(t, v, token); got != "ok" || time.Since(start) != 0 {
			t.Errorf("beside a fetch: %s after %s", got, time.Since(start))
		}
		waiting := make(chan string)
		go func() {
			waiting <- outcome(t, v, signJWT(t, jwt.SigningMethodES256, k.ec, "b", claims(nil)))
		}()
		if took := <-done; took != jwksTimeout {
			t.Errorf("the fetch took %s", took)
		}
		if got := <-waiting; got != errNoJWTKey.Error() {
			t.Errorf("who waited for it: %s", got)
		}
		if n := set.asked.Load(); n != 2 {
			t.Errorf("%d fetches, want 2", n)
		}
	})
}

// TestJWKSNeverReached: no keys at all is not the token's fault.
func TestJWKSNeverReached(t *testing.T) {
	k := testKeys()
	p := newPolicy(t, func(c *Config, _ *Options) { c.JWT.JWKS = "https://127.0.0.1:1/keys" })
	token := signJWT(t, jwt.SigningMethodES256, k.ec, "a", claims(nil))
	_, err := p.Publish(t.Context(), from(t, "192.0.2.1", "live/show?token="+token))
	if r := refusalOf(t, err); r.Kind != Rejected || !strings.Contains(r.Detail, "JWKS") {
		t.Errorf("got %+v", r)
	}
	if n := p.Stats().JWKSFailures; n != 1 {
		t.Errorf("%d failures counted", n)
	}
}

// TestJWKSServers: what servers may do wrong.
func TestJWKSServers(t *testing.T) {
	k := testKeys()
	good := jwksText(t, jwkOf(t, "a", &k.ec.PublicKey))
	elsewhere := httptest.NewServer(says(200, good))
	defer elsewhere.Close()
	tests := map[string]struct {
		answer http.HandlerFunc
		want   string // in the error; "": fine
	}{
		"good":     {says(200, good), ""},
		"huge":     {says(200, `{"keys":[`+strings.Repeat(" ", maxAnswer)+`]}`), errTooLarge.Error()},
		"html":     {says(200, `<html>`), "not a JSON Web Key Set"},
		"empty":    {says(200, `{"keys":[]}`), "no key"},
		"status":   {says(404, good), "status 404"},
		"redirect": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, elsewhere.URL, http.StatusFound) }, "status 302"},
	}
	for about, tt := range tests {
		t.Run(about, func(t *testing.T) {
			server := httptest.NewServer(tt.answer)
			defer server.Close()
			s := newJWKS(JWT{JWKS: Endpoint(server.URL), JWKSRefresh: time.Minute}, newClient(nil), slog.New(slog.DiscardHandler))
			keys, err := s.fetch()
			if tt.want == "" && (err != nil || len(keys) != 1) || tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)) {
				t.Errorf("got %v, %v; want %q", keys, err, tt.want)
			}
		})
	}
}

func TestParseJWKS(t *testing.T) {
	k := testKeys()
	change := func(key map[string]string, field, value string) map[string]string {
		key[field] = value
		return key
	}
	rsaKey := func() map[string]string { return jwkOf(t, "r", &k.rsa.PublicKey) }
	ecKey := func() map[string]string { return jwkOf(t, "e", &k.ec.PublicKey) }
	one := base64.RawURLEncoding.EncodeToString([]byte{1})
	tests := []struct {
		about string
		key   map[string]string
		want  bool
	}{
		{"RSA", rsaKey(), true},
		{"P-256", ecKey(), true},
		{"a secret is never taken from a set", jwkOf(t, "h", []byte(longKey())), false},
		{"for encryption", change(rsaKey(), "use", "enc"), false},
		{"another algorithm", change(rsaKey(), "alg", "RS512"), false},
		{"an algorithm of another type", change(rsaKey(), "alg", "HS256"), false},
		{"P-384", jwkOf(t, "e", &k.p384.PublicKey), false},
		{"not on the curve", change(ecKey(), "x", base64.RawURLEncoding.EncodeToString(make([]byte, 32))), false},
		{"short coordinate", change(ecKey(), "y", one), false},
		{"tiny modulus", change(rsaKey(), "n", one), false},
		{"huge modulus", change(rsaKey(), "n", strings.Repeat("_", 4000)), false},
		{"even exponent", change(rsaKey(), "e", base64.RawURLEncoding.EncodeToString([]byte{2})), false},
		{"huge exponent", change(rsaKey(), "e", strings.Repeat("_", 40)), false},
		{"no exponent", change(rsaKey(), "e", ""), false},
		{"not base64url", change(rsaKey(), "n", "!"), false},
		{"unknown type", map[string]string{"kty": "OKP", "crv": "Ed25519"}, false},
	}
	for _, tt := range tests {
		keys, err := parseJWKS([]byte(jwksText(t, tt.key)))
		if (len(keys) == 1) != tt.want || (err == nil) != tt.want {
			t.Errorf("%s: %v, %v", tt.about, keys, err)
		}
	}
	var many []map[string]string
	for range 200 {
		many = append(many, ecKey())
	}
	if keys, err := parseJWKS([]byte(jwksText(t, many...))); err != nil || len(keys) != maxJWKSKeys {
		t.Errorf("of 200 keys: %d, %v", len(keys), err)
	}
}

func FuzzJWKS(f *testing.F) {
	k := testKeys()
	f.Add([]byte(jwksText(f, jwkOf(f, "r", &k.rsa.PublicKey), jwkOf(f, "e", &k.ec.PublicKey))))
	f.Add([]byte(`{"keys":[{"kty":"RSA","n":"AQ","e":"AQAB"},{"kty":"EC","crv":"P-256","x":"","y":""}]}`))
	v := &jwtVerifier{}
	token := signJWT(f, jwt.SigningMethodRS256, k.rsa2, "", claims(nil))
	f.Fuzz(func(t *testing.T, text []byte) {
		keys, err := parseJWKS(text)
		if err != nil {
			return
		}
		v.keys, v.options, v.maxAge = keys, []jwt.ParserOption{jwt.WithValidMethods([]string{"RS256", "ES256"})}, time.Hour
		if _, err, _ := v.verify(context.Background(), token, Publish, "live", "show"); err == nil {
			t.Fatal("a stranger's token is valid")
		}
	})
}
