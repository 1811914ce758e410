package main

import (
	"testing"

	"headwater/cmd/headwater/config"
)

func TestShareDescriptors(t *testing.T) {
	tests := []struct {
		limit      uint64
		rtmp, http int // as configured
		want       connectionCaps
		refused    bool
	}{
		{1024, 0, 0, connectionCaps{192, 544, 32}, false},
		{1 << 20, 0, 0, connectionCaps{1000, 1<<20 - 256 - 1000 - 512, 512}, false},
		{1<<64 - 1, 0, 0, connectionCaps{1000, 1<<20 - 256 - 1000 - 512, 512}, false},
		{4096, 500, 0, connectionCaps{500, 3212, 128}, false},
		{4096, 0, 3000, connectionCaps{210, 3000, 128}, false},
		{4096, 500, 3340, connectionCaps{500, 3340, 0}, false},
		{4096, 500, 3341, connectionCaps{}, true},
		{1024, 0, 10000, connectionCaps{}, true},
		{256, 0, 0, connectionCaps{}, true},
	}
	for _, tt := range tests {
		cfg := config.Default()
		cfg.RTMP.MaxConnections, cfg.HTTP.MaxConnections = tt.rtmp, tt.http
		got, err := shareDescriptors(tt.limit, &cfg)
		if (err != nil) != tt.refused || err == nil && got != tt.want {
			t.Errorf("limit %d, rtmp %d, http %d: got %+v, %v", tt.limit, tt.rtmp, tt.http, got, err)
		}
	}
}

func TestRaiseDescriptorLimit(t *testing.T) {
	if n, err := raiseDescriptorLimit(); err != nil || n < 64 {
		t.Errorf("got %d, %v", n, err)
	}
}
