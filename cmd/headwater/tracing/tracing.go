// Package tracing sends traces to a collector, over OTLP/HTTP (OpenTelemetry Protocol
// 1.7): of requests, of publishers' sessions, and of the callbacks that either causes.
//
// A nil *Tracing is none: its methods install nothing, so that being able to trace costs
// nothing where nobody does.
//
// No span says who asked: no address, no URL, no query, and the name of a stream only
// once there is such a stream, because what was asked for may hold a secret.
package tracing

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"
	"strings"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"headwater/remux"
)

// Config says what is traced.
type Config struct {
	Endpoint string // URL of the collector; without a path it is that of OTLP, /v1/traces
	OneIn    int    // of so many requests one is traced; publishers' sessions all are
	Version  string
	// Known reports whether there is a stream of that name.
	Known  func(remux.Name) bool
	Logger *slog.Logger
}

// Tracing makes spans and sends them.
type Tracing struct {
	provider *sdk.TracerProvider
	tracer   trace.Tracer
	known    func(remux.Name) bool
}

// carrier is how a trace goes from one process to the next: the W3C's traceparent.
var carrier = propagation.TraceContext{}

// New returns what traces; nil where no endpoint is set. It connects to nobody yet.
// What a collector asks for beside that is taken from the variables that OpenTelemetry
// has for it (OTEL_EXPORTER_OTLP_HEADERS, OTEL_EXPORTER_OTLP_CERTIFICATE …).
func New(c Config) (*Tracing, error) {
	if c.Endpoint == "" {
		return nil, nil
	}
	endpoint, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("tracing.endpoint: it is no URL")
	}
	if endpoint.Path == "" || endpoint.Path == "/" {
		endpoint.Path = "/v1/traces"
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(endpoint.String()))
	if err != nil {
		return nil, fmt.Errorf("tracing: %w", err)
	}
	otel.SetErrorHandler(&complaints{log: c.Logger})
	provider := sdk.NewTracerProvider(
		sdk.WithBatcher(exporter),
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "headwater"), attribute.String("service.version", c.Version))),
		sdk.WithSampler(sdk.ParentBased(sampler{sdk.TraceIDRatioBased(1 / float64(max(c.OneIn, 1)))})),
	)
	return &Tracing{provider, provider.Tracer("headwater"), c.Known}, nil
}

// Close sends what there is to send, until ctx is done.
func (t *Tracing) Close(ctx context.Context) {
	if t != nil {
		_ = t.provider.Shutdown(ctx) // complaints has said what there is to say
	}
}

// sampler traces all publishers' sessions, which are few, and of requests as many as
// it is told to.
type sampler struct{ sdk.Sampler }

// ShouldSample implements sdk.Sampler.
func (s sampler) ShouldSample(p sdk.SamplingParameters) sdk.SamplingResult {
	if p.Name == publishSpan {
		return sdk.AlwaysSample().ShouldSample(p)
	}
	return s.Sampler.ShouldSample(p)
}

// complaints logs now and then that spans do not arrive.
type complaints struct {
	log *slog.Logger

	mu   sync.Mutex
	last time.Time // guarded by mu
}

// Handle implements otel.ErrorHandler.
func (c *complaints) Handle(err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if time.Since(c.last) > time.Minute {
		c.last = time.Now()
		c.log.Warn("traces not sent", "error", strings.TrimSpace(err.Error()))
	}
}

func streamAttribute(name string) attribute.KeyValue {
	return attribute.String("headwater.stream", name)
}
