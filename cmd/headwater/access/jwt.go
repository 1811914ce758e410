package access

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"errors"
	"fmt"
	"headwater/remux"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

// maxJWTLength bounds what is parsed of a stranger's text.
const maxJWTLength = 8 << 10

// jwtKey verifies one algorithm, and nothing else whatever a token's header
// says: a public key is never taken for the secret of an HMAC.
type jwtKey struct {
	id     string // kid; "": of any token
	alg    string
	public any // []byte for HS256, *rsa.PublicKey, *ecdsa.PublicKey
}

// jwtVerifier checks JWTs.
type jwtVerifier struct {
	// fixed after newJWTVerifier
	keys    []jwtKey
	remote  *jwks // nil: none
	options []jwt.ParserOption
	maxAge  time.Duration
}

// jwtClaims is what is read of a token.
type jwtClaims struct {
	jwt.RegisteredClaims
	Headwater struct {
		Publish []string `json:"publish"`
		Play    []string `json:"play"`
	} `json:"headwater"`
}

// newJWTVerifier returns nil where nothing is set.
func newJWTVerifier(c JWT, maxAge time.Duration, remote *jwks) (*jwtVerifier, error) {
	if !c.set() {
		return nil, nil
	}
	v := &jwtVerifier{remote: remote, maxAge: maxAge}
	for i, k := range c.Keys {
		key, err := loadJWTKey(k)
		if err != nil {
			return nil, fmt.Errorf("jwt.keys: entry %d: %w", i+1, err)
		}
		v.keys = append(v.keys, key)
	}
	v.options = []jwt.ParserOption{
		jwt.WithValidMethods(v.algorithms()),
		jwt.WithExpirationRequired(),
		jwt.WithLeeway(clockSkew),
		jwt.WithStrictDecoding(),
	}
	if c.Issuer != "" {
		v.options = append(v.options, jwt.WithIssuer(c.Issuer))
	}
	if c.Audience != "" {
		v.options = append(v.options, jwt.WithAudience(c.Audience))
	}
	return v, nil
}

// algorithms returns those for which there are keys.
func (v *jwtVerifier) algorithms() []string {
	var all []string
	if v.remote != nil {
		all = append(all, "RS256", "ES256")
	}
	for _, k := range v.keys {
		all = append(all, k.alg)
	}
	slices.Sort(all)
	return slices.Compact(all)
}

func loadJWTKey(k JWTKey) (jwtKey, error) {
	text, err := loadSecret(k.Key, k.KeyFile, k.KeyEnv)
	if err != nil {
		return jwtKey{}, err
	}
	key := jwtKey{id: k.ID, alg: k.Alg}
	switch k.Alg {
	case "HS256":
		key.public, err = []byte(text), checkSigning(text)
	case "RS256":
		key.public, err = parsePEM(text, "an RSA", jwt.ParseRSAPublicKeyFromPEM)
	case "ES256":
		key.public, err = parsePEM(text, "a P-256", jwt.ParseECPublicKeyFromPEM)
	default:
		err = fmt.Errorf("alg %q is none of HS256, RS256, ES256", k.Alg)
	}
	if err == nil {
		err = key.check()
	}
	return key, err
}

// parsePEM does not repeat what it was given: it may be a private key.
func parsePEM[K any](text, kind string, parse func([]byte) (K, error)) (any, error) {
	if strings.Contains(text, "PRIVATE KEY-----") {
		return nil, errors.New("holds a private key; only the public one belongs here")
	}
	key, err := parse([]byte(text))
	if err != nil {
		return nil, fmt.Errorf("is not %s public key or certificate in PEM", kind)
	}
	return key, nil
}

// check refuses keys that are too weak, or so large that checking a signature
// becomes a burden.
func (k jwtKey) check() error {
	switch p := k.public.(type) {
	case *rsa.PublicKey:
		if n := p.N.BitLen(); n < 2048 || n > 8192 || p.E < 3 || p.E&1 == 0 {
			return fmt.Errorf("the RSA key of %d bits is not one of 2048 to 8192 with an odd exponent", n)
		}
	case *ecdsa.PublicKey:
		if p.Curve != elliptic.P256() {
			return errors.New("the key is not on the curve P-256 that ES256 needs")
		}
	}
	return nil
}

// verify checks a JWT that shall allow action on app/name. The error is for the
// user to see, what is behind it for the log.
func (v *jwtVerifier) verify(ctx context.Context, text string, action Action, app, name string) (id string, err, detail error) {
	if len(text) > maxJWTLength {
		return "", errBadToken, errors.New("JWT: too long")
	}
	var claims jwtClaims
	token, err := jwt.NewParser(v.options...).ParseWithClaims(text, &claims, func(t *jwt.Token) (any, error) {
		return v.candidates(ctx, t)
	})
	switch {
	case errors.Is(err, jwt.ErrTokenExpired):
		return "", errors.New("the token has expired"), nil
	case errors.Is(err, jwt.ErrTokenNotValidYet) || errors.Is(err, jwt.ErrTokenUsedBeforeIssued):
		return "", errors.New("the token is not valid yet"), nil
	case err != nil:
		return "", errBadToken, jwtDetail(err)
	case claims.ExpiresAt.After(time.Now().Add(v.maxAge + clockSkew)):
		return "", errors.New("the token is valid for longer than tokens are accepted here"), nil
	}
	patterns := claims.Headwater.Publish
	if action == Play {
		patterns = claims.Headwater.Play
	}
	if !matchAny(patterns, app, name) {
		return "", fmt.Errorf("the token does not allow to %s this name", action), nil
	}
	id = "jwt"
	if kid, _ := token.Header["kid"].(string); kid != "" {
		id += ":" + printable(kid, 64)
	}
	return id, nil, nil
}

// jwtDetail returns what may be logged of an error: the parser's own words,
// which repeat nothing of the token, and not what they wrap.
func jwtDetail(err error) error {
	for _, known := range []error{
		errNoJWTKey, errJWKSDown, jwt.ErrTokenMalformed, jwt.ErrTokenSignatureInvalid, jwt.ErrTokenRequiredClaimMissing,
		jwt.ErrTokenInvalidIssuer, jwt.ErrTokenInvalidAudience, jwt.ErrTokenUnverifiable, jwt.ErrTokenInvalidClaims,
	} {
		if errors.Is(err, known) {
			return fmt.Errorf("JWT: %w", known)
		}
	}
	return errors.New("JWT: refused")
}

// maxJWTPatterns bounds what one token makes this program look at.
const maxJWTPatterns = 100

func matchAny(patterns []string, app, name string) bool {
	for _, text := range patterns[:min(len(patterns), maxJWTPatterns)] {
		if p, err := remux.ParsePattern(text); err == nil && p.Match(app, name) {
			return true
		}
	}
	return false
}

// errNoJWTKey says that no key fits a token's kid and algorithm.
var errNoJWTKey = errors.New("no key for its kid and alg")

// candidates returns the keys that may have signed a token.
func (v *jwtVerifier) candidates(ctx context.Context, t *jwt.Token) (any, error) {
	if _, critical := t.Header["crit"]; critical {
		return nil, errors.New("it has critical headers") // RFC 7515, 4.1.11: none are understood
	}
	alg, kid := t.Method.Alg(), ""
	if id, given := t.Header["kid"]; given {
		text, ok := id.(string)
		if !ok {
			return nil, errors.New("its kid is not a string")
		}
		kid = text
	}
	set := selectKeys(v.keys, alg, kid)
	named := slices.ContainsFunc(v.keys, func(k jwtKey) bool { return k.alg == alg && k.id == kid && kid != "" })
	var down error
	if v.remote != nil && !named && alg != "HS256" {
		var keys []jwtKey
		keys, down = v.remote.keysFor(ctx, kid)
		set = append(set, selectKeys(keys, alg, kid)...)
	}
	switch {
	case len(set) > 0:
		return jwt.VerificationKeySet{Keys: set}, nil
	case down != nil:
		return nil, down
	}
	return nil, errNoJWTKey
}

// maxCandidates bounds the signatures that are checked for one token: half are
// of keys from the configuration, half from the JWKS.
const maxCandidates = 16

// selectKeys returns the keys of an algorithm and, where both sides name one,
// of a kid.
func selectKeys(keys []jwtKey, alg, kid string) []jwt.VerificationKey {
	var set []jwt.VerificationKey
	for _, k := range keys {
		if k.alg == alg && (k.id == kid || k.id == "" || kid == "") && len(set) < maxCandidates/2 {
			set = append(set, crypto.PublicKey(k.public))
		}
	}
	return set
}
