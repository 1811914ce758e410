package admin

import (
	"encoding/json"
	"time"
)

// What the API says. The names of the members are those of openapi.json; times are
// RFC 3339, lengths of time seconds, and rates a second.

// Server is the process.
type Server struct {
	Version   string            `json:"version"`
	Commit    string            `json:"commit"`
	Go        string            `json:"go"`
	Started   time.Time         `json:"started"`
	Uptime    float64           `json:"uptime_seconds"`
	Ready     bool              `json:"ready"`
	Listeners map[string]string `json:"listeners"` // rtmp, rtmps, http, https, admin: HOST:PORT
}

// Stream is one live stream, or one that has just ended.
type Stream struct {
	Name      string         `json:"name"` // APP/NAME
	State     string         `json:"state"`
	Since     time.Time      `json:"since"` // of the state
	Began     time.Time      `json:"began"`
	Uptime    float64        `json:"uptime_seconds"` // since it began
	Publisher *Publisher     `json:"publisher"`      // nil: none, or a relay
	Video     *Video         `json:"video"`
	Audio     *Audio         `json:"audio"`
	Extras    []Track        `json:"extra_tracks"`
	Bitrate   int64          `json:"bitrate"`            // bits a second, of the last seconds
	FrameRate float64        `json:"frame_rate"`         // likewise
	KeyFrames *Interval      `json:"key_frame_interval"` // nil: there have not been two
	AVOffset  *float64       `json:"av_offset_seconds"`  // of the sound, against the pictures that it arrives with
	LastPart  *time.Time     `json:"last_part"`          // when the newest media came to be playable
	Counters  Counters       `json:"counters"`
	Viewers   map[string]int `json:"viewers"` // by protocol
	HLS       HLS            `json:"hls"`
	Renders   Renders        `json:"renders"`
	// Metadata is onMetaData as the encoder sent it.
	Metadata json.RawMessage `json:"metadata"`
}

// Publisher is a connection that publishes.
type Publisher struct {
	Session  uint64    `json:"session"` // as in the log
	Stream   string    `json:"stream"`
	Remote   string    `json:"remote"`
	Encoder  string    `json:"encoder"`
	KeyID    string    `json:"key_id"` // "": it needed none
	TLS      bool      `json:"tls"`
	Since    time.Time `json:"since"`
	Bytes    uint64    `json:"bytes"`
	Messages uint64    `json:"messages"`
}

// Video is a stream's picture.
type Video struct {
	Codec     string  `json:"codec"`  // as people call it
	String    string  `json:"string"` // as CODECS has it (RFC 6381)
	Width     int     `json:"width"`
	Height    int     `json:"height"`
	FrameRate float64 `json:"stated_frame_rate"` // 0: the encoder does not state it
}

// Audio is a stream's sound.
type Audio struct {
	Codec      string `json:"codec"`
	String     string `json:"string"`
	SampleRate int    `json:"sample_rate"`
	Channels   int    `json:"channels"`
}

// Track is one beside the first of its kind. One of Video and Audio is not nil.
type Track struct {
	Kind     string `json:"kind"`     // video or audio
	Number   uint8  `json:"track"`    // as the encoder counts; the first of each kind are 0
	Language string `json:"language"` // "": the encoder does not say
	Video    *Video `json:"video"`
	Audio    *Audio `json:"audio"`
}

// Interval is in seconds.
type Interval struct {
	Last float64 `json:"last"`
	Min  float64 `json:"min"`
	Max  float64 `json:"max"`
}

// Counters count since the publisher came.
type Counters struct {
	VideoFrames     uint64 `json:"video_frames"`
	AudioFrames     uint64 `json:"audio_frames"`
	Bytes           uint64 `json:"bytes"`
	Discontinuities uint64 `json:"discontinuities"`
	Malformed       uint64 `json:"malformed"`
	Unsupported     uint64 `json:"unsupported"`
	OtherTracks     uint64 `json:"other_tracks"`
	BeforeHeader    uint64 `json:"before_header"`
	Metadata        uint64 `json:"metadata"`
	MetadataDropped uint64 `json:"metadata_dropped"`
}

// HLS is where a stream's playlists stand.
type HLS struct {
	MediaSequence         uint64  `json:"media_sequence"`
	DiscontinuitySequence uint64  `json:"discontinuity_sequence"`
	TargetDuration        float64 `json:"target_duration"`
	PartTarget            float64 `json:"part_target"`
	Segments              int     `json:"segments"` // listed
	Window                float64 `json:"window_seconds"`
	Held                  int     `json:"segments_held"`
	Bytes                 int64   `json:"bytes_held"`
}

// Renders counts what was made for viewers, each thing once.
type Renders struct {
	Multivariants uint64 `json:"multivariants"`
	Playlists     uint64 `json:"playlists"`
	Segments      uint64 `json:"segments"`
	Parts         uint64 `json:"parts"`
	Inits         uint64 `json:"inits"`
}

// Viewer is a connection that plays. HLS has none.
type Viewer struct {
	ID       string    `json:"id"`
	Stream   string    `json:"stream"`
	Protocol string    `json:"protocol"`
	Remote   string    `json:"remote"`
	Player   string    `json:"player"`
	TLS      bool      `json:"tls"`
	Since    time.Time `json:"since"`
	Bytes    *uint64   `json:"bytes"` // sent; nil: not known
	Skips    *uint64   `json:"skips"` // how often it was too slow; nil: not known
}

// Relay is one stream on its way to or from another server.
type Relay struct {
	Kind    string     `json:"kind"` // push or pull
	Stream  string     `json:"stream"`
	Target  string     `json:"target"` // without what is secret
	State   string     `json:"state"`
	Since   time.Time  `json:"since"`
	Tries   uint64     `json:"tries"`
	Error   string     `json:"error"` // the last one; "": none
	ErrorAt *time.Time `json:"error_at"`
	Bytes   uint64     `json:"bytes"`
	Frames  uint64     `json:"frames"`
	Skips   uint64     `json:"skips"`
}

// Key is a publish key that was made through the API.
type Key struct {
	ID      string    `json:"id"`
	Name    string    `json:"name"` // APP/NAME or a pattern
	Created time.Time `json:"created"`
}

// NewKey is a Key at the one moment at which its secret is known.
type NewKey struct {
	Key
	Secret string `json:"secret"`
}

// KeyOrder asks for a key.
type KeyOrder struct {
	ID   string `json:"id"`   // "": one is made up
	Name string `json:"name"` // "": every name
}

// Reloaded is what a reload has done.
type Reloaded struct {
	Changed []string `json:"changed"` // keys that have other values now
	Restart []string `json:"restart"` // keys that differ and need a restart
}
