// Package hls decides where segments and parts begin, and writes playlists. It
// is pure: it knows frames and times, no container, no clock and no lock.
//
// The rules are those of draft-pantos-hls-rfc8216bis; sections are named where
// they apply.
package hls

import (
	"time"

	"headwater/remux/av"
)

// Cut says what ends in front of a sample.
type Cut uint8

const (
	Continue   Cut = iota // the sample belongs to the part that is open
	NewPart               // it begins a part
	NewSegment            // it begins a segment, and so a part
	Drop                  // it belongs to nothing: no segment can begin before a key frame
)

// Cutter decides where segments and parts begin from samples in order of DTS.
// A segment begins at a key frame; without video, at any audio frame.
//
// How long a picture lasts is known when the next one comes. Where pictures come at one
// rate the last one says it, and what begins is known at once. Where they do not, and
// there is no sound to cut at, the next one may show that the last had no room: Late
// then moves that into a part, or a segment, of its own.
type Cutter struct {
	SegmentDuration    time.Duration // a key frame this late in a segment begins the next one
	MaxSegmentDuration time.Duration // a segment is cut here without a key frame
	// MaxSegmentBytes is how much a segment may hold: the picture that has no room ends
	// it, key frame or not, once it is long enough to be one. 0: any amount.
	MaxSegmentBytes int64
	PartDuration    time.Duration // nominal
	// Target is EXT-X-TARGETDURATION. It MUST NOT change (4.4.3.1), so it is 0
	// until the first segment ends, and taken from that segment.
	Target time.Duration
	// PartTarget is PART-TARGET, 0 until the first part ends, and taken from it:
	// a whole number of frames near PartDuration, and a twentieth more for frames
	// that do not last equally long. Parts are then as many frames as fit, so at
	// least 85 % of it (4.4.4.9) at any usual frame rate. Whole milliseconds.
	PartTarget time.Duration
	// Frame is the time between the last two samples of the leading track: what the
	// last frame of a part lasts, as far as one can tell. 0 before there are two.
	Frame time.Duration

	open         bool
	at           time.Duration // where the last cut was
	segment      time.Duration // where the open segment began
	part         time.Duration // and the open part
	last         time.Duration // DTS of the last sample of the leading track
	bytes        int64         // of the open segment
	lastBytes    int64         // of the last sample, which are among them
	fromKeyframe bool
}

// leastSegment is how long a segment lasts that ends because of its bytes. Above
// MaxSegmentBytes a second of media is more than it says: many short segments would be
// worse for everybody, and media sequence numbers would run ahead of the clock.
const leastSegment = time.Second

// Independent says whether the open segment began with a key frame.
func (c *Cutter) Independent() bool { return c.fromKeyframe }

// Next says what ends in front of s, and moves on. Samples come in order of DTS.
func (c *Cutter) Next(s *av.Frame) Cut {
	leading := s.Kind == av.Video || s.Config.Video == nil
	if !c.open {
		if !leading || !s.Key {
			return Drop
		}
		c.at, c.last = s.DTS, s.DTS
		c.begin(true)
		c.count(s)
		return NewSegment
	}
	cut := c.before(s, leading)
	c.count(s)
	return cut
}

// before says what ends in front of a sample.
func (c *Cutter) before(s *av.Frame, leading bool) Cut {
	if leading {
		if d := s.DTS - c.last; d > 0 {
			c.Frame = d
		}
		c.last = s.DTS
	}
	length := s.DTS - c.segment
	switch {
	case leading && s.Key && length >= c.shortest():
		c.at = min(s.DTS, c.Latest())
		c.close(c.at)
		c.begin(true)
		return NewSegment
	case c.full(s, c.segment, c.longest(), leading), leading && c.heavy(s):
		c.at = min(s.DTS, c.Latest())
		c.close(c.at)
		c.begin(leading && s.Key)
		return NewSegment
	case c.endsPart(s, leading):
		if c.at = s.DTS; c.PartTarget > 0 && s.Kind == av.Audio {
			c.at = min(c.at, c.part+c.PartTarget)
		}
		c.closePart(c.at)
		c.part = c.at
		return NewPart
	}
	return Continue
}

// At is the time of the cut that Next has returned last. It is the sample's DTS, or a
// little before where that is later than what ended may last.
func (c *Cutter) At() time.Duration { return c.at }

// Late says what has to end in front of the sample before s, at At, now that s shows
// how long that one lasts. It is asked before Next, until it says Continue.
func (c *Cutter) Late(s *av.Frame) Cut {
	if !c.open || s.Kind != av.Video || s.Config.Audio != nil {
		return Continue
	}
	switch {
	case c.last > c.segment && s.DTS-c.segment > c.longest() && s.DTS-c.last <= c.longest():
		c.at = c.last
		c.close(c.at)
		c.begin(false)
		c.bytes = c.lastBytes
		return NewSegment
	case c.PartTarget > 0 && c.last > c.part && s.DTS-c.part > c.PartTarget:
		c.at, c.part = c.last, c.last
		return NewPart
	}
	return Continue
}

// full says that what began at a time has no room within limit for the sample and
// what follows it. Sound ends nothing while pictures come in their time, and have it.
func (c *Cutter) full(s *av.Frame, began, limit time.Duration, leading bool) bool {
	const slack, soundFrame = 2 * time.Millisecond, 25 * time.Millisecond
	length := s.DTS - began
	if leading {
		// A picture that lasts as long as this one did may not be the next: a part has
		// to have 85 % of its target (4.4.4.9), and Late mends what turns out too long.
		enough := s.Config.Audio != nil || length >= limit*85/100
		return length > 0 && length+c.Frame > limit && enough
	}
	due := c.last + c.Frame + slack // the next picture
	return length+soundFrame > limit && (s.DTS > due || due-began > limit)
}

// heavy says that the open segment has no room for the bytes of a sample.
func (c *Cutter) heavy(s *av.Frame) bool {
	return c.MaxSegmentBytes > 0 && c.bytes+int64(len(s.Tag)) > c.MaxSegmentBytes && s.DTS-c.segment >= leastSegment
}

// count notes that a sample belongs to the open segment.
func (c *Cutter) count(s *av.Frame) {
	c.lastBytes = int64(len(s.Tag))
	c.bytes += c.lastBytes
}

// Hole says that no segment could hold a sample at that time beside what came before:
// nothing came in between where it could have been cut.
func (c *Cutter) Hole(at time.Duration) bool {
	const slack = 50 * time.Millisecond
	return c.open && at-c.segment > c.longest()+max(c.Frame, slack)+slack
}

// Latest is the latest time at which the open segment may end.
func (c *Cutter) Latest() time.Duration { return c.segment + c.longest() }

// End closes the open segment at the given DTS, because the stream ends or a
// discontinuity follows. The next segment waits for a key frame.
func (c *Cutter) End(at time.Duration) {
	if c.open {
		c.close(at)
	}
	c.open = false
}

func (c *Cutter) begin(key bool) {
	c.open, c.fromKeyframe = true, key
	c.segment, c.part = c.at, c.at
	c.bytes = 0
}

func (c *Cutter) endsPart(s *av.Frame, leading bool) bool {
	if c.PartTarget == 0 {
		return leading && s.DTS-c.part+c.Frame/2 >= c.PartDuration
	}
	return c.full(s, c.part, c.PartTarget, leading)
}

// closePart fixes PartTarget with the first part; where that was cut short, with as many
// frames as a whole one would have.
func (c *Cutter) closePart(at time.Duration) {
	if c.PartTarget != 0 {
		return
	}
	length := at - c.part
	if length+c.Frame/2 < c.PartDuration {
		length = c.PartDuration
		if c.Frame > 0 {
			length = (c.PartDuration + c.Frame/2) / c.Frame * c.Frame
		}
	}
	c.PartTarget = (length * 21 / 20).Truncate(time.Millisecond) + time.Millisecond
}

// close fixes Target with the first segment: whole seconds, not below the
// configured length, and not below the segment rounded to the nearest (4.4.3.1).
func (c *Cutter) close(at time.Duration) {
	c.closePart(at)
	if c.Target != 0 {
		return
	}
	c.Target = max(ceilSecond(c.SegmentDuration), (at - c.segment).Round(time.Second))
}

// shortest leaves room for key frames that come a little early: a 2 s segment
// with a key frame every 1.95 s is cut at 1.95 s and not at 3.9 s. A segment
// that had to begin without a key frame ends at the next one, however soon.
func (c *Cutter) shortest() time.Duration {
	if !c.fromKeyframe {
		return 0
	}
	return c.SegmentDuration * 9 / 10
}

// longest keeps a segment's length, rounded to the nearest second, within Target
// (4.4.3.1), with some room for frames that do not last equally long.
func (c *Cutter) longest() time.Duration {
	const room = 450 * time.Millisecond
	if c.Target != 0 {
		return c.Target + room
	}
	return max(c.MaxSegmentDuration, ceilSecond(c.SegmentDuration)) + room
}

func ceilSecond(d time.Duration) time.Duration {
	return (d + time.Second - 1).Truncate(time.Second)
}
