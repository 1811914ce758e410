package access

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"headwater/remux"
)

// eventKind is what a callback is about.
type eventKind int

const (
	publishBegins eventKind = iota
	publishEnded
	playBegins
	playEnded
)

// name returns the configuration key below callbacks.
func (k eventKind) name() string {
	return [...]string{"on_publish", "on_publish_done", "on_play", "on_play_done"}[k]
}

// asks reports whether the answer decides something.
func (k eventKind) asks() bool { return k == publishBegins || k == playBegins }

// event is what a callback is told.
type event struct {
	kind     eventKind
	time     time.Time
	session  string
	name     remux.Name // as it was asked for
	public   remux.Name // as it was granted; of kinds that do not ask
	protocol Protocol
	addr     netip.Addr
	client   string // what the encoder or the player calls itself
	tcURL    string
	page     string
	key      string          // id of the secret that was shown
	query    url.Values      // without secrets that were checked here
	end      End             // of kinds that do not ask
	asker    context.Context // for its values: the trace that it belongs to
}

// verdict is what a callback says.
type verdict struct {
	refused bool
	reason  string     // for the user; may be empty
	rename  remux.Name // zero: the name stays
}

// dialect is a format of callbacks.
type dialect struct {
	encode func(e event) (contentType string, body []byte)
	// decode returns what the answer to an event that asks means. An error says
	// that it means nothing: the server is broken, or not a server for this.
	decode func(e event, a answer) (verdict, error)
}

// dialects by the value of callbacks.format.
var dialects = map[string]dialect{
	"headwater":  {encodeHeadwater, decodeHeadwater},
	"nginx-rtmp": {encodeNginxRTMP, decodeNginxRTMP},
	"srs":        {encodeSRS, decodeSRS},
}

// refusals returns the verdict of a status that is a refusal in every dialect,
// and an error for one that says nothing about the request.
func refusals(a answer) (verdict, error) {
	temporary := a.status == http.StatusRequestTimeout || a.status == http.StatusTooEarly || a.status == http.StatusTooManyRequests
	if a.status >= 400 && a.status < 500 && !temporary {
		return verdict{refused: true}, nil
	}
	return verdict{}, fmt.Errorf("status %d", a.status)
}

// renamed returns the verdict that gives a publisher another name.
func renamed(e event, to string) (verdict, error) {
	if e.kind != publishBegins {
		return verdict{}, errors.New("the answer gives another name, which only on_publish can")
	}
	name, err := parsePublicName(to, e.name.App)
	if err != nil {
		return verdict{}, fmt.Errorf("the answer gives another name: %w", err)
	}
	return verdict{rename: name}, nil
}

// maxReason bounds what an encoder shows in its window.
const maxReason = 200
