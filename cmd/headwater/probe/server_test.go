package probe

import (
	"compress/gzip"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/origin/checkup"
)

const (
	clips  = 8 // segments in testdata, of a second each
	window = 4
)

// origin is a live HLS server that does everything right, until a test changes it.
// At its start it lists four segments, and each second one more.
type origin struct {
	began   time.Time
	segment [][]byte
	// list may change a playlist; at counts the segments that were there so far.
	list func(at int, text string) string
	// serve may answer in the server's place.
	serve func(w http.ResponseWriter, r *http.Request) bool
}

func newOrigin(t *testing.T) *origin {
	t.Helper()
	o := &origin{began: time.Now()}
	for i := range clips {
		b, err := os.ReadFile(filepath.Join("testdata", fmt.Sprintf("s%d.ts", i)))
		if err != nil {
			t.Fatal(err)
		}
		o.segment = append(o.segment, b)
	}
	return o
}

func (o *origin) at() int { return window + int(time.Since(o.began)/time.Second) }

// text writes the playlist whose newest segment is at-1.
func (o *origin) text(at int) string {
	var b strings.Builder
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:%d\n", at-window)
	fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", o.began.Add(time.Duration(at-2*window)*time.Second).UTC().Format(time.RFC3339Nano))
	for n := at - window; n < at; n++ {
		fmt.Fprintf(&b, "#EXTINF:1.000,\n%d.ts\n", n)
	}
	return b.String()
}

func (o *origin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Access-Control-Allow-Origin", "*")
	if o.serve != nil && o.serve(w, r) {
		return
	}
	var n int
	if _, err := fmt.Sscanf(r.URL.Path, "/%d.ts", &n); err == nil && n >= 0 {
		w.Header().Set("Content-Type", "video/mp2t")
		w.Header().Set("Cache-Control", "public, max-age=60")
		_, _ = w.Write(o.segment[n%clips])
		return
	}
	at := o.at()
	text := o.text(at)
	if o.list != nil {
		text = o.list(at, text)
	}
	w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	w.Header().Set("Cache-Control", "max-age=1")
	_, _ = w.Write([]byte(text))
}

// watch probes o for a while.
func (o *origin) watch(t *testing.T, d time.Duration) *Report {
	t.Helper()
	s := httptest.NewServer(o)
	defer s.Close()
	return run(t, s.URL+"/live.m3u8", d)
}

func run(t *testing.T, url string, d time.Duration) *Report {
	t.Helper()
	began := time.Now()
	r, err := Run(t.Context(), url, d)
	if err != nil {
		t.Error(err)
		return &Report{}
	}
	if took := time.Since(began); took > d+5*time.Second {
		t.Errorf("watched for %s instead of %s", took, d)
	}
	return r
}

// has asserts a finding.
func has(t *testing.T, r *Report, code string, s checkup.Severity) {
	t.Helper()
	if !slices.ContainsFunc(r.Findings, func(f checkup.Finding) bool { return f.Code == code && f.Severity == s }) {
		t.Errorf("%s is not found to be a %s:\n%s", code, s, listed(r))
	}
}

// clean asserts that nothing is worse than s.
func clean(t *testing.T, r *Report, s checkup.Severity) {
	t.Helper()
	if got := checkup.Worst(r.Findings); checkup.Worst([]checkup.Finding{{Severity: got}, {Severity: s}}) != s {
		t.Errorf("found:\n%s", listed(r))
	}
}

func listed(r *Report) string {
	var b strings.Builder
	WriteFindings(&b, r.Findings)
	return b.String()
}

func gzipped(w http.ResponseWriter, text string) {
	w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
	w.Header().Set("Content-Encoding", "gzip")
	z := gzip.NewWriter(w)
	_, _ = z.Write([]byte(text))
	_ = z.Close()
}
