package access

import (
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"headwater/remux"
)

// KeyStore keeps publish keys that are made and revoked while the server runs, in a
// file that holds their hashes. Its methods may be called by many goroutines.
type KeyStore struct {
	path string

	mu   sync.Mutex // held while the file is written
	keys []KeptKey  // guarded by mu

	current atomic.Pointer[publishKeys]
}

// KeptKey is a key without its secret.
type KeptKey struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"` // APP/NAME or a pattern; "": every name
	Created time.Time `json:"created"`
	Hash    string    `json:"sha256"` // of the secret, in hexadecimal
}

const (
	maxKeptKeys  = 1000
	maxKeptBytes = 1 << 20
	maxKeptID    = 64
)

// What a KeyStore says no to.
var (
	ErrNoKey       = errors.New("no such key")
	ErrKeyExists   = errors.New("there is a key of that id")
	ErrTooManyKeys = fmt.Errorf("there are %d keys already", maxKeptKeys)
	ErrKeyOrder    = errors.New("cannot make such a key")
)

// OpenKeys reads the keys kept in a file that need not be there yet. A file that
// cannot be understood is an error: the keys in it would be refused in silence.
func OpenKeys(path string) (*KeyStore, error) {
	s := &KeyStore{path: path}
	text, err := readKept(path)
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ENOTDIR): // whoever needs the folder will say so
	case err != nil:
		return nil, fmt.Errorf("read kept keys: %w", err)
	default:
		if err := json.Unmarshal(text, &s.keys); err != nil {
			return nil, fmt.Errorf("read kept keys: %s: %w", path, err)
		}
	}
	current, err := compile(s.keys)
	if err != nil {
		return nil, fmt.Errorf("read kept keys: %s: %w", path, err)
	}
	s.current.Store(&current)
	return s, nil
}

func readKept(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if info.Size() > maxKeptBytes {
		return nil, fmt.Errorf("%s is larger than %d bytes", path, maxKeptBytes)
	}
	return os.ReadFile(path)
}

func compile(keys []KeptKey) (publishKeys, error) {
	ks := make(publishKeys, 0, len(keys))
	for i, k := range keys {
		pattern, err := keyPattern(k.Name)
		if err != nil {
			return nil, fmt.Errorf("entry %d: name: %w", i+1, err)
		}
		p := publishKey{id: k.ID, pattern: pattern}
		if n, err := hex.Decode(p.hash[:], []byte(k.Hash[:min(len(k.Hash), 2*len(p.hash))])); err != nil || n != len(p.hash) {
			return nil, fmt.Errorf("entry %d: sha256 is not one", i+1)
		}
		ks = append(ks, p)
	}
	return ks, nil
}

func keyPattern(name string) (remux.Pattern, error) {
	if name == "" {
		return everything, nil
	}
	return remux.ParsePattern(name)
}

// Keys returns the keys, oldest first.
func (s *KeyStore) Keys() []KeptKey {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Clone(s.keys)
}

// Create makes a key for a name or a pattern, keeps it, and returns its secret,
// which nobody can find out later. An id of "" is made up.
func (s *KeyStore) Create(id, name string) (k KeptKey, secret string, err error) {
	if _, err := keyPattern(name); err != nil {
		return k, "", fmt.Errorf("%w: name: %w", ErrKeyOrder, err)
	}
	if id == "" {
		id = "key-" + strings.ToLower(rand.Text()[:8])
	}
	if err := checkUnreserved(id); err != nil || len(id) > maxKeptID {
		return k, "", fmt.Errorf("%w: the id is not 1 to %d of A-Z a-z 0-9 . _ ~ -", ErrKeyOrder, maxKeptID)
	}
	secret = rand.Text()
	h := hashOf(secret)
	k = KeptKey{ID: id, Name: name, Created: time.Now().UTC().Truncate(time.Second), Hash: hex.EncodeToString(h[:])}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case slices.ContainsFunc(s.keys, func(k KeptKey) bool { return k.ID == id }):
		return k, "", ErrKeyExists
	case len(s.keys) >= maxKeptKeys:
		return k, "", ErrTooManyKeys
	}
	if err := s.keep(append(slices.Clone(s.keys), k)); err != nil {
		return k, "", err
	}
	return k, secret, nil
}

// Revoke forgets a key: nobody can begin to publish with it any more.
func (s *KeyStore) Revoke(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	i := slices.IndexFunc(s.keys, func(k KeptKey) bool { return k.ID == id })
	if i < 0 {
		return ErrNoKey
	}
	return s.keep(slices.Delete(slices.Clone(s.keys), i, i+1))
}

// keep puts keys in force once they are in the file. Callers hold mu.
func (s *KeyStore) keep(keys []KeptKey) error {
	current, err := compile(keys)
	if err != nil {
		return fmt.Errorf("keep keys: %w", err)
	}
	text, err := json.MarshalIndent(keys, "", "\t")
	if err != nil {
		return fmt.Errorf("keep keys: %w", err)
	}
	if err := replace(s.path, append(text, '\n')); err != nil {
		return fmt.Errorf("keep keys: %w", err)
	}
	s.keys = keys
	s.current.Store(&current)
	return nil
}

// replace writes a file in one step, so that a crash leaves the old or the new.
func replace(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }() // it is gone if all went well
	if _, err = f.Write(text); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

// find is publishKeys.find for the keys in force. A nil store has none.
func (s *KeyStore) find(shown, app, name string) (id string, ok bool) {
	if s == nil {
		return "", false
	}
	return s.current.Load().find(shown, app, name)
}

// has reports whether there are keys.
func (s *KeyStore) has() bool { return s != nil && len(*s.current.Load()) > 0 }
