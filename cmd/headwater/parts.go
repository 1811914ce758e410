package main

import (
	"log/slog"

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

func ingestConfig(cfg *config.Config, log *slog.Logger, registry *remux.Registry, access *publishKey, caps connectionCaps) ingest.Config {
	return ingest.Config{
		Registry:                 registry,
		Logger:                   log,
		Authorize:                access.authorize,
		Takeover:                 cfg.Publish.Takeover,
		MaxConnections:           caps.rtmp,
		MaxConnectionsPerAddress: cfg.RTMP.MaxConnectionsPerAddress,
		MaxMessage:               int(cfg.RTMP.MaxMessage),
		HandshakeTimeout:         cfg.RTMP.HandshakeTimeout,
		ConnectTimeout:           cfg.RTMP.ConnectTimeout,
		PublishTimeout:           cfg.RTMP.PublishTimeout,
		FirstMediaTimeout:        cfg.RTMP.FirstMediaTimeout,
		IdleTimeout:              cfg.RTMP.IdleTimeout,
		WriteTimeout:             cfg.RTMP.WriteTimeout,
	}
}

func originConfig(cfg *config.Config, log *slog.Logger, registry *remux.Registry) origin.Config {
	return origin.Config{
		Registry:   registry,
		Logger:     log,
		CORSOrigin: cfg.HTTP.CORSOrigin,
		FLVGather:  cfg.HTTP.FLVGather,
		MaxViewers: cfg.HTTP.MaxViewers,
		StartHold:  cfg.HTTP.StartHold,
	}
}

// publishAccess returns who may publish, and what the banner says about it.
func publishAccess(cfg *config.Config) (*publishKey, banner, error) {
	if key := string(cfg.Publish.Key); key != "" {
		return newPublishKey(key, true), banner{}, nil
	}
	key, path, made, err := loadPublishKey(cfg.Data)
	if err != nil {
		return nil, banner{}, err
	}
	about := banner{keyPath: path, keyMade: made}
	if made {
		about.key = key
	}
	return newPublishKey(key, false), about, nil
}
