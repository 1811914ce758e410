package origin

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"

	"headwater/remux"
)

// slowest is the rate in bytes a second below which a reader of a whole object
// is given up.
const slowest = 64 << 10

// serve answers with an object, whole, in part, or not at all if the client has
// it. Its URL must mean this object for as long as the cache control says.
func serve(w http.ResponseWriter, r *http.Request, o *remux.Object, contentType, cacheControl string) {
	header := w.Header()
	header.Set("Content-Type", contentType)
	header.Set("Cache-Control", cacheControl)
	body, tag := o.Body, o.Tag
	if o.Gzip != nil {
		header.Set("Vary", "Accept-Encoding")
		r.Header.Del("Range") // a playlist in part is of no use
		if acceptsGzip(r.Header.Values("Accept-Encoding")) {
			header.Set("Content-Encoding", "gzip")
			body, tag = o.Gzip, o.Tag+"-gzip"
		}
	} else {
		header.Set("Accept-Ranges", "bytes")
	}
	header.Set("ETag", `"`+tag+`"`)
	allowed := 10*time.Second + time.Duration(len(body)/slowest)*time.Second
	_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(allowed)) // unsupported only in tests
	if conditional(r) {
		if strings.Contains(r.Header.Get("Range"), ",") {
			r.Header.Del("Range") // several ranges: the whole body is the simpler right answer
		}
		http.ServeContent(w, r, "", o.Modified, bytes.NewReader(body))
		return
	}
	header.Set("Last-Modified", o.Modified.UTC().Format(http.TimeFormat))
	header.Set("Content-Length", strconv.Itoa(len(body)))
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client may have left: nobody to tell
	}
}

func conditional(r *http.Request) bool {
	for _, name := range []string{"Range", "If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since"} {
		if r.Header.Get(name) != "" {
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
