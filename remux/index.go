package remux

import (
	"sync/atomic"
	"time"
)

// minListed is how many segments a playlist lists at least, once there are that
// many (HLS authoring specification 8.11).
const minListed = 6

// servedMark remembers the newest segment that any playlist has listed. Segments
// beyond it are known to nobody and need not outlive their place in the list.
type servedMark struct{ sequence atomic.Uint64 }

func (m *servedMark) raise(sequence uint64) {
	for {
		old := m.sequence.Load()
		if sequence <= old || m.sequence.CompareAndSwap(old, sequence) {
			return
		}
	}
}

// evict moves the playlist's window over held and drops what nobody can ask for
// any more.
func (t *timeline) evict(held []*Segment, now time.Time) []*Segment {
	from := t.windowStart(held)
	retention := t.options.Window + 3*t.cutter.Target
	served := t.served.sequence.Load()
	gone := 0
	for i, s := range held[:from] {
		if s.retiredAt.IsZero() {
			s.retiredAt = now
		}
		unknown := s.Sequence > served
		if gone == i && (unknown || now.Sub(s.retiredAt) > retention || t.bytes > t.options.MaxBytes) {
			gone++
			t.bytes -= s.Bytes
		}
	}
	t.listed = from - gone
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
		bytes += held[i].Bytes
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
	Segments []*Segment // listed, complete, oldest first
	Parts    []*Part    // of the segment that is open
	Target   time.Duration
	Ended    bool // nothing will be added

	held     []*Segment // all that can be fetched; Segments is its end
	modified time.Time
	epoch    string
	served   *servedMark

	media [2]lazy // by Format
	multi [2]lazy
}

// index returns the timeline as it is now.
func (t *timeline) index(epoch string, now time.Time, ended bool) *Index {
	ix := &Index{
		Segments: t.held[t.listed:],
		Target:   t.cutter.Target,
		Ended:    ended,
		held:     t.held,
		modified: now,
		epoch:    epoch,
		served:   t.served,
	}
	if t.open != nil {
		ix.Parts = t.open.Parts
	}
	return ix
}

// find returns the segment with that media sequence number, nil if it is gone or
// not there yet.
func (ix *Index) find(sequence uint64) *Segment {
	if len(ix.held) == 0 || sequence < ix.held[0].Sequence || sequence-ix.held[0].Sequence >= uint64(len(ix.held)) {
		return nil
	}
	return ix.held[sequence-ix.held[0].Sequence]
}
