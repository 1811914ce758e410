package cert

import (
	"bytes"
	"crypto/tls"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// pair is a certificate and its key as PEM.
type pair struct{ certificate, key []byte }

func newPair(t *testing.T, name string) pair {
	t.Helper()
	certificate, key := rig.Certificate(t, name)
	return pair{certificate, key}
}

// fixture is a pair of files and the clock of who reads them.
type fixture struct {
	*Files
	t    *testing.T
	dir  string
	log  bytes.Buffer
	time time.Time
}

func newFixture(t *testing.T, p pair) *fixture {
	t.Helper()
	f := &fixture{t: t, dir: t.TempDir()}
	f.write("cert.pem", p.certificate)
	f.write("key.pem", p.key)
	var err error
	f.Files, err = Load(filepath.Join(f.dir, "cert.pem"), filepath.Join(f.dir, "key.pem"), slog.New(slog.NewTextHandler(&f.log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	f.now, f.time = func() time.Time { return f.time }, f.checked
	return f
}

// write replaces a file as renewing programs do.
func (f *fixture) write(name string, b []byte) {
	f.t.Helper()
	path := filepath.Join(f.dir, name)
	if err := os.WriteFile(path+".new", b, 0o600); err != nil {
		f.t.Fatal(err)
	}
	if err := os.Rename(path+".new", path); err != nil {
		f.t.Fatal(err)
	}
}

// shown returns the name in the certificate that a handshake after d shows.
func (f *fixture) shown(d time.Duration) string {
	f.t.Helper()
	f.time = f.time.Add(d)
	client, server := net.Pipe()
	defer func() { _ = client.Close(); _ = server.Close() }()
	failed := make(chan error, 1)
	go func() { failed <- tls.Server(server, f.Config()).Handshake() }()
	c := tls.Client(client, &tls.Config{InsecureSkipVerify: true}) // it says itself who it is
	if err := c.Handshake(); err != nil {
		f.t.Fatal(err)
	}
	if err := <-failed; err != nil {
		f.t.Fatal(err)
	}
	return c.ConnectionState().PeerCertificates[0].DNSNames[0]
}

func (f *fixture) complaints() int { return strings.Count(f.log.String(), "level=WARN") }

func TestReload(t *testing.T) {
	first, second, third := newPair(t, "first"), newPair(t, "second"), newPair(t, "third")
	f := newFixture(t, first)
	if got := f.shown(0); got != "first" {
		t.Errorf("shows %s", got)
	}
	f.write("cert.pem", second.certificate)
	f.write("key.pem", second.key)
	if got := f.shown(checkEvery / 2); got != "first" {
		t.Errorf("looked again at once: %s", got)
	}
	if got := f.shown(checkEvery); got != "second" {
		t.Errorf("after a renewal: %s", got)
	}
	// In place, as an editor writes it.
	if err := os.WriteFile(f.certificate, third.certificate, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(f.key, third.key, 0o600); err != nil {
		t.Fatal(err)
	}
	later := time.Now().Add(time.Second)
	if err := os.Chtimes(f.key, later, later); err != nil {
		t.Fatal(err)
	}
	if got := f.shown(checkEvery); got != "third" || f.complaints() > 0 {
		t.Errorf("after an edit: %s\n%s", got, f.log.String())
	}
}

// TestBadPairKeepsTheOld in every way in which a renewal goes wrong.
func TestBadPairKeepsTheOld(t *testing.T) {
	old, next := newPair(t, "old"), newPair(t, "next")
	for name, spoil := range map[string]func(f *fixture){
		"half": func(f *fixture) { f.write("cert.pem", next.certificate) },
		"text": func(f *fixture) { f.write("key.pem", []byte("not a key")) },
		"cut":  func(f *fixture) { f.write("cert.pem", next.certificate[:100]); f.write("key.pem", next.key) },
		"gone": func(f *fixture) { _ = os.Remove(f.certificate); _ = os.Remove(f.key) },
	} {
		t.Run(name, func(t *testing.T) {
			f := newFixture(t, old)
			spoil(f)
			for range 3 {
				if got := f.shown(checkEvery); got != "old" {
					t.Errorf("shows %s", got)
				}
			}
			if n := f.complaints(); n != 1 {
				t.Errorf("%d complaints:\n%s", n, f.log.String())
			}
			if strings.Contains(f.log.String(), "PRIVATE") {
				t.Error("the log shows the key")
			}
			f.write("cert.pem", next.certificate)
			f.write("key.pem", next.key)
			if got := f.shown(checkEvery); got != "next" {
				t.Errorf("put right, it shows %s", got)
			}
		})
	}
}

// TestLink: a mounted secret is a link that comes to point elsewhere.
func TestLink(t *testing.T) {
	one, two := newPair(t, "one"), newPair(t, "two")
	root := t.TempDir()
	for name, p := range map[string]pair{"1": one, "2": two} {
		if err := os.Mkdir(filepath.Join(root, name), 0o700); err != nil {
			t.Fatal(err)
		}
		for file, b := range map[string][]byte{"cert.pem": p.certificate, "key.pem": p.key} {
			path := filepath.Join(root, name, file)
			if err := os.WriteFile(path, b, 0o600); err != nil {
				t.Fatal(err)
			}
			then := time.Unix(1e9, 0)
			if err := os.Chtimes(path, then, then); err != nil {
				t.Fatal(err)
			}
		}
	}
	link := filepath.Join(root, "data")
	if err := os.Symlink("1", link); err != nil {
		t.Fatal(err)
	}
	f := &fixture{t: t}
	var err error
	f.Files, err = Load(filepath.Join(link, "cert.pem"), filepath.Join(link, "key.pem"), slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatal(err)
	}
	f.now, f.time = func() time.Time { return f.time }, f.checked
	if err := os.Symlink("2", link+".new"); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(link+".new", link); err != nil {
		t.Fatal(err)
	}
	if got := f.shown(checkEvery); got != "two" {
		t.Errorf("shows %s", got)
	}
}

func TestLoadFails(t *testing.T) {
	p := newPair(t, "x")
	dir := t.TempDir()
	good, bad := filepath.Join(dir, "cert.pem"), filepath.Join(dir, "bad.pem")
	for path, b := range map[string][]byte{good: p.certificate, bad: []byte("bad")} {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, files := range [][2]string{{good, filepath.Join(dir, "none.pem")}, {good, bad}, {bad, good}, {dir, dir}} {
		if _, err := Load(files[0], files[1], slog.New(slog.DiscardHandler)); err == nil || !strings.HasPrefix(err.Error(), "load certificate: ") {
			t.Errorf("%q: %v", files, err)
		}
	}
}

// TestOldTLS: nothing below TLS 1.2.
func TestOldTLS(t *testing.T) {
	f := newFixture(t, newPair(t, "x"))
	client, server := net.Pipe()
	defer func() { _ = client.Close(); _ = server.Close() }()
	go func() { _ = tls.Server(server, f.Config()).Handshake(); _ = server.Close() }()
	c := tls.Client(client, &tls.Config{InsecureSkipVerify: true, MinVersion: tls.VersionTLS10, MaxVersion: tls.VersionTLS11})
	if err := c.Handshake(); err == nil {
		t.Error("TLS 1.1 is taken")
	}
}
