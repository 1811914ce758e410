package remux

import (
	"time"

	"headwater/remux/av"
)

// The rules of the stream clock, all of them:
//
//   - RTMP's 32-bit milliseconds are unwrapped to 64 bits, from each message to
//     the next of its track. A wrap at 2^31, which some encoders make, is one too.
//   - A track that goes back by more than maxBack, or forward by more than
//     maxForward, has jumped: its clock is moved so that it goes on one frame
//     after its last. The other track, when it jumps too, is moved by the same
//     amount, so that sound and picture keep their distance; both together are
//     one discontinuity.
//   - A track that has been silent and goes on where the other is has not jumped.
//   - A track that stays more than maxSkew behind the other for lateFor of its own
//     time is moved to where the other is: they have drifted apart, or one alone
//     has jumped. That is a discontinuity too.
//   - A smaller step back is late, not a jump: the frame gets its predecessor's
//     DTS and keeps its own PTS.
//   - A track that begins more than maxSkew away from the other is moved to
//     where the other is.
//   - An extra track (Extra) goes by the clock of the first of its kind; what is
//     more than maxSkew away from that is dropped.
//   - A publisher that follows another on the same stream begins one frame
//     after its predecessor's last.
const (
	maxBack    = time.Second
	maxForward = 10 * time.Second
	maxSkew    = 5 * time.Second
	lateFor    = time.Second
)

// defaultFrame is the distance to the last frame that a moved track gets while
// nothing better is known.
const defaultFrame = 33 * time.Millisecond

// clock maps a publisher's timestamps to its stream's clock.
type clock struct {
	origin  time.Duration // the stream's time at which this publisher has to begin
	resumed bool          // origin holds: somebody published before
	video   trackClock
	audio   trackClock
}

type trackClock struct {
	begun  bool
	raw    int64         // last timestamp, unwrapped, in ms
	offset time.Duration // stream time - raw
	last   time.Duration // last DTS given out
	frame  time.Duration // distance of the last two
	late   time.Duration // since when it is too far behind the other
	isLate bool          // late holds
}

// stamp returns a message's DTS on the stream's clock and its composition time,
// and whether a discontinuity lies in front of it.
func (c *clock) stamp(k av.Kind, timestamp uint32, cts time.Duration) (dts, newCTS time.Duration, jumped bool) {
	t, other := &c.audio, &c.video
	if k == av.Video {
		t, other = other, t
	}
	if !t.begun {
		c.begin(t, other, timestamp)
	} else {
		t.raw = unwrap(t.raw, timestamp)
	}
	dts = t.time()
	step := dts - t.last
	switch {
	case t.frame < 0:
	case step < -maxBack || step > maxForward && !beside(dts, other):
		jumped = c.jump(t, other)
		dts = t.time()
	case t.lags(dts, other):
		t.offset += other.last - dts
		dts, jumped = other.last, true
	}
	if dts < t.last && t.frame >= 0 {
		cts -= t.last - dts
		dts = t.last
	}
	if t.frame >= 0 && dts > t.last {
		t.frame = dts - t.last
	}
	t.frame = max(t.frame, 0)
	t.last = dts
	return dts, cts, jumped
}

func (t *trackClock) time() time.Duration {
	return time.Duration(t.raw)*time.Millisecond + t.offset
}

// beside says that a time is where another track is.
func beside(dts time.Duration, other *trackClock) bool {
	skew := dts - other.last
	return other.begun && skew >= -maxSkew && skew <= maxSkew
}

// lags says that the track has been too far behind the other for too long; dts is what
// it has come to.
func (t *trackClock) lags(dts time.Duration, other *trackClock) bool {
	switch {
	case !other.begun || dts >= other.last-maxSkew:
		t.isLate = false
	case !t.isLate:
		t.isLate, t.late = true, dts
	case dts-t.late >= lateFor:
		t.isLate = false
		return true
	}
	return false
}

// begin gives a track's first message its place.
func (c *clock) begin(t, other *trackClock, timestamp uint32) {
	t.begun, t.raw, t.frame = true, int64(timestamp), -1
	if other.begun {
		// Both tracks of a publisher share its clock, even where it wrapped
		// between the first messages of each.
		t.raw = unwrap(other.raw, timestamp)
		t.offset = other.offset
		if skew := t.time() - other.last; skew < -maxSkew || skew > maxSkew {
			t.offset += other.last - t.time()
		}
		return
	}
	if c.resumed {
		t.offset = c.origin - t.time()
	}
}

// follow returns the stream time of a timestamp of an extra track, which shares its
// encoder's clock and has no say in it. It fails before there is one, and where the
// two are so far apart that one of them has jumped.
func (c *clock) follow(k av.Kind, timestamp uint32) (dts time.Duration, ok bool) {
	t := &c.audio
	if k == av.Video && c.video.begun || !t.begun {
		t = &c.video
	}
	if !t.begun {
		return 0, false
	}
	dts = time.Duration(unwrap(t.raw, timestamp))*time.Millisecond + t.offset
	return dts, dts >= t.last-maxSkew && dts <= t.last+maxSkew
}

// unwrap returns the 64-bit time near raw that a 32-bit timestamp stands for.
// Where that would be a jump, and the low 31 bits alone would not, the encoder
// counts in 31 bits.
func unwrap(raw int64, timestamp uint32) int64 {
	step := int64(int32(timestamp - uint32(raw)))
	for _, other := range []int64{step + 1<<31, step - 1<<31} {
		if !continuous(step) && continuous(other) {
			step = other
		}
	}
	return raw + step
}

// continuous says that a step in ms is no jump.
func continuous(step int64) bool {
	d := time.Duration(step) * time.Millisecond
	return -maxBack <= d && d <= maxForward
}

// jump moves a track that has jumped, and says whether that is a new
// discontinuity: following the other track's move is not.
func (c *clock) jump(t, other *trackClock) bool {
	frame := t.frame
	if frame <= 0 {
		frame = defaultFrame
	}
	if other.begun && other.offset != t.offset {
		moved := *t
		moved.offset = other.offset
		if step := moved.time() - t.last; step >= -maxBack && step <= maxForward {
			t.offset = other.offset
			return false
		}
	}
	t.offset += t.last + frame - t.time()
	return true
}

// end is the stream time at which a successor begins.
func (c *clock) end() time.Duration {
	last := max(c.video.last, c.audio.last)
	frame := c.video.frame
	if !c.video.begun {
		frame = c.audio.frame
	}
	if frame <= 0 {
		frame = defaultFrame
	}
	if !c.video.begun && !c.audio.begun {
		return c.origin
	}
	return last + frame
}

// sampleClock places a track's frames on the track's own clock (av.Frame.Time).
type sampleClock struct {
	track *av.Track
	begun bool
	next  int64 // where the last sample ends, if it is as long as its codec says
}

// maxDrift is how far the count of audio samples may be from the timestamps. It
// is above what millisecond rounding and an encoder's batching of packets make,
// and below what is heard as a lost lip sync.
const maxDrift = 60 * time.Millisecond

// place returns the Time of a frame. Video is its DTS in units of the timescale,
// exactly for whole milliseconds on 90 kHz. Audio goes on from where the last
// frame ended; behind a gap it jumps to its DTS; where it has run ahead, frames
// are shortened by an eighth until it is back.
func (s *sampleClock) place(f *av.Frame, t *av.Track) int64 {
	if s.track != t {
		*s = sampleClock{track: t}
	}
	at := scale(f.DTS, t.Timescale)
	if f.Kind == av.Video {
		return at
	}
	length := int64(t.Samples(f.Data))
	if s.begun {
		tolerance := scale(maxDrift, t.Timescale)
		switch drift := at - s.next; {
		case drift < -tolerance:
			at = s.next - min(-drift, length/8)
		case drift <= tolerance:
			at = s.next
		}
	}
	s.begun, s.next = true, at+length
	return at
}

// scale converts a time to units of 1/timescale, rounding to the nearest. It
// splits off whole seconds so that no product overflows.
func scale(d time.Duration, timescale int64) int64 {
	seconds, rest := int64(d/time.Second), int64(d%time.Second)
	half := int64(time.Second / 2)
	if rest < 0 {
		half = -half
	}
	return seconds*timescale + (rest*timescale+half)/int64(time.Second)
}
