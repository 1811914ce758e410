package remux

import (
	"time"

	"headwater/remux/hls"
)

// Past is a media segment of the fMP4 playlist whose bytes went with the process that
// had them, because it was killed (window.go). A player that has come through a restart needs to find again what it knows,
// or it cannot tell where the new segments belong: for a while the playlist goes on
// listing what it had, with EXT-X-GAP (4.4.4.7).
type Past struct {
	URI           string        `json:"uri"`
	Map           string        `json:"map"`
	Duration      time.Duration `json:"duration"`
	ProgramTime   time.Time     `json:"time"`
	Discontinuity bool          `json:"discontinuity,omitempty"`
}

// past is what the playlist lists now, as it has to be remembered.
func (t *timeline) past() []Past {
	if t.extra > 0 {
		return nil // the two formats count discontinuities differently: one number cannot go on from both
	}
	listed := t.held[t.listed:]
	// Few are enough to be known by, and none may be listed that has left the list
	// since this was written.
	listed = listed[max(0, len(listed)-minListed/2):]
	all := make([]Past, len(listed))
	for i, s := range listed {
		all[i] = Past{
			URI: segmentName(s.epoch, s.Sequence, FMP4), Map: initName(s.init.epoch, s.init.number),
			Duration: s.Duration, ProgramTime: s.ProgramTime, Discontinuity: s.Discontinuity,
		}
	}
	return all
}

// gaps are the entries in front of the first segment of a timeline that begins at a
// state, and the discontinuity sequence number in front of them. Between what was
// remembered and that segment there may have been others, of which nothing is known
// but that their numbers are taken.
func (s *State) gaps() (entries []hls.Entry, discontinuity uint64) {
	n := len(s.Past)
	if n == 0 || s.Sequence < s.Listed || s.Sequence-s.Listed > 2*spareSequences {
		return nil, 0
	}
	for _, p := range s.Past {
		entries = append(entries, hls.Entry{
			URI: p.URI, Map: p.Map, Duration: p.Duration, ProgramTime: p.ProgramTime, Discontinuity: p.Discontinuity, Gap: true,
		})
	}
	last := entries[n-1]
	for sequence := s.Listed; sequence < s.Sequence; sequence++ {
		last = hls.Entry{
			URI: segmentName(s.Epoch, sequence, FMP4), Map: last.Map, Duration: s.Target,
			ProgramTime: last.ProgramTime.Add(last.Duration), Discontinuity: s.Broken && sequence == s.Listed, Gap: true,
		}
		entries = append(entries, last)
	}
	discontinuity = s.Discontinuity - 1 // without the tag of the first segment itself
	for _, e := range entries {
		if e.Discontinuity {
			discontinuity--
		}
	}
	return entries, discontinuity
}
