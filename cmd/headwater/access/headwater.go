package access

import (
	"bytes"
	"encoding/json"
	"errors"
	"time"
)

// The dialect "headwater" is one JSON object:
//
//	{"event":"publish","time":1767225600,"session":"81985529216486","app":"live","name":"show",
//	 "protocol":"rtmp","address":"203.0.113.7","client":"FMLE/3.0","key":"main","query":{"a":"b"}}
//
// event is publish, publish_done, play or play_done; the done events have the
// name that was granted, and "reason", "duration_ms" and "bytes" as well. time is when the event happened;
// a request that is repeated has the same event and session. Of a parameter that
// was given more than once the first value counts.
//
// 2xx allows; {"name":"app/name"} or {"name":"name"} in the answer to publish
// gives the stream that name. 4xx refuses, with {"reason":"..."} for the
// encoder's user. Anything else is a failure.

type headwaterEvent struct {
	Event      string            `json:"event"`
	Time       int64             `json:"time"`
	Session    string            `json:"session"`
	App        string            `json:"app"`
	Name       string            `json:"name"`
	Protocol   Protocol          `json:"protocol"`
	Address    string            `json:"address"`
	Client     string            `json:"client,omitempty"`
	Page       string            `json:"page,omitempty"`
	Key        string            `json:"key,omitempty"`
	Query      map[string]string `json:"query,omitempty"`
	Reason     string            `json:"reason,omitempty"`
	DurationMS *int64            `json:"duration_ms,omitempty"`
	Bytes      *uint64           `json:"bytes,omitempty"`
}

func encodeHeadwater(e event) (contentType string, body []byte) {
	m := headwaterEvent{
		Event:    [...]string{"publish", "publish_done", "play", "play_done"}[e.kind],
		Time:     e.time.Unix(),
		Session:  e.session,
		App:      e.name.App,
		Name:     e.name.Stream,
		Protocol: e.protocol,
		Address:  e.addr.String(),
		Client:   e.client,
		Page:     e.page,
		Key:      e.key,
		Query:    map[string]string{},
	}
	for k := range e.query {
		m.Query[k] = e.query.Get(k)
	}
	if !e.kind.asks() {
		m.App, m.Name = e.public.App, e.public.Stream
		ms := int64(e.end.Duration / time.Millisecond)
		m.Reason, m.DurationMS, m.Bytes = e.end.Reason, &ms, &e.end.Bytes
	}
	return "application/json", marshal(m)
}

// marshal encodes what consists of strings and numbers alone and so cannot fail.
func marshal(v any) []byte {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		panic(err)
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func decodeHeadwater(e event, a answer) (verdict, error) {
	var m struct {
		Name   string `json:"name"`
		Reason string `json:"reason"`
	}
	// What is no JSON object says nothing beside the status: "OK", a page.
	understood := true
	if body := bytes.TrimSpace(a.body); bytes.HasPrefix(body, []byte("{")) {
		understood = json.Unmarshal(body, &m) == nil
	}
	switch {
	case a.status < 200 || a.status >= 300:
		v, err := refusals(a)
		v.reason = printable(m.Reason, maxReason)
		return v, err
	case !understood:
		return verdict{}, errors.New("the answer begins like a JSON object and is none")
	case m.Name == "":
		return verdict{}, nil
	}
	return renamed(e, m.Name)
}
