// Package origin answers viewers and CDN edges: HLS playlists and segments, and
// bodies without an end, FLV over HTTP and WebSocket and MPEG-TS over HTTP (package
// fanout). It reads streams from package remux and never writes to one.
//
// Nothing in an answer depends on who asks: no cookies, no redirects, no
// session, no query parameter that changes a body. Whatever the answer, errors
// included, it says how long a cache may keep it.
package origin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"headwater/remux"
	"headwater/remux/fanout"
)

// Config says what a Handler serves and within which limits.
type Config struct {
	Registry   *remux.Registry
	Logger     *slog.Logger
	CORSOrigin string // Access-Control-Allow-Origin; empty: no CORS headers
	// FLVGather is how long frames are gathered before they are written together to
	// viewers of endless bodies. 0 writes each at once.
	FLVGather time.Duration
	// MaxViewers bounds the viewers of endless bodies at one time; 0: no bound.
	MaxViewers int
	// Authorize decides who may play: it is asked for each multivariant and media
	// playlist and each viewer of an endless body, not for segments, parts and init sections,
	// whose names only a playlist tells. A *Refusal is answered as it says. done,
	// which may be nil, is told once of such a viewer's end and must not wait.
	// nil: everybody may, and shared caches may keep playlists.
	Authorize func(ctx context.Context, r PlayRequest) (done func(PlayEnd), err error)
	// EdgeSecret is what an edge sends in EdgeHeader that decides itself who may play:
	// it is given everything, and may keep it for all its viewers. "": there is none.
	EdgeSecret string
	// Demand is asked for a stream that nobody publishes here when a playlist or an
	// endless body of it is wanted; it may fetch it from elsewhere. It returns nil if
	// it has not come when ctx is done, or never will. nil: nobody is asked.
	Demand func(ctx context.Context, name remux.Name) *remux.Stream
	// Full reports whether the machine is short of memory; who wants to begin to play
	// gets 503 then, and who plays goes on. nil: it never is.
	Full func() bool
	// StartHold is how long a request waits for a stream that is just starting, or
	// has to be fetched; 0: not at all.
	StartHold time.Duration
	// Unlimited are the addresses of caches, of which as many requests may wait as there
	// is room for. nil: none.
	Unlimited []netip.Prefix
	// Stale is how long a playlist may stay as it is before it is answered with 503;
	// 0: for ever.
	Stale time.Duration
}

// Handler is the public listener's http.Handler.
type Handler struct {
	config Config
	log    *slog.Logger

	fanout  *fanout.Fanout
	viewers gate         // of endless bodies
	ends    ends         // of their viewers
	waiting *waitingRoom // HLS requests that wait for what is not there yet

	base   context.Context // ends with Shutdown
	cancel context.CancelFunc
}

// New returns a Handler. Shutdown ends what it has started.
func New(c Config) *Handler {
	h := &Handler{config: c, log: c.Logger, viewers: gate{limit: c.MaxViewers}, waiting: newWaitingRoom()}
	h.SetUnlimited(c.Unlimited)
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	h.fanout = fanout.New(fanout.Config{Gather: c.FLVGather, Logger: h.log})
	h.base, h.cancel = context.WithCancel(context.Background())
	return h
}

// SetUnlimited changes Config.Unlimited for requests to come.
func (h *Handler) SetUnlimited(from []netip.Prefix) { h.waiting.setUnlimited(from) }

// Viewers returns how many viewers of endless bodies are attached.
func (h *Handler) Viewers() int { return h.viewers.count() }

// Shed closes some of the slowest viewers of endless bodies for want of memory, and
// returns how many (fanout.Fanout.Shed).
func (h *Handler) Shed() int { return h.fanout.Shed() }

// Shutdown waits for viewers of endless bodies, whose connections http.Server.Shutdown does
// not know of, to read what is left of their streams (Registry.Close ends those).
// When ctx is done first, it cuts them off and returns its error.
func (h *Handler) Shutdown(ctx context.Context) error {
	done := h.viewers.shut()
	var err error
	select {
	case <-done:
	case <-ctx.Done():
		err = ctx.Err()
	}
	h.cancel()
	h.fanout.Close()
	<-done
	return err
}

// problem is an error that knows its answer.
type problem struct {
	status int
	cache  string // Cache-Control
	retry  string // Retry-After in seconds, or empty
	reason string // one line for the body
}

func (p *problem) Error() string { return p.reason }

func notFound(reason string) error {
	return &problem{status: http.StatusNotFound, cache: "public, max-age=1", reason: reason}
}

func unavailable(reason string) error {
	return &problem{status: http.StatusServiceUnavailable, cache: "no-store", retry: "1", reason: reason}
}

// ServeHTTP implements http.Handler.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	header := w.Header()
	header["X-Content-Type-Options"] = noSniff
	if h.config.CORSOrigin != "" {
		header["Access-Control-Allow-Origin"] = []string{h.config.CORSOrigin}
		header["Access-Control-Expose-Headers"] = exposed
	}
	refused := admit(w, r)
	switch r.Method {
	case http.MethodGet, http.MethodHead:
	case http.MethodOptions:
		allowTime(w, 0)
		header.Set("Access-Control-Allow-Methods", "GET, HEAD, OPTIONS")
		header.Set("Access-Control-Allow-Headers", "Range, If-Range, If-None-Match, If-Modified-Since, CMCD-Object, CMCD-Request, CMCD-Session, CMCD-Status")
		header.Set("Access-Control-Max-Age", "86400")
		header.Set("Allow", "GET, HEAD, OPTIONS")
		w.WriteHeader(http.StatusNoContent)
		return
	default:
		header.Set("Allow", "GET, HEAD, OPTIONS")
		h.fail(w, r, &problem{status: http.StatusMethodNotAllowed, cache: "public, max-age=1", reason: "only GET, HEAD and OPTIONS are answered here"})
		return
	}
	if refused != nil {
		h.fail(w, r, refused)
		return
	}
	r = withPathToken(r)
	if err := h.route(w, r); err != nil {
		h.fail(w, r, err)
	}
}

// route finds what a path names. ServeMux is of no use here: it has no suffix
// patterns, and it redirects.
func (h *Handler) route(w http.ResponseWriter, r *http.Request) error {
	if r.URL.RawPath != "" { // escapes where none are needed: an object has one name
		return notFound("no such path")
	}
	app, rest, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/")
	name, rest, deep := strings.Cut(rest, "/")
	if !deep {
		if h.config.Full != nil && h.config.Full() {
			return unavailable("the server is short of memory")
		}
		return h.privately(r, h.routeStream(w, r, app, name))
	}
	folder, file, _ := strings.Cut(rest, "/")
	format, ok := formats[folder]
	switch {
	case !ok || file == "" || strings.Contains(file, "/"):
		return errNoPath
	case file == "index.m3u8":
		return h.privately(r, h.mediaOf(w, r, app, name, format))
	}
	s, err := h.stream(app, name)
	if err != nil {
		return err
	}
	s.Touch()
	return h.object(w, r, s, format, file)
}

var errNoPath = notFound("no such path; streams are at /APP/NAME.m3u8, /APP/NAME.flv and /APP/NAME.ts")

var formats = map[string]remux.Format{"fmp4": remux.FMP4, "ts": remux.TS}

func (h *Handler) routeStream(w http.ResponseWriter, r *http.Request, app, file string) error {
	if name, ok := strings.CutSuffix(file, ".flv"); ok {
		if isWebSocket(r) {
			return h.liveOf(w, r, app, name, webSocketFLV)
		}
		return h.liveOf(w, r, app, name, httpFLV)
	}
	if name, ok := strings.CutSuffix(file, ".ts"); ok {
		return h.liveOf(w, r, app, name, httpTS)
	}
	name, ok := strings.CutSuffix(file, ".m3u8")
	if !ok {
		return errNoPath
	}
	format := remux.FMP4
	if short, ok := strings.CutSuffix(name, ".ts"); ok {
		if _, err := h.stream(app, name); err != nil { // a stream's whole name wins
			name, format = short, remux.TS
		}
	}
	s, err := h.listed(r, app, name)
	if err != nil {
		return err
	}
	return h.multivariant(w, r, s, format)
}

func (h *Handler) mediaOf(w http.ResponseWriter, r *http.Request, app, name string, f remux.Format) error {
	s, err := h.listed(r, app, name)
	if err != nil {
		return err
	}
	return h.media(w, r, s, f)
}

// listed looks up a stream whose playlist is asked for.
func (h *Handler) listed(r *http.Request, app, name string) (*remux.Stream, error) {
	if _, err := h.allowed(r, app, name, "hls"); err != nil {
		return nil, err
	}
	s, err := h.wanted(r, app, name)
	if err == nil {
		s.Touch()
	}
	return s, err
}

// stream looks a name up and leaves nothing behind where there is none.
func (h *Handler) stream(app, name string) (*remux.Stream, error) {
	n, err := remux.ParseName(app, name)
	if err != nil {
		return nil, notFound("not a stream's name")
	}
	s := h.config.Registry.Stream(n)
	if s == nil {
		return nil, errNoStream
	}
	return s, nil
}

var errNoStream = notFound("no such stream")

// wanted looks up a stream that somebody wants to watch, and has it fetched if it can
// be.
func (h *Handler) wanted(r *http.Request, app, name string) (*remux.Stream, error) {
	s, err := h.stream(app, name)
	if h.config.Demand != nil && (s != nil || errors.Is(err, errNoStream)) {
		s, err = h.demand(r, remux.Name{App: app, Stream: name}, s)
	}
	if errors.Is(err, errNoStream) && h.config.Registry.Expects(remux.Name{App: app, Stream: name}) {
		s, err = h.expected(r, remux.Name{App: app, Stream: name})
	}
	return s, err
}

// expected waits for a stream that was there before the server was restarted: to some
// players two or three errors are the end.
func (h *Handler) expected(r *http.Request, name remux.Name) (*remux.Stream, error) {
	leave, err := h.waiting.enter(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), h.config.StartHold)
	defer cancel()
	defer context.AfterFunc(h.base, cancel)()
	all := h.config.Registry
	_, _ = all.Begun().Wait(ctx, func(uint64) bool { return all.Stream(name) != nil }) // it is there now or it is not
	if s := all.Stream(name); s != nil {
		return s, nil
	}
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return nil, errNoStream
}

// demand returns s if it has a publisher, else what Demand says, else s again.
func (h *Handler) demand(r *http.Request, name remux.Name, s *remux.Stream) (*remux.Stream, error) {
	if s != nil {
		if live, _ := s.Live(); live {
			return s, nil
		}
	}
	leave, err := h.waiting.enter(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx, cancel := context.WithTimeout(r.Context(), h.config.StartHold)
	defer cancel()
	if fetched := h.config.Demand(ctx, name); fetched != nil {
		return fetched, nil
	}
	if s == nil {
		return nil, errNoStream
	}
	return s, nil
}

// fail answers with an error's status and one line of reason.
func (h *Handler) fail(w http.ResponseWriter, r *http.Request, err error) {
	var p *problem
	switch {
	case errors.As(err, &p):
	case errors.Is(err, context.Canceled):
		return // the client has left
	default:
		h.log.Error("request failed", "path", r.URL.Path, "error", err)
		p = &problem{status: http.StatusInternalServerError, cache: "no-store", reason: "internal error"}
	}
	header := w.Header()
	header.Set("Content-Type", "text/plain; charset=utf-8")
	header.Set("Cache-Control", p.cache)
	if p.retry != "" {
		header.Set("Retry-After", p.retry)
	}
	allowTime(w, 0)
	w.WriteHeader(p.status)
	if r.Method != http.MethodHead {
		_, _ = fmt.Fprintln(w, p.reason) // the client may have left: nobody to tell
	}
}
