package relay

import (
	"errors"
	"fmt"
	"net"
	"net/url"
	"strconv"
	"strings"

	"headwater/ingest/rtmp"
	"headwater/remux"
)

// URL is where a stream is sent to or fetched from. Its last part and its query are
// secret, so that only what is in front of them is shown.
type URL string

// String returns SCHEME://HOST/APP.
func (u URL) String() string {
	t, err := parseTemplate(string(u))
	if u == "" || err != nil {
		return ""
	}
	return t.shown()
}

// GoString hides the secret from %#v.
func (u URL) GoString() string { return strconv.Quote(u.String()) }

// MarshalText hides the secret from JSON and from structured logs.
func (u URL) MarshalText() ([]byte, error) { return []byte(u.String()), nil }

// template is a URL, taken apart as RTMP wants it: the stream's name is its last
// part, with the query; what is between host and name is the application. Nothing
// is decoded: RTMP has no escapes. In all but the host {app} and {name} stand for a
// stream's.
type template struct {
	secure bool   // RTMPS
	host   string // HOST:PORT as it was written, the port perhaps left out
	addr   string // HOST:PORT
	app    string
	name   string // and ?query
}

// parseTemplate checks a URL. No error repeats it.
func parseTemplate(s string) (t template, err error) {
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = strings.ToLower(scheme)
	if !ok || scheme != "rtmp" && scheme != "rtmps" {
		return t, errors.New("url: begins with neither rtmp:// nor rtmps://")
	}
	t.secure = scheme == "rtmps"
	host, path, _ := strings.Cut(rest, "/")
	if err := t.setHost(host); err != nil {
		return t, err
	}
	path, query, asks := strings.Cut(path, "?")
	cut := strings.LastIndexByte(path, '/')
	if cut < 0 || strings.Trim(path[:cut], "/") == "" || path[cut+1:] == "" {
		return t, errors.New("url: is not rtmp://HOST/APP/NAME")
	}
	t.app, t.name = strings.Trim(path[:cut], "/"), path[cut+1:]
	if asks {
		t.name += "?" + query
	}
	for _, part := range []string{t.app, t.name} {
		if strings.ContainsFunc(part, func(c rune) bool { return c <= ' ' || c == 0x7f }) {
			return t, errors.New("url: has a space or a control character in it")
		}
		if strings.ContainsAny(expand(part, remux.Name{}), "{}") {
			return t, errors.New("url: only {app} and {name} may be in braces")
		}
	}
	return t, nil
}

func (t *template) setHost(host string) error {
	u, err := url.Parse("//" + host)
	if err != nil || u.User != nil || u.Hostname() == "" || u.Host != host || strings.ContainsAny(host, "{}") {
		return errors.New("url: has no valid HOST[:PORT]; user and password belong in the stream key or query")
	}
	port := u.Port()
	if port == "" {
		port = map[bool]string{false: "1935", true: "443"}[t.secure]
	}
	if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
		return errors.New("url: has no valid port")
	}
	t.host, t.addr = host, net.JoinHostPort(u.Hostname(), port)
	return nil
}

func expand(s string, n remux.Name) string {
	return strings.NewReplacer("{app}", n.App, "{name}", n.Stream).Replace(s)
}

func (t template) scheme() string {
	if t.secure {
		return "rtmps"
	}
	return "rtmp"
}

// shown is what may be seen of a URL.
func (t template) shown() string {
	return fmt.Sprintf("%s://%s/%s", t.scheme(), t.host, t.app)
}

// at returns the template with the names of a stream filled in.
func (t template) at(n remux.Name) template {
	t.app, t.name = expand(t.app, n), expand(t.name, n)
	return t
}

// target returns what a client needs to know.
func (t template) target(via []string) rtmp.Target {
	return rtmp.Target{App: t.app, TcURL: t.shown(), Name: t.name, Via: via}
}

// shortestSecret keeps a text from being cut to pieces for the sake of a parameter
// like v=1.
const shortestSecret = 4

// redact removes from a text, which may have come from the server, what is secret of
// a URL: the name where it is not the stream's own, and the query.
func (t template) redact(text string, n remux.Name) string {
	name, query, _ := strings.Cut(t.name, "?")
	secrets := []string{t.name, query}
	if name != n.Stream {
		secrets = append(secrets, name)
	}
	values, _ := url.ParseQuery(query)
	for _, all := range values {
		secrets = append(secrets, all...)
	}
	for _, s := range secrets {
		if s != n.Stream && len(s) >= shortestSecret {
			text = strings.ReplaceAll(text, s, "…")
		}
	}
	return text
}
