// Package config is what an operator can set: one tree of structs whose fields
// are the keys of the configuration file, of the environment and, for some, of
// the command line.
//
// A key is written with dots (hls.segment_duration). In the file it is nested
// YAML, in the environment HEADWATER_ and the path in capitals
// (HEADWATER_HLS_SEGMENT_DURATION). A flag wins over the environment, that over
// the file, that over the default. All three go through the same setter, so a
// value means the same wherever it was written, and an error names the key and
// the place.
//
// configs/headwater.yaml documents every key; a test holds it against Default.
package config

import (
	"net/netip"
	"time"

	"headwater/cmd/headwater/access"
	"headwater/ingest/relay"
	"headwater/remux"
)

// Config is the whole configuration.
type Config struct {
	RTMP          RTMP             `yaml:"rtmp"`
	RTMPS         TLS              `yaml:"rtmps"`
	HTTP          HTTP             `yaml:"http"`
	HTTPS         TLS              `yaml:"https"`
	ProxyProtocol ProxyProtocol    `yaml:"proxy_protocol"`
	Admin         Admin            `yaml:"admin"`
	Metrics       Metrics          `yaml:"metrics"`
	Data          string           `yaml:"data"` // folder of the state that outlives a restart; made when first needed
	Publish       Publish          `yaml:"publish"`
	Play          access.Playing   `yaml:"play"`
	Tokens        access.Tokens    `yaml:"tokens"`
	JWT           access.JWT       `yaml:"jwt"`
	Callbacks     access.Callbacks `yaml:"callbacks"`
	Relay         relay.Config     `yaml:"relay"`
	Twin          Twin             `yaml:"twin"`
	HLS           HLS              `yaml:"hls"`
	Stream        Stream           `yaml:"stream"`
	Limits        Limits           `yaml:"limits"`
	Log           Log              `yaml:"log"`
	Tracing       Tracing          `yaml:"tracing"`
	Shutdown      Shutdown         `yaml:"shutdown"`
}

// Access returns what says who may publish and play.
func (c *Config) Access() access.Config {
	return access.Config{Publish: c.Publish.Publishing, Play: c.Play, Tokens: c.Tokens, JWT: c.JWT, Callbacks: c.Callbacks}
}

// Secret is a value that no log, error or dump shows.
type Secret = access.Secret

// RTMP is the listener that publishers connect to, and players, and the patience it
// has with them.
type RTMP struct {
	Listen                   string        `yaml:"listen"`
	MaxConnections           int           `yaml:"max_connections"`             // 0: a quarter of what the descriptor limit leaves, 1000 at most
	MaxConnectionsPerAddress int           `yaml:"max_connections_per_address"` // 0: no limit; loopback never has one
	MaxRatePerAddress        int           `yaml:"max_rate_per_address"`        // new connections a second; 0: no limit; loopback never has one
	MaxBitrate               Bitrate       `yaml:"max_bitrate"`                 // of one publisher; 0: no limit
	BitrateGrace             time.Duration `yaml:"bitrate_grace"`               // how long one may want more than that; 0: for ever, held back
	MaxMessage               Size          `yaml:"max_message"`                 // of one audio or video message
	HandshakeTimeout         time.Duration `yaml:"handshake_timeout"`           // from accept to the end of the handshake
	ConnectTimeout           time.Duration `yaml:"connect_timeout"`             // from there to the connect command
	PublishTimeout           time.Duration `yaml:"publish_timeout"`             // from there to the publish command
	FirstMediaTimeout        time.Duration `yaml:"first_media_timeout"`         // from there to the first audio or video
	IdleTimeout              time.Duration `yaml:"idle_timeout"`                // the longest time without audio and video
	WriteTimeout             time.Duration `yaml:"write_timeout"`               // the longest time in which a peer takes nothing
	PingTimeout              time.Duration `yaml:"ping_timeout"`                // for a player to answer a ping
	MaxPlayers               int           `yaml:"max_players"`                 // 0: three quarters of max_connections
	ReadGather               time.Duration `yaml:"read_gather"`                 // 0: publishers are read whenever something comes
	PlayGather               time.Duration `yaml:"play_gather"`                 // 0: every frame is sent by itself
	PlayHold                 time.Duration `yaml:"play_hold"`                   // how long a player waits for a stream that is not there
}

// TLS is a second listener, for the same over TLS.
type TLS struct {
	Listen      string `yaml:"listen"`      // "": none
	Certificate string `yaml:"certificate"` // a PEM file: the certificate, then those between it and a root
	Key         string `yaml:"key"`         // a PEM file
}

// ProxyProtocol says whom to believe about who is behind a connection.
type ProxyProtocol struct {
	From []netip.Prefix `yaml:"from"` // proxies: their connections begin with a PROXY header, no others may
}

// HTTP is the public listener.
type HTTP struct {
	Listen                   string         `yaml:"listen"`
	MaxConnections           int            `yaml:"max_connections"`             // 0: what the descriptor limit and rtmp.max_connections leave
	MaxConnectionsPerAddress int            `yaml:"max_connections_per_address"` // 0: no limit; loopback never has one
	MaxRatePerAddress        int            `yaml:"max_rate_per_address"`        // new connections a second; 0: no limit; loopback never has one
	UnlimitedFrom            []netip.Prefix `yaml:"unlimited_from"`              // these have no limits of their own either
	CORSOrigin               string         `yaml:"cors_origin"`                 // "": no CORS headers
	MaxViewers               int            `yaml:"max_viewers"`                 // of HTTP-FLV; 0: as many as connections
	FLVGather                time.Duration  `yaml:"flv_gather"`                  // 0: every frame is sent by itself
	StartHold                time.Duration  `yaml:"start_hold"`                  // how long a request waits for a stream that is starting
	TrustedProxies           []netip.Prefix `yaml:"trusted_proxies"`             // those that say in a header who asks
	AccessLog                string         `yaml:"access_log"`                  // a file; "-": standard output, "": none
}

// Admin is the listener for health, console, API and metrics.
type Admin struct {
	Listen string `yaml:"listen"`
	Token  Secret `yaml:"token"` // "": none, which loopback alone allows
	Pprof  bool   `yaml:"pprof"` // serve Go's profiles
}

// Metrics is what /metrics of the admin listener has.
type Metrics struct {
	Streams int `yaml:"streams"` // so many have series of their own; the others have one together
}

// Publish says who may publish.
type Publish struct {
	access.Publishing
	Takeover bool `yaml:"takeover"` // a second publisher that has shown a right to its name replaces the first; false: it is refused
}

// Twin is a second origin that gets the same tags.
type Twin struct {
	URL   string `yaml:"url"`   // of its admin listener; "": there is none
	Token Secret `yaml:"token"` // its admin token
}

// HLS is how streams are cut.
type HLS struct {
	SegmentDuration    time.Duration `yaml:"segment_duration"`
	MaxSegmentDuration time.Duration `yaml:"max_segment_duration"`
	MaxSegmentBytes    Size          `yaml:"max_segment_bytes"`
	PartDuration       time.Duration `yaml:"part_duration"`
	Window             time.Duration `yaml:"window"`
	Stale              time.Duration `yaml:"stale"` // 0: a playlist is never too old
}

// Stream bounds each stream.
type Stream struct {
	MaxBytes        Size          `yaml:"max_bytes"`
	ReconnectWindow time.Duration `yaml:"reconnect_window"` // 0: a stream ends with its publisher
	Linger          time.Duration `yaml:"linger"`           // how long an ended stream can still be played to its end
	MaxLag          time.Duration `yaml:"max_lag"`          // a viewer further behind skips to the newest key frame
	MaxLagBytes     Size          `yaml:"max_lag_bytes"`    // the same, in bytes
}

// Limits bound the process.
type Limits struct {
	Memory Size `yaml:"memory"` // 0: GOMEMLIMIT, else three quarters of what the container or the machine has
}

// Log is what is written to standard error.
type Log struct {
	Format string `yaml:"format"` // text or json
	Level  string `yaml:"level"`  // debug, info, warn or error
}

// Tracing is where traces go.
type Tracing struct {
	Endpoint string `yaml:"endpoint"` // URL of a collector that takes OTLP over HTTP; "": nothing is traced
	OneIn    int    `yaml:"one_in"`   // of so many requests one is traced
}

// Shutdown is the end of the process.
type Shutdown struct {
	Grace time.Duration `yaml:"grace"` // how long answers under way may still take
}

// Default returns the configuration of a server that was told nothing.
func Default() Config {
	open, media := access.DefaultConfig(), remux.DefaultOptions()
	return Config{
		RTMP: RTMP{
			Listen:                   ":1935",
			MaxConnectionsPerAddress: 20,
			MaxRatePerAddress:        20,
			MaxBitrate:               60 * Megabit,
			BitrateGrace:             10 * time.Second,
			MaxMessage:               8 * Mebibyte,
			HandshakeTimeout:         5 * time.Second,
			ConnectTimeout:           5 * time.Second,
			PublishTimeout:           10 * time.Second,
			FirstMediaTimeout:        15 * time.Second,
			IdleTimeout:              10 * time.Second,
			WriteTimeout:             5 * time.Second,
			PingTimeout:              10 * time.Second,
			ReadGather:               20 * time.Millisecond,
			PlayGather:               100 * time.Millisecond,
			PlayHold:                 3 * time.Second,
		},
		HTTP: HTTP{
			Listen:                   ":8080",
			MaxConnectionsPerAddress: 1000,
			MaxRatePerAddress:        1000,
			CORSOrigin:               "*",
			FLVGather:                100 * time.Millisecond,
			StartHold:                8 * time.Second,
		},
		Admin:     Admin{Listen: "127.0.0.1:8081"},
		Metrics:   Metrics{Streams: 200},
		Data:      "./data",
		Publish:   Publish{Publishing: open.Publish, Takeover: true},
		Play:      open.Play,
		Tokens:    open.Tokens,
		JWT:       open.JWT,
		Callbacks: open.Callbacks,
		HLS: HLS{
			SegmentDuration:    media.SegmentDuration,
			MaxSegmentDuration: media.MaxSegmentDuration,
			MaxSegmentBytes:    Size(media.MaxSegmentBytes),
			PartDuration:       media.PartDuration,
			Window:             media.Window,
			Stale:              45 * time.Second,
		},
		Stream: Stream{
			MaxBytes:        Size(media.MaxBytes),
			ReconnectWindow: media.Reconnect,
			Linger:          media.Linger,
			MaxLag:          media.MaxLag,
			MaxLagBytes:     Size(media.MaxLagBytes),
		},
		Log:      Log{Format: "text", Level: "info"},
		Tracing:  Tracing{OneIn: 100},
		Shutdown: Shutdown{Grace: 10 * time.Second},
	}
}
