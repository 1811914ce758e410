// Package admin answers on the admin listener: health and readiness for probes,
// and a page for a person who looks. It never serves media and never shows a
// secret.
//
// Health and readiness answer whoever asks, because probes carry no token.
// Everything else asks for the token where there is one; without one the
// listener is on loopback, and a request that names any host but this machine
// is refused, so that a web page cannot reach it through a DNS name of its own
// (DNS rebinding).
package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	_ "embed"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
)

// Config is what the handler needs to know.
type Config struct {
	Token string      // asked for as "Authorization: Bearer TOKEN"; "": none, for a listener on loopback
	Ready func() bool // whether new work should be sent here; nil: always
}

//go:embed page.html
var page []byte

// New returns the handler of the admin listener.
func New(c Config) http.Handler {
	guarded := http.NewServeMux()
	guarded.HandleFunc("GET /{$}", servePage)

	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", probe(func() bool { return true }))
	mux.HandleFunc("/readyz", probe(func() bool { return c.Ready == nil || c.Ready() }))
	mux.Handle("/", guard(c.Token, guarded))
	return withHeaders(mux)
}

func withHeaders(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Cache-Control", "no-store")
		w.Header().Set("X-Content-Type-Options", "nosniff")
		w.Header().Set("Content-Security-Policy", "default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'")
		next.ServeHTTP(w, r)
	})
}

// probe answers 200 while well says so, and 503 when not.
func probe(well func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.Method != http.MethodGet && r.Method != http.MethodHead:
			w.Header().Set("Allow", "GET, HEAD")
			answer(w, http.StatusMethodNotAllowed, "GET or HEAD")
		case !well():
			answer(w, http.StatusServiceUnavailable, "not ready")
		default:
			answer(w, http.StatusOK, "ok")
		}
	}
}

// guard asks for the token, or where there is none, for a request that was
// meant for this machine.
func guard(token string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch {
		case token == "" && !localHost(r.Host):
			answer(w, http.StatusMisdirectedRequest, "this listener answers to localhost and IP addresses only")
		case token != "" && !bearer(r, token):
			w.Header().Set("WWW-Authenticate", "Bearer")
			answer(w, http.StatusUnauthorized, "this listener asks for Authorization: Bearer TOKEN, the admin.token of the configuration")
		default:
			next.ServeHTTP(w, r)
		}
	})
}

// bearer reports whether the request carries the token. Both sides are hashed,
// so that neither content nor length shows in the time it takes.
func bearer(r *http.Request, token string) bool {
	scheme, got, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	a, b := sha256.Sum256([]byte(got)), sha256.Sum256([]byte(token))
	return strings.EqualFold(scheme, "Bearer") && subtle.ConstantTimeCompare(a[:], b[:]) == 1
}

// localHost reports whether a Host header is an IP address or localhost. A page
// that was lured here by a DNS name sends that name.
func localHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = strings.Trim(hostport, "[]")
	}
	_, err = netip.ParseAddr(host)
	return err == nil || strings.EqualFold(host, "localhost")
}

func servePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(page)
}

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
