package remux

import (
	"slices"
	"sync/atomic"
	"time"

	"headwater/remux/hls"
)

// minListed is how many segments a playlist lists at least, once there are that
// many (HLS authoring specification 8.11).
const minListed = 6

// servedMark remembers what viewers have been served: the newest segment that any
// playlist has listed (segments beyond it are known to nobody and need not outlive
// their place in the list), and how much was rendered.
type servedMark struct {
	sequence atomic.Uint64
	renders  renderCounts
}

func (m *servedMark) raise(sequence uint64) {
	for {
		old := m.sequence.Load()
		if sequence <= old || m.sequence.CompareAndSwap(old, sequence) {
			return
		}
	}
}

// evict moves the playlist's window over held, which nobody has seen yet, and drops
// what nobody can ask for any more.
func (t *timeline) evict(held []*Segment, now time.Time) []*Segment {
	from := t.windowStart(held)
	retention := t.options.Window + 3*t.cutter.Target + t.cutter.PartTarget // for trails
	served := t.served.sequence.Load()
	gone := 0
	for i, s := range held[:from] {
		if s.retiredAt.IsZero() {
			s.retiredAt = now
		}
		unknown := s.Sequence > served
		if gone == i && (unknown || now.Sub(s.retiredAt) > retention || t.bytes > t.options.MaxBytes) {
			gone++
			t.bytes -= s.cost()
		}
	}
	t.listed = from - gone
	clear(held[:gone]) // or the array would hold their frames
	return held[gone:]
}

// windowStart is the first of held that the playlist lists: it covers the window,
// at least three target durations (6.2.2) and at least minListed segments, but
// where that is more than MaxBytes only the three target durations.
func (t *timeline) windowStart(held []*Segment) int {
	var length time.Duration
	var bytes int64
	for i := len(held) - 1; i >= 0; i-- {
		length += held[i].Duration
		bytes += held[i].cost()
		if length < 3*t.cutter.Target {
			continue
		}
		over := bytes > t.options.MaxBytes
		if over || length >= t.options.Window && len(held)-i >= minListed {
			return i
		}
	}
	return 0
}

// Index is what can be asked of a stream at one moment: an immutable value that
// is replaced at each part and segment.
type Index struct {
	Segments   []*Segment // listed, complete, oldest first
	Open       *Segment   // what there is of the next one; nil between sessions
	Target     time.Duration
	PartTarget time.Duration
	NextPart   uint64 // number of the part that comes next
	Ended      bool   // nothing will be added

	held     []*Segment // all that can be fetched; Segments is its end
	modified time.Time
	epoch    string // of what comes next
	served   *servedMark

	whole  []*Segment // what the fMP4 playlist shows, …
	parted *Segment   // … and the segment whose parts stand behind them

	gaps              []hls.Entry
	gapsDiscontinuity uint64

	media lazy // the fMP4 playlist, which changes with each part
	delta lazy
	known lazy // with the gaps, while there are any
	slow  *slowTexts
}

// slowTexts are what does not change before the list of segments does: indexes that
// differ in their parts alone share them.
type slowTexts struct {
	ts    lazy
	multi [2]lazy // by Format
}

// index returns the timeline as it is now.
func (t *timeline) index(now time.Time, ended bool) *Index {
	ix := &Index{
		Segments:   t.held[t.listed:],
		Target:     t.cutter.Target,
		PartTarget: t.cutter.PartTarget,
		NextPart:   t.nextPart,
		Ended:      ended,
		held:       t.held,
		modified:   now,
		epoch:      t.epoch,
		served:     t.served,
		slow:       t.slow,
	}
	if ended {
		ix.slow = &slowTexts{} // EXT-X-ENDLIST is new
	}
	if o := t.open; o != nil {
		ix.Open = &Segment{ // as far as a playlist needs it
			Sequence:              o.Sequence,
			Discontinuity:         o.Discontinuity,
			DiscontinuitySequence: o.DiscontinuitySequence,
			Independent:           o.Independent,
			Config:                o.Config,
			Start:                 o.Start,
			ProgramTime:           o.ProgramTime,
			Parts:                 o.Parts,
			epoch:                 o.epoch,
			joint:                 o.joint,
			init:                  o.init,
		}
	}
	ix.whole, ix.parted = ix.Segments, ix.Open
	if n := len(t.held) - 1; t.trails() {
		ix.whole, ix.parted = t.held[t.windowStart(t.held[:n]):n], t.held[n]
	}
	if len(ix.whole) >= minListed || len(ix.whole) > 0 && ix.whole[0] != t.held[0] { // enough by themselves
		t.gaps = nil
	}
	ix.gaps, ix.gapsDiscontinuity = t.gaps, t.gapsDiscontinuity
	return ix
}

// trails says whether the fMP4 playlist shows the newest segment as its parts alone: as
// long as the next one has begun and has no part yet. A list that ends with a whole
// segment and a hint makes video.js repeat the question that it is the answer to
// (VHS 3.17, addLLHLSQueryDirectives). Browsers keep that answer for six target
// durations, and so long it would stand still. What was shown whole stays so.
func (t *timeline) trails() bool {
	n := len(t.held)
	if n == 0 {
		return false
	}
	newest := t.held[n-1]
	beginning := t.open != nil && len(t.open.Parts) == 0 && n-t.listed > 1
	newest.whole = newest.whole || !beginning
	return !newest.whole
}

// Quiet is how long ago the index became what it is, 0 where nothing is expected any
// more.
func (ix *Index) Quiet() time.Duration {
	if ix.Ended {
		return 0
	}
	return time.Since(ix.modified)
}

// Reached says whether the playlist has what a blocking reload asks for (6.2.5.2):
// the whole segment with that media sequence number, or with part >= 0 that part
// of it or anything later. A part behind the last one of a finished segment is the
// first of the next.
func (ix *Index) Reached(sequence uint64, part int) bool {
	if ix.Ended {
		return true
	}
	if len(ix.Segments) == 0 {
		return false
	}
	newest, open := ix.whole[len(ix.whole)-1], ix.parted
	if sequence < newest.Sequence {
		return true
	}
	parts := 0
	if open != nil {
		parts = len(open.Parts)
	}
	if sequence == newest.Sequence {
		return part < 0 || parts > 0 || open == nil && part < len(newest.Parts)
	}
	return sequence == newest.Sequence+1 && part >= 0 && part < parts
}

// Beyond says whether a blocking reload asks for more than can be expected soon:
// more than two segments ahead, or more parts ahead than three seconds hold, at
// least three (6.2.5.2).
func (ix *Index) Beyond(sequence uint64, part int) bool {
	if ix.Ended || len(ix.Segments) == 0 {
		return false
	}
	ahead := 3
	if ix.PartTarget > 0 {
		ahead = max(ahead, int((3*time.Second+ix.PartTarget-1)/ix.PartTarget))
	}
	next, open := ix.whole[len(ix.whole)-1].Sequence+1, ix.parted
	switch {
	case sequence > next+1:
		return true
	case sequence < next:
		return false
	case sequence == next && open != nil:
		return part >= len(open.Parts)+ahead
	}
	return part >= ahead
}

// part returns the part with that number, nil if it is gone or not there yet.
func (ix *Index) part(number uint64) *Part {
	if ix.Open != nil {
		if p := findPart(ix.Open.Parts, number); p != nil {
			return p
		}
	}
	for _, s := range slices.Backward(ix.held) {
		if p := findPart(s.Parts, number); p != nil {
			return p
		}
	}
	return nil
}

func findPart(parts []*Part, number uint64) *Part {
	if len(parts) == 0 || number < parts[0].Number || number-parts[0].Number >= uint64(len(parts)) {
		return nil
	}
	return parts[number-parts[0].Number]
}

// find returns the segment with that media sequence number, nil if it is gone or
// not there yet.
func (ix *Index) find(sequence uint64) *Segment {
	if len(ix.held) == 0 || sequence < ix.held[0].Sequence || sequence-ix.held[0].Sequence >= uint64(len(ix.held)) {
		return nil
	}
	return ix.held[sequence-ix.held[0].Sequence]
}
