package main

import (
	"log/slog"

	"headwater/cmd/headwater/config"
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
