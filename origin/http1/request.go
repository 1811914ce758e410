package http1

import (
	"bytes"
	"net/http"
	"net/textproto"
	"strings"
)

const (
	// maxHead is the longest head that the loop takes.
	maxHead = 4 << 10
	// maxFields is how many fields it may have.
	maxFields = 40
)

// head is a request's head, taken apart. All strings are parts of one.
type head struct {
	method string
	target string // path and query
	path   string
	query  string
	host   string
	last   bool // the client wants the connection closed
	fields http.Header
	values [maxFields]string
}

// headSize returns how long the head at the beginning of b is, 0 if it has no end.
func headSize(b []byte) int {
	if i := bytes.Index(b, []byte("\r\n\r\n")); i >= 0 {
		return i + 4
	}
	return 0
}

// parse takes a whole head apart and reports whether it is one for the loop.
func (h *head) parse(text string) bool {
	clear(h.fields)
	h.host, h.last = "", false
	line, rest, _ := strings.Cut(text, "\r\n")
	if !h.requestLine(line) {
		return false
	}
	hosts := 0
	for n := 0; rest != "\r\n"; n++ {
		line, rest, _ = strings.Cut(rest, "\r\n")
		name, value, ok := field(line)
		if !ok || n == maxFields {
			return false
		}
		switch name {
		case "Host":
			h.host = value
			hosts++
			continue
		case "Connection":
			switch {
			case strings.EqualFold(value, "close"):
				h.last = true
			case !strings.EqualFold(value, "keep-alive"):
				return false
			}
		case "Content-Length", "Transfer-Encoding", "Expect", "Upgrade", "Trailer":
			return false
		}
		h.values[n] = value
		if old, again := h.fields[name]; again {
			h.fields[name] = append(old[:len(old):len(old)], value)
		} else {
			h.fields[name] = h.values[n : n+1 : n+1]
		}
	}
	return hosts == 1 && all(h.host, hostBytes)
}

// requestLine takes GET and HEAD of an absolute path without escapes, in HTTP/1.1.
func (h *head) requestLine(line string) bool {
	method, rest, _ := strings.Cut(line, " ")
	target, version, _ := strings.Cut(rest, " ")
	if method != http.MethodGet && method != http.MethodHead || version != "HTTP/1.1" {
		return false
	}
	h.method, h.target = method, target
	h.path, h.query, _ = strings.Cut(target, "?")
	return strings.HasPrefix(h.path, "/") && !strings.HasPrefix(h.path, "//") && all(h.path, pathBytes) && all(h.query, queryBytes)
}

// field takes a header's line apart; its name is in canonical form.
func field(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	if !ok || name == "" || !all(name, nameBytes) || !all(value, valueBytes) {
		return "", "", false
	}
	return textproto.CanonicalMIMEHeaderKey(name), textproto.TrimString(value), true
}

// class is a set of bytes.
type class [256]bool

func all(s string, c *class) bool {
	for i := range len(s) {
		if !c[s[i]] {
			return false
		}
	}
	return true
}

func classOf(more string) *class {
	var c class
	for b := byte('0'); b <= 'z'; b++ {
		c[b] = b <= '9' || 'A' <= b && b <= 'Z' || 'a' <= b
	}
	for i := range len(more) {
		c[more[i]] = true
	}
	return &c
}

// between returns the bytes from first to last without those of but.
func between(first, last byte, but string) *class {
	var c class
	for b := int(first); b <= int(last); b++ {
		c[b] = strings.IndexByte(but, byte(b)) < 0
	}
	return &c
}

var (
	pathBytes  = classOf("-._~$&+,/:;=@") // those that net/url leaves alone
	hostBytes  = classOf("-._:[]")
	nameBytes  = classOf("!#$%&'*+-.^_`|~") // RFC 9110, 5.6.2
	queryBytes = between('!', '~', "#")
	valueBytes = func() *class { // RFC 9110, 5.5
		c := between(' ', 0xff, "\x7f")
		c['\t'] = true
		return c
	}()
)
