package access

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/netip"
	"strings"
	"time"

	"headwater/origin/peer"
	"headwater/remux"
)

// Action is what a token allows.
type Action string

// The actions of a token.
const (
	Publish Action = "publish"
	Play    Action = "play"
)

const (
	tokenVersion   = "hw1"
	maxTokenLength = 1024
	maxNonceLength = 64
	clockSkew      = 30 * time.Second // what two clocks may differ
	latestExpiry   = 253402300799     // the end of the year 9999
)

// Token is a permission that its holder can show; the format is in the package
// doc.
type Token struct {
	KeyID     string // of the secret that signed it
	Action    Action
	Name      remux.Pattern
	Expires   time.Time    // to the second
	NotBefore time.Time    // zero: at once
	From      netip.Prefix // zero: from anywhere
	Nonce     string       // "": may be shown again and again
}

// tokenPayload is a Token as JSON.
type tokenPayload struct {
	Act   Action   `json:"act"`
	Name  string   `json:"name"`
	Exp   int64    `json:"exp"`
	Nbf   int64    `json:"nbf,omitempty"`
	IP    *network `json:"ip,omitempty"`
	Nonce string   `json:"nonce,omitempty"`
}

// network is one in JSON, or an address, which is a network of one.
type network struct{ netip.Prefix }

func (n *network) UnmarshalText(text []byte) (err error) {
	n.Prefix, err = peer.ParseNetwork(string(text))
	return err
}

// Sign returns the text of a token. KeyID must be an id and secret what is
// known by it.
func Sign(t Token, secret []byte) (string, error) {
	if err := checkID(t.KeyID); err != nil {
		return "", fmt.Errorf("key id: %w", err)
	}
	p := tokenPayload{Act: t.Action, Name: t.Name.String(), Exp: t.Expires.Unix(), Nonce: t.Nonce}
	if !t.NotBefore.IsZero() {
		p.Nbf = t.NotBefore.Unix()
	}
	if t.From.IsValid() {
		p.IP = &network{t.From}
	}
	if _, err := p.token(t.KeyID); err != nil {
		return "", err
	}
	text, err := json.Marshal(p)
	if err != nil {
		return "", fmt.Errorf("encode token: %w", err)
	}
	signed := tokenVersion + "." + t.KeyID + "." + base64.RawURLEncoding.EncodeToString(text)
	return signed + "." + base64.RawURLEncoding.EncodeToString(tokenMAC(signed, secret)), nil
}

// errBadToken is all that is said of a token that nobody here has signed.
var errBadToken = errors.New("the token is not valid")

// Verify reads a token and checks its signature and its times. secretOf returns
// the secret of a key id, or nil. An expiry further ahead than maxAge is refused.
// What the token is good for is the caller's to check. An error is for the user
// to see.
func Verify(text string, secretOf func(keyID string) []byte, now time.Time, maxAge time.Duration) (Token, error) {
	if len(text) > maxTokenLength || strings.ContainsAny(text, "\r\n") { // which base64 would pass over
		return Token{}, errBadToken
	}
	parts := strings.Split(text, ".")
	if len(parts) != 4 || parts[0] != tokenVersion {
		return Token{}, errBadToken
	}
	mac, err := base64.RawURLEncoding.Strict().DecodeString(parts[3])
	secret := secretOf(parts[1])
	signed := text[:len(text)-len(parts[3])-1]
	if err != nil || len(secret) == 0 || !hmac.Equal(mac, tokenMAC(signed, secret)) {
		return Token{}, errBadToken
	}
	t, err := parsePayload(parts[1], parts[2])
	if err != nil {
		return Token{}, fmt.Errorf("the token is signed but unusable: %w", err)
	}
	return t, t.checkTimes(now, maxAge)
}

func tokenMAC(signed string, secret []byte) []byte {
	h := hmac.New(sha256.New, secret)
	_, _ = io.WriteString(h, signed)
	return h.Sum(nil)
}

func parsePayload(keyID, encoded string) (Token, error) {
	text, err := base64.RawURLEncoding.Strict().DecodeString(encoded)
	if err != nil {
		return Token{}, errors.New("its payload is not base64url")
	}
	var p tokenPayload
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields() // a restriction that is not understood must not be passed over
	if err := d.Decode(&p); err != nil {
		return Token{}, errors.New("its payload is not the JSON of a token")
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Token{}, errors.New("something follows its payload")
	}
	return p.token(keyID)
}

// token checks what does not depend on the time.
func (p tokenPayload) token(keyID string) (Token, error) {
	t := Token{KeyID: keyID, Action: p.Act, Expires: time.Unix(p.Exp, 0), Nonce: p.Nonce}
	var err error
	switch t.Name, err = remux.ParsePattern(p.Name); {
	case err != nil:
		return Token{}, fmt.Errorf("its name: %w", err)
	case p.Act != Publish && p.Act != Play:
		return Token{}, errors.New("it is neither for publish nor for play")
	case p.Exp <= 0 || p.Exp > latestExpiry:
		return Token{}, errors.New("it has no expiry")
	case p.Nbf < 0 || p.Nbf > latestExpiry:
		return Token{}, errors.New("its begin is out of range")
	case len(p.Nonce) > maxNonceLength:
		return Token{}, fmt.Errorf("its nonce is longer than %d characters", maxNonceLength)
	}
	if p.Nbf > 0 {
		t.NotBefore = time.Unix(p.Nbf, 0)
	}
	if p.IP != nil {
		t.From = p.IP.Prefix
	}
	return t, nil
}

func (t Token) checkTimes(now time.Time, maxAge time.Duration) error {
	switch {
	case !now.Before(t.Expires.Add(clockSkew)):
		return errors.New("the token has expired")
	case t.Expires.After(now.Add(maxAge + clockSkew)):
		return errors.New("the token is valid for longer than tokens are accepted here")
	case t.NotBefore.After(now.Add(clockSkew)):
		return errors.New("the token is not valid yet")
	}
	return nil
}

// allows checks what a valid token is good for. An error is for the user to see.
func (t Token) allows(action Action, addr netip.Addr, app, name string) error {
	switch {
	case t.Action != action:
		return fmt.Errorf("the token is for %s, not for %s", t.Action, action)
	case !t.Name.Match(app, name):
		return errors.New("the token is for another name")
	case t.From.IsValid() && !t.From.Contains(addr):
		return errors.New("the token is for another address")
	}
	return nil
}

// checkID checks the id of a secret: it stands in tokens and in logs.
func checkID(id string) error {
	const longest = 64
	if id == "" || len(id) > longest {
		return fmt.Errorf("is not 1 to %d characters long", longest)
	}
	for _, c := range []byte(id) {
		if !('a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_' || c == '-') {
			return errors.New("may hold only A-Z a-z 0-9 _ -")
		}
	}
	return nil
}
