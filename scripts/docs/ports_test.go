//go:build e2e

package docs

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// ports are those of one page, in place of the default ones.
type ports struct {
	rtmp, rtmps, http, https, admin string
	forth, back                     *strings.Replacer
}

func freePorts(t *testing.T) ports {
	var p ports
	for _, port := range []*string{&p.rtmp, &p.rtmps, &p.http, &p.https, &p.admin} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = l.Close() }()
		_, *port, _ = net.SplitHostPort(l.Addr().String())
	}
	pairs := []string{
		"rtmp://localhost/", "rtmp://localhost:" + p.rtmp + "/",
		"rtmps://localhost:1936/", "rtmps://localhost:" + p.rtmps + "/",
		"localhost:8080", "localhost:" + p.http,
		"localhost:8443", "localhost:" + p.https,
		"localhost:8081", "localhost:" + p.admin,
		"127.0.0.1:8081", "127.0.0.1:" + p.admin,
	}
	p.forth = strings.NewReplacer(pairs...)
	for i := 0; i < len(pairs); i += 2 {
		pairs[i], pairs[i+1] = pairs[i+1], pairs[i]
	}
	p.back = strings.NewReplacer(pairs...)
	return p
}

func (p ports) replace(code string) string   { return p.forth.Replace(code) }
func (p ports) restore(output string) string { return p.back.Replace(output) }

// env returns the variables that make a server listen there, over TLS too.
func (p ports) env(t *testing.T, dir string) []string {
	certificate, key := makeCertificate(t, dir)
	return []string{
		"HEADWATER_RTMP_LISTEN=:" + p.rtmp,
		"HEADWATER_HTTP_LISTEN=:" + p.http,
		"HEADWATER_ADMIN_LISTEN=127.0.0.1:" + p.admin,
		"HEADWATER_DATA=" + filepath.Join(dir, "data"),
		"HEADWATER_RTMPS_LISTEN=:" + p.rtmps, "HEADWATER_RTMPS_CERTIFICATE=" + certificate, "HEADWATER_RTMPS_KEY=" + key,
		"HEADWATER_HTTPS_LISTEN=:" + p.https, "HEADWATER_HTTPS_CERTIFICATE=" + certificate, "HEADWATER_HTTPS_KEY=" + key,
	}
}

// makeCertificate writes one for localhost that nobody has signed.
func makeCertificate(t *testing.T, dir string) (certificate, key string) {
	secret, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "localhost"}, DNSNames: []string{"localhost"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour),
	}
	public, err := x509.CreateCertificate(rand.Reader, template, template, &secret.PublicKey, secret)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(secret)
	if err != nil {
		t.Fatal(err)
	}
	write := func(name, kind string, der []byte) string {
		file := filepath.Join(dir, name)
		if err := os.WriteFile(file, pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}), 0o600); err != nil {
			t.Fatal(err)
		}
		return file
	}
	return write("tls.crt", "CERTIFICATE", public), write("tls.key", "PRIVATE KEY", private)
}
