package main

import (
	"encoding/hex"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	collector "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	span "go.opentelemetry.io/proto/otlp/trace/v1"
	"google.golang.org/protobuf/proto"
)

// spans is a collector: it takes OTLP over HTTP.
type spans struct {
	mu   sync.Mutex
	all  []*span.Span // guarded by mu
	text strings.Builder
}

func (s *spans) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, err := io.ReadAll(r.Body)
	var m collector.ExportTraceServiceRequest
	if err == nil {
		err = proto.Unmarshal(body, &m)
	}
	if err != nil || r.URL.Path != "/v1/traces" || r.Header.Get("Content-Type") != "application/x-protobuf" || r.Header.Get("X-Tenant") != "mine" {
		http.Error(w, fmt.Sprint(r.URL.Path, r.Header, err), http.StatusBadRequest)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, rs := range m.ResourceSpans {
		s.text.WriteString(rs.String())
		for _, ss := range rs.ScopeSpans {
			s.all = append(s.all, ss.Spans...)
		}
	}
}

// find returns the spans of a name.
func (s *spans) find(name string) (found []*span.Span) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, sp := range s.all {
		if sp.Name == name {
			found = append(found, sp)
		}
	}
	return found
}

func attributes(sp *span.Span) string {
	var all []string
	for _, a := range sp.Attributes {
		all = append(all, a.Key+"="+strings.TrimSpace(regexp.MustCompile(`\w+_value:`).ReplaceAllString(a.Value.String(), "")))
	}
	return strings.Join(all, " ")
}

func events(sp *span.Span) string {
	var all []string
	for _, e := range sp.Events {
		all = append(all, e.Name)
	}
	return strings.Join(all, ", ")
}

// TestTracing: requests, sessions and callbacks arrive at a collector as they belong
// together, callbacks pass the trace on, and nothing that is secret is in it.
func TestTracing(t *testing.T) {
	t.Parallel()
	var got spans
	to := httptest.NewServer(&got)
	defer to.Close()
	var mu sync.Mutex
	parents := map[string]string{} // traceparent by callback
	hooks := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		parents[r.URL.Path] = r.Header.Get("Traceparent")
	}))
	defer hooks.Close()
	p := startServe(t, []string{
		"HEADWATER_TRACING_ENDPOINT=" + to.URL, "HEADWATER_TRACING_ONE_IN=1", "OTEL_EXPORTER_OTLP_HEADERS=x-tenant=mine",
		"HEADWATER_CALLBACKS_ON_PUBLISH=" + hooks.URL + "/begin?auth=hook-secret", "HEADWATER_CALLBACKS_ON_PUBLISH_DONE=" + hooks.URL + "/end",
		"HEADWATER_PUBLISH_KEY=publish-secret", "HEADWATER_HTTP_TRUSTED_PROXIES=127.0.0.2/32",
	}, "--data", t.TempDir())
	if err := <-publishBoth(t, "rtmp://"+p.addrs["rtmp"]+"/live/secret-wrong?key=wrong-secret"); err == nil {
		t.Error("a wrong key was taken")
	}
	out := publishBoth(t, "rtmp://"+p.addrs["rtmp"]+"/live/x?key=publish-secret")
	var next string
	soonerThan(t, slow, "a playlist", func() bool {
		_, list := p.get(t, "http", "/live/x/fmp4/index.m3u8")
		m := regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)`).FindStringSubmatch(list)
		if m == nil || strings.Count(list, "#EXTINF") == 0 {
			return false
		}
		var first int
		_, _ = fmt.Sscan(m[1], &first)
		next = fmt.Sprint(first + strings.Count(list, "#EXTINF"))
		return true
	})
	if status, list := p.get(t, "http", "/token=path-secret/live/x/fmp4/index.m3u8?_HLS_msn="+next+"&token=query-secret"); status != http.StatusOK || !strings.Contains(list, "#EXTINF") {
		t.Errorf("a blocked playlist: %d", status)
	}
	p.get(t, "http", "/live/unknown-secret.m3u8")
	req, err := http.NewRequestWithContext(t.Context(), "NONSENSE", "http://"+p.addrs["http"]+"/live/x.m3u8", nil)
	if err != nil {
		t.Fatal(err)
	}
	const foreign = "0af7651916cd43dd8448eb211c80319c"
	req.Header.Set("Traceparent", "00-"+foreign+"-b7ad6b7169203331-01")
	if res, err := http.DefaultClient.Do(req); err == nil {
		_ = res.Body.Close()
	}
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d\n%s", code, p.log)
	}
	<-out

	sessions := got.find("publish")
	if len(sessions) != 2 {
		t.Fatalf("%d sessions; log:\n%s", len(sessions), p.log)
	}
	refused, session := sessions[0], sessions[1]
	if e := events(refused); e != "publish refused" || refused.Status.Code != span.Status_STATUS_CODE_ERROR {
		t.Errorf("refused session: %q, %v", e, refused.Status)
	}
	if e, a := events(session), attributes(session); e != "publish accepted, publish ended" || !strings.Contains(a, `headwater.stream="live/x"`) || !strings.Contains(a, "headwater.encoder=") {
		t.Errorf("session: %q, %q", e, a)
	}
	for path, name := range map[string]string{"/begin": "callback on_publish", "/end": "callback on_publish_done"} {
		calls := got.find(name)
		if len(calls) != 1 || string(calls[0].ParentSpanId) != string(session.SpanId) || !strings.Contains(attributes(calls[0]), "http.response.status_code=200") {
			t.Errorf("%s: %v", name, calls)
			continue
		}
		if want := "00-" + hex.EncodeToString(session.TraceId) + "-" + hex.EncodeToString(calls[0].SpanId) + "-01"; parents[path] != want {
			t.Errorf("%s got %q, want %q", path, parents[path], want)
		}
	}
	waits := got.find("wait for playlist")
	if len(waits) != 1 || waits[0].EndTimeUnixNano-waits[0].StartTimeUnixNano < 10e6 {
		t.Errorf("waits: %v", waits)
	} else if !hasSpan(got.find("GET playlist"), waits[0].ParentSpanId, `headwater.stream="live/x"`, "http.response.status_code=200") {
		t.Errorf("the wait belongs to none of %v", got.find("GET playlist"))
	}
	if !hasSpan(got.find("GET multivariant"), nil, "http.response.status_code=404") {
		t.Errorf("multivariant: %v", got.find("GET multivariant"))
	}
	if odd := got.find("_OTHER multivariant"); len(odd) != 1 || hex.EncodeToString(odd[0].TraceId) == foreign {
		t.Errorf("a request that says which trace it is of: %v", odd)
	}
	for _, s := range []string{"secret", "127.0.0.1:", "NONSENSE"} {
		if strings.Contains(got.text.String(), s) {
			t.Errorf("%q in %s", s, got.text.String())
		}
	}
}

// hasSpan looks for one with an id, if it is given, and attributes.
func hasSpan(all []*span.Span, id []byte, want ...string) bool {
	for _, sp := range all {
		has := id == nil || string(sp.SpanId) == string(id)
		for _, w := range want {
			has = has && strings.Contains(attributes(sp), w)
		}
		if has {
			return true
		}
	}
	return false
}

// TestTracingTrustsProxies: a proxy that is listed says which trace a request is of.
func TestTracingTrustsProxies(t *testing.T) {
	t.Parallel()
	var got spans
	to := httptest.NewServer(&got)
	defer to.Close()
	p := startServe(t, []string{
		"HEADWATER_TRACING_ENDPOINT=" + to.URL + "/", "HEADWATER_TRACING_ONE_IN=1000000000", "OTEL_EXPORTER_OTLP_HEADERS=x-tenant=mine",
		"HEADWATER_HTTP_TRUSTED_PROXIES=127.0.0.0/8",
	}, "--data", t.TempDir())
	const trace = "0af7651916cd43dd8448eb211c80319c"
	for _, from := range []string{"192.0.2.1", ""} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+p.addrs["http"]+"/live/x.m3u8", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("Traceparent", "00-"+trace+"-b7ad6b7169203331-01")
		if from != "" {
			req.Header.Set("X-Forwarded-For", from)
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
	}
	p.end(t, syscall.SIGTERM)
	all := got.find("GET multivariant")
	if len(all) != 1 || hex.EncodeToString(all[0].TraceId) != trace || hex.EncodeToString(all[0].ParentSpanId) != "b7ad6b7169203331" {
		t.Errorf("spans: %v", all)
	}
}

// TestTracingWithoutCollector: one that is not there is complained about once, and
// holds nothing up.
func TestTracingWithoutCollector(t *testing.T) {
	t.Parallel()
	p := startServe(t, []string{"HEADWATER_TRACING_ENDPOINT=http://127.0.0.1:1", "HEADWATER_TRACING_ONE_IN=1", "OTEL_BSP_SCHEDULE_DELAY=10", "OTEL_EXPORTER_OTLP_TIMEOUT=100"}, "--data", t.TempDir())
	for range 20 {
		p.get(t, "http", "/live/x.m3u8")
	}
	eventually(t, "a complaint", func() bool { return strings.Contains(p.log.String(), "traces not sent") })
	p.get(t, "http", "/live/x.m3u8")
	if code := p.end(t, syscall.SIGTERM); code != exitOK || strings.Count(p.log.String(), "traces not sent") != 1 {
		t.Errorf("exit code %d\n%s", code, p.log)
	}
}
