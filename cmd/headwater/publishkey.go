package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"time"

	"headwater/ingest"
)

// publishKeyFile is the name of the key's file in the data folder.
const publishKeyFile = "publish.key"

// publishKey decides who may publish. Only the key's hash is kept.
type publishKey struct {
	hash         [sha256.Size]byte
	loopbackFree bool // publishers on this machine need no key
}

// wrongKeyDelay is how long a publisher without the key waits for its refusal:
// guessing stays slow, whoever mistyped hardly notices.
const wrongKeyDelay = time.Second

// newPublishKey returns the rule for a key. One that the operator set is asked
// of everyone, which is also the way to close loopback where a proxy on this
// machine makes every publisher look local.
func newPublishKey(key string, configured bool) *publishKey {
	return &publishKey{hash: sha256.Sum256([]byte(key)), loopbackFree: !configured}
}

// authorize is the Authorize of ingest.Config.
func (k *publishKey) authorize(ctx context.Context, r ingest.PublishRequest) (ingest.Grant, error) {
	if k.allows(r.Remote.Addr(), r.Query.Get("key")) {
		return ingest.Grant{Name: r.Name}, nil
	}
	select {
	case <-time.After(wrongKeyDelay):
	case <-ctx.Done():
	}
	if r.Query.Has("key") {
		return ingest.Grant{}, ingest.Denied("the publish key is wrong")
	}
	return ingest.Grant{}, ingest.Denied("a publish key is needed: the Stream Key is NAME?key=SECRET")
}

// allows reports whether a publisher at addr that showed key may publish.
func (k *publishKey) allows(addr netip.Addr, key string) bool {
	if k.loopbackFree && addr.Unmap().IsLoopback() {
		return true
	}
	shown := sha256.Sum256([]byte(key))
	return subtle.ConstantTimeCompare(shown[:], k.hash[:]) == 1
}

// loadPublishKey reads the key kept under the data folder, and makes one where
// there is none yet.
func loadPublishKey(data string) (key, path string, made bool, err error) {
	path = filepath.Join(data, publishKeyFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		key = rand.Text()
		return key, path, true, keepPublishKey(path, key)
	}
	if err != nil {
		return "", path, false, fmt.Errorf("read publish key: %w", err)
	}
	key = strings.TrimSpace(string(text))
	if len(key) < 8 {
		return "", path, false, fmt.Errorf("read publish key: %s holds no key; remove it and a new one is made", path)
	}
	return key, path, false, nil
}

// keepPublishKey writes the key so that a crash leaves either no file or a
// whole one.
func keepPublishKey(path, key string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return fmt.Errorf("make data folder: %w (name a writable one with --data, or set publish.key)", err)
	}
	if err := writeAtomically(path, key+"\n"); err != nil {
		return fmt.Errorf("keep publish key: %w (name a writable folder with --data, or set publish.key)", err)
	}
	return nil
}

func writeAtomically(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = f.Close()
			_ = os.Remove(f.Name())
		}
	}()
	if _, err = f.WriteString(text); err != nil {
		return err
	}
	if err = f.Sync(); err != nil {
		return err
	}
	if err = f.Close(); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}
