package access

import (
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// Secret is a value that no log, error or dump shows. Convert it to a string
// where it is compared, nowhere else.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the value from JSON and from structured logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }

// Endpoint is a URL that this program calls. Its user, path and query may hold
// a secret, so that only scheme and host are shown.
type Endpoint string

// String returns SCHEME://HOST.
func (e Endpoint) String() string {
	u, err := url.Parse(string(e))
	if e == "" || err != nil {
		return ""
	}
	return u.Scheme + "://" + u.Host
}

// GoString hides the rest from %#v.
func (e Endpoint) GoString() string { return strconv.Quote(e.String()) }

// MarshalText hides the rest from JSON and from structured logs.
func (e Endpoint) MarshalText() ([]byte, error) { return []byte(e.String()), nil }

// maxSecretSize bounds a secret's file: a set of PEM certificates fits.
const maxSecretSize = 64 << 10

// loadSecret returns the secret from the one place of three that is named.
// White space around it does not count.
func loadSecret(value Secret, file, env string) (string, error) {
	text := string(value)
	switch {
	case file != "":
		var err error
		if text, err = readSecret(file); err != nil {
			return "", err
		}
	case env != "":
		text = os.Getenv(env)
	}
	if text = strings.TrimSpace(text); text != "" {
		return text, nil
	}
	switch {
	case file != "":
		return "", fmt.Errorf("%s is empty", file)
	case env != "":
		return "", fmt.Errorf("the environment variable %s is empty or not set", env)
	}
	return "", errors.New("is empty")
}

func readSecret(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxSecretSize+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxSecretSize {
		return "", fmt.Errorf("%s is larger than %d bytes", file, maxSecretSize)
	}
	return string(text), nil
}

// leastKept is what a secret's file holds at least; a shorter one was cut off.
const leastKept = 8

// KeepSecret returns the secret that path holds, and where there is no such file
// keeps what make returns there. Of several processes that do so at once all get
// the same secret, and a crash leaves no file or a whole one.
func KeepSecret(path string, make func() string) (secret string, made bool, err error) {
	secret, err = kept(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return secret, false, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return "", false, fmt.Errorf("make folder of %s: %w", filepath.Base(path), err)
	}
	secret = make()
	err = create(path, secret+"\n")
	if errors.Is(err, fs.ErrExist) {
		secret, err = kept(path)
		return secret, false, err
	}
	if err != nil {
		return "", false, fmt.Errorf("keep secret: %w", err)
	}
	return secret, true, nil
}

func kept(path string) (string, error) {
	text, err := readSecret(path)
	if err != nil {
		return "", fmt.Errorf("read secret: %w", err)
	}
	if text = strings.TrimSpace(text); len(text) < leastKept {
		return "", fmt.Errorf("read secret: %s holds none; remove it and a new one is made", path)
	}
	return text, nil
}

// create writes a file that must not exist yet, whole or not at all.
func create(path, text string) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*") // 0600
	if err != nil {
		return err
	}
	defer func() { _ = os.Remove(f.Name()) }()
	if _, err = f.WriteString(text); err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	err = os.Link(f.Name(), path)
	if err == nil || errors.Is(err, fs.ErrExist) {
		return err
	}
	return os.Rename(f.Name(), path) // a file system without links
}

// fingerprints stand for texts that may be secret. They tell two texts apart
// within one run and say nothing about a text to who does not know the salt.
type fingerprints struct{ salt string }

func newFingerprints() fingerprints { return fingerprints{rand.Text()} }

func (f fingerprints) of(text string) string {
	sum := sha256.Sum256([]byte(f.salt + text))
	return fmt.Sprintf("#%x", sum[:4])
}
