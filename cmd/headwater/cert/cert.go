// Package cert keeps a TLS certificate that is renewed while the server runs:
// certificates live for weeks, streams for months.
package cert

import (
	"crypto/tls"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"sync"
	"time"
)

// checkEvery is how old what is known of the files may be. They are looked at
// when somebody connects, and never otherwise.
const checkEvery = time.Second

// Files is a certificate and its key, each in a PEM file.
type Files struct {
	// fixed after Load
	log *slog.Logger
	now func() time.Time

	mu               sync.Mutex
	certificate, key string // guarded by mu

	current *tls.Certificate // guarded by mu; never nil
	seen    [2]fs.FileInfo   // guarded by mu; of the files that were tried last
	checked time.Time        // guarded by mu
}

// Load reads both files. It fails when they hold no certificate with its key.
func Load(certificate, key string, log *slog.Logger) (*Files, error) {
	f := &Files{certificate: certificate, key: key, log: log, now: time.Now}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.checked = f.now()
	var err error
	if f.seen, err = f.stat(); err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	if err := f.read(); err != nil {
		return nil, fmt.Errorf("load certificate: %w", err)
	}
	return f, nil
}

// Config returns the configuration of a server that shows the certificate.
func (f *Files) Config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, GetCertificate: f.get}
}

// get returns the certificate as the files have it. Where they have changed for
// the worse (one of them is new and the other is not yet, say) the one before
// stays.
func (f *Files) get(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if now := f.now(); now.Sub(f.checked) >= checkEvery {
		f.checked = now
		f.refresh()
	}
	return f.current, nil
}

// refresh reads the files if they are not those that were tried last, and so
// complains once about each bad state.
func (f *Files) refresh() {
	seen, err := f.stat()
	if same(seen, f.seen) {
		return
	}
	f.seen = seen
	if err == nil {
		err = f.read()
	}
	if err != nil {
		f.log.Warn("new certificate not used, the one before stays", "error", err)
	}
}

// stat returns what the files are now; what cannot be seen is nil.
func (f *Files) stat() (seen [2]fs.FileInfo, err error) {
	for i, name := range []string{f.certificate, f.key} {
		info, e := os.Stat(name)
		if e != nil {
			err = e
			continue
		}
		seen[i] = info
	}
	return seen, err
}

// same compares without a look into the files. A link that points elsewhere is
// another file, whatever its time and size.
func same(a, b [2]fs.FileInfo) bool {
	for i := range a {
		switch {
		case a[i] == nil || b[i] == nil:
			if a[i] != b[i] {
				return false
			}
		case !os.SameFile(a[i], b[i]) || !a[i].ModTime().Equal(b[i].ModTime()) || a[i].Size() != b[i].Size():
			return false
		}
	}
	return true
}

// Prepare reads a certificate and its key from files, which may be others than before,
// and returns what shows it from then on.
func (f *Files) Prepare(certificate, key string) (apply func(), err error) {
	fresh, err := Load(certificate, key, f.log)
	if err != nil {
		return nil, err
	}
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.certificate, f.key = certificate, key
		f.current, f.seen, f.checked = fresh.current, fresh.seen, fresh.checked
	}, nil
}

func (f *Files) read() error {
	pair, err := tls.LoadX509KeyPair(f.certificate, f.key)
	if err != nil {
		return err
	}
	f.current = &pair
	f.log.Info("certificate loaded", "file", f.certificate, "names", pair.Leaf.DNSNames, "expires", pair.Leaf.NotAfter.UTC())
	return nil
}
