package access

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"slices"
	"sync"
	"time"

	"headwater/origin/peer"
	"headwater/remux"
)

// LocalKeyID is the key id of tokens that are signed with the secret that the
// token command made, where tokens.secrets is empty.
const LocalKeyID = "local"

// tokenSecret signs tokens.
type tokenSecret struct {
	id    string
	text  []byte
	scope remux.Pattern // what its tokens may be for at most
}

// tokenSecrets are the secrets that tokens may be signed with.
type tokenSecrets struct {
	configured []tokenSecret // the first signs
	file       string        // of the local secret; "": there is none

	mu     sync.Mutex
	read   time.Time // when file was last read
	local  []byte
	broken error // why it could not be
}

func loadTokenSecrets(keys []Key, file string) (*tokenSecrets, error) {
	s := &tokenSecrets{}
	for i, k := range keys {
		text, err := loadSecret(k.Key, k.KeyFile, k.KeyEnv)
		if err == nil {
			err = checkSigning(text)
		}
		scope := everything
		if err == nil && k.Name != "" {
			scope, err = remux.ParsePattern(k.Name)
		}
		if err != nil {
			return nil, fmt.Errorf("tokens.secrets: entry %d (%s): %w", i+1, k.ID, err)
		}
		s.configured = append(s.configured, tokenSecret{k.ID, []byte(text), scope})
	}
	if len(s.configured) == 0 {
		s.file = file
	}
	return s, nil
}

// leastSigning is the length of a secret that nobody can find by trying: RFC
// 7518, 3.2 asks for it.
const leastSigning = 32

func checkSigning(secret string) error {
	if len(secret) < leastSigning {
		return fmt.Errorf("the secret is shorter than %d characters; `openssl rand -hex 32` makes one", leastSigning)
	}
	return nil
}

// of returns the secret of a key id.
func (s *tokenSecrets) of(id string) (tokenSecret, bool) {
	if i := slices.IndexFunc(s.configured, func(t tokenSecret) bool { return t.id == id }); i >= 0 {
		return s.configured[i], true
	}
	if id != LocalKeyID || s.file == "" {
		return tokenSecret{}, false
	}
	local := s.readLocal()
	return tokenSecret{id, local, everything}, len(local) > 0
}

// readLocal returns the local secret as it is in its file, at most a second ago:
// the token command may make it while the server runs.
func (s *tokenSecrets) readLocal() []byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	if !s.read.IsZero() && time.Since(s.read) < time.Second {
		return s.local
	}
	s.read = time.Now()
	text, err := kept(s.file)
	if err == nil {
		err = checkSigning(text)
	}
	s.local, s.broken = nil, nil
	switch {
	case err == nil:
		s.local = []byte(text)
	case !errors.Is(err, fs.ErrNotExist):
		s.broken = err
	}
	return s.local
}

// problem returns why the local secret cannot be used though it is there.
func (s *tokenSecrets) problem() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.broken
}

// Order is what a new token shall be good for.
type Order struct {
	Action    Action
	Name      string        // APP/NAME or a pattern
	Expires   time.Duration // from now
	NotBefore time.Duration // from now; 0: at once
	From      string        // address or network; "": anywhere
	Once      bool          // it can be used for one publish
	KeyID     string        // which of tokens.secrets signs; "": the first
}

// Issue makes a token. With no tokens.secrets it is signed with the secret in
// localFile, which is made if need be.
func (c Tokens) Issue(o Order, localFile string, now time.Time) (string, error) {
	secret, err := c.signing(o.KeyID, localFile)
	if err != nil {
		return "", err
	}
	t := Token{KeyID: secret.id, Action: o.Action, Expires: now.Add(o.Expires)}
	if t.Name, err = remux.ParsePattern(o.Name); err != nil {
		return "", fmt.Errorf("%q: %w", o.Name, err)
	}
	switch {
	case o.Expires <= 0 || o.Expires > c.MaxAge:
		return "", fmt.Errorf("a token is valid for more than nothing and at most tokens.max_age, %s; not for %s", c.MaxAge, o.Expires)
	case o.NotBefore < 0 || o.NotBefore >= o.Expires:
		return "", fmt.Errorf("a token that begins in %s and expires in %s is never valid", o.NotBefore, o.Expires)
	case o.Once && o.Action != Publish:
		return "", errors.New("only a publish token can be for one use: players ask more than once")
	case !secret.scope.Match(t.Name.Halves()):
		return "", fmt.Errorf("the secret %q signs for %s only", secret.id, secret.scope)
	}
	if o.NotBefore > 0 {
		t.NotBefore = now.Add(o.NotBefore)
	}
	if o.From != "" {
		if t.From, err = peer.ParseNetwork(o.From); err != nil {
			return "", err
		}
	}
	if o.Once {
		t.Nonce = rand.Text()
	}
	return Sign(t, secret.text)
}

func (c Tokens) signing(id, localFile string) (tokenSecret, error) {
	s, err := loadTokenSecrets(c.Secrets, "")
	if err != nil {
		return tokenSecret{}, err
	}
	switch {
	case len(s.configured) > 0 && id == "":
		return s.configured[0], nil
	case len(s.configured) > 0 || id != "" && id != LocalKeyID:
		if secret, ok := s.of(id); ok {
			return secret, nil
		}
		return tokenSecret{}, fmt.Errorf("no secret in tokens.secrets has the id %q", id)
	}
	text, _, err := KeepSecret(localFile, func() string { return rand.Text() + rand.Text() })
	if err != nil {
		return tokenSecret{}, err
	}
	return tokenSecret{LocalKeyID, []byte(text), everything}, checkSigning(text)
}
