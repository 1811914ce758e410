// Package admin answers on the admin listener: health and readiness for probes, the
// API below /api/v1, metrics, and the console for a person who looks. It never serves
// media, and shows no secret but that of a key in the moment it is made.
//
// # Who may ask
//
// Health and readiness answer whoever asks, because probes carry no token, and so do
// the console's files, which ask for it themselves. Everything else asks for the token where there is one; without one the
// listener is on loopback, and a request that names any host but this machine
// is refused, so that a web page cannot reach it through a DNS name of its own
// (DNS rebinding). What changes something is also refused to a page of another
// origin. There are no cookies.
//
// # The API
//
// openapi.json describes it, and is served at /api/v1/openapi.json. Errors are
// problem details (RFC 9457). What it says of publishers, viewers and relays it is
// told by functions: this package knows streams and nothing of who brings them.
package admin

import (
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"net/netip"
	"strings"

	"headwater/origin/console"
	"headwater/remux"
)

// Config is what the handler needs to know. A function that is nil has nothing to
// say; all may be called by many goroutines at once.
type Config struct {
	// Token returns what is asked for as "Authorization: Bearer TOKEN"; "": nothing,
	// for a listener on loopback.
	Token  func() string
	Ready  func() bool // whether new work should be sent here
	Logger *slog.Logger

	Server     Server // but for Uptime and Ready
	Registry   *remux.Registry
	Publishers func() []Publisher
	Viewers    func() []Viewer
	KickViewer func(id string) bool // reports whether there was one
	Audience   func() Audience
	History    *History // nil: it keeps none
	Relays     func() []Relay
	TwinID     string                   // what this server's twin knows it by; "": it has none
	Keys       Keys                     // nil: none can be made
	Reload     func() (Reloaded, error) // the error is shown to the client

	Metrics http.Handler // of /metrics; nil: there is none
	Pprof   bool         // serve /debug/pprof
}

// Audience counts viewers by stream and protocol.
type Audience map[remux.Name]map[string]int

func (c Config) withDefaults() Config {
	if c.Token == nil {
		c.Token = func() string { return "" }
	}
	if c.Ready == nil {
		c.Ready = func() bool { return true }
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = remux.NewRegistry(remux.DefaultOptions(), nil)
	}
	if c.Publishers == nil {
		c.Publishers = func() []Publisher { return nil }
	}
	if c.Viewers == nil {
		c.Viewers = func() []Viewer { return nil }
	}
	if c.KickViewer == nil {
		c.KickViewer = func(string) bool { return false }
	}
	if c.Audience == nil {
		c.Audience = func() Audience { return nil }
	}
	if c.Relays == nil {
		c.Relays = func() []Relay { return nil }
	}
	if c.Keys == nil {
		c.Keys = noKeys{}
	}
	if c.Reload == nil {
		c.Reload = func() (Reloaded, error) { return Reloaded{}, errors.New("this server cannot reload") }
	}
	return c
}

// New returns the handler of the admin listener.
func New(c Config) http.Handler {
	c = c.withDefaults()
	a := &api{config: c, log: c.Logger}
	guarded := http.NewServeMux()
	a.register(guarded)
	if c.Metrics != nil {
		guarded.Handle("GET /metrics", c.Metrics)
	}
	if c.Pprof {
		guarded.HandleFunc("GET /debug/pprof/", pprof.Index)
		guarded.HandleFunc("GET /debug/pprof/cmdline", pprof.Cmdline)
		guarded.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		guarded.HandleFunc("GET /debug/pprof/symbol", pprof.Symbol)
		guarded.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}

	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", probe(func() bool { return true }))
	mux.HandleFunc("/readyz", probe(c.Ready))
	a.registerConsole(mux, console.Files())
	mux.Handle("/", a.guard(guarded))
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
func (a *api) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch token := a.config.Token(); {
		case token == "" && !localHost(r.Host):
			a.refuseHost(w, r)
		case token != "" && !bearer(r, token):
			w.Header().Set("WWW-Authenticate", "Bearer")
			answerProblem(w, a.log, r, NewProblem(http.StatusUnauthorized, "this listener asks for Authorization: Bearer TOKEN, the admin.token of the configuration"))
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

func answer(w http.ResponseWriter, status int, text string) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.WriteHeader(status)
	_, _ = io.WriteString(w, text+"\n")
}
