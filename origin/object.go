package origin

import (
	"bytes"
	"errors"
	"net/http"
	"strconv"
	"strings"
	"time"

	"headwater/origin/http1"
	"headwater/remux"
)

// serve answers with an object, whole, in part, or not at all if the client has
// it. Its URL must mean this object for as long as the cache control says.
func serve(w http.ResponseWriter, r *http.Request, o *remux.Object, contentType, cacheControl string) {
	body, suffix := o.Body, ""
	packed := o.Gzip != nil && acceptsGzip(r.Header["Accept-Encoding"])
	if packed {
		body, suffix = o.Gzip, "-gzip"
	}
	header := w.Header()
	setHeaders(header, o, suffix, len(body), contentType, cacheControl)
	if o.Gzip != nil {
		header["Vary"] = varyEncoding
		r.Header.Del("Range") // a playlist in part is of no use
		if packed {
			header["Content-Encoding"] = gzipEncoding
		}
	} else {
		header["Accept-Ranges"] = acceptBytes
	}
	if values := r.Header["Range"]; len(values) > 0 && (len(values) > 1 || !usableRange(values[0])) {
		r.Header.Del("Range") // the whole body is the simpler right answer
	}
	allowTime(w, len(body))
	if conditional(r) {
		delete(header, "Content-Length")
		http.ServeContent(refusals{w}, r, "", o.Modified, bytes.NewReader(body))
		return
	}
	if r.Method != http.MethodHead {
		if sender, ok := w.(http1.FileSender); ok && !packed {
			if f := o.File(); f != nil {
				if _, err := sender.SendFile(f, len(body)); !errors.Is(err, errors.ErrUnsupported) {
					return
				}
			}
		}
		_, _ = w.Write(body) // the client may have left: nobody to tell
	}
}

// Values of headers that are always the same. Nobody changes them: what is set later
// replaces them.
var (
	varyEncoding = []string{"Accept-Encoding"}
	gzipEncoding = []string{"gzip"}
	acceptBytes  = []string{"bytes"}
	noSniff      = []string{"nosniff"}
	noStore      = []string{"no-store"}
	exposed      = []string{"Date, Age, Content-Length, Content-Range, ETag, Last-Modified, Retry-After"}
)

// setHeaders sets what tells of a body, with as few allocations as can be: one for
// all values, and one for the text of those that are made here.
func setHeaders(header http.Header, o *remux.Object, suffix string, size int, contentType, cacheControl string) {
	var room [96]byte
	b := append(append(append(append(room[:0], '"'), o.Tag...), suffix...), '"')
	tag := len(b)
	b = o.Modified.UTC().AppendFormat(b, http.TimeFormat)
	modified := len(b)
	text := string(strconv.AppendInt(b, int64(size), 10))
	values := &[5]string{contentType, cacheControl, text[:tag], text[tag:modified], text[modified:]}
	header["Content-Type"] = values[0:1:1]
	header["Cache-Control"] = values[1:2:2]
	header["Etag"] = values[2:3:3]
	header["Last-Modified"] = values[3:4:4]
	header["Content-Length"] = values[4:5:5]
}

// allowTime bounds how long a client may take to read a body.
func allowTime(w http.ResponseWriter, size int) {
	allowed := http1.Patience(size)
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(allowed)) // unsupported only in tests
}

// refusals says of 412 and 416 that no cache may keep them: they answer what one client
// asked in its headers, and not what its URL means.
type refusals struct{ http.ResponseWriter }

func (r refusals) WriteHeader(status int) {
	if status >= http.StatusBadRequest {
		r.Header()["Cache-Control"] = noStore
	}
	r.ResponseWriter.WriteHeader(status)
}

func conditional(r *http.Request) bool {
	for _, name := range [...]string{"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"} {
		if len(r.Header[name]) > 0 {
			return true
		}
	}
	return false
}

// acceptsGzip reads Accept-Encoding (RFC 9110, 12.5.3) as far as gzip goes.
func acceptsGzip(values []string) bool {
	any := false
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			coding, params, _ := strings.Cut(strings.TrimSpace(item), ";")
			refused := refuses(params)
			switch strings.ToLower(strings.TrimSpace(coding)) {
			case "gzip", "x-gzip":
				return !refused
			case "*":
				any = !refused
			}
		}
	}
	return any
}

// refuses reports a weight of 0.
func refuses(params string) bool {
	weight, ok := strings.CutPrefix(strings.ReplaceAll(params, " ", ""), "q=")
	if !ok {
		return false
	}
	q, err := strconv.ParseFloat(weight, 64)
	return err == nil && q == 0
}
