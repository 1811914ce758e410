package tracing

import (
	"net/http"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"headwater/cmd/headwater/access"
)

// Callbacks wraps what callbacks are sent by; nil where nobody traces. The trace goes
// on in what is called, by traceparent.
func (t *Tracing) Callbacks() func(http.RoundTripper) http.RoundTripper {
	if t == nil {
		return nil
	}
	return func(next http.RoundTripper) http.RoundTripper { return callbacks{next, t.tracer} }
}

type callbacks struct {
	http.RoundTripper
	tracer trace.Tracer
}

// RoundTrip implements http.RoundTripper.
func (c callbacks) RoundTrip(r *http.Request) (*http.Response, error) {
	ctx, span := c.tracer.Start(r.Context(), "callback "+access.CallbackOf(r.Context()), trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(
		attribute.String("http.request.method", r.Method), attribute.String("server.address", r.URL.Hostname())))
	defer span.End()
	r = r.Clone(ctx)
	carrier.Inject(ctx, propagation.HeaderCarrier(r.Header))
	res, err := c.RoundTripper.RoundTrip(r)
	if err != nil {
		span.SetStatus(codes.Error, "no answer") // the error may have the URL, and that a secret
		return nil, err
	}
	span.SetAttributes(attribute.Int("http.response.status_code", res.StatusCode))
	if res.StatusCode >= http.StatusBadRequest {
		span.SetStatus(codes.Error, "")
	}
	return res, nil
}

// CloseIdleConnections lets http.Client do it.
func (c callbacks) CloseIdleConnections() {
	if t, ok := c.RoundTripper.(interface{ CloseIdleConnections() }); ok {
		t.CloseIdleConnections()
	}
}
