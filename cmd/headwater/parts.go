package main

import (
	"log/slog"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/config"
	"headwater/ingest"
	"headwater/origin"
	"headwater/remux"
)

// What each part is told of the configuration.

func remuxOptions(cfg *config.Config) remux.Options {
	return remux.Options{
		SegmentDuration:    cfg.HLS.SegmentDuration,
		MaxSegmentDuration: cfg.HLS.MaxSegmentDuration,
		PartDuration:       cfg.HLS.PartDuration,
		Window:             cfg.HLS.Window,
		MaxBytes:           int64(cfg.Stream.MaxBytes),
		Reconnect:          cfg.Stream.ReconnectWindow,
		Linger:             cfg.Stream.Linger,
		MaxLag:             cfg.Stream.MaxLag,
		MaxLagBytes:        int64(cfg.Stream.MaxLagBytes),
	}
}

func ingestConfig(cfg *config.Config, log *slog.Logger, registry *remux.Registry, policy *access.Policy, caps connectionCaps) ingest.Config {
	plays := &rtmpPlays{policy: policy}
	return ingest.Config{
		Registry:                 registry,
		Logger:                   log,
		Authorize:                authorizePublish(policy),
		AuthorizePlay:            plays.authorize,
		PlayDone:                 plays.done,
		Takeover:                 cfg.Publish.Takeover,
		MaxConnections:           caps.rtmp,
		MaxConnectionsPerAddress: cfg.RTMP.MaxConnectionsPerAddress,
		MaxRatePerAddress:        cfg.RTMP.MaxRatePerAddress,
		MaxBitrate:               int64(cfg.RTMP.MaxBitrate),
		BitrateGrace:             cfg.RTMP.BitrateGrace,
		MaxMessage:               int(cfg.RTMP.MaxMessage),
		HandshakeTimeout:         cfg.RTMP.HandshakeTimeout,
		ConnectTimeout:           cfg.RTMP.ConnectTimeout,
		PublishTimeout:           cfg.RTMP.PublishTimeout,
		FirstMediaTimeout:        cfg.RTMP.FirstMediaTimeout,
		IdleTimeout:              cfg.RTMP.IdleTimeout,
		WriteTimeout:             cfg.RTMP.WriteTimeout,
	}
}

func originConfig(cfg *config.Config, log *slog.Logger, registry *remux.Registry, policy *access.Policy) origin.Config {
	c := origin.Config{
		Registry:   registry,
		Logger:     log,
		CORSOrigin: cfg.HTTP.CORSOrigin,
		FLVGather:  cfg.HTTP.FLVGather,
		MaxViewers: cfg.HTTP.MaxViewers,
		StartHold:  cfg.HTTP.StartHold,
	}
	if cfg.Access().LimitsPlay() {
		c.Authorize = authorizePlay(policy, log)
	}
	return c
}
