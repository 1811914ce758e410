package traffic

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// TestSecretsAreLeftOut: whatever a URL is called that lets somebody in.
func TestSecretsAreLeftOut(t *testing.T) {
	for uri, want := range map[string]string{
		"/live/x.m3u8":                                "/live/x.m3u8",
		"/live/x.m3u8?a=1&b":                          "/live/x.m3u8?a=1&b",
		"/live/x.m3u8?KEY=hush&sign=hush&a=1":         "/live/x.m3u8?KEY=-&sign=-&a=1",
		"/live/x.m3u8?X-Amz-Signature=hush&sig=hush":  "/live/x.m3u8?X-Amz-Signature=-&sig=-",
		"/live/x.m3u8?hdnts=exp=1~hmac=hush&md5=hush": "/live/x.m3u8?hdnts=-&md5=-",
		"/live/x.m3u8?%74oken=hush&t%6fken=hush":      "/live/x.m3u8?%74oken=-&t%6fken=-",
		"/live/x.m3u8?a=1;token=hush":                 "/live/x.m3u8?a=-",
		"/live/x.m3u8?%zz=hush":                       "/live/x.m3u8?%zz=-",
		"/token=hush/live/x.m3u8?a=1":                 "/token=-/live/x.m3u8?a=1",
		"/token=hush":                                 "/token=-/",
		"/%74oken=hush/live/x.m3u8":                   "/token=-/live/x.m3u8",
		"/token=hush%2Fhush/live/x.m3u8":              "/token=-/hush/live/x.m3u8", // no token of ours has one
		"https://page/token=hush/live/x.m3u8":         "https://page/token=-/live/x.m3u8",
		"https://user:hush@page/?a=1":                 "https://page/?a=1",
		"https://page/#hush":                          "https://page/",
	} {
		u, err := url.Parse(uri)
		if err != nil {
			t.Fatal(err)
		}
		got := redacted(u)
		if u.Host != "" {
			got = redactedText(uri)
		}
		if got != want {
			t.Errorf("%s is logged as %s, want %s", uri, got, want)
		}
	}
}

// TestAccessLogOnADiskThatHangs: answers do not wait for it, and neither does the end.
func TestAccessLogOnADiskThatHangs(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	if err := syscall.Mkfifo(path, 0o600); err != nil {
		t.Skip(err)
	}
	held, err := os.OpenFile(path, os.O_RDWR, 0) // nobody reads, and there is somebody who could
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	l, err := OpenAccessLog(path, false, io.Discard)
	if err != nil {
		t.Fatal(err)
	}
	h := New(l, nil).Handler(http.NotFoundHandler())
	began := time.Now()
	for range 3 * maxLines {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/live/x.m3u8", nil))
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("the answers took %v", d)
	}
	if l.Dropped() == 0 {
		t.Error("nothing was left out")
	}
	if err := l.Reopen(); err == nil {
		t.Error("it was opened again")
	}
	l.Close()
	if d := time.Since(began); d > 5*time.Second+2*diskTime {
		t.Errorf("all in all %v", d)
	}
}

// TestAccessLogOnAFullDisk counts what could not be written.
func TestAccessLogOnAFullDisk(t *testing.T) {
	l, err := OpenAccessLog("/dev/full", false, io.Discard)
	if err != nil {
		t.Skip(err)
	}
	h := New(l, nil).Handler(http.NotFoundHandler())
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/live/x.m3u8", nil))
	eventually(t, "a line left out", func() bool { return l.Dropped() > 0 })
	l.Close()
}
