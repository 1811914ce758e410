package config

import (
	"reflect"
	"slices"
	"strings"
)

// fixed are the keys that a running server cannot change, and the sections of such.
// What is not among them it can.
var fixed = []string{
	"rtmp.listen", "rtmps.listen", "http.listen", "https.listen", "admin.listen", "admin.pprof", "proxy_protocol.",
	"data", "http.cors_origin", "http.flv_gather", "http.start_hold", "http.max_viewers", "http.access_log",
	"rtmp.read_gather", "rtmp.play_gather", "rtmp.play_hold", "play.edge_secret", "twin.", "metrics.", "hls.", "stream.", "limits.", "log.format", "tracing.",
}

func isFixed(key string) bool {
	return slices.ContainsFunc(fixed, func(f string) bool {
		return key == f || strings.HasSuffix(f, ".") && strings.HasPrefix(key, f)
	})
}

// Merge returns what a running server makes of a new configuration: next, but with
// the values of now where they cannot change. changed are the keys that have other
// values, restart those that would.
func Merge(now, next *Config) (merged *Config, changed, restart []string) {
	c := *next
	from := leaves(now)
	for i, to := range leaves(&c) {
		switch {
		case reflect.DeepEqual(from[i].field.Interface(), to.field.Interface()):
		case isFixed(to.key):
			restart = append(restart, to.key)
			to.field.Set(from[i].field)
		default:
			changed = append(changed, to.key)
		}
	}
	return &c, changed, restart
}
