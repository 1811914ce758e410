package checkup

import (
	"time"

	"headwater/remux/av"
)

// Frame is one frame of media, without what is in it.
type Frame struct {
	Kind     av.Kind
	Key      bool
	DTS, PTS time.Duration
	Size     int // bytes
}

const (
	jumpForward = 5 * time.Second // a leap of both tracks; encoders that lose a source come back sooner
	jumpBack    = time.Second     // below that frames are out of order; above, it is another clock
	rateWindow  = 2 * time.Second // that peaks are measured over
	distances   = 500             // milliseconds, the most between pictures that the usual one is sought in
	driftAfter  = 2 * time.Second // of media at each end that offsets are averaged over
)

// Meter measures media as it goes by: a track's frames in the order of their DTS, and
// both tracks about beside each other. It keeps counts, not media. The zero value is
// ready.
type Meter struct {
	backward int
	jumps    int

	v, a track
	rate rates

	ahead offsets
}

// track is what has been seen of one track.
type track struct {
	frames      int
	bytes       int64
	first, last time.Duration // DTS of its frames, on the clock of the stretch
	begun       bool          // a frame of this stretch has been seen
	span        time.Duration // of all stretches before
	start       time.Duration // DTS of the first frame of this stretch

	keys     Distances
	keySum   time.Duration
	keyGaps  int // distances that keySum is of
	lastKey  time.Duration
	keyBegun bool

	longest time.Duration
	steps   [distances]int // by milliseconds between frames
	counted int

	shown     time.Duration // latest PTS
	reordered bool
	reorder   time.Duration
}

// Add takes one frame.
func (m *Meter) Add(f Frame) {
	t := &m.v
	if f.Kind == av.Audio {
		t = &m.a
	}
	if t.begun {
		switch step := f.DTS - t.last; {
		case step < -time.Millisecond:
			m.backward++
			if step < -jumpBack {
				m.Cut()
			}
		case step > jumpForward && m.leapt(f, t):
			m.jumps++
			m.Cut()
		}
	}
	t.add(f)
	m.rate.add(f)
}

// leapt reports whether the other track shows that the clock jumped: it stands where
// this one stood. A track that is away while the other goes on has a hole.
func (m *Meter) leapt(f Frame, t *track) bool {
	other := &m.a
	if t == other {
		other = &m.v
	}
	return !other.begun || f.DTS-other.last > jumpForward
}

// Offset takes by how much sound is ahead of the picture that it comes with, at a time
// of the stream's clock.
func (m *Meter) Offset(at, ahead time.Duration) { m.ahead.add(at, ahead) }

// Breaks returns how often the clock jumped or went back.
func (m *Meter) Breaks() int { return m.jumps + m.backward }

// Jump takes a discontinuity that was announced.
func (m *Meter) Jump() {
	m.Cut()
	m.jumps++
}

// Cut ends a stretch: no distance is measured over it.
func (m *Meter) Cut() {
	m.v.cut()
	m.a.cut()
	m.rate.cut()
	m.ahead.cut()
}

func (t *track) cut() {
	if t.begun {
		t.span += t.last - t.start
	}
	t.begun, t.keyBegun = false, false
}

func (t *track) add(f Frame) {
	if t.frames == 0 {
		t.first = f.DTS
	}
	if !t.begun {
		t.begun, t.start, t.shown = true, f.DTS, f.PTS
	} else if step := f.DTS - t.last; step > 0 {
		t.longest = max(t.longest, step)
		t.steps[min(step.Round(time.Millisecond)/time.Millisecond, distances-1)]++
		t.counted++
	}
	if f.PTS < t.shown {
		t.reordered = true
	}
	t.shown = max(t.shown, f.PTS)
	if f.Key {
		t.reorder = max(t.reorder, f.PTS-f.DTS)
		t.key(f.DTS)
	}
	t.frames++
	t.bytes += int64(f.Size)
	t.last = f.DTS
}

func (t *track) key(at time.Duration) {
	if t.keyBegun {
		d := at - t.lastKey
		t.keySum += d
		t.keyGaps++
		t.keys.Max = max(t.keys.Max, d)
		if t.keys.Min == 0 || d < t.keys.Min {
			t.keys.Min = d
		}
		t.keys.Mean = t.keySum / time.Duration(t.keyGaps)
	}
	t.keys.Count++
	t.lastKey, t.keyBegun = at, true
}

// usual returns the distance between frames that half of them stay below.
func (t *track) usual() time.Duration {
	n := 0
	for ms, c := range t.steps {
		if n += c; 2*n >= t.counted && n > 0 {
			return time.Duration(ms) * time.Millisecond
		}
	}
	return 0
}

// uneven returns the share of distances that are a quarter off the usual one, and
// more than a millisecond's rounding.
func (t *track) uneven() float64 {
	usual := int(t.usual() / time.Millisecond)
	if t.counted == 0 {
		return 0
	}
	off := 0
	for ms, c := range t.steps {
		if d := max(ms-usual, usual-ms); d > 2 && 4*d > usual {
			off += c
		}
	}
	return float64(off) / float64(t.counted)
}

// length returns the media that has been seen of the track, but for its last frame.
func (t *track) length() time.Duration {
	if t.begun {
		return t.span + t.last - t.start
	}
	return t.span
}

// perSecond returns its frames a second: as many distances as were measured, in the
// time that they lasted.
func (t *track) perSecond() float64 {
	if l := t.length(); t.counted > 0 && l > 0 {
		return float64(t.counted) / l.Seconds()
	}
	return 0
}

// Measures returns what has been found out. Codecs and the like it does not know.
func (m *Meter) Measures() Measures {
	span := max(m.v.length(), m.a.length())
	c := Measures{
		Span:    span,
		Bitrate: m.rate.result(m.v.bytes+m.a.bytes, span),
		Clock:   Clock{Backward: m.backward, Jumps: m.jumps},
	}
	if first, last, ok := m.ahead.result(); ok {
		c.Ahead, c.Drift = &last, last-first
	}
	if m.v.frames > 0 {
		c.Video = m.pictures()
	}
	if m.a.frames > 0 {
		c.Audio = m.sound()
	}
	return c
}

func (m *Meter) pictures() *Video {
	v := &Video{
		Codec: "an unknown codec", Rate: m.v.perSecond(), Frames: m.v.frames,
		Uneven: m.v.uneven(), Longest: m.v.longest, Keys: m.v.keys,
		Reordered: m.v.reordered, Reorder: m.v.reorder,
	}
	if m.v.keyBegun && m.v.begun {
		v.Keys.Since = m.v.last - m.v.lastKey
	}
	return v
}

func (m *Meter) sound() *Audio {
	a := &Audio{Codec: "an unknown codec", Frames: m.a.frames}
	if usual := m.a.usual(); m.a.longest > usual {
		a.Longest = m.a.longest - usual
	}
	if m.v.begun && m.a.begun {
		a.Missing = max(0, m.v.last-m.a.last)
		if m.v.span == 0 && m.a.span == 0 {
			a.Late = max(0, m.a.first-m.v.first)
		}
	}
	return a
}

// rates finds the highest and the lowest bit rate of whole windows.
type rates struct {
	begun     bool
	from      time.Duration // beginning of the window
	bytes     int64
	peak, low int64 // bytes in a window
	windows   int
}

func (r *rates) add(f Frame) {
	switch {
	case !r.begun:
		r.begun, r.from, r.bytes = true, f.DTS, 0
	case f.DTS < r.from:
		return // the other track is behind; it was counted where it belongs or is a little late
	}
	if f.DTS-r.from >= rateWindow {
		r.close()
		// A hole of many windows is one empty one.
		if f.DTS-r.from >= 2*rateWindow {
			r.bytes = 0
			r.close()
		}
		r.from, r.bytes = f.DTS, 0
	}
	r.bytes += int64(f.Size)
}

func (r *rates) close() {
	r.peak = max(r.peak, r.bytes)
	if r.windows == 0 || r.bytes < r.low {
		r.low = r.bytes
	}
	r.windows++
}

func (r *rates) cut() { r.begun = false }

func (r *rates) result(bytes int64, span time.Duration) (b Bitrate) {
	if span >= time.Second {
		b.Mean = 8 * float64(bytes) / span.Seconds()
	}
	if r.windows >= 2 {
		b.Peak, b.Lowest = 8*float64(r.peak)/rateWindow.Seconds(), 8*float64(r.low)/rateWindow.Seconds()
	}
	return b
}

// offsets averages by how much sound is ahead of the pictures it comes with, at the
// beginning and at the end.
type offsets struct {
	begun       bool
	from        time.Duration
	first, last mean
	current     mean
	fixed       bool // first is
}

type mean struct {
	sum time.Duration
	n   int
}

func (m *mean) add(d time.Duration) { m.sum += d; m.n++ }

func (m mean) value() time.Duration { return m.sum / time.Duration(m.n) }

// add takes one offset, measured at a time of the stream's clock.
func (o *offsets) add(at, ahead time.Duration) {
	if !o.begun {
		o.begun, o.from, o.current = true, at, mean{}
	}
	o.current.add(ahead)
	if at-o.from < driftAfter {
		return
	}
	if !o.fixed {
		o.first, o.fixed = o.current, true
	}
	o.last = o.current
	o.from, o.current = at, mean{}
}

// cut begins anew: over a jump there is nothing to compare.
func (o *offsets) cut() { *o = offsets{} }

func (o *offsets) result() (first, last time.Duration, ok bool) {
	switch {
	case o.fixed:
		return o.first.value(), o.last.value(), true
	case o.current.n > 0:
		return o.current.value(), o.current.value(), true
	}
	return 0, 0, false
}
