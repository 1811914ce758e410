// Package checkup says in plain words what is wrong with a stream as its encoder
// sends it, and what to set in OBS or FFmpeg. It knows numbers only: who measured
// them, the server itself (FromReport) or a probe that watched from outside, makes
// no difference to what they mean, and so both say the same.
//
// A number that nobody measured is zero, and no rule speaks of it. Everything here is
// a pure function.
package checkup

import (
	"slices"
	"time"
)

// Severity says how much a finding matters.
type Severity string

// From nothing to see to what viewers see.
const (
	OK      Severity = "ok"      // measured, and as it should be
	Info    Severity = "info"    // worth knowing; nothing has to change
	Warning Severity = "warning" // some viewers suffer, or all now and then
	Problem Severity = "problem" // viewers suffer
)

var order = []Severity{Problem, Warning, Info, OK}

// Finding is one thing that was found.
type Finding struct {
	Code     string   `json:"code"` // never changes its meaning: "keyframes.long"
	Severity Severity `json:"severity"`
	Text     string   `json:"text"`             // what is so, with the number
	Advice   string   `json:"advice,omitempty"` // what to change; "" where nothing is to be
}

// Sort puts what matters most first and leaves the order alone otherwise.
func Sort(all []Finding) {
	slices.SortStableFunc(all, func(a, b Finding) int {
		return slices.Index(order, a.Severity) - slices.Index(order, b.Severity)
	})
}

// Worst returns the highest severity in all, OK for none.
func Worst(all []Finding) Severity {
	worst := OK
	for _, f := range all {
		if slices.Index(order, f.Severity) < slices.Index(order, worst) {
			worst = f.Severity
		}
	}
	return worst
}

// Measures is what is known of a stream. Zero values were not measured.
type Measures struct {
	Span       time.Duration // of media that was measured
	Ended      bool          // it is not live any more: nothing is late
	LowLatency bool          // viewers are meant to be a few seconds behind, or less
	Segment    time.Duration // what segments aim at; 0: 2 s

	Video *Video // nil: there is none
	Audio *Audio // nil: there is none

	Bitrate Bitrate
	Clock   Clock
	Arrival Arrival

	// Ahead is by how much sound is ahead of the pictures that it comes with; nil
	// where that is not known. Drift is how that has changed since the first of it.
	Ahead *time.Duration
	Drift time.Duration

	Malformed   int // messages that could not be read
	Unsupported int // messages of codecs and types that are unknown
	Changes     int // of codec, resolution or sampling rate
}

// Video is what is known of the pictures.
type Video struct {
	Codec         string  // as people call it: "H.264"
	Width, Height int     // pixels
	Rate          float64 // pictures a second, as measured
	StatedRate    float64 // and as the parameter sets say
	Frames        int     // that were measured

	Uneven  float64       // share of distances between pictures that are a quarter off the usual
	Longest time.Duration // distance of two pictures
	Keys    Distances     // of key frames
	// Reordered says that pictures are not sent in the order in which they are seen,
	// and Reorder is the delay which that costs.
	Reordered bool
	Reorder   time.Duration
}

// Distances are those between key frames.
type Distances struct {
	Count          int // of key frames that were seen; 0: not counted
	Min, Mean, Max time.Duration
	Since          time.Duration // from the last key frame to the newest picture
}

// Audio is what is known of the sound.
type Audio struct {
	Codec      string
	SampleRate int // Hz
	Channels   int
	Frames     int
	Longest    time.Duration // without sound between two frames, beyond a frame's own length
	Missing    time.Duration // from its newest frame to the newest picture
	Late       time.Duration // from the first picture to the first frame
}

// Bitrate is in bits a second; Peak and Lowest are of two seconds each.
type Bitrate struct{ Mean, Peak, Lowest float64 }

// Clock counts what timestamps did wrong.
type Clock struct {
	Backward int // times they went back within a track
	Jumps    int // times they leapt, and announced discontinuities
}

// Arrival is how media came in, against the wall clock.
type Arrival struct {
	Pace  float64       // seconds of media in a second; 0: not measured
	Stall time.Duration // longest time without any
}

// Check returns what there is to say about m, in the order in which it should be
// read by one who reads all; Sort puts the worst first.
func Check(m Measures) []Finding {
	c := &check{Measures: m}
	if m.Video == nil && m.Audio == nil {
		c.say("media.none", Problem, "No media has arrived.", "Start the encoder, and look at its log: is it connected, and to this address?")
		return c.findings
	}
	c.video()
	c.audio()
	c.together()
	c.bitrate()
	c.clock()
	c.arrival()
	return c.findings
}

type check struct {
	Measures
	findings []Finding
}

func (c *check) say(code string, s Severity, text, advice string) {
	c.findings = append(c.findings, Finding{code, s, text, advice})
}
