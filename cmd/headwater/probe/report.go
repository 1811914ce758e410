package probe

import (
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"headwater/origin/checkup"
)

// Report is what was seen. Its JSON form is stable: fields are added, never renamed.
// Times are in seconds, bit rates in bits a second.
type Report struct {
	URL       string    `json:"url"`
	Kind      string    `json:"kind,omitempty"` // hls, flv or ts
	Began     time.Time `json:"began"`
	Watched   Seconds   `json:"watched"`
	Reachable bool      `json:"reachable"`
	FirstByte Seconds   `json:"first_byte"`
	Requests  int       `json:"requests"`
	Bytes     int64     `json:"bytes"`

	Video  *Video  `json:"video,omitempty"`
	Audio  *Audio  `json:"audio,omitempty"`
	Media  Media   `json:"media"`
	HLS    *HLS    `json:"hls,omitempty"`
	Stream *Stream `json:"stream,omitempty"` // of FLV and TS

	Result   checkup.Severity  `json:"result"` // the worst finding
	Findings []checkup.Finding `json:"findings"`
}

// Failed reports whether there are problems.
func (r *Report) Failed() bool { return r.Result == checkup.Problem }

// Seconds is a duration that is written as a number of seconds.
type Seconds time.Duration

// MarshalJSON writes milliseconds as three digits behind the point.
func (s Seconds) MarshalJSON() ([]byte, error) {
	return fmt.Appendf(nil, "%.3f", time.Duration(s).Seconds()), nil
}

// Video is what is known of the pictures.
type Video struct {
	Codec          string  `json:"codec"`
	CodecString    string  `json:"codec_string,omitempty"`
	Width          int     `json:"width"`
	Height         int     `json:"height"`
	FrameRate      float64 `json:"frame_rate"`
	StatedRate     float64 `json:"stated_frame_rate"`
	Frames         int     `json:"frames"`
	KeyFrames      int     `json:"key_frames"`
	KeyIntervalMin Seconds `json:"key_interval_min"`
	KeyInterval    Seconds `json:"key_interval_mean"`
	KeyIntervalMax Seconds `json:"key_interval_max"`
	BFrames        bool    `json:"b_frames"`
}

// Audio is what is known of the sound.
type Audio struct {
	Codec       string  `json:"codec"`
	CodecString string  `json:"codec_string,omitempty"`
	SampleRate  int     `json:"sample_rate"`
	Channels    int     `json:"channels"`
	Frames      int     `json:"frames"`
	LongestGap  Seconds `json:"longest_gap"`
}

// Media is what is known of both.
type Media struct {
	Span        Seconds  `json:"span"`
	Bitrate     float64  `json:"bitrate_mean"`
	BitratePeak float64  `json:"bitrate_peak"`
	BitrateLow  float64  `json:"bitrate_low"`
	AudioAhead  *Seconds `json:"audio_ahead,omitempty"`
	AudioDrift  Seconds  `json:"audio_drift"`
	ClockJumps  int      `json:"clock_jumps"`
	Backward    int      `json:"timestamps_back"`
}

// HLS is what playlists were like.
type HLS struct {
	Variants          int      `json:"variants"` // 0: the URL is of a media playlist
	Live              bool     `json:"live"`
	LowLatency        bool     `json:"low_latency"`
	Container         string   `json:"container,omitempty"` // fmp4, ts or aac
	Target            Seconds  `json:"target_duration"`
	Segments          int      `json:"segments_fetched"`
	SegmentMin        Seconds  `json:"segment_min"`
	SegmentMean       Seconds  `json:"segment_mean"`
	SegmentMax        Seconds  `json:"segment_max"`
	Reloads           int      `json:"playlist_reloads"`
	Updates           int      `json:"playlist_updates"`
	LongestUnchanged  Seconds  `json:"playlist_longest_unchanged"`
	Latency           *Seconds `json:"latency,omitempty"` // of the newest media, mean; by PROGRAM-DATE-TIME
	LatencyMax        *Seconds `json:"latency_max,omitempty"`
	PartTarget        Seconds  `json:"part_target"`
	Parts             int      `json:"parts"`
	PartMin           Seconds  `json:"part_min"`
	PartMean          Seconds  `json:"part_mean"`
	PartMax           Seconds  `json:"part_max"`
	BlockedReloads    int      `json:"blocked_reloads"`
	BlockedReloadMean Seconds  `json:"blocked_reload_mean"`
	BlockedReloadMax  Seconds  `json:"blocked_reload_max"`
	Hints             int      `json:"preload_hints"`
	HintMax           Seconds  `json:"preload_hint_max"`
}

// Stream is what a body without an end was like.
type Stream struct {
	FirstPicture Seconds `json:"first_key_frame"` // from the request to the first key frame
	Pace         float64 `json:"pace"`            // seconds of media in a second
	Stall        Seconds `json:"longest_stall"`
}

// take fills in what the meter measured.
func (r *Report) take(m *meter, c checkup.Measures) {
	r.Media = Media{
		Span: Seconds(c.Span), Bitrate: math.Round(c.Bitrate.Mean), BitratePeak: math.Round(c.Bitrate.Peak), BitrateLow: math.Round(c.Bitrate.Lowest),
		AudioDrift: Seconds(c.Drift), ClockJumps: c.Clock.Jumps, Backward: c.Clock.Backward,
	}
	if c.Ahead != nil {
		a := Seconds(*c.Ahead)
		r.Media.AudioAhead = &a
	}
	if v := c.Video; v != nil {
		r.Video = &Video{
			Codec: v.Codec, Width: v.Width, Height: v.Height, FrameRate: round3(v.Rate), StatedRate: round3(v.StatedRate), Frames: v.Frames,
			KeyFrames: v.Keys.Count, KeyIntervalMin: Seconds(v.Keys.Min), KeyInterval: Seconds(v.Keys.Mean), KeyIntervalMax: Seconds(v.Keys.Max),
			BFrames: v.Reordered,
		}
		if m.video != nil {
			r.Video.CodecString = m.video.Tag
		}
	}
	if a := c.Audio; a != nil {
		r.Audio = &Audio{Codec: a.Codec, SampleRate: a.SampleRate, Channels: a.Channels, Frames: a.Frames, LongestGap: Seconds(a.Longest)}
		if m.audio != nil {
			r.Audio.CodecString = m.audio.Tag
		}
	}
}

func round3(f float64) float64 { return math.Round(f*1000) / 1000 }

// marks stand in front of a finding in text.
var marks = map[checkup.Severity]string{checkup.OK: "ok      ", checkup.Info: "info    ", checkup.Warning: "WARNING ", checkup.Problem: "PROBLEM "}

// WriteText writes the report for people.
func (r *Report) WriteText(w io.Writer) error {
	b := &strings.Builder{}
	fmt.Fprintf(b, "%s\nwatched for %.1f s, %d requests, %.1f MB\n\n", r.URL, time.Duration(r.Watched).Seconds(), r.Requests, float64(r.Bytes)/1e6)
	r.facts(b)
	WriteFindings(b, r.Findings)
	_, err := io.WriteString(w, b.String())
	return err
}

// WriteFindings writes findings for people, and a line that sums them up.
func WriteFindings(b *strings.Builder, all []checkup.Finding) {
	counts := map[checkup.Severity]int{}
	for _, f := range all {
		counts[f.Severity]++
		fmt.Fprintf(b, "%s%s\n", marks[f.Severity], f.Text)
		if f.Advice != "" {
			fmt.Fprintf(b, "        → %s\n", f.Advice)
		}
	}
	fmt.Fprintf(b, "\n%d problems, %d warnings\n", counts[checkup.Problem], counts[checkup.Warning])
}

// facts are the numbers that no finding repeats.
func (r *Report) facts(b *strings.Builder) {
	line := func(name, format string, args ...any) {
		fmt.Fprintf(b, "%-16s"+format+"\n", append([]any{name}, args...)...)
	}
	if h := r.HLS; h != nil {
		kind := "HLS"
		if h.LowLatency {
			kind = "low-latency HLS"
		}
		if !h.Live {
			kind += ", not live"
		}
		line("kind", "%s, %s; %d variants", kind, orNone(h.Container), h.Variants)
		line("segments", "%d, %s to %s, mean %s; target duration %s", h.Segments, h.SegmentMin, h.SegmentMax, h.SegmentMean, h.Target)
		line("playlist", "%d reloads, %d updates, unchanged for %s at most", h.Reloads, h.Updates, h.LongestUnchanged)
		if h.Parts > 0 {
			line("parts", "%d, %s to %s, mean %s; part target %s", h.Parts, h.PartMin, h.PartMax, h.PartMean, h.PartTarget)
		}
		if h.BlockedReloads > 0 {
			line("blocking reload", "%d, mean %s, longest %s", h.BlockedReloads, h.BlockedReloadMean, h.BlockedReloadMax)
		}
		if h.Latency != nil {
			line("latency", "%s in the mean, %s at most: age of the newest media in the playlist", *h.Latency, *h.LatencyMax)
		}
	}
	if s := r.Stream; s != nil {
		line("kind", "%s over HTTP", strings.ToUpper(r.Kind))
		line("start", "first byte after %s, first key frame after %s", r.FirstByte, s.FirstPicture)
		if s.Pace > 0 {
			line("arrival", "%.2f s of media in a second, longest pause %s", s.Pace, s.Stall)
		}
	}
	if v := r.Video; v != nil && v.KeyFrames > 1 {
		line("key frames", "%d; %s to %s apart, mean %s", v.KeyFrames, v.KeyIntervalMin, v.KeyIntervalMax, v.KeyInterval)
	}
	if r.Media.BitratePeak > 0 {
		line("bit rate", "%.0f kbit/s, peak %.0f, lowest %.0f", r.Media.Bitrate/1e3, r.Media.BitratePeak/1e3, r.Media.BitrateLow/1e3)
	}
	if b.Len() > 0 {
		b.WriteByte('\n')
	}
}

func orNone(s string) string {
	if s == "" {
		return "container not known"
	}
	return s
}

// String writes it for people.
func (s Seconds) String() string { return seconds(time.Duration(s)) }
