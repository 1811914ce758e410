package conformance

import (
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"strings"
)

// httpRules hold for the answers to questions that caches and browsers ask.
var httpRules = []Rule{
	{"http.gzip", "APL 10.1; bis 6.2.1", "a playlist is compressed for who asks, with an ETag of its own", checkGzip},
	{"http.head", "CONTRACT.md", "HEAD says what GET says, without the body", checkHead},
	{"http.not-modified", "CONTRACT.md", "who has it already is told 304", checkNotModified},
	{"http.range", "CONTRACT.md", "ranges of objects, and 416 for those that are none", checkRange},
	{"http.if-range", "RFC 9110 13.1.5", "a range only of the body that the client has a part of", checkIfRange},
	{"http.preflight", "HLS.md 6", "OPTIONS allows Range and CMCD headers, and is remembered", checkPreflight},
	{"http.query", "HLS.md 6", "parameters of others change nothing and are not copied", checkQuery},
	{"http.not-found", "CONTRACT.md", "what is not there is 404", status("not-found", http.StatusNotFound)},
	{"http.gone", "CONTRACT.md", "a segment that is gone for good is 404", status("gone", http.StatusNotFound)},
	{"http.flv", "CONTRACT.md", "HTTP-FLV is never stored, and has neither length nor ETag", checkFLV},
}

// checkGzip has pairs of identity and gzip, asked one after the other until the
// playlist did not change meanwhile.
func checkGzip(v *view, r *report) {
	v.each("gzip", func(p *Probe) {
		plain, packed := p.Exchanges[0], p.Exchanges[1]
		body, err := gunzip(packed.Body)
		h := packed.Header
		r.want(h.Get("Content-Encoding") == "gzip" && err == nil, "%s: Content-Encoding %q, %v", packed.Path, h.Get("Content-Encoding"), err)
		r.want(bytes.Equal(body, plain.Body), "%s: the compressed body is another one", packed.Path)
		r.want(h.Get("Etag") != plain.Header.Get("Etag") || strings.HasPrefix(h.Get("Etag"), "W/"), "%s: both have the ETag %s", packed.Path, h.Get("Etag"))
		r.want(plain.Header.Get("Content-Encoding") == "", "%s: compressed for who did not ask", plain.Path)
	})
}

func gunzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

// checkHead has GET and HEAD.
func checkHead(v *view, r *report) {
	v.each("head", func(p *Probe) {
		get, head := p.Exchanges[0], p.Exchanges[1]
		r.want(head.Status == get.Status && len(head.Body) == 0, "%s: %d with %d bytes, GET %d", head.Path, head.Status, len(head.Body), get.Status)
		for _, name := range []string{"Content-Type", "Content-Length", "Cache-Control", "Etag", "Last-Modified", "Vary", "Accept-Ranges"} {
			r.want(head.Header.Get(name) == get.Header.Get(name), "%s: %s is %q, with GET %q", head.Path, name, head.Header.Get(name), get.Header.Get(name))
		}
	})
}

// checkNotModified has a GET and conditional ones that follow from it.
func checkNotModified(v *view, r *report) {
	v.each("conditional", func(p *Probe) {
		get := p.Exchanges[0]
		for _, x := range p.Exchanges[1:] {
			r.want(x.Status == http.StatusNotModified && len(x.Body) == 0, "%s: %d with %v", x.Path, x.Status, x.Request)
			r.want(x.Header.Get("Etag") == get.Header.Get("Etag") && x.Header.Get("Cache-Control") == get.Header.Get("Cache-Control"),
				"%s 304: ETag %s and Cache-Control %q, GET %s and %q", x.Path, x.Header.Get("Etag"), x.Header.Get("Cache-Control"), get.Header.Get("Etag"), get.Header.Get("Cache-Control"))
		}
	})
}

// checkRange has a GET and ranges of it.
func checkRange(v *view, r *report) {
	v.each("range", func(p *Probe) {
		get := p.Exchanges[0]
		size := len(get.Body)
		r.want(get.Header.Get("Accept-Ranges") == "bytes", "%s: Accept-Ranges %q", get.Path, get.Header.Get("Accept-Ranges"))
		for _, x := range p.Exchanges[1:] {
			asked := x.Request.Get("Range")
			from, to, ok := parseRange(asked, size)
			if !ok {
				r.want(x.Status == http.StatusRequestedRangeNotSatisfiable && x.Header.Get("Content-Range") == fmt.Sprintf("bytes */%d", size),
					"%s, %s: %d, %q", x.Path, asked, x.Status, x.Header.Get("Content-Range"))
				continue
			}
			want := fmt.Sprintf("bytes %d-%d/%d", from, to-1, size)
			r.want(x.Status == http.StatusPartialContent && x.Header.Get("Content-Range") == want && bytes.Equal(x.Body, get.Body[from:to]),
				"%s, %s: %d, %q, %d bytes; want %q", x.Path, asked, x.Status, x.Header.Get("Content-Range"), len(x.Body), want)
		}
	})
}

// parseRange reads bytes=A-B, bytes=A- and bytes=-N.
func parseRange(s string, size int) (from, to int, ok bool) {
	var a, b int
	switch s = strings.TrimPrefix(s, "bytes="); {
	case strings.HasPrefix(s, "-"):
		if n, _ := fmt.Sscanf(s, "-%d", &b); n == 1 {
			return max(0, size-b), size, b > 0
		}
	case strings.HasSuffix(s, "-"):
		if n, _ := fmt.Sscanf(s, "%d-", &a); n == 1 {
			return a, size, a < size
		}
	default:
		if n, _ := fmt.Sscanf(s, "%d-%d", &a, &b); n == 2 {
			return a, min(b+1, size), a < size && a <= b
		}
	}
	return 0, 0, false
}

// checkIfRange has a GET, a range with its ETag and one with another.
func checkIfRange(v *view, r *report) {
	v.each("if-range", func(p *Probe) {
		get, same, other := p.Exchanges[0], p.Exchanges[1], p.Exchanges[2]
		r.want(same.Status == http.StatusPartialContent, "%s: %d with its own ETag", same.Path, same.Status)
		r.want(other.Status == http.StatusOK && bytes.Equal(other.Body, get.Body), "%s: %d with another ETag", other.Path, other.Status)
	})
}

func checkPreflight(v *view, r *report) {
	v.each("preflight", func(p *Probe) {
		for _, x := range p.Exchanges {
			allowed := strings.ToLower(x.Header.Get("Access-Control-Allow-Headers"))
			for _, name := range []string{"range", "cmcd-object", "cmcd-request", "cmcd-session", "cmcd-status"} {
				r.want(strings.Contains(allowed, name), "%s %d: %s is not allowed: %q", x.Path, x.Status, name, allowed)
			}
			r.want((x.Status == http.StatusNoContent || x.Status == http.StatusOK) && x.Header.Get("Access-Control-Max-Age") != "" &&
				strings.Contains(x.Header.Get("Access-Control-Allow-Methods"), "GET"), "%s: %d, %v", x.Path, x.Status, x.Header)
		}
	})
}

// checkQuery has the plain answer and those with parameters, asked until the
// playlist did not change meanwhile.
func checkQuery(v *view, r *report) {
	v.each("query", func(p *Probe) {
		plain := p.Exchanges[0]
		for _, x := range p.Exchanges[1:] {
			r.want(x.Status == plain.Status && bytes.Equal(x.Body, plain.Body) && x.Header.Get("Etag") == plain.Header.Get("Etag"),
				"%s: %d and %d bytes; plain %d and %d", x.Path, x.Status, len(x.Body), plain.Status, len(plain.Body))
		}
	})
}

func checkFLV(v *view, r *report) {
	v.each("flv", func(p *Probe) {
		for _, x := range p.Exchanges {
			h := x.Header
			r.want(x.Status == http.StatusOK && h.Get("Cache-Control") == "no-store" && h.Get("Content-Length") == "" && h.Get("Etag") == "" &&
				strings.HasPrefix(h.Get("Content-Type"), "video/x-flv"), "%s: %d, %v", x.Path, x.Status, h)
		}
	})
}
