package tracing

import (
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"headwater/cmd/headwater/traffic"
	"headwater/remux"
)

// Requests returns what traces requests, nil where nobody does.
func (t *Tracing) Requests() traffic.Tracer {
	if t == nil {
		return nil
	}
	return requests{t}
}

type requests struct{ *Tracing }

// Begin implements traffic.Tracer. The trace that a request belongs to already counts
// where a trusted proxy says so: anybody else could have everything traced.
func (t requests) Begin(r *http.Request, kind traffic.Kind, stream string, trusted bool) (*http.Request, traffic.Span) {
	ctx := r.Context()
	if trusted {
		ctx = carrier.Extract(ctx, propagation.HeaderCarrier(r.Header))
	}
	began := time.Now()
	ctx, span := t.tracer.Start(ctx, method(r.Method)+" "+kind.String(), trace.WithSpanKind(trace.SpanKindServer), trace.WithTimestamp(began), trace.WithAttributes(
		attribute.String("http.request.method", method(r.Method)),
		attribute.String("headwater.object", kind.String()),
	))
	r = r.WithContext(ctx)
	if !span.IsRecording() {
		return r, nil
	}
	if app, name, _ := strings.Cut(stream, "/"); t.known(remux.Name{App: app, Stream: name}) {
		span.SetAttributes(streamAttribute(stream))
	}
	s := &requestSpan{Tracing: t.Tracing, span: span, request: r, began: began}
	s.blocking = kind == traffic.Playlist && strings.Contains(r.URL.RawQuery, "_HLS_msn=")
	return r, s
}

// method is the request's where it is one of HTTP's, so that nobody makes up others.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodOptions, http.MethodPost, http.MethodPut, http.MethodDelete:
		return m
	}
	return "_OTHER"
}

type requestSpan struct {
	*Tracing
	span     trace.Span
	request  *http.Request
	began    time.Time
	blocking bool // the playlist was asked for before it was there
	answered atomic.Bool
}

// Answering implements traffic.Span.
func (s *requestSpan) Answering() {
	if s.answered.Swap(true) {
		return
	}
	if s.blocking {
		_, wait := s.tracer.Start(s.request.Context(), "wait for playlist", trace.WithTimestamp(s.began))
		wait.End()
		return
	}
	s.span.AddEvent("answer begins")
}

// End implements traffic.Span.
func (s *requestSpan) End(status int, bytes uint64) {
	s.span.SetAttributes(attribute.Int("http.response.status_code", status), attribute.Int64("http.response.body.size", int64(bytes)))
	if status >= http.StatusInternalServerError {
		s.span.SetStatus(codes.Error, "")
	}
	s.span.End()
}
