//go:build e2e

package docs

import (
	"net"
	"path/filepath"
	"strings"
	"testing"

	"headwater/scripts/lib/rig"
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
	certificate, key := rig.CertificateFiles(t, dir, "localhost")
	return []string{
		"HEADWATER_RTMP_LISTEN=:" + p.rtmp,
		"HEADWATER_HTTP_LISTEN=:" + p.http,
		"HEADWATER_ADMIN_LISTEN=127.0.0.1:" + p.admin,
		"HEADWATER_DATA=" + filepath.Join(dir, "data"),
		"HEADWATER_RTMPS_LISTEN=:" + p.rtmps, "HEADWATER_RTMPS_CERTIFICATE=" + certificate, "HEADWATER_RTMPS_KEY=" + key,
		"HEADWATER_HTTPS_LISTEN=:" + p.https, "HEADWATER_HTTPS_CERTIFICATE=" + certificate, "HEADWATER_HTTPS_KEY=" + key,
	}
}
