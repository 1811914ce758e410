package doctor

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"os"
	"strings"
	"time"

	"headwater/cmd/headwater/config"
	"headwater/origin/checkup"
)

// soon is when a certificate should have been renewed: those that renew by themselves
// do it a month before.
const soon = 14 * 24 * time.Hour

func (e *exam) certificates() {
	seen := map[config.TLS]bool{}
	for _, l := range []struct {
		section string
		config.TLS
	}{{"rtmps", e.cfg.RTMPS}, {"https", e.cfg.HTTPS}} {
		files := config.TLS{Certificate: l.Certificate, Key: l.Key}
		if l.Listen == "" || seen[files] {
			continue
		}
		seen[files] = true
		e.certificate(l.section, files)
	}
}

func (e *exam) certificate(section string, files config.TLS) {
	pair, err := tls.LoadX509KeyPair(files.Certificate, files.Key)
	if err != nil {
		e.say("certificate.unusable", checkup.Problem, fmt.Sprintf("%s: %v.", section, err),
			fmt.Sprintf("%s.certificate and %s.key need to be PEM files that belong together: openssl x509 -noout -pubkey -in %s and openssl pkey -pubout -in %s must print the same.", section, section, files.Certificate, files.Key))
		return
	}
	leaf := pair.Leaf
	const renew = "Renew it: certbot renew, or what else made it. It is read again when the files change."
	well := true
	note := func(code string, s checkup.Severity, text, advice string) {
		well = false
		e.say(code, s, section+": "+text, advice)
	}
	switch left := leaf.NotAfter.Sub(e.Now); {
	case left < 0:
		note("certificate.expired", checkup.Problem, fmt.Sprintf("the certificate expired on %s.", leaf.NotAfter.UTC().Format(time.DateOnly)), renew)
	case left < soon:
		note("certificate.expires", checkup.Warning, fmt.Sprintf("the certificate expires on %s.", leaf.NotAfter.UTC().Format(time.DateOnly)), renew)
	}
	if e.Now.Before(leaf.NotBefore) {
		note("certificate.early", checkup.Problem, fmt.Sprintf("the certificate is not valid before %s.", leaf.NotBefore.UTC().Format(time.DateTime)), "Look at the clock.")
	}
	names := append([]string(nil), leaf.DNSNames...)
	for _, ip := range leaf.IPAddresses {
		names = append(names, ip.String())
	}
	if len(names) == 0 {
		note("certificate.names", checkup.Problem, "the certificate has no subject alternative names: no client accepts it.", "Make one with the names of this server: openssl req … -addext subjectAltName=DNS:HOST")
	}
	e.chain(section, pair, note)
	if info, err := os.Stat(files.Key); err == nil && info.Mode().Perm()&worldVisible != 0 {
		note("certificate.key_visible", checkup.Warning, "every user of this machine can read the private key.", "chmod o-rwx "+files.Key)
	}
	if well {
		e.say("certificate.good", checkup.OK, fmt.Sprintf("%s: the certificate for %s is valid until %s.", section, strings.Join(names, ", "), leaf.NotAfter.UTC().Format(time.DateOnly)), "")
	}
}

// chain sees whether clients would find their way to a root.
func (e *exam) chain(section string, pair tls.Certificate, note func(string, checkup.Severity, string, string)) {
	leaf := pair.Leaf
	if bytes.Equal(leaf.RawIssuer, leaf.RawSubject) {
		note("certificate.self_signed", checkup.Info, "the certificate is self-signed: only clients that were told to trust it do.", "For the public take one from an authority, such as Let's Encrypt.")
		return
	}
	between := x509.NewCertPool()
	for _, der := range pair.Certificate[1:] {
		if c, err := x509.ParseCertificate(der); err == nil {
			between.AddCert(c)
		}
	}
	_, err := leaf.Verify(x509.VerifyOptions{Intermediates: between, CurrentTime: e.Now})
	if err == nil || e.Now.After(leaf.NotAfter) || e.Now.Before(leaf.NotBefore) {
		return
	}
	if len(pair.Certificate) == 1 {
		note("certificate.chain", checkup.Warning, "the file holds the server's certificate alone, and no root of this machine signed it: players will not trust it.", "Put the certificates between it and a root behind it (fullchain.pem), as "+section+".certificate.")
		return
	}
	note("certificate.chain", checkup.Info, fmt.Sprintf("this machine does not trust the certificate: %v.", err), "That is so with an authority of your own; players have to know it.")
}
