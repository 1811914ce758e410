package main

import (
	"context"
	"log/slog"
	"strings"
)

// httpErrors takes the complaints of net/http. That somebody did not finish a TLS
// handshake is for who looks for it: the internet does so all day.
type httpErrors struct{ slog.Handler }

// Handle implements slog.Handler.
func (h httpErrors) Handle(ctx context.Context, r slog.Record) error {
	if strings.HasPrefix(r.Message, "http: TLS handshake error") {
		r.Level = slog.LevelDebug
	}
	if !h.Enabled(ctx, r.Level) {
		return nil
	}
	return h.Handler.Handle(ctx, r)
}
