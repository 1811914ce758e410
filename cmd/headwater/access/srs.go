package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
)

// The dialect "srs" is the JSON that back ends for SRS read: action (on_publish,
// on_unpublish, on_play, on_stop), client_id, ip, vhost, app, stream, param,
// tcUrl, pageUrl, stream_url, server_id, service_id. There is one vhost, the
// default one.
//
// 200 or 201 with the body 0, or with an object whose code is 0, allows. Another
// code refuses, with "msg" for the encoder's user; so does 4xx. Anything else is
// a failure. A stream cannot be given another name.

const srsVhost = "__defaultVhost__"

type srsEvent struct {
	ServerID  string `json:"server_id"`
	ServiceID string `json:"service_id"`
	Action    string `json:"action"`
	ClientID  string `json:"client_id"`
	IP        string `json:"ip"`
	Vhost     string `json:"vhost"`
	App       string `json:"app"`
	TCURL     string `json:"tcUrl"`
	Stream    string `json:"stream"`
	Param     string `json:"param"`
	PageURL   string `json:"pageUrl,omitempty"`
	StreamURL string `json:"stream_url"`
	SendBytes uint64 `json:"send_bytes,omitempty"`
	RecvBytes uint64 `json:"recv_bytes,omitempty"`
}

func encodeSRS(e event) (contentType string, body []byte) {
	m := srsEvent{
		ServerID:  "headwater",
		ServiceID: "headwater",
		Action:    [...]string{"on_publish", "on_unpublish", "on_play", "on_stop"}[e.kind],
		ClientID:  e.session,
		IP:        e.addr.String(),
		Vhost:     srsVhost,
		App:       e.name.App,
		TCURL:     e.tcURL,
		Stream:    e.name.Stream,
		PageURL:   e.page,
		StreamURL: "/" + e.name.String(),
	}
	if param := e.query.Encode(); param != "" {
		m.Param = "?" + param
	}
	switch e.kind {
	case publishEnded:
		m.RecvBytes = e.end.Bytes
	case playEnded:
		m.SendBytes = e.end.Bytes
	}
	return "application/json", marshal(m)
}

func decodeSRS(_ event, a answer) (verdict, error) {
	if a.status != http.StatusOK && a.status != http.StatusCreated {
		return refusals(a)
	}
	body := bytes.TrimSpace(a.body)
	if v, err := srsCode(body); err == nil {
		return v, nil
	}
	var m struct {
		Code json.RawMessage `json:"code"`
		Msg  any             `json:"msg"`
	}
	if err := json.Unmarshal(body, &m); err != nil {
		return verdict{}, errSRSAnswer
	}
	v, err := srsCode(m.Code)
	if reason, ok := m.Msg.(string); ok && v.refused {
		v.reason = printable(reason, maxReason)
	}
	return v, err
}

var errSRSAnswer = errors.New(`the answer is neither 0 nor an object with a number as "code"`)

// srsCode reads a number: 0 allows.
func srsCode(text []byte) (verdict, error) {
	var code float64
	if len(text) == 0 || text[0] == 'n' || json.Unmarshal(text, &code) != nil { // null is no number
		return verdict{}, errSRSAnswer
	}
	return verdict{refused: string(text) != "0"}, nil
}
