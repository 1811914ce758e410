package checkup

import (
	"fmt"
	"time"
)

const (
	collapse     = 0.25            // of the mean rate, over two seconds
	peak         = 3               // times the mean rate, over two seconds
	measurable   = 8 * time.Second // of media, to speak of peaks
	slow         = 0.97            // seconds of media in a second
	tooSlow      = 0.9             // buffers run dry
	stall        = time.Second     // longer than low-latency players hold
	stallLong    = 3 * time.Second // than others
	jumpsProblem = 3               // discontinuities in one check-up
)

const lookAtUplink = "The line from the encoder cannot carry it. Set the bit rate to at most three quarters of what the uplink measures, use a cable, not Wi-Fi, and in OBS see View → Stats → Dropped Frames (Network)."

func (c *check) bitrate() {
	b := c.Bitrate
	if b.Mean <= 0 {
		return
	}
	text := fmt.Sprintf("%s in the mean", bits(b.Mean))
	if b.Peak > 0 {
		text += fmt.Sprintf(", %s at the peak of two seconds", bits(b.Peak))
	}
	well := true
	if b.Lowest < collapse*b.Mean && b.Peak > 0 && c.Span >= measurable {
		well = false
		c.say("bitrate.collapse", Warning, fmt.Sprintf("The bit rate collapses: %s, and %s where it is lowest.", bits(b.Mean), bits(b.Lowest)),
			"Unless the picture stood still then: "+lookAtUplink)
	}
	if b.Peak > peak*b.Mean && c.Span >= measurable {
		well = false
		c.say("bitrate.peaks", Warning, fmt.Sprintf("The bit rate has peaks: %s.", text),
			"Viewers with a line for the mean stall at the peaks. OBS: Rate Control CBR. FFmpeg: -b:v, -maxrate and -bufsize with the same value.")
	}
	if well {
		c.say("bitrate.steady", OK, text+".", "")
	}
}

func (c *check) clock() {
	if n := c.Clock.Backward; n > 0 {
		c.say("clock.backward", Problem, fmt.Sprintf("Timestamps went back %s.", times(n)),
			"Players drop what comes then. FFmpeg: do not loop an input with -c copy, and give -fflags +genpts; make the encoder send the times of its own clock.")
	}
	if n := c.Clock.Jumps; n > 0 {
		s := Warning
		if n >= jumpsProblem {
			s = Problem
		}
		c.say("clock.jumps", s, fmt.Sprintf("The stream's clock jumped %s: each is a discontinuity, at which players stutter.", times(n)),
			"The encoder reconnected, lost its source or started it over. FFmpeg: -use_wallclock_as_timestamps 1 for a source whose clock is bad.")
	}
	if c.Malformed > 0 {
		c.say("media.malformed", Warning, fmt.Sprintf("%d pieces of media could not be read.", c.Malformed), "Update the encoder; the path to it may cut or mix up its data.")
	}
	if c.Unsupported > 0 {
		c.say("media.unsupported", Warning, fmt.Sprintf("%d pieces of media are of a kind that is not known.", c.Unsupported), "Use H.264 or HEVC and AAC.")
	}
}

func (c *check) arrival() {
	if c.Ended {
		return
	}
	switch p := c.Arrival.Pace; {
	case p <= 0:
	case p < tooSlow:
		c.say("arrival.slow", Problem, fmt.Sprintf("Only %.2f s of media arrive in a second: every buffer runs dry.", p), lookAtUplink)
	case p < slow:
		c.say("arrival.slow", Warning, fmt.Sprintf("Only %.2f s of media arrive in a second.", p), lookAtUplink)
	}
	switch s := c.Arrival.Stall; {
	case s > stallLong:
		c.say("arrival.stall", Problem, fmt.Sprintf("Nothing arrived for %s.", seconds(s)), lookAtUplink)
	case s > stall:
		c.say("arrival.stall", Warning, fmt.Sprintf("Nothing arrived for %s.", seconds(s)), lookAtUplink)
	}
}

func bits(r float64) string {
	if r < 1e6 {
		return fmt.Sprintf("%.0f kbit/s", r/1e3)
	}
	return fmt.Sprintf("%.1f Mbit/s", r/1e6)
}
