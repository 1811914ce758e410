package ingest

import (
	"errors"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"
	"unicode"

	"headwater/ingest/rtmp"
	"headwater/remux"
)

// PublishRequest is what Authorize decides about. Printed or logged it shows no
// secret, and so neither the name, which may be one, nor URL and query.
type PublishRequest struct {
	Remote  netip.AddrPort
	Name    remux.Name // as it was typed; the public name is the Grant's
	Encoder string     // what the encoder calls itself
	TCURL   string     // the URL that it connected to, as it sent it
	// Query holds the parameters of the stream key (NAME?key=SECRET), then
	// those of the application, then those of the URL. Where a parameter is
	// given twice, Get returns the one that stands first in this order.
	Query url.Values
}

// String shows who asks.
func (r PublishRequest) String() string { return "publisher at " + r.Remote.String() }

// GoString keeps %#v from showing the rest.
func (r PublishRequest) GoString() string { return "ingest.PublishRequest(" + r.String() + ")" }

// LogValue keeps the rest out of logs.
func (r PublishRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("remote", r.Remote.String()))
}

// MarshalText keeps the rest out of JSON.
func (r PublishRequest) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// newRequest reads a publish request.
func newRequest(remote netip.AddrPort, p rtmp.Publish) (PublishRequest, error) {
	name, query, err := parseTarget(p.Connect, p.Name)
	return PublishRequest{
		Remote: remote, Name: name, Query: query,
		Encoder: printable(p.Connect.FlashVer, longestText), TCURL: printable(p.Connect.TcURL, longestURL),
	}, err
}

// parseTarget finds the name and the parameters in what the peer sent. Encoders put
// them together from what their user typed as server and as key, and differ in
// where they cut.
func parseTarget(c rtmp.Connect, key string) (name remux.Name, params url.Values, err error) {
	app, appQuery, _ := strings.Cut(c.App, "?")
	stream, query, _ := strings.Cut(key, "?")
	_, urlQuery, _ := strings.Cut(c.TcURL, "?")
	params = url.Values{}
	for _, q := range []string{query, appQuery, urlQuery} {
		values, _ := url.ParseQuery(q) // what can be read counts
		for k, v := range values {
			params[k] = append(params[k], v...)
		}
	}
	app, stream = strings.Trim(app, "/"), strings.Trim(stream, "/")
	if i := strings.IndexByte(app, '/'); i >= 0 {
		return name, params, errors.New("the application has an instance (APP/INSTANCE); use rtmp://HOST/APP/NAME")
	}
	name, err = remux.ParseName(app, stream)
	return name, params, err
}

// How much of an encoder's free text is kept.
const (
	longestText = 128
	longestURL  = 1024
)

// printable cuts free text down to what a log line or a callback should hold: no
// control characters, and none that nobody sees or that turn a line around.
func printable(s string, longest int) string {
	s = strings.Map(func(c rune) rune {
		if !unicode.IsPrint(c) {
			return '.'
		}
		return c
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), longest)], "")
}

// A Refusal is why a publisher may not publish, in words for the encoder's
// user. The codes are those at which encoders give up and show the text; they
// try again for ever at any other.
type Refusal struct {
	code        string
	Description string
	Detail      string // why, for the log alone; holds no secret; may be empty
	Name        string // of what, likewise
}

func (r *Refusal) Error() string { return r.Description }

// Denied refuses who cannot show the right to publish.
func Denied(description string) *Refusal {
	return &Refusal{code: rtmp.PublishDenied, Description: description}
}

// Rejected refuses what may be tried again another time: limits, maintenance.
func Rejected(description string) *Refusal {
	return &Refusal{code: rtmp.PublishRejected, Description: description}
}

// BadName refuses a name that cannot be published to.
func BadName(description string) *Refusal {
	return &Refusal{code: rtmp.PublishBadName, Description: description}
}

// status returns what the encoder is told about err.
func status(err error) *rtmp.Status {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return &rtmp.Status{Code: r.code, Description: r.Description}
	}
	return &rtmp.Status{Code: rtmp.PublishRejected, Description: "publishing was refused"}
}
