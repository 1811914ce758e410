package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"strings"

	"headwater/ingest/rtmp"
	"headwater/remux"
)

// PublishRequest is what Authorize decides about. Printed or logged it shows no
// secret, and so none of the query.
type PublishRequest struct {
	Remote  netip.AddrPort
	Name    remux.Name
	Encoder string // what the encoder calls itself
	// Query holds the parameters of the stream key (NAME?key=SECRET), then
	// those of the application, then those of the URL. Where a parameter is
	// given twice, Get returns the one that stands first in this order.
	Query url.Values
}

// String shows who asks for what.
func (r PublishRequest) String() string { return fmt.Sprintf("%s from %s", r.Name, r.Remote) }

// GoString keeps %#v from showing the query.
func (r PublishRequest) GoString() string { return "ingest.PublishRequest(" + r.String() + ")" }

// LogValue keeps the query out of logs.
func (r PublishRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", r.Name.String()), slog.String("remote", r.Remote.String()))
}

// newRequest finds the name and the parameters in what the encoder sent.
// Encoders put them together from what their user typed as server and as key,
// and differ in where they cut.
func newRequest(remote netip.AddrPort, p rtmp.Publish) (PublishRequest, error) {
	app, appQuery, _ := strings.Cut(p.Connect.App, "?")
	stream, query, _ := strings.Cut(p.Name, "?")
	_, urlQuery, _ := strings.Cut(p.Connect.TcURL, "?")
	r := PublishRequest{
		Remote:  remote,
		Encoder: printable(p.Connect.FlashVer),
		Query:   url.Values{},
	}
	for _, q := range []string{query, appQuery, urlQuery} {
		values, _ := url.ParseQuery(q) // what can be read counts
		for k, v := range values {
			r.Query[k] = append(r.Query[k], v...)
		}
	}
	app, stream = strings.Trim(app, "/"), strings.Trim(stream, "/")
	if i := strings.IndexByte(app, '/'); i >= 0 {
		return r, errors.New("the application has an instance (APP/INSTANCE); publish to rtmp://HOST/APP/NAME")
	}
	name, err := remux.ParseName(app, stream)
	if err != nil {
		return r, err
	}
	r.Name = name
	return r, nil
}

// printable cuts free text down to what a log line should hold.
func printable(s string) string {
	const longest = 128
	s = strings.Map(func(c rune) rune {
		if c < ' ' || c == 0x7f || 0x80 <= c && c < 0xa0 {
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
}

func (r *Refusal) Error() string { return r.Description }

// Denied refuses who cannot show the right to publish.
func Denied(description string) *Refusal { return &Refusal{rtmp.PublishDenied, description} }

// Rejected refuses what may be tried again another time: limits, maintenance.
func Rejected(description string) *Refusal { return &Refusal{rtmp.PublishRejected, description} }

// BadName refuses a name that cannot be published to.
func BadName(description string) *Refusal { return &Refusal{rtmp.PublishBadName, description} }

// status returns what the encoder is told about err.
func status(err error) *rtmp.Status {
	if r, ok := errors.AsType[*Refusal](err); ok {
		return &rtmp.Status{Code: r.code, Description: r.Description}
	}
	return &rtmp.Status{Code: rtmp.PublishRejected, Description: "publishing was refused"}
}
