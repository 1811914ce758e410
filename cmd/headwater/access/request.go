package access

import (
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"time"
)

// Request is what a publisher asks for. Printed or logged it shows neither the
// query nor the name, either of which may hold a secret.
type Request struct {
	Remote  netip.AddrPort
	App     string
	Name    string
	Encoder string // what the encoder calls itself
	TCURL   string // the URL that it connected to, as it sent it
	// Query holds the parameters of the stream key, of the application and of
	// the URL; where one is given twice the first counts.
	Query url.Values
}

// String shows who asks.
func (r Request) String() string { return "publish request from " + r.Remote.String() }

// GoString keeps %#v from showing the rest.
func (r Request) GoString() string { return "access.Request(" + r.String() + ")" }

// MarshalText keeps the rest out of JSON.
func (r Request) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// LogValue keeps the rest out of logs.
func (r Request) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Protocol is how something is played.
type Protocol string

// The protocols of a PlayRequest. HLS has no connection that lasts, so that
// what on_play said of a player is remembered for a while.
const (
	HLS     Protocol = "hls"
	HTTPFLV Protocol = "http-flv"
	HTTPTS  Protocol = "http-ts"
	RTMP    Protocol = "rtmp"
)

// PlayRequest is what a player asks for. Printed or logged it does not show the
// query.
type PlayRequest struct {
	Remote   netip.AddrPort
	App      string
	Name     string
	Protocol Protocol
	Player   string // what the player calls itself: User-Agent, flashVer
	Page     string // where it says it is embedded: Referer, pageUrl
	Query    url.Values
}

// String shows who asks for what.
func (r PlayRequest) String() string {
	return fmt.Sprintf("play request for %s/%s from %s", r.App, r.Name, r.Remote)
}

// GoString keeps %#v from showing the query.
func (r PlayRequest) GoString() string { return "access.PlayRequest(" + r.String() + ")" }

// MarshalText keeps the query out of JSON.
func (r PlayRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// LogValue keeps the query out of logs.
func (r PlayRequest) LogValue() slog.Value { return slog.StringValue(r.String()) }

// Grant is the permission to publish or to play. Done must be called once when
// what it allowed has ended, also where it never began.
type Grant struct {
	App, Name string // the public name
	Key       string // the id of the secret that was shown, for logs; "": none was needed
	Session   string // what callbacks call this session; a number
	Proved    bool   // to publish: a secret was shown, or on_publish has said yes

	event event
	done  *hook
}

// End is how a session ended.
type End struct {
	Reason   string
	Bytes    uint64 // of media, taken in or sent
	Duration time.Duration
}

// Done tells the callback, if there is one, that the session has ended. It does
// not wait for it.
func (g Grant) Done(e End) {
	if g.done == nil {
		return
	}
	ended := g.event
	ended.kind, ended.time, ended.end = g.done.kind, time.Now(), e
	g.done.tell(ended)
	g.done.pending.Add(-1)
}

// String shows what was granted.
func (g Grant) String() string { return fmt.Sprintf("%s/%s, session %s", g.App, g.Name, g.Session) }

// GoString keeps %#v from showing the request behind it.
func (g Grant) GoString() string { return "access.Grant(" + g.String() + ")" }

// LogValue keeps the request behind it out of logs.
func (g Grant) LogValue() slog.Value { return slog.StringValue(g.String()) }
