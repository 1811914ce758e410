package main

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"

	"headwater/cmd/headwater/config"
	"headwater/cmd/headwater/twin"
	"headwater/remux"
)

// askTwin returns how to ask the twin that the configuration names. That it cannot be
// reached is logged once, and when it can again.
func askTwin(c config.Twin, log *slog.Logger) remux.Twin {
	ask := twin.New(twin.Config{URL: c.URL, Token: string(c.Token)})
	var failing atomic.Bool
	return func(ctx context.Context, name remux.Name) (remux.TwinState, error) {
		state, err := ask(ctx, name)
		switch fails := err != nil && !errors.Is(err, twin.ErrNoStream) && ctx.Err() == nil; {
		case fails && !failing.Swap(true):
			log.Warn("twin cannot be asked; streams go on by themselves", "url", c.URL, "error", err)
		case err == nil && failing.Swap(false):
			log.Info("twin answers again", "url", c.URL)
		}
		return state, err
	}
}
