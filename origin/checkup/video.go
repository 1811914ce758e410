package checkup

import (
	"fmt"
	"math"
	"time"
)

// Bounds of key frames. A segment begins at one, and so does every viewer.
const (
	keysTooLong  = 10 * time.Second        // no segment length that players like holds this
	keysLong     = 4500 * time.Millisecond // a viewer waits, or a segment grows, for up to this long
	keysLongLL   = 3500 * time.Millisecond // the same where delay matters most
	keysShort    = 700 * time.Millisecond  // key frames cost several times the bits of others
	keysUneven   = 1.5                     // longest to shortest
	keysJitter   = 400 * time.Millisecond  // and at least this much between them
	fewPictures  = 12                      // a second: movement is not smooth
	manyPictures = 62                      // and more than most devices show
	unevenShare  = 0.1                     // of distances between pictures
	rateApart    = 0.05                    // measured rate to stated rate
	pictureGap   = 500 * time.Millisecond  // a picture that stands for this long is seen to stand
	reorderDelay = 150 * time.Millisecond  // of pictures sent out of order, where delay matters
	enough       = 30                      // pictures, to speak of a rate
)

const setInterval = "OBS: Settings → Output → Output Mode Advanced → Streaming → Keyframe Interval 2 s (0 means automatic). FFmpeg: -force_key_frames \"expr:gte(t,n_forced*2)\", or -g with twice the frame rate."

const setConstantRate = "OBS: Settings → Video → Common FPS Values, and see View → Stats for frames that were missed or skipped; a lighter preset or a smaller output helps. FFmpeg: -r 30 -fps_mode cfr behind the input."

func (c *check) video() {
	v := c.Video
	if v == nil {
		c.say("video.none", Info, "There is no video: sound alone.", "")
		return
	}
	c.say("video.format", OK, "Video is "+describeVideo(v)+".", "")
	switch v.Codec {
	case "HEVC", "AV1", "VP9":
		c.say("video.codec", Info, v.Codec+" does not play everywhere.", "H.264 does. Keep this one if you know your viewers' devices.")
	}
	c.keys(v.Keys)
	c.rate(v)
	if v.Longest > pictureGap && (v.Rate == 0 || v.Longest.Seconds() > 4/v.Rate) {
		c.say("video.gap", Warning, fmt.Sprintf("A picture stood for %s, with none after it.", seconds(v.Longest)),
			"The encoder was overloaded, or its source paused. "+setConstantRate)
	}
	c.reordering(v)
	if c.Changes > 0 {
		c.say("format.changes", Warning, fmt.Sprintf("Codec parameters changed %s while it was on.", times(c.Changes)),
			"Each change is a discontinuity, at which players stutter. Keep resolution and sampling rate from start to end.")
	}
}

func (c *check) keys(k Distances) {
	limit := keysLong
	if c.LowLatency {
		limit = keysLongLL
	}
	longest := max(k.Max, k.Since) // the distance that is not over yet counts too
	if k.Count == 0 && k.Mean == 0 {
		if c.Video.Frames >= enough && c.Span > keysTooLong {
			c.say("keyframes.none", Problem, fmt.Sprintf("No key frame has come in %s: nobody can begin to watch.", seconds(c.Span)), setInterval)
		}
		return
	}
	switch {
	case longest > keysTooLong:
		c.say("keyframes.long", Problem, fmt.Sprintf("Key frames are up to %s apart: viewers wait that long for a picture, and segments are cut without one.", seconds(longest)), setInterval)
	case longest > limit:
		c.say("keyframes.long", Warning, fmt.Sprintf("Key frames are up to %s apart: segments are as long, and delay and the wait for the first picture grow with them.", seconds(longest)), setInterval)
	case k.Mean > 0 && k.Mean < keysShort:
		c.say("keyframes.short", Warning, fmt.Sprintf("Key frames come every %s: they take bits that the picture could have.", seconds(k.Mean)), setInterval)
	case k.Mean > 0:
		c.say("keyframes.interval", OK, fmt.Sprintf("Key frames come every %s.", seconds(k.Mean)), "")
	}
	if k.Min > 0 && k.Max-k.Min > keysJitter && float64(k.Max) > keysUneven*float64(k.Min) {
		c.say("keyframes.irregular", Warning, fmt.Sprintf("Key frames are irregular, %s to %s apart: segments differ in length, and renditions cannot be cut at the same places.", seconds(k.Min), seconds(k.Max)),
			"Turn key frames at scene changes off. OBS: x264 Options scenecut=0. FFmpeg: -sc_threshold 0 with -force_key_frames \"expr:gte(t,n_forced*2)\".")
	}
}

func (c *check) rate(v *Video) {
	if v.Rate <= 0 || v.Frames > 0 && v.Frames < enough && c.Span < 3*time.Second {
		return
	}
	well := true
	note := func(code string, s Severity, text, advice string) { well = false; c.say(code, s, text, advice) }
	if v.Rate < fewPictures {
		note("framerate.low", Warning, fmt.Sprintf("%s pictures a second: movement is not smooth.", number(v.Rate)), setConstantRate)
	}
	if v.Rate > manyPictures {
		note("framerate.high", Info, fmt.Sprintf("%s pictures a second are more than most devices show.", number(v.Rate)), "60 is enough for any sport.")
	}
	switch {
	case v.Uneven > unevenShare:
		note("framerate.variable", Warning, fmt.Sprintf("The frame rate varies: %.0f %% of pictures come early or late; %s a second in the mean.", 100*v.Uneven, number(v.Rate)), setConstantRate)
	case v.StatedRate > 0 && apart(v.Rate, v.StatedRate) > rateApart && apart(2*v.Rate, v.StatedRate) > rateApart:
		// Some encoders state the rate of fields.
		note("framerate.differs", Warning, fmt.Sprintf("%s pictures a second arrive, and the encoder announces %s: it drops some.", number(v.Rate), number(v.StatedRate)), setConstantRate)
	}
	if well {
		c.say("framerate.steady", OK, fmt.Sprintf("%s pictures a second.", number(v.Rate)), "")
	}
}

// reordering is about B-frames: they save bits, and cost delay. Where delay is
// worth more they hurt.
func (c *check) reordering(v *Video) {
	if !v.Reordered {
		return
	}
	const off = "OBS: x264 Options bframes=0, or Tune zerolatency; NVENC: Max B-frames 0. FFmpeg: -bf 0."
	if c.LowLatency && v.Reorder > reorderDelay {
		c.say("bframes.delay", Warning, fmt.Sprintf("B-frames add %s of delay for every viewer.", seconds(v.Reorder)), off)
		return
	}
	c.say("bframes.used", Info, fmt.Sprintf("B-frames are used; they delay pictures by %s.", seconds(v.Reorder)), "Where every tenth of a second counts: "+off)
}

func describeVideo(v *Video) string {
	s := v.Codec
	if v.Width > 0 {
		s += fmt.Sprintf(", %d × %d", v.Width, v.Height)
	}
	return s
}

func apart(a, b float64) float64 { return math.Abs(a-b) / b }

// number has no more digits than one needs.
func number(f float64) string {
	if r := math.Round(f); math.Abs(f-r) < 0.015 {
		return fmt.Sprintf("%.0f", r)
	}
	return fmt.Sprintf("%.2f", f)
}

func seconds(d time.Duration) string {
	if d < time.Second && d > -time.Second {
		return fmt.Sprintf("%d ms", d.Milliseconds())
	}
	return fmt.Sprintf("%.1f s", d.Seconds())
}

func times(n int) string {
	if n == 1 {
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
