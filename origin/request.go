package origin

import (
	"net/http"
	"strconv"
	"strings"
)

// maxTarget bounds a request's path and query, in bytes: names, directives and a token
// take less.
const maxTarget = 4 << 10

// admit refuses what no player or cache sends. A body is not read, so that nothing in
// it can be taken for a request; what the connection takes to be rid of it is bounded
// by the server's ReadTimeout.
func admit(w http.ResponseWriter, r *http.Request) error {
	var refused *problem
	switch {
	case len(r.RequestURI) > maxTarget:
		refused = &problem{status: http.StatusRequestURITooLong, reason: "a path and query have at most 4096 bytes"}
	case r.ContentLength != 0 && (r.Method == http.MethodGet || r.Method == http.MethodHead):
		refused = &problem{status: http.StatusBadRequest, reason: "a request has no body here"}
	}
	if r.ContentLength != 0 && r.ProtoMajor == 1 { // over HTTP/2 a body is its stream's alone
		w.Header().Set("Connection", "close")
	}
	if refused == nil {
		return nil
	}
	refused.cache = "public, max-age=1"
	return refused
}

// usableRange reports whether a Range header is one that is followed: one range of
// bytes. RFC 9110, 14.2, has units that nobody knows ignored, and lets a server ignore
// what is malformed, and lists, which are no more than a way to ask for the same many
// times.
func usableRange(value string) bool {
	spec, ok := strings.CutPrefix(value, "bytes=")
	from, to, dash := strings.Cut(spec, "-")
	if !ok || !dash || from == "" && to == "" {
		return false
	}
	first, okFirst := position(from)
	last, okLast := position(to)
	switch {
	case !okFirst || !okLast:
		return false
	case from == "":
		return last > 0 // the last 0 bytes have no Content-Range
	}
	return to == "" || first <= last
}

// position reads a first-pos, last-pos or suffix-length, which may be left out.
func position(s string) (n uint64, ok bool) {
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, 10, 63)
	return n, err == nil
}
