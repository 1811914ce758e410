package main

import (
	"log/slog"
	"reflect"
	"slices"
	"testing"

	"headwater/cmd/headwater/config"
	"headwater/ingest/rtmp"
	"headwater/remux"
)

// TestDefaultsReachTheParts: what the configuration says without being told
// anything is what the parts take for normal.
func TestDefaultsReachTheParts(t *testing.T) {
	cfg := config.Default()
	if got := remuxOptions(&cfg); got != remux.DefaultOptions() {
		t.Errorf("remux gets\n%+v\nits defaults are\n%+v", got, remux.DefaultOptions())
	}
	c := ingestConfig(&cfg, slog.New(slog.DiscardHandler), nil, newPublishKey("", false), connectionCaps{rtmp: 1})
	got := rtmp.Options{
		Handshake: c.HandshakeTimeout, Connect: c.ConnectTimeout, Publish: c.PublishTimeout,
		FirstMedia: c.FirstMediaTimeout, Idle: c.IdleTimeout, Write: c.WriteTimeout, MaxMessage: c.MaxMessage,
	}
	if got != rtmp.DefaultOptions() {
		t.Errorf("ingest gets\n%+v\nits defaults are\n%+v", got, rtmp.DefaultOptions())
	}
}

// TestEveryOptionIsPassedOn finds an option that a part has gained and nobody
// can set.
func TestEveryOptionIsPassedOn(t *testing.T) {
	cfg := config.Default()
	cfg.HTTP.MaxViewers, cfg.Publish.Takeover = 1, true
	log := slog.New(slog.DiscardHandler)
	registry := remux.NewRegistry(remuxOptions(&cfg), nil)
	checkSet(t, remuxOptions(&cfg))
	checkSet(t, originConfig(&cfg, log, registry))
	checkSet(t, ingestConfig(&cfg, log, registry, newPublishKey("", false), connectionCaps{rtmp: 1}),
		"Addr", "AuthorizeTimeout") // serve has its own listeners; comparing keys takes no time
}

func checkSet(t *testing.T, part any, unset ...string) {
	t.Helper()
	v := reflect.ValueOf(part)
	for i := range v.NumField() {
		if name := v.Type().Field(i).Name; v.Field(i).IsZero() && !slices.Contains(unset, name) {
			t.Errorf("%T.%s is not passed on", part, name)
		}
	}
}
