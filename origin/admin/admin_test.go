package admin

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

func TestAnswers(t *testing.T) {
	ready := false
	open := New(Config{Ready: func() bool { return ready }})
	closed := New(Config{Token: func() string { return "s3cret" }})
	tests := []struct {
		name          string
		handler       http.Handler
		method, path  string
		host, bearer  string
		ready         bool
		status        int
		body, absence string
	}{
		{"health", open, "GET", "/healthz", "", "", false, 200, "ok", ""},
		{"health of a HEAD", open, "HEAD", "/healthz", "", "", false, 200, "", ""},
		{"not ready", open, "GET", "/readyz", "", "", false, 503, "not ready", ""},
		{"ready", open, "GET", "/readyz", "", "", true, 200, "ok", ""},
		{"page", open, "GET", "/", "127.0.0.1:8081", "", true, 200, "Headwater", ""},
		{"page on IPv6", open, "GET", "/", "[::1]:8081", "", true, 200, "Headwater", ""},
		{"page on localhost", open, "GET", "/", "localhost", "", true, 200, "Headwater", ""},
		{"rebound name", open, "GET", "/", "evil.example:8081", "", true, 421, "localhost", "evil"},
		{"probe by name", open, "GET", "/healthz", "headwater.internal", "", true, 200, "ok", ""},
		{"wrong method", open, "POST", "/healthz", "", "", true, 405, "", ""},
		{"nothing there", open, "GET", "/api/v9", "127.0.0.1", "", true, 404, "", ""},
		{"page without token", closed, "GET", "/", "admin.example", "", true, 200, "Headwater", "s3cret"},
		{"no token", closed, "GET", "/api/v1/server", "admin.example", "", true, 401, "Bearer", "s3cret"},
		{"wrong token", closed, "GET", "/api/v1/server", "admin.example", "Bearer s3cre", true, 401, "Bearer", "s3cret"},
		{"wrong scheme", closed, "GET", "/api/v1/server", "admin.example", "Basic s3cret", true, 401, "", ""},
		{"token", closed, "GET", "/api/v1/server", "admin.example", "Bearer s3cret", true, 200, "listeners", ""},
		{"probe without token", closed, "GET", "/readyz", "admin.example", "", true, 200, "ok", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			ready = tt.ready
			r := httptest.NewRequest(tt.method, tt.path, nil)
			if tt.host != "" {
				r.Host = tt.host
			}
			if tt.bearer != "" {
				r.Header.Set("Authorization", tt.bearer)
			}
			w := httptest.NewRecorder()
			tt.handler.ServeHTTP(w, r)
			if body := w.Body.String(); w.Code != tt.status || !strings.Contains(body, tt.body) || tt.absence != "" && strings.Contains(body, tt.absence) {
				t.Errorf("got %d %q", w.Code, body)
			}
			if w.Header().Get("Cache-Control") != "no-store" || w.Header().Get("X-Content-Type-Options") != "nosniff" {
				t.Errorf("headers %v", w.Header())
			}
		})
	}
}
