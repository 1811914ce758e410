package config

import (
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/cmd/headwater/access"
)

func TestMerge(t *testing.T) {
	now, next := Default(), Default()
	if _, changed, restart := Merge(&now, &next); len(changed)+len(restart) != 0 {
		t.Errorf("nothing changed: %v, %v", changed, restart)
	}
	next.Publish.Secrets = []access.Key{{ID: "a", Key: "hush"}}
	next.Data, next.HLS.Window, next.Log.Level = "/elsewhere", time.Minute, "debug"
	merged, changed, restart := Merge(&now, &next)
	if got := strings.Join(changed, " "); got != "publish.secrets log.level" {
		t.Errorf("changed: %s", got)
	}
	if got := strings.Join(restart, " "); got != "data hls.window" {
		t.Errorf("restart: %s", got)
	}
	if merged.Data != now.Data || merged.HLS != now.HLS || merged.Log.Level != "debug" || merged.Publish.Secrets[0].Key != "hush" {
		t.Errorf("merged %+v", merged)
	}
	if next.Data != "/elsewhere" || now.Log.Level != "info" {
		t.Error("what was given has changed")
	}
}

// TestFixedExist: each key and section that cannot change is one.
func TestFixedExist(t *testing.T) {
	for _, f := range fixed {
		if !slices.ContainsFunc(Keys(), func(key string) bool { return key == f || strings.HasSuffix(f, ".") && strings.HasPrefix(key, f) }) {
			t.Errorf("there is no %s", f)
		}
	}
}
