package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// testKeys are made once: an RSA key takes a while.
var testKeys = sync.OnceValue(func() (k struct {
	rsa, rsa2 *rsa.PrivateKey
	ec, p384  *ecdsa.PrivateKey
	ed        ed25519.PrivateKey
}) {
	must := func(err error) {
		if err != nil {
			panic(err)
		}
	}
	var err error
	k.rsa, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.rsa2, err = rsa.GenerateKey(rand.Reader, 2048)
	must(err)
	k.ec, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	must(err)
	k.p384, err = ecdsa.GenerateKey(elliptic.P384(), rand.Reader)
	must(err)
	_, k.ed, err = ed25519.GenerateKey(rand.Reader)
	must(err)
	return k
})

func publicPEM(t testing.TB, key crypto.PublicKey) Secret {
	t.Helper()
	der, err := x509.MarshalPKIXPublicKey(key)
	if err != nil {
		t.Fatal(err)
	}
	return Secret(pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: der}))
}

// claims allow live/* for an hour, with changes.
func claims(change jwt.MapClaims) jwt.MapClaims {
	c := jwt.MapClaims{"exp": inAnHour().Unix(), "headwater": map[string]any{"publish": []string{"live/*"}, "play": []string{"*/*"}}}
	for k, v := range change {
		if v == nil {
			delete(c, k)
		} else {
			c[k] = v
		}
	}
	return c
}

func signJWT(t testing.TB, method jwt.SigningMethod, key any, kid string, c jwt.MapClaims) string {
	t.Helper()
	token := jwt.NewWithClaims(method, c)
	if kid != "" {
		token.Header["kid"] = kid
	}
	text, err := token.SignedString(key)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

func newVerifier(t testing.TB, c JWT) *jwtVerifier {
	t.Helper()
	v, err := newJWTVerifier(c, 24*time.Hour, nil)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func TestJWT(t *testing.T) {
	k := testKeys()
	hmacKey := longKey()
	v := newVerifier(t, JWT{Issuer: "me", Audience: "origin", Keys: []JWTKey{
		{ID: "h", Alg: "HS256", Key: hmacKey},
		{ID: "r", Alg: "RS256", Key: publicPEM(t, &k.rsa.PublicKey)},
		{Alg: "ES256", Key: publicPEM(t, &k.ec.PublicKey)},
	}})
	mine := jwt.MapClaims{"iss": "me", "aud": "origin"}
	with := func(change jwt.MapClaims) jwt.MapClaims {
		for k, v := range mine {
			if _, given := change[k]; !given {
				change[k] = v
			}
		}
		return claims(change)
	}
	header := func(fields map[string]any, c jwt.MapClaims) string {
		token := jwt.NewWithClaims(jwt.SigningMethodHS256, c)
		for k, v := range fields {
			token.Header[k] = v
		}
		text, err := token.SignedString([]byte(hmacKey))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	hs := func(change jwt.MapClaims) string {
		return signJWT(t, jwt.SigningMethodHS256, []byte(hmacKey), "h", with(change))
	}
	const invalid = "the token is not valid"
	tests := []struct {
		about, token string
		want         string
	}{
		{"HS256", hs(jwt.MapClaims{}), ""},
		{"RS256", signJWT(t, jwt.SigningMethodRS256, k.rsa, "r", with(jwt.MapClaims{})), ""},
		{"ES256, key without id", signJWT(t, jwt.SigningMethodES256, k.ec, "whatever", with(jwt.MapClaims{})), ""},
		{"HS256 without kid", signJWT(t, jwt.SigningMethodHS256, []byte(hmacKey), "", with(jwt.MapClaims{})), ""},
		{"audience in a list", hs(jwt.MapClaims{"aud": []string{"cdn", "origin"}}), ""},
		{"kid of another key", signJWT(t, jwt.SigningMethodHS256, []byte(hmacKey), "r", with(jwt.MapClaims{})), invalid},
		{"another secret", signJWT(t, jwt.SigningMethodHS256, []byte(longKey()), "h", with(jwt.MapClaims{})), invalid},
		{"another RSA key", signJWT(t, jwt.SigningMethodRS256, k.rsa2, "r", with(jwt.MapClaims{})), invalid},
		{"RS512", signJWT(t, jwt.SigningMethodRS512, k.rsa, "r", with(jwt.MapClaims{})), invalid},
		{"PS256", signJWT(t, jwt.SigningMethodPS256, k.rsa, "r", with(jwt.MapClaims{})), invalid},
		{"ES384", signJWT(t, jwt.SigningMethodES384, k.p384, "", with(jwt.MapClaims{})), invalid},
		{"EdDSA", signJWT(t, jwt.SigningMethodEdDSA, k.ed, "", with(jwt.MapClaims{})), invalid},
		{"none", signJWT(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "h", with(jwt.MapClaims{})), invalid},
		{"the public key as an HMAC secret", signJWT(t, jwt.SigningMethodHS256, []byte(publicPEM(t, &k.rsa.PublicKey)), "r", with(jwt.MapClaims{})), invalid},
		{"the same, without kid", signJWT(t, jwt.SigningMethodHS256, []byte(publicPEM(t, &k.rsa.PublicKey)), "", with(jwt.MapClaims{})), invalid},
		{"expired", hs(jwt.MapClaims{"exp": time.Now().Add(-time.Minute).Unix()}), "the token has expired"},
		{"expired within the skew", hs(jwt.MapClaims{"exp": time.Now().Add(-20 * time.Second).Unix()}), ""},
		{"no expiry", hs(jwt.MapClaims{"exp": nil}), invalid},
		{"expiry as text", hs(jwt.MapClaims{"exp": "tomorrow"}), invalid},
		{"expiry without end", hs(jwt.MapClaims{"exp": 1e30}), "any"},
		{"expiry far ahead", hs(jwt.MapClaims{"exp": time.Now().Add(25 * time.Hour).Unix()}), "the token is valid for longer than tokens are accepted here"},
		{"not yet", hs(jwt.MapClaims{"nbf": inAnHour().Unix()}), "the token is not valid yet"},
		{"another issuer", hs(jwt.MapClaims{"iss": "you"}), invalid},
		{"another audience", hs(jwt.MapClaims{"aud": "cdn"}), invalid},
		{"no audience", hs(jwt.MapClaims{"aud": nil}), invalid},
		{"no scope", hs(jwt.MapClaims{"headwater": nil}), "the token does not allow to publish this name"},
		{"scope of another name", hs(jwt.MapClaims{"headwater": map[string]any{"publish": []string{"test/*", "live/other"}}}), "the token does not allow to publish this name"},
		{"scope to play", hs(jwt.MapClaims{"headwater": map[string]any{"play": []string{"*/*"}}}), "the token does not allow to publish this name"},
		{"scope of nonsense", hs(jwt.MapClaims{"headwater": map[string]any{"publish": []string{"", "/", "*", "[a-z]*/show"}}}), "the token does not allow to publish this name"},
		{"scope of the wrong type", hs(jwt.MapClaims{"headwater": map[string]any{"publish": "live/show"}}), invalid},
		{"critical header", header(map[string]any{"kid": "h", "crit": []string{"exp"}}, with(jwt.MapClaims{})), invalid},
		{"kid of the wrong type", header(map[string]any{"kid": 7}, with(jwt.MapClaims{})), invalid},
		{"empty", "", invalid},
		{"dots", "..", invalid},
		{"too long", hs(jwt.MapClaims{"x": strings.Repeat("x", maxJWTLength)}), invalid},
	}
	for _, tt := range tests {
		id, err, detail := v.verify(t.Context(), tt.token, Publish, "live", "show")
		if tt.want == "any" {
			if err == nil {
				t.Errorf("%s: accepted", tt.about)
			}
			continue
		}
		if got := textOf(err); got != tt.want || (err == nil) != (id != "") {
			t.Errorf("%s: got %q (%v), id %q; want %q", tt.about, got, detail, id, tt.want)
		}
		if len(tt.token) > 20 && detail != nil && strings.Contains(detail.Error(), tt.token[10:20]) {
			t.Errorf("%s: the token is in %q", tt.about, detail)
		}
	}
	if _, err, _ := v.verify(t.Context(), hs(jwt.MapClaims{}), Play, "any", "thing"); err != nil {
		t.Errorf("play: %v", err)
	}
}

// TestJWTWithOneAlgorithm: what has no key is not even tried.
func TestJWTWithOneAlgorithm(t *testing.T) {
	k := testKeys()
	v := newVerifier(t, JWT{Keys: []JWTKey{{Alg: "RS256", Key: publicPEM(t, &k.rsa.PublicKey)}}})
	n, err := x509.MarshalPKIXPublicKey(&k.rsa.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	for _, secret := range [][]byte{[]byte(publicPEM(t, &k.rsa.PublicKey)), n, k.rsa.N.Bytes(), {}} {
		token := signJWT(t, jwt.SigningMethodHS256, secret, "", claims(nil))
		if _, err, _ := v.verify(t.Context(), token, Publish, "live", "show"); err == nil {
			t.Error("a public key was taken for a secret")
		}
	}
}

func TestLoadJWTKey(t *testing.T) {
	k := testKeys()
	private, err := x509.MarshalPKCS8PrivateKey(k.rsa)
	if err != nil {
		t.Fatal(err)
	}
	weak := &rsa.PublicKey{N: new(big.Int).Rsh(k.rsa.N, 1025), E: 65537}
	tests := []struct {
		alg  string
		key  Secret
		want string
	}{
		{"HS256", "short", "shorter than 32"},
		{"HS512", longKey(), "none of HS256"},
		{"RS256", "nonsense", "not an RSA public key"},
		{"RS256", publicPEM(t, &k.ec.PublicKey), "not an RSA public key"},
		{"RS256", publicPEM(t, weak), "1023 bits"},
		{"RS256", Secret(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private})), "private key"},
		{"ES256", publicPEM(t, &k.p384.PublicKey), "P-256"},
		{"ES256", publicPEM(t, k.ed.Public()), "not a P-256"},
	}
	for _, tt := range tests {
		_, err := loadJWTKey(JWTKey{Alg: tt.alg, Key: tt.key})
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want %q", tt.alg, err, tt.want)
		}
	}
}

// FuzzJWT: no text is valid but what was signed.
func FuzzJWT(f *testing.F) {
	k := testKeys()
	v := newVerifier(f, JWT{Keys: []JWTKey{
		{ID: "h", Alg: "HS256", Key: longKey()},
		{ID: "e", Alg: "ES256", Key: publicPEM(f, &k.ec.PublicKey)},
	}})
	stranger, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(signJWT(f, jwt.SigningMethodES256, stranger, "e", claims(nil)))
	f.Add(signJWT(f, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, "h", claims(nil)))
	header := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"HS256","kid":"h","crit":[]}`))
	f.Add(header + ".e30.AAAA")
	f.Fuzz(func(t *testing.T, text string) {
		if _, err, _ := v.verify(t.Context(), text, Publish, "live", "show"); err == nil {
			t.Fatal("accepted")
		}
	})
}

// jwkOf returns a public key as a set's entry.
func jwkOf(t testing.TB, kid string, key any) map[string]string {
	t.Helper()
	encode := base64.RawURLEncoding.EncodeToString
	switch key := key.(type) {
	case *rsa.PublicKey:
		return map[string]string{"kty": "RSA", "kid": kid, "use": "sig", "alg": "RS256", "n": encode(key.N.Bytes()), "e": "AQAB"}
	case *ecdsa.PublicKey:
		b, err := key.Bytes()
		if err != nil {
			t.Fatal(err)
		}
		n := (len(b) - 1) / 2
		return map[string]string{"kty": "EC", "kid": kid, "crv": key.Params().Name, "x": encode(b[1 : 1+n]), "y": encode(b[1+n:])}
	case []byte:
		return map[string]string{"kty": "oct", "kid": kid, "k": encode(key)}
	}
	t.Fatalf("%T", key)
	return nil
}

func jwksText(t testing.TB, keys ...map[string]string) string {
	t.Helper()
	text, err := json.Marshal(map[string]any{"keys": keys})
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}
