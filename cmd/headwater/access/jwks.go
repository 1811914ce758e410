package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/big"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	maxJWKSKeys = 64
	// A kid that is not in the set may be new: the set is fetched again, but
	// made-up kids must not make this program hammer the server.
	unknownKIDInterval = 30 * time.Second
	// Keys are used for this long while they cannot be fetched.
	maxJWKSAge  = 24 * time.Hour
	jwksTimeout = 3 * time.Second
)

// errJWKSDown says that there are no keys since the set cannot be fetched.
var errJWKSDown = errors.New("the JWKS cannot be fetched")

// jwks keeps the keys of a JWKS URL (RFC 7517).
type jwks struct {
	// fixed after newJWKS
	url     string
	host    string
	client  *http.Client
	refresh time.Duration
	log     *slog.Logger

	failures atomic.Uint64

	mu       sync.Mutex
	keys     []jwtKey
	fetched  time.Time     // when keys were
	tried    time.Time     // when they were last asked for
	fetching chan struct{} // closed when the fetch under way has ended; nil: none is
	breaker  breaker
}

func newJWKS(c JWT, client *http.Client, log *slog.Logger) *jwks {
	return &jwks{
		url: string(c.JWKS), host: c.JWKS.String(), client: client, refresh: c.JWKSRefresh, log: log,
		breaker: breaker{threshold: 1},
	}
}

// keysFor returns the set, fetched anew if it is too old or lacks kid. While a
// fetch is under way, whoever can do with the keys at hand takes those.
func (s *jwks) keysFor(ctx context.Context, kid string) ([]jwtKey, error) {
	s.mu.Lock()
	keys, fetching := s.current()
	known := len(keys) > 0 && (kid == "" || slices.ContainsFunc(keys, func(k jwtKey) bool { return k.id == kid || k.id == "" }))
	stale := time.Since(s.fetched) >= s.refresh
	switch {
	case known && (!stale || fetching != nil):
		s.mu.Unlock()
		return keys, nil
	case fetching != nil:
		s.mu.Unlock()
		return s.await(ctx, fetching)
	case len(keys) > 0 && !stale && time.Since(s.tried) < unknownKIDInterval, !s.breaker.allow():
		s.mu.Unlock()
		return keys, downUnless(keys)
	}
	fetching = make(chan struct{})
	s.fetching, s.tried = fetching, time.Now()
	s.mu.Unlock()

	fresh, err := s.fetch()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.keys, s.fetched = fresh, time.Now()
	}
	s.settle(err)
	s.fetching = nil
	close(fetching)
	keys, _ = s.current()
	return keys, downUnless(keys)
}

// current returns the keys that are not too old to be used. s.mu is held.
func (s *jwks) current() ([]jwtKey, chan struct{}) {
	if time.Since(s.fetched) > maxJWKSAge {
		s.keys = nil
	}
	return s.keys, s.fetching
}

func downUnless(keys []jwtKey) error {
	if len(keys) == 0 {
		return errJWKSDown
	}
	return nil
}

func (s *jwks) await(ctx context.Context, fetching chan struct{}) ([]jwtKey, error) {
	select {
	case <-fetching:
	case <-ctx.Done():
		return nil, errJWKSDown
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	keys, _ := s.current()
	return keys, downUnless(keys)
}

// settle notes how a fetch ended. s.mu is held.
func (s *jwks) settle(err error) {
	switch {
	case err == nil && s.breaker.success():
		s.log.Info("JWKS can be fetched again", "host", s.host)
	case err != nil:
		s.failures.Add(1)
		if s.breaker.failure() {
			s.log.Warn("JWKS cannot be fetched; the keys at hand stay in use", "host", s.host, "error", err)
		}
	}
}

// fetch takes at most jwksTimeout. It does not depend on the one publisher whose
// token asked for it: others wait for the same keys.
func (s *jwks) fetch() ([]jwtKey, error) {
	ctx, cancel := context.WithTimeout(context.Background(), jwksTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, withoutURL(err)
	}
	req.Header.Set("Accept", "application/jwk-set+json, application/json")
	a, err := exchange(s.client, req)
	if err != nil {
		return nil, err
	}
	if a.status != http.StatusOK {
		return nil, fmt.Errorf("status %d", a.status)
	}
	return parseJWKS(a.body)
}

// jwk is one key as JSON (RFC 7517, RFC 7518).
type jwk struct {
	KTY string `json:"kty"`
	USE string `json:"use"`
	ALG string `json:"alg"`
	KID string `json:"kid"`
	CRV string `json:"crv"`
	X   string `json:"x"`
	Y   string `json:"y"`
	N   string `json:"n"`
	E   string `json:"e"`
}

// parseJWKS returns the keys of a set that can be used here; others, secret ones
// among them, are passed over as RFC 7517, 5 asks.
func parseJWKS(text []byte) ([]jwtKey, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, errors.New("the answer is not a JSON Web Key Set")
	}
	var keys []jwtKey
	for _, k := range set.Keys {
		key, ok := k.key()
		if ok && key.check() == nil && len(keys) < maxJWKSKeys {
			keys = append(keys, key)
		}
	}
	if len(keys) == 0 {
		return nil, errors.New("the set holds no key for RS256 or ES256")
	}
	return keys, nil
}

func (k jwk) key() (jwtKey, bool) {
	if k.USE != "" && k.USE != "sig" {
		return jwtKey{}, false
	}
	switch {
	case k.KTY == "RSA" && (k.ALG == "" || k.ALG == "RS256"):
		n, e := k.number(k.N), k.number(k.E)
		if n == nil || e == nil || e.BitLen() > 31 {
			return jwtKey{}, false
		}
		return jwtKey{k.KID, "RS256", &rsa.PublicKey{N: n, E: int(e.Int64())}}, true
	case k.KTY == "EC" && k.CRV == "P-256" && (k.ALG == "" || k.ALG == "ES256"):
		x, errX := decodeBase64URL(k.X)
		y, errY := decodeBase64URL(k.Y)
		if errX != nil || errY != nil || len(x) != 32 || len(y) != 32 { // RFC 7518, 6.2.1.2
			return jwtKey{}, false
		}
		public, err := ecdsa.ParseUncompressedPublicKey(elliptic.P256(), slices.Concat([]byte{4}, x, y))
		return jwtKey{k.KID, "ES256", public}, err == nil
	}
	return jwtKey{}, false
}

func (k jwk) number(text string) *big.Int {
	b, err := decodeBase64URL(text)
	if err != nil || len(b) == 0 || len(b) > 1024+1 {
		return nil
	}
	return new(big.Int).SetBytes(b)
}

func decodeBase64URL(s string) ([]byte, error) { return base64.RawURLEncoding.DecodeString(s) }
