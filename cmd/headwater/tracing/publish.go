package tracing

import (
	"context"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/trace"

	"headwater/ingest"
)

const publishSpan = "publish"

// Authorize is what decides about a publisher.
type Authorize func(context.Context, ingest.PublishRequest) (ingest.Grant, error)

// Publish returns authorize with a span for each session, from the wish to publish to
// its end.
func (t *Tracing) Publish(authorize Authorize) Authorize {
	if t == nil {
		return authorize
	}
	return func(ctx context.Context, r ingest.PublishRequest) (ingest.Grant, error) {
		ctx, span := t.tracer.Start(ctx, publishSpan, trace.WithSpanKind(trace.SpanKindServer), trace.WithAttributes(
			attribute.String("network.protocol.name", "rtmp"), attribute.String("headwater.encoder", r.Encoder)))
		g, err := authorize(ctx, r)
		if err != nil {
			span.AddEvent("publish refused")
			span.SetStatus(codes.Error, "refused")
			span.End()
			return g, err
		}
		span.SetAttributes(streamAttribute(g.Name.String()))
		span.AddEvent("publish accepted")
		if t.known(g.Name) {
			span.AddEvent("stream goes on")
		}
		done := g.Done
		g.Done = func(e ingest.End) {
			span.AddEvent("publish ended", trace.WithAttributes(attribute.String("headwater.reason", string(e.Reason))))
			span.SetAttributes(attribute.Int64("headwater.bytes", int64(e.Bytes)))
			if e.Reason == ingest.Refused {
				span.SetStatus(codes.Error, "refused")
			}
			span.End()
			if done != nil {
				done(e)
			}
		}
		return g, nil
	}
}
