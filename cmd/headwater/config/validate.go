package config

import (
	"fmt"
	"net"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"headwater/cmd/headwater/twin"
)

// validate checks every value and the relations between them, once.
func (l *loader) validate() {
	c := l.config
	l.validateRTMP()
	l.tls("rtmps", c.RTMPS)
	l.address("http.listen", c.HTTP.Listen)
	l.atLeast("http.max_connections", c.HTTP.MaxConnections, 0)
	l.atLeast("http.max_connections_per_address", c.HTTP.MaxConnectionsPerAddress, 0)
	l.atLeast("http.max_rate_per_address", c.HTTP.MaxRatePerAddress, 0)
	l.origin("http.cors_origin", c.HTTP.CORSOrigin)
	l.atLeast("http.max_viewers", c.HTTP.MaxViewers, 0)
	l.between("http.flv_gather", c.HTTP.FLVGather, 0, time.Second)
	l.between("http.start_hold", c.HTTP.StartHold, 0, time.Minute)
	l.tls("https", c.HTTPS)

	l.address("admin.listen", c.Admin.Listen)
	if c.Admin.Token == "" && !IsLoopback(c.Admin.Listen) {
		l.report("off loopback this listener needs a token: set admin.token, or listen on 127.0.0.1:8081", "admin.listen")
	}
	l.unreserved("admin.token", string(c.Admin.Token))
	l.intBetween("metrics.streams", c.Metrics.Streams, maxMetricStreams)
	for _, p := range c.Access().Validate() {
		l.report(p.Text, p.Key)
	}
	for _, p := range c.Relay.Validate() {
		l.report(p.Text, p.Key)
	}
	if c.Twin.URL != "" {
		if err := (twin.Config{URL: c.Twin.URL}).Validate(); err != nil {
			l.report(err.Error(), "twin.url")
		}
	}
	l.unreserved("twin.token", string(c.Twin.Token))
	if c.Data == "" {
		l.report("is empty; name a folder", "data")
	}

	l.validateMedia()
	l.oneOf("log.format", c.Log.Format, "text", "json")
	l.oneOf("log.level", c.Log.Level, "debug", "info", "warn", "error")
	if c.Tracing.Endpoint != "" {
		u, err := url.Parse(c.Tracing.Endpoint)
		if err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" || u.User != nil || u.RawQuery != "" {
			l.report("is no URL such as http://127.0.0.1:4318; what a collector asks for goes into OTEL_EXPORTER_OTLP_HEADERS", "tracing.endpoint")
		}
	}
	l.atLeast("tracing.one_in", c.Tracing.OneIn, 1)
	l.between("shutdown.grace", c.Shutdown.Grace, 0, time.Hour)
}

// maxMetricStreams is what a scrape can carry: each stream has some 20 series.
const maxMetricStreams = 10_000

func (l *loader) validateRTMP() {
	rtmp := l.config.RTMP
	l.address("rtmp.listen", rtmp.Listen)
	l.atLeast("rtmp.max_connections", rtmp.MaxConnections, 0)
	l.atLeast("rtmp.max_connections_per_address", rtmp.MaxConnectionsPerAddress, 0)
	l.atLeast("rtmp.max_rate_per_address", rtmp.MaxRatePerAddress, 0)
	if rtmp.MaxBitrate != 0 && rtmp.MaxBitrate < Megabit {
		l.report(fmt.Sprintf("%s is less than %s; 0 is no limit", rtmp.MaxBitrate, Megabit), "rtmp.max_bitrate")
	}
	l.between("rtmp.bitrate_grace", rtmp.BitrateGrace, 0, time.Hour)
	l.sizeAtLeast("rtmp.max_message", rtmp.MaxMessage, 64*Kibibyte)
	l.sizeAtMost("rtmp.max_message", rtmp.MaxMessage, maxRTMPMessage)
	l.between("rtmp.handshake_timeout", rtmp.HandshakeTimeout, time.Second, 10*time.Minute)
	l.between("rtmp.connect_timeout", rtmp.ConnectTimeout, time.Second, 10*time.Minute)
	l.between("rtmp.publish_timeout", rtmp.PublishTimeout, time.Second, 10*time.Minute)
	l.between("rtmp.first_media_timeout", rtmp.FirstMediaTimeout, time.Second, 10*time.Minute)
	l.between("rtmp.idle_timeout", rtmp.IdleTimeout, 3*time.Second, time.Minute)
	l.between("rtmp.write_timeout", rtmp.WriteTimeout, time.Second, 10*time.Minute)
	l.between("rtmp.ping_timeout", rtmp.PingTimeout, time.Second, 10*time.Minute)
	l.atLeast("rtmp.max_players", rtmp.MaxPlayers, 0)
	l.between("rtmp.read_gather", rtmp.ReadGather, 0, 100*time.Millisecond)
	l.between("rtmp.play_gather", rtmp.PlayGather, 0, time.Second)
	l.between("rtmp.play_hold", rtmp.PlayHold, time.Millisecond, time.Minute)
}

// tls checks a listener that may be off.
func (l *loader) tls(section string, c TLS) {
	if c.Listen == "" {
		return
	}
	l.address(section+".listen", c.Listen)
	for _, file := range []struct{ key, path string }{{".certificate", c.Certificate}, {".key", c.Key}} {
		if file.path == "" {
			l.report("needs "+section+file.key+", a PEM file", section+".listen")
		}
	}
}

// maxRTMPMessage is what the 24 bits of a message's length can say.
const maxRTMPMessage = 1<<24 - 1

func (l *loader) validateMedia() {
	hls, stream := l.config.HLS, l.config.Stream
	l.between("hls.segment_duration", hls.SegmentDuration, 500*time.Millisecond, 30*time.Second)
	l.between("hls.max_segment_duration", hls.MaxSegmentDuration, 500*time.Millisecond, time.Minute)
	l.sizeAtLeast("hls.max_segment_bytes", hls.MaxSegmentBytes, Mebibyte)
	l.between("hls.stale", hls.Stale, 0, 24*time.Hour)
	l.between("hls.part_duration", hls.PartDuration, 100*time.Millisecond, 5*time.Second)
	if hls.SegmentDuration > hls.MaxSegmentDuration {
		l.report(fmt.Sprintf("a segment of %s is longer than hls.max_segment_duration, %s", hls.SegmentDuration, hls.MaxSegmentDuration),
			"hls.segment_duration", "hls.max_segment_duration")
	}
	if hls.PartDuration > hls.SegmentDuration {
		l.report(fmt.Sprintf("a part of %s is longer than hls.segment_duration, %s", hls.PartDuration, hls.SegmentDuration),
			"hls.part_duration", "hls.segment_duration")
	}
	l.between("hls.window", hls.Window, hls.SegmentDuration, 24*time.Hour)
	l.sizeAtLeast("stream.max_bytes", stream.MaxBytes, 16*Mebibyte)
	l.between("stream.reconnect_window", stream.ReconnectWindow, 0, 24*time.Hour)
	l.between("stream.linger", stream.Linger, 0, 24*time.Hour)
	l.between("stream.max_lag", stream.MaxLag, time.Second, 10*time.Minute)
	l.sizeAtLeast("stream.max_lag_bytes", stream.MaxLagBytes, Mebibyte)
	if memory := l.config.Limits.Memory; memory != 0 {
		l.sizeAtLeast("limits.memory", memory, 32*Mebibyte)
	}
}

// report adds a problem that concerns all the keys given. It is shown at the
// first of them that somebody set, since that is the one to change.
func (l *loader) report(text string, keys ...string) {
	key := keys[0]
	if i := slices.IndexFunc(keys, func(k string) bool { return l.where[k] != "" }); i >= 0 {
		key = keys[i]
	}
	l.fail(Problem{Where: l.where[key], Key: key, Text: text})
}

func (l *loader) between(key string, d, least, most time.Duration) {
	if d < least || d > most {
		l.report(fmt.Sprintf("%s is not between %s and %s", d, least, most), key)
	}
}

func (l *loader) atLeast(key string, n, least int) {
	if n < least {
		l.report(fmt.Sprintf("%d is less than %d", n, least), key)
	}
}

func (l *loader) intBetween(key string, n, most int) {
	if n < 0 || n > most {
		l.report(fmt.Sprintf("%d is not between 0 and %d", n, most), key)
	}
}

func (l *loader) sizeAtLeast(key string, n, least Size) {
	if n < least {
		l.report(fmt.Sprintf("%s is less than %s", n, least), key)
	}
}

func (l *loader) sizeAtMost(key string, n, most Size) {
	if n > most {
		l.report(fmt.Sprintf("%s is more than %s", n, most), key)
	}
}

func (l *loader) oneOf(key, value string, values ...string) {
	if !slices.Contains(values, value) {
		l.report(fmt.Sprintf("%q is none of %s", value, strings.Join(values, ", ")), key)
	}
}

// address checks HOST:PORT. HOST may be empty, an IP address or a name, which
// is looked up when the server listens; port 0 takes a free one.
func (l *loader) address(key, address string) {
	host, port, err := net.SplitHostPort(address)
	if err == nil && strings.ContainsAny(host, " /@") {
		err = fmt.Errorf("host %q", host)
	}
	if err == nil {
		_, err = strconv.ParseUint(port, 10, 16)
	}
	if err != nil {
		l.report(fmt.Sprintf("%q is not an address such as :1935, 127.0.0.1:1935 or [::1]:1935", address), key)
	}
}

// origin checks the value of Access-Control-Allow-Origin.
func (l *loader) origin(key, value string) {
	if value == "" || value == "*" {
		return
	}
	u, err := url.Parse(value)
	if err != nil || u.Scheme == "" || u.Host == "" || u.Scheme+"://"+u.Host != value {
		l.report(fmt.Sprintf(`%q is neither "*" nor an origin such as https://example.com`, value), key)
	}
}

// unreserved checks that a secret can be typed into a URL or a header as it is.
// The message does not repeat it.
func (l *loader) unreserved(key, secret string) {
	allowed := func(r rune) bool {
		return 'a' <= r && r <= 'z' || 'A' <= r && r <= 'Z' || '0' <= r && r <= '9' || strings.ContainsRune("._~-", r)
	}
	if strings.ContainsFunc(secret, func(r rune) bool { return !allowed(r) }) {
		l.report("may hold only A-Z a-z 0-9 . _ ~ - so that it can be typed as it is", key)
	}
}

// IsLoopback reports whether a listener on HOST:PORT can be reached from this
// machine only.
func IsLoopback(address string) bool {
	host, _, err := net.SplitHostPort(address)
	if err != nil {
		return false
	}
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}
