package origin

import (
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"log/slog"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"
)

// PlayRequest is what Config.Authorize decides about. Printed or logged it does
// not show the query.
type PlayRequest struct {
	Remote    netip.AddrPort
	App, Name string // as in the URL; there may be no such stream
	Protocol  string // hls, http-flv, ws-flv or http-ts
	Player    string // User-Agent
	Page      string // Referer
	Query     url.Values
}

// String shows who asks for what.
func (r PlayRequest) String() string {
	return r.App + "/" + r.Name + " (" + r.Protocol + ") for " + r.Remote.String()
}

// GoString keeps %#v from showing the query.
func (r PlayRequest) GoString() string { return "origin.PlayRequest(" + r.String() + ")" }

// LogValue keeps the query out of logs.
func (r PlayRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// PlayEnd is how playing ended.
type PlayEnd struct {
	Reason   string
	Bytes    uint64 // of media
	Duration time.Duration
}

// A Refusal is why somebody may not play, in words for the player's user.
type Refusal struct {
	Status int // 403, 404 or 503
	Text   string
}

func (r *Refusal) Error() string { return r.Text }

// EdgeHeader carries Config.EdgeSecret.
const EdgeHeader = "X-Headwater-Edge"

// trusted says whether a request comes from an edge that decides about its viewers
// itself.
func (h *Handler) trusted(r *http.Request) bool {
	if h.config.EdgeSecret == "" {
		return false
	}
	got, want := sha256.Sum256([]byte(r.Header.Get(EdgeHeader))), sha256.Sum256([]byte(h.config.EdgeSecret))
	return subtle.ConstantTimeCompare(got[:], want[:]) == 1
}

// private reports whether what a playlist says is for the one who asks alone.
func (h *Handler) private(r *http.Request) bool { return h.config.Authorize != nil && !h.trusted(r) }

// withPathToken moves a token that stands in front of the path, as in
// /token=TOKEN/APP/NAME.m3u8, to the query. There, unlike in the query, a player
// carries it on to all that a playlist names.
func withPathToken(r *http.Request) *http.Request {
	rest, ok := strings.CutPrefix(r.URL.Path, "/token=")
	token, path, more := strings.Cut(rest, "/")
	if !ok || !more {
		return r
	}
	u := *r.URL
	u.Path = "/" + path
	u.RawQuery = "token=" + url.QueryEscape(token) // the first one counts
	if r.URL.RawQuery != "" {
		u.RawQuery += "&" + r.URL.RawQuery
	}
	moved := r.WithContext(r.Context())
	moved.URL = &u
	return moved
}

// allowed asks whether the request may play. It is asked before the stream is
// looked up, so that who may not does not learn which there are. done is to be told
// of the end; HLS has none that can be seen.
func (h *Handler) allowed(r *http.Request, app, name, protocol string) (done func(PlayEnd), err error) {
	done = func(PlayEnd) {}
	if !h.private(r) {
		return done, nil
	}
	remote, _ := netip.ParseAddrPort(r.RemoteAddr)
	query, _ := url.ParseQuery(r.URL.RawQuery) // what can be read counts
	ctx, cancel := context.WithTimeout(r.Context(), authorizeTimeout)
	defer cancel()
	told, err := h.config.Authorize(ctx, PlayRequest{
		Remote: remote, App: app, Name: name, Protocol: protocol,
		Player: r.UserAgent(), Page: r.Referer(), Query: query,
	})
	refusal, refused := errors.AsType[*Refusal](err)
	switch {
	case refused && refusal.Status == http.StatusServiceUnavailable:
		return nil, unavailable(refusal.Text)
	case refused:
		return nil, &problem{status: refusal.Status, cache: "no-store", reason: refusal.Text}
	case err != nil:
		return nil, err
	case told != nil:
		done = told
	}
	return done, nil
}

// authorizeTimeout bounds how long a viewer waits for the decision.
const authorizeTimeout = 10 * time.Second

// privately keeps shared caches from giving an error about a stream to others.
func (h *Handler) privately(r *http.Request, err error) error {
	p, ok := errors.AsType[*problem](err)
	if !ok || !h.private(r) {
		return err
	}
	own := *p
	own.cache = h.cacheControl(r, p.cache)
	return &own
}

// cacheControl returns the Cache-Control of an answer that Authorize has to do with.
func (h *Handler) cacheControl(r *http.Request, value string) string {
	if rest, ok := strings.CutPrefix(value, "public,"); ok && h.private(r) {
		return "private," + rest
	}
	return value
}
