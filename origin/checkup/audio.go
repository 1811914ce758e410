package checkup

import (
	"fmt"
	"time"
)

const (
	soundGap     = 100 * time.Millisecond // is heard
	soundLost    = time.Second            // nobody overhears this
	soundMissing = 2 * time.Second        // without sound, while pictures go on: it has ended
	soundLate    = time.Second            // after the first picture
	tracksApart  = 500 * time.Millisecond // players have to hold one track for the other
	tracksLost   = 2 * time.Second        // some do not hold that much
	tracksDrift  = 120 * time.Millisecond // lips are seen to be off
)

func (c *check) audio() {
	a := c.Audio
	if a == nil {
		c.say("audio.none", Warning, "There is no sound.",
			"Some players wait for it, and some platforms refuse streams without. OBS: Settings → Audio, and see that a bar in the mixer moves. FFmpeg: -f lavfi -i anullsrc=r=48000:cl=stereo -c:a aac -shortest adds silence.")
		return
	}
	c.say("audio.format", OK, "Sound is "+describeAudio(a)+".", "")
	if a.SampleRate > 0 && a.SampleRate != 44100 && a.SampleRate != 48000 {
		c.say("audio.rate", Info, fmt.Sprintf("The sampling rate of %d Hz is unusual.", a.SampleRate), "OBS: Settings → Audio → Sample Rate 48 kHz. FFmpeg: -ar 48000.")
	}
	if a.Channels > 2 {
		c.say("audio.channels", Info, fmt.Sprintf("%d channels; browsers mix them down, and some get it wrong.", a.Channels), "OBS: Settings → Audio → Channels Stereo. FFmpeg: -ac 2.")
	}
	const look = "The device or its driver loses sound, or the encoder is overloaded. OBS: one Sample Rate (48 kHz) for OBS and for the devices, and View → Stats. FFmpeg: -af aresample=async=1, and a larger -thread_queue_size for the input."
	switch {
	case a.Missing > soundMissing && !c.Ended:
		c.say("audio.lost", Problem, fmt.Sprintf("Sound has stopped: pictures go on for %s without it.", seconds(a.Missing)), look)
	case a.Longest > soundLost:
		c.say("audio.gap", Problem, fmt.Sprintf("Sound was away for %s.", seconds(a.Longest)), look)
	case a.Longest > soundGap:
		c.say("audio.gap", Warning, fmt.Sprintf("Sound has holes, up to %s long.", seconds(a.Longest)), look)
	}
	if a.Late > soundLate {
		c.say("audio.late_start", Warning, fmt.Sprintf("Sound began %s after the pictures.", seconds(a.Late)), "Players begin with what both tracks have. Start the sound's source first, or let the encoder send silence until it comes.")
	}
}

// together is about the two tracks beside each other.
func (c *check) together() {
	if c.Ahead == nil || c.Video == nil || c.Audio == nil {
		return
	}
	ahead, which := *c.Ahead, "ahead of"
	if ahead < 0 {
		ahead, which = -ahead, "behind"
	}
	const set = "OBS: Edit → Advanced Audio Properties → Sync Offset 0 for all sources. FFmpeg: -itsoffset on the input that is late, or -muxdelay 0; do not mix inputs with and without -re."
	switch text := fmt.Sprintf("Sound arrives %s %s the pictures", seconds(ahead), which); {
	case ahead > tracksLost:
		c.say("av.apart", Problem, text+": some players stall, as they wait for the other track.", set)
	case ahead > tracksApart:
		c.say("av.apart", Warning, text+": every player has to hold one track that long.", set)
	default:
		c.say("av.together", OK, text+".", "")
	}
	if d := max(c.Drift, -c.Drift); d > tracksDrift {
		c.say("av.drift", Warning, fmt.Sprintf("Sound and pictures drift apart: by %s in %s.", seconds(d), seconds(c.Span)),
			"Their clocks differ. OBS: take both from one device, or turn Use Device Timestamps off for the sound. FFmpeg: -af aresample=async=1, and -use_wallclock_as_timestamps 1 for both inputs.")
	}
}

func describeAudio(a *Audio) string {
	s := a.Codec
	if a.SampleRate > 0 {
		s += fmt.Sprintf(", %d Hz", a.SampleRate)
	}
	switch a.Channels {
	case 0:
	case 1:
		s += ", mono"
	case 2:
		s += ", stereo"
	default:
		s += fmt.Sprintf(", %d channels", a.Channels)
	}
	return s
}
