package origin

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/gorilla/websocket"

	"headwater/remux/fanout"
)

// isWebSocket says whether the client asks for a WebSocket (RFC 6455, 4.2.1).
func isWebSocket(r *http.Request) bool { return websocket.IsWebSocketUpgrade(r) }

// webSocket answers the handshake and has the stream sent as binary messages. The
// library has no part in what follows: what goes out is the same for all viewers,
// and what comes in is next to nothing.
func (h *Handler) webSocket(w http.ResponseWriter, r *http.Request, v fanout.Viewer, left func(fanout.End)) error {
	var refused *problem
	u := websocket.Upgrader{
		WriteBufferSize: 1, // never used
		CheckOrigin:     h.sameOrigin,
		Error: func(_ http.ResponseWriter, _ *http.Request, status int, reason error) {
			refused = &problem{status: status, cache: "no-store", reason: reason.Error()}
		},
	}
	c, err := u.Upgrade(w, r, nil)
	if err != nil {
		left(fanout.End{Reason: err})
		if refused != nil {
			w.Header().Set("Sec-WebSocket-Version", "13")
			return refused
		}
		return err
	}
	v.Framing = fanout.WebSocket
	h.attach(c.NetConn(), v, left)
	return nil
}

// sameOrigin says whether a page may open a WebSocket: one of the origin for which
// CORS answers are, of this server itself, or none at all. A browser does not ask
// beforehand, as it does for other requests.
func (h *Handler) sameOrigin(r *http.Request) bool {
	origin := r.Header.Get("Origin")
	if origin == "" || h.config.CORSOrigin == "*" || strings.EqualFold(origin, h.config.CORSOrigin) {
		return true
	}
	u, err := url.Parse(origin)
	return err == nil && strings.EqualFold(u.Host, r.Host)
}
