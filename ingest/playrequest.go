package ingest

import (
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"net/url"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux"
)

// PlayRequest is what AuthorizePlay decides about. Printed or logged it shows no
// secret, and so none of the query.
type PlayRequest struct {
	Session uint64 // of this server; a request and its end have the same
	Remote  netip.AddrPort
	Name    remux.Name
	Player  string     // what the player calls itself
	Page    string     // where it says it is embedded
	Query   url.Values // as in PublishRequest
}

// String shows who asks for what.
func (r PlayRequest) String() string { return fmt.Sprintf("%s for %s", r.Name, r.Remote) }

// GoString keeps %#v from showing the query.
func (r PlayRequest) GoString() string { return "ingest.PlayRequest(" + r.String() + ")" }

// LogValue keeps the query out of logs.
func (r PlayRequest) LogValue() slog.Value {
	return slog.GroupValue(slog.String("name", r.Name.String()), slog.String("remote", r.Remote.String()))
}

// PlayEnd is how a play ended.
type PlayEnd struct {
	Reason   Reason
	Bytes    uint64 // sent
	Duration time.Duration
}

func (s *session) newPlayRequest(p rtmp.Play) (PlayRequest, error) {
	name, query, err := parseTarget(p.Connect, p.Name)
	return PlayRequest{
		Session: s.id, Remote: s.remote, Name: name, Query: query,
		Player: printable(p.Connect.FlashVer, longestText), Page: printable(p.Connect.PageURL, longestText),
	}, err
}

// playStatus returns what a player is told about err. Players show the text, and
// few tell one code from another.
func playStatus(err error) *rtmp.Status {
	if s, ok := errors.AsType[*rtmp.Status](err); ok {
		return s
	}
	if r, ok := errors.AsType[*Refusal](err); ok {
		return &rtmp.Status{Code: rtmp.PlayFailed, Description: r.Description}
	}
	return &rtmp.Status{Code: rtmp.PlayFailed, Description: "playing was refused"}
}
