package main

import (
	"crypto/rand"
	"log/slog"
	"time"

	"headwater/cmd/headwater/config"
	"headwater/ingest"
	"headwater/ingest/relay"
	"headwater/ingest/turns"
	"headwater/origin"
	"headwater/remux"
)

// What each part is told of the configuration.

func remuxOptions(cfg *config.Config) remux.Options {
	return remux.Options{
		SegmentDuration:    cfg.HLS.SegmentDuration,
		MaxSegmentDuration: cfg.HLS.MaxSegmentDuration,
		MaxSegmentBytes:    int64(cfg.HLS.MaxSegmentBytes),
		PartDuration:       cfg.HLS.PartDuration,
		Window:             cfg.HLS.Window,
		MaxBytes:           int64(cfg.Stream.MaxBytes),
		Reconnect:          cfg.Stream.ReconnectWindow,
		Linger:             cfg.Stream.Linger,
		MaxLag:             cfg.Stream.MaxLag,
		MaxLagBytes:        int64(cfg.Stream.MaxLagBytes),
	}
}

func ingestConfig(cfg *config.Config, log *slog.Logger, registry *remux.Registry, policies *policies, relays *relay.Relay, caps connectionCaps) ingest.Config {
	plays := &rtmpPlays{policies: policies}
	c := ingest.Config{
		Registry:                 registry,
		Logger:                   log,
		Demand:                   relays.Demand,
		Authorize:                authorizePublish(policies),
		AuthorizePlay:            plays.authorize,
		PlayDone:                 plays.done,
		RelayID:                  relays.ID(),
		Takeover:                 cfg.Publish.Takeover,
		MaxConnections:           caps.rtmp,
		MaxConnectionsPerAddress: cfg.RTMP.MaxConnectionsPerAddress,
		MaxRatePerAddress:        cfg.RTMP.MaxRatePerAddress,
		MaxBitrate:               int64(cfg.RTMP.MaxBitrate),
		BitrateGrace:             cfg.RTMP.BitrateGrace,
		MaxMessage:               int(cfg.RTMP.MaxMessage),
		MaxUncut:                 max(int64(cfg.Stream.MaxBytes), leastUncut),
		HandshakeTimeout:         cfg.RTMP.HandshakeTimeout,
		ConnectTimeout:           cfg.RTMP.ConnectTimeout,
		PublishTimeout:           cfg.RTMP.PublishTimeout,
		FirstMediaTimeout:        cfg.RTMP.FirstMediaTimeout,
		IdleTimeout:              cfg.RTMP.IdleTimeout,
		WriteTimeout:             cfg.RTMP.WriteTimeout,
		PingTimeout:              cfg.RTMP.PingTimeout,
		MaxPlayers:               cfg.RTMP.MaxPlayers,
		ReadGather:               readGather(cfg),
		PlayGather:               cfg.RTMP.PlayGather,
		PlayHold:                 cfg.RTMP.PlayHold,
	}
	return c
}

// readGather has publishers read just before their frames go out to HTTP viewers, and
// where those gather nothing, soon.
func readGather(cfg *config.Config) time.Duration {
	read, send := cfg.RTMP.ReadGather, cfg.HTTP.FLVGather
	switch {
	case read == 0:
		return 0
	case send == 0:
		return min(read, 5*time.Millisecond)
	}
	return turns.Fitting(send, read)
}

// leastUncut leaves room for a segment of ten seconds at the highest rate, however
// little memory a stream has.
const leastUncut = 128 << 20

func relayOptions(log *slog.Logger, registry *remux.Registry, via func(remux.Name) []string) relay.Options {
	return relay.Options{Registry: registry, Logger: log, ID: rand.Text(), Via: via}
}

// webLimits are those of the public listeners.
func webLimits(cfg *config.Config, caps connectionCaps) poolLimits {
	return poolLimits{
		most:       caps.http,
		perAddress: cfg.HTTP.MaxConnectionsPerAddress,
		perSecond:  cfg.HTTP.MaxRatePerAddress,
		unlimited:  cfg.HTTP.UnlimitedFrom,
	}
}

func originConfig(cfg *config.Config, log *slog.Logger, registry *remux.Registry, policies *policies, relays *relay.Relay) origin.Config {
	c := origin.Config{
		Registry:   registry,
		Logger:     log,
		Demand:     relays.Demand,
		CORSOrigin: cfg.HTTP.CORSOrigin,
		FLVGather:  cfg.HTTP.FLVGather,
		MaxViewers: cfg.HTTP.MaxViewers,
		StartHold:  cfg.HTTP.StartHold,
		Stale:      cfg.HLS.Stale,
		EdgeSecret: string(cfg.Play.EdgeSecret),
		Unlimited:  cfg.HTTP.UnlimitedFrom,
	}
	if cfg.Access().LimitsPlay() {
		c.Authorize = authorizePlay(policies, log)
	}
	return c
}
