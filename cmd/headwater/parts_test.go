package main

import (
	"log/slog"
	"net/netip"
	"reflect"
	"slices"
	"testing"
	"time"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/config"
	"headwater/ingest/relay"
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
	c := ingestConfig(&cfg, slog.New(slog.DiscardHandler), nil, testPolicy(t, &cfg), testRelays(t, &cfg), connectionCaps{rtmp: 1})
	got := rtmp.Options{
		Handshake: c.HandshakeTimeout, Connect: c.ConnectTimeout, Publish: c.PublishTimeout,
		FirstMedia: c.FirstMediaTimeout, Idle: c.IdleTimeout, Write: c.WriteTimeout, Answer: c.PingTimeout, MaxMessage: c.MaxMessage,
	}
	if c.MaxBitrate != 60e6 || c.BitrateGrace != 10*time.Second {
		t.Errorf("bit rate %d, %s", c.MaxBitrate, c.BitrateGrace) // to package rtmp, zero is no limit
	}
	if got != rtmp.DefaultOptions() {
		t.Errorf("ingest gets\n%+v\nits defaults are\n%+v", got, rtmp.DefaultOptions())
	}
}

// TestEveryOptionIsPassedOn finds an option that a part has gained and nobody
// can set.
func TestEveryOptionIsPassedOn(t *testing.T) {
	cfg := config.Default()
	cfg.HTTP.MaxViewers, cfg.Publish.Takeover, cfg.RTMP.MaxPlayers = 1, true, 1
	cfg.HTTP.UnlimitedFrom = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	cfg.Relay.Pull = []relay.Pull{{Name: "live/*", URL: "rtmp://host/live/{name}"}}
	log := slog.New(slog.DiscardHandler)
	registry := remux.NewRegistry(remuxOptions(&cfg), nil)
	checkSet(t, remuxOptions(&cfg))
	cfg.Play.Access, cfg.Play.EdgeSecret = "protected", "between-us"
	relays := testRelays(t, &cfg)
	checkSet(t, originConfig(&cfg, log, registry, testPolicy(t, &cfg), relays), "Full")       // newServer knows
	checkSet(t, relayOptions(log, registry, func(remux.Name) []string { return nil }), "TLS") // the system's roots
	checkSet(t, ingestConfig(&cfg, log, registry, testPolicy(t, &cfg), relays, connectionCaps{rtmp: 1}),
		"Addr", "AuthorizeTimeout", "Full") // serve has its own listeners; its default leaves callbacks their time
}

func testRelays(t *testing.T, cfg *config.Config) *relay.Relay {
	t.Helper()
	r, err := relay.New(cfg.Relay, relayOptions(slog.New(slog.DiscardHandler), nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func testPolicy(t *testing.T, cfg *config.Config) *policies {
	t.Helper()
	p, err := access.New(cfg.Access(), access.Options{MadeKey: "made-key"})
	if err != nil {
		t.Fatal(err)
	}
	return newPolicies(p)
}

// TestOpenPlaysAreNotAsked: an open server pays nothing for what it does not limit.
func TestOpenPlaysAreNotAsked(t *testing.T) {
	cfg := config.Default()
	if originConfig(&cfg, slog.New(slog.DiscardHandler), nil, testPolicy(t, &cfg), testRelays(t, &cfg)).Authorize != nil {
		t.Error("asked")
	}
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

// TestReadGather: how publishers are read goes with how their frames are sent.
func TestReadGather(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct{ read, send, want time.Duration }{
		{20 * ms, 100 * ms, 20 * ms},
		{20 * ms, 350 * ms, 17500 * time.Microsecond},
		{20 * ms, 10 * ms, 10 * ms},
		{20 * ms, 0, 5 * ms},
		{2 * ms, 0, 2 * ms},
		{0, 100 * ms, 0},
		{0, 0, 0},
	} {
		cfg := config.Default()
		cfg.RTMP.ReadGather, cfg.HTTP.FLVGather = c.read, c.send
		if got := readGather(&cfg); got != c.want {
			t.Errorf("read %v apart, sent %v apart: %v, want %v", c.read, c.send, got, c.want)
		}
	}
}
