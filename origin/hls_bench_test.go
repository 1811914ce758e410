package origin

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"testing"
	"time"
)

// sinkWriter takes an answer and forgets it, as cheaply as can be.
type sinkWriter struct {
	header http.Header
	status int
	bytes  int
}

func (w *sinkWriter) Header() http.Header         { return w.header }
func (w *sinkWriter) WriteHeader(status int)      { w.status = status }
func (w *sinkWriter) Write(b []byte) (int, error) { w.bytes += len(b); return len(b), nil }
func (w *sinkWriter) SetWriteDeadline(time.Time) error {
	return nil
}

// BenchmarkHLS measures what a Handler does for a request beside net/http.
func BenchmarkHLS(b *testing.B) {
	f := start(b, 10)
	_, list := f.do(b, "GET", "/live/x/fmp4/index.m3u8")
	segment := string(regexp.MustCompile(`(?m)^\S+\.m4s$`).Find(list))
	for _, c := range []struct{ name, path, known string }{
		{"playlist", "index.m3u8", ""},
		{"segment", segment, ""},
		{"not modified", segment, "known"},
	} {
		b.Run(c.name, func(b *testing.B) {
			r := httptest.NewRequest("GET", "/live/x/fmp4/"+c.path, nil)
			w := &sinkWriter{header: http.Header{}}
			want := 0
			if c.known != "" {
				f.handler.ServeHTTP(w, r)
				r.Header.Set("If-None-Match", w.header.Get("ETag"))
				want = http.StatusNotModified
			}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.header)
				w.status = 0
				f.handler.ServeHTTP(w, r)
			}
			if w.status != want {
				b.Fatalf("answered %d", w.status)
			}
		})
	}
}
