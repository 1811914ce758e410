package main

import (
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"headwater/scripts/lib/rig"
)

// TestHandlerPanics: a fault ends its connection, is counted, and stands in the log with
// its stack. That a client leaves in a handshake does not.
func TestHandlerPanics(t *testing.T) {
	var text rig.Log
	log := slog.New(slog.NewJSONHandler(&text, nil))
	s := httptest.NewUnstartedServer(nil)
	s.Config = newHTTPServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic("a fault") }), log)
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	for _, h2 := range []bool{false, true} {
		before := httpPanics.Load()
		if res, err := insecure(h2).Get(s.URL); err == nil {
			_ = res.Body.Close()
			t.Errorf("answered with %s", res.Status)
		}
		eventually(t, "counted", func() bool { return httpPanics.Load() == before+1 })
	}
	if got := text.String(); strings.Count(got, `"level":"ERROR"`) != 2 || !strings.Contains(got, "a fault") || !strings.Contains(got, "httplog_test.go") {
		t.Errorf("log: %s", got)
	}
	s.Config.ErrorLog.Print("http: TLS handshake error from 192.0.2.1:5: EOF")
	if strings.Contains(text.String(), "handshake") {
		t.Errorf("log: %s", text.String())
	}
}
