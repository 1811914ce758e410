package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
)

// TestConsole: the page and what belongs to it, with their headers, and nothing else.
func TestConsole(t *testing.T) {
	built := fstest.MapFS{
		"index.html":         {Data: []byte("<!doctype html>page")},
		"assets/main-abc.js": {Data: []byte("run()")},
		"icon.svg":           {Data: []byte("<svg/>")},
		".gitkeep":           {},
	}
	serve := func(files fstest.MapFS, path string) *httptest.ResponseRecorder {
		t.Helper()
		mux := http.NewServeMux()
		a := &api{config: Config{}.withDefaults()}
		a.registerConsole(mux, files)
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", path, nil)
		r.Host = "127.0.0.1"
		withHeaders(mux).ServeHTTP(w, r)
		return w
	}
	for _, tt := range []struct{ path, body, kind, cache string }{
		{"/", "page", "text/html; charset=utf-8", "no-store"},
		{"/assets/main-abc.js", "run()", "text/javascript; charset=utf-8", "public, max-age=31536000, immutable"},
		{"/icon.svg", "<svg/>", "image/svg+xml", "no-store"},
	} {
		w := serve(built, tt.path)
		h := w.Header()
		if w.Code != 200 || !strings.Contains(w.Body.String(), tt.body) || h.Get("Content-Type") != tt.kind || h.Get("Cache-Control") != tt.cache {
			t.Errorf("%s: %d %v %s", tt.path, w.Code, h, w.Body)
		}
		if csp := h.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'; script-src 'self'; style-src 'self'") || strings.Contains(csp, "unsafe") {
			t.Errorf("%s: policy %q", tt.path, csp)
		}
	}
	for _, path := range []string{"/assets/", "/assets/main", "/.gitkeep", "/index.html", "/x"} {
		if w := serve(built, path); w.Code != 404 {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if w := serve(fstest.MapFS{".gitkeep": {}}, "/"); w.Code != 200 || !strings.Contains(w.Body.String(), "scripts/console") {
		t.Errorf("where it is not built: %d %s", w.Code, w.Body)
	}
}
