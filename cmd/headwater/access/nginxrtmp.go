package access

import (
	"errors"
	"net/netip"
	"net/url"
	"slices"
	"strings"
)

// The dialect "nginx-rtmp" is the form that scripts for nginx's RTMP module
// read: call (publish, publish_done, play, play_done), app, name, addr,
// clientid, flashver, tcurl, swfurl, pageurl, type, and the parameters of the
// stream key. Parameters that bear one of those names are left out, so that
// nobody can pass for somebody else. publish_done has the name that publish had,
// whatever name the stream was given.
//
// 2xx allows. 3xx with a Location allows on_publish and gives the stream that
// name: NAME, APP/NAME, or rtmp://LOOPBACK/APP/NAME. 4xx refuses. Anything else
// is a failure.

func encodeNginxRTMP(e event) (contentType string, body []byte) {
	var b strings.Builder
	field := func(key, value string) {
		if b.Len() > 0 {
			b.WriteByte('&')
		}
		b.WriteString(url.QueryEscape(key) + "=" + url.QueryEscape(value))
	}
	field("app", e.name.App)
	field("flashver", e.client)
	field("swfurl", "")
	field("tcurl", e.tcURL)
	field("pageurl", e.page)
	field("addr", e.addr.String())
	field("clientid", e.session)
	field("call", [...]string{"publish", "publish_done", "play", "play_done"}[e.kind])
	field("name", e.name.Stream)
	if e.kind == publishBegins {
		field("type", "live")
	}
	for _, key := range sortedKeys(e.query) {
		if slices.Contains(nginxFields, strings.ToLower(key)) {
			continue
		}
		for _, value := range e.query[key] {
			field(key, value)
		}
	}
	return "application/x-www-form-urlencoded", []byte(b.String())
}

// nginxFields are the names that mean something to a script.
var nginxFields = []string{
	"app", "flashver", "swfurl", "tcurl", "pageurl", "addr", "clientid", "call", "name", "type",
	"start", "duration", "reset", "recorder", "path", "time", "timestamp", "epoch",
}

func decodeNginxRTMP(e event, a answer) (verdict, error) {
	switch {
	case a.status >= 200 && a.status < 300:
		return verdict{}, nil
	case a.status >= 300 && a.status < 400 && e.kind == publishBegins:
		to, err := nginxLocation(a.location)
		if err != nil {
			return verdict{}, err
		}
		return renamed(e, to)
	}
	return refusals(a)
}

// nginxLocation reads the name out of a Location.
func nginxLocation(location string) (string, error) {
	scheme, _, isURL := strings.Cut(location, "://")
	if !isURL {
		if location = strings.TrimPrefix(location, "/"); location == "" {
			return "", errors.New("the answer is a redirect to nowhere")
		}
		return location, nil
	}
	u, err := url.Parse(location)
	if err != nil || !strings.EqualFold(scheme, "rtmp") || !isLoopbackHost(u.Hostname()) {
		return "", errors.New("the answer redirects to another server; a stream can only be given another name here")
	}
	return strings.TrimPrefix(u.Path, "/"), nil
}

func isLoopbackHost(host string) bool {
	addr, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && addr.Unmap().IsLoopback()
}

func sortedKeys(q url.Values) []string {
	keys := make([]string, 0, len(q))
	for k := range q {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	return keys
}
