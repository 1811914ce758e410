package main

import (
	"context"
	"log/slog"
	"strings"
	"sync/atomic"
)

// httpErrors takes the complaints of net/http. That somebody did not finish a TLS
// handshake is for who looks for it: the internet does so all day. That a handler
// panicked, which has ended its connection, is a fault of ours.
type httpErrors struct{ slog.Handler }

// httpPanics counts them.
var httpPanics atomic.Uint64

// Handle implements slog.Handler.
func (h httpErrors) Handle(ctx context.Context, r slog.Record) error {
	switch {
	case strings.HasPrefix(r.Message, "http: TLS handshake error"):
		r.Level = slog.LevelDebug
	case strings.HasPrefix(r.Message, "http: panic serving"), strings.HasPrefix(r.Message, "http2: panic serving"):
		httpPanics.Add(1)
		r.Level = slog.LevelError
	}
	if !h.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
