package config

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/cmd/headwater/access"
)

func TestPrecedence(t *testing.T) {
	file := write(t, "hls: {window: 20s, segment_duration: 3s}\nlog: {level: warn}\n")
	c, warnings, err := Load(Source{
		File:    file,
		Environ: []string{"HEADWATER_HLS_WINDOW=30s", "HEADWATER_LOG_LEVEL=error", "PATH=/bin"},
		Flags:   map[string]string{"log.level": "debug"},
	})
	if err != nil || len(warnings) > 0 {
		t.Fatal(err, warnings)
	}
	if c.Log.Level != "debug" || c.HLS.Window != 30*time.Second || c.HLS.SegmentDuration != 3*time.Second || c.RTMP.Listen != ":1935" {
		t.Errorf("flag, environment, file, default: got %q %s %s %q", c.Log.Level, c.HLS.Window, c.HLS.SegmentDuration, c.RTMP.Listen)
	}
}

func TestFileFromEnvironment(t *testing.T) {
	environ := []string{"HEADWATER_CONFIG=" + write(t, "data: /from/environment\n")}
	c, _, err := Load(Source{Environ: environ})
	if err != nil || c.Data != "/from/environment" {
		t.Errorf("got %+v, %v", c, err)
	}
	c, _, err = Load(Source{File: write(t, "data: /from/flag\n"), Environ: environ})
	if err != nil || c.Data != "/from/flag" {
		t.Errorf("got %+v, %v", c, err)
	}
}

func TestProblemNamesItsPlace(t *testing.T) {
	tests := []struct {
		src  Source
		want string
	}{
		{Source{Environ: []string{"HEADWATER_HLS_WINDOW=x"}}, `HEADWATER_HLS_WINDOW: hls.window: "x" is not a duration such as 500ms, 2s or 5m`},
		{Source{Flags: map[string]string{"rtmp.listen": "x"}}, `--rtmp: rtmp.listen: "x" is not an address such as :1935, 127.0.0.1:1935 or [::1]:1935`},
		{Source{Flags: map[string]string{"log.level": "x"}}, `--log-level: log.level: "x" is none of debug, info, warn, error`},
		{Source{Environ: []string{"HEADWATER_DATA="}}, `HEADWATER_DATA: data: is empty; name a folder`},
		{Source{Environ: []string{"HEADWATER_CONFIG=/nowhere.yaml"}}, `read configuration: stat /nowhere.yaml: no such file or directory`},
	}
	for _, tt := range tests {
		if _, _, err := Load(tt.src); err == nil || err.Error() != tt.want {
			t.Errorf("got  %v\nwant %s", err, tt.want)
		}
	}
}

func TestUnknownVariables(t *testing.T) {
	_, warnings, err := Load(Source{Environ: []string{
		"HEADWATER_HLS_SEGMENTDURATION=2s",
		"HEADWATER_NONSENSE=1",
		// What an orchestrator sets for services named headwater and headwater-admin.
		"HEADWATER_SERVICE_HOST=10.0.0.1", "HEADWATER_SERVICE_PORT=8080", "HEADWATER_SERVICE_PORT_RTMP=1935",
		"HEADWATER_PORT=tcp://10.0.0.1:8080", "HEADWATER_PORT_8080_TCP=tcp://10.0.0.1:8080",
		"HEADWATER_PORT_8080_TCP_ADDR=10.0.0.1", "HEADWATER_ADMIN_SERVICE_HOST=10.0.0.2", "HEADWATER_ADMIN_PORT_8081_TCP_PROTO=tcp",
	}})
	want := []string{
		"environment variable HEADWATER_HLS_SEGMENTDURATION sets no key; did you mean HEADWATER_HLS_SEGMENT_DURATION?",
		"environment variable HEADWATER_NONSENSE sets no key",
	}
	if err != nil || !reflect.DeepEqual(warnings, want) {
		t.Errorf("got %v, %q", err, warnings)
	}
}

func TestEnvironmentNamesAreUnique(t *testing.T) {
	seen := map[string]string{EnvName("config"): "--config"}
	for _, key := range Keys() {
		name := EnvName(key)
		if other := seen[name]; other != "" {
			t.Errorf("%s is the variable of %s and of %s", name, key, other)
		}
		if serviceLink.MatchString(name) {
			t.Errorf("%s looks like an orchestrator's own variable and would be ignored", name)
		}
		seen[name] = key
	}
}

func TestEveryKeyCanBeSet(t *testing.T) {
	var c Config
	for _, l := range leaves(&c) {
		if !slices.ContainsFunc([]string{"1s", "1", "true", "192.0.2.1", "[{id: a}]", "[{name: a/b}]", "{a: b/c}"}, func(value string) bool { return l.set(value) == nil }) {
			t.Errorf("%s: no value can be set", l.key)
		}
		if l.field.IsZero() {
			t.Errorf("%s: setting it left it zero", l.key)
		}
	}
}

// TestNetworks: the same list in each place where it may stand.
func TestNetworks(t *testing.T) {
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/32")}
	for name, src := range map[string]Source{
		"file":        {File: write(t, "proxy_protocol: {from: [10.1.2.3/8, 192.0.2.1, \"2001:db8::/32\"]}\n")},
		"block":       {File: write(t, "proxy_protocol:\n  from:\n    - 10.0.0.0/8\n    - 192.0.2.1\n    - 2001:db8::/32\n")},
		"environment": {Environ: []string{"HEADWATER_PROXY_PROTOCOL_FROM=10.0.0.0/8,192.0.2.1, 2001:db8::/32"}},
	} {
		c, _, err := Load(src)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if !slices.Equal(c.ProxyProtocol.From, want) {
			t.Errorf("%s: got %v", name, c.ProxyProtocol.From)
		}
	}
	c, _, err := Load(Source{File: write(t, "proxy_protocol: {from: 127.0.0.1}\n"), Environ: []string{"HEADWATER_PROXY_PROTOCOL_FROM="}})
	if err != nil || c.ProxyProtocol.From != nil {
		t.Errorf("emptied: %+v, %v", c, err)
	}
	for _, bad := range []string{"10.0.0.0/33", "10.0.0", "host", "fe80::1%eth0", "::ffff:10.0.0.0/104"} {
		if _, _, err := Load(Source{Environ: []string{"HEADWATER_PROXY_PROTOCOL_FROM=" + bad}}); err == nil || !strings.Contains(err.Error(), bad) {
			t.Errorf("%s: %v", bad, err)
		}
	}
}

func TestBitrate(t *testing.T) {
	tests := []struct {
		text string
		want Bitrate
		back string
	}{
		{"0", 0, "0bit/s"}, {"1500", 1500, "1500bit/s"}, {"60Mbit/s", 60_000_000, "60Mbit/s"}, {"60 Mbps", 60_000_000, "60Mbit/s"},
		{"800kbit/s", 800_000, "800kbit/s"}, {"800kbps", 800_000, "800kbit/s"}, {"2Gbit/s", 2_000_000_000, "2Gbit/s"}, {"7bit/s", 7, "7bit/s"}, {"7bps", 7, "7bit/s"},
	}
	for _, tt := range tests {
		if got, err := ParseBitrate(tt.text); err != nil || got != tt.want || got.String() != tt.back {
			t.Errorf("ParseBitrate(%q) = %d (%s), %v", tt.text, got, got, err)
		}
	}
	for _, bad := range []string{"", "Mbit/s", "-1", "1.5Mbit/s", "60MB", "60mbit/s", "9223372036854775807Gbit/s"} {
		if got, err := ParseBitrate(bad); err == nil {
			t.Errorf("ParseBitrate(%q) = %d", bad, got)
		}
	}
}

func TestSize(t *testing.T) {
	tests := []struct {
		text string
		want Size
		back string
	}{
		{"0", 0, "0B"}, {"1", 1, "1B"}, {"1500B", 1500, "1500B"}, {"64KB", 64000, "64KB"}, {"64kB", 64000, "64KB"}, {"64KiB", 65536, "64KiB"},
		{"256MB", 256000000, "256MB"}, {"256 MiB", 256 << 20, "256MiB"}, {"1024MiB", 1 << 30, "1GiB"}, {"2GB", 2000000000, "2GB"},
	}
	for _, tt := range tests {
		n, err := ParseSize(tt.text)
		if err != nil || n != tt.want || n.String() != tt.back {
			t.Errorf("ParseSize(%q) = %d, %v; back to %s; want %d, %s", tt.text, n, err, n, tt.want, tt.back)
		}
	}
	for _, text := range []string{"", "B", "-1", "1.5MB", "1TB", "MB", "1M", "9223372036854775808", "9999999999GB", "0x10"} {
		if n, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, n)
		}
	}
}

func TestSecretIsNeverShown(t *testing.T) {
	c := Default()
	c.Publish.Key, c.Admin.Token = "hush-key", "hush-token"
	c.Publish.Secrets, c.Publish.Keys = []access.Key{{Key: "hush-1"}}, access.StreamKeys{"hush-2": "live/show"}
	c.JWT.Keys, c.Callbacks.OnPlay = []access.JWTKey{{Key: "hush-3"}}, "https://hush-4@example.com/hush-5"
	asJSON, err := json.Marshal(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, shown := range []string{string(asJSON), fmt.Sprintf("%v %+v %#v %q %s", c, c, c, c.Publish.Key, c.Admin.Token)} {
		if strings.Contains(shown, "hush") {
			t.Errorf("shown: %s", shown)
		}
	}
}

func TestIsLoopback(t *testing.T) {
	tests := map[string]bool{
		"127.0.0.1:1": true, "127.9.9.9:1": true, "[::1]:1": true, "localhost:1": true, "[::ffff:127.0.0.1]:1": true,
		":1": false, "0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "localhost.example.com:1": false, "": false,
	}
	for address, want := range tests {
		if got := IsLoopback(address); got != want {
			t.Errorf("IsLoopback(%q) = %v", address, got)
		}
	}
}

func write(t *testing.T, text string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "headwater.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return file
}
