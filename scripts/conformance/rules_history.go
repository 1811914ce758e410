package conformance

import (
	"bytes"
	"fmt"
	"net/http"
	"time"
)

// historyRules hold over all states of a playlist, publishers and processes that
// come and go included.
var historyRules = []Rule{
	{"list.target-fixed", "bis 4.4.3.1", "TARGETDURATION never changes", checkTargetFixed},
	{"list.sequence", "bis 6.2.2", "MEDIA-SEQUENCE goes up by one for each segment removed, and never back", checkSequence},
	{"list.stable", "bis 6.2.1, 6.3.4", "URI, EXTINF, MAP, time and discontinuity of a media sequence number never change", checkStable},
	{"list.names", "HLS.md 1; RFC 8246", "a name means one thing for ever", checkNames},
	{"list.discontinuity", "bis 4.4.4.3, 6.2.1", "a discontinuity where publisher, tracks or initialization section change", checkDiscontinuity},
	{"list.dsn", "bis 6.2.2", "a segment's discontinuity sequence number never changes, and never goes back", checkDSN},
	{"list.dsn-small", "players keep arrays by it", "discontinuity sequence numbers are below a million", checkDSNSmall},
	{"list.window", "bis 6.2.2; APL 8.11", "what remains after a removal is six segments and 3 × TARGETDURATION at least", checkWindow},
	{"list.available", "bis 6.2.1", "what a playlist names can be fetched", checkAvailable},
	{"list.retention", "bis 6.2.2; CONTRACT.md", "a segment that left the list can be fetched for the window and 3 × TARGETDURATION", checkRetention},
	{"list.extinf", "bis 3, 4.4.4.1", "EXTINF, summed over any group of segments, is their true length within a frame", checkExtinf},
	{"list.pdt-mapping", "bis 6.2.1", "times follow from the first one and the lengths, between discontinuities", checkPDTMapping},
	{"list.pdt-anchor", "bis 4.4.4.6", "a publisher's first segment has the time at which its first frame came", checkAnchor},
	{"list.renditions", "bis 6.2.4", "all renditions have the same times, lengths and discontinuities", checkRenditions},
}

// timeRules hold where media is pushed as fast as it plays.
var timeRules = []Rule{
	{"list.clock", "bis 6.2.1", "a new segment comes 1.5 × TARGETDURATION after the one before at the latest", checkUpdateClock},
	{"list.pdt-capture", "APL 8.4", "PROGRAM-DATE-TIME is when the segment was captured", checkCapture},
}

func checkTargetFixed(v *view, r *report) {
	for _, n := range v.renditions {
		for i, s := range n.states {
			if i > 0 {
				was := n.states[i-1].m.Target
				r.want(s.m.Target == was, "%s: from %v to %v", n.Path, was, s.m.Target)
			}
		}
	}
}

// beginsWithGap says that the list begins with what went with a killed process.
func (m *Media) beginsWithGap() bool { return len(m.Segments) > 0 && m.Segments[0].Gap }

func checkSequence(v *view, r *report) {
	for _, n := range v.renditions {
		r.want(len(n.states) == 0 || n.states[0].m.Has["EXT-X-MEDIA-SEQUENCE"], "%s has none", n.Path)
		for i, s := range n.states {
			if i == 0 {
				continue
			}
			if s.full.beginsWithGap() != n.states[i-1].full.beginsWithGap() {
				continue // only who follows a playlist with _HLS_msn is told what a restart has lost
			}
			was := n.states[i-1].m
			r.want(s.m.Sequence >= was.Sequence && s.m.Last() >= was.Last(),
				"%s: from %d…%d to %d…%d", n.Path, was.Sequence, was.Last(), s.m.Sequence, s.m.Last())
			if s.m.Sequence > was.Sequence && !n.restartBetween(v, i) {
				// The list moved on by as many entries as its head lost.
				r.want(s.m.Sequence <= was.Last()+1, "%s: from %d…%d to %d…%d", n.Path, was.Sequence, was.Last(), s.m.Sequence, s.m.Last())
			}
		}
	}
}

// restartBetween says whether the server was restarted before state i and after
// the one in front of it.
func (n *renditionView) restartBetween(v *view, i int) bool {
	return v.rec.between(n.states[i-1].list.Sent, n.states[i].list.Done, Restarted)
}

// checkStable compares everything that is said of a media sequence number with
// what was said of it first.
func checkStable(v *view, r *report) {
	for _, n := range v.renditions {
		first := map[uint64]*Segment{}
		for _, s := range n.states {
			for _, seg := range s.full.Segments {
				if seg.URI == "" {
					continue
				}
				if old := first[seg.MSN]; old != nil {
					if seg.Gap && !old.Gap { // its bytes have gone with a process, and it says so
						r.want(seg.URI == old.URI, "%s: the gap %d was %s and is %s", n.Path, seg.MSN, old.URI, seg.URI)
						continue
					}
					r.want(seg.says() == old.says(), "%s: %d was %s and is %s", n.Path, seg.MSN, old.says(), seg.says())
					continue
				}
				first[seg.MSN] = seg
				if open := n.lastOpen(s, seg.MSN); open != nil {
					r.want(seg.head() == open.head(), "%s: %d was %s while it was open and is %s", n.Path, seg.MSN, open.head(), seg.head())
				}
			}
		}
	}
}

// lastOpen returns the entry with that media sequence number as it was while it
// was not complete, from the last state before s.
func (n *renditionView) lastOpen(s *state, msn uint64) (open *Segment) {
	for _, t := range n.states {
		if t == s {
			break
		}
		if o := t.full.Open; o != nil && o.MSN == msn && len(o.Parts) > 0 {
			open = o
		}
	}
	return open
}

// says is all of an entry that must not change but its parts, which may go.
func (s *Segment) says() string {
	return fmt.Sprintf("%s %v %s gap=%v %s", s.URI, s.Duration, s.ByteRange, s.Gap, s.head())
}

// head is what an entry's first part already says.
func (s *Segment) head() string {
	return fmt.Sprintf("map=%s time=%s discontinuity=%v", s.Map, s.PDTForm, s.Discontinuity)
}

func checkNames(v *view, r *report) {
	for _, n := range v.renditions {
		means := map[string]string{}
		mean := func(uri, what string) {
			old, ok := means[uri]
			means[uri] = what
			r.want(!ok || old == what, "%s: %s means %s and %s", n.Path, uri, old, what)
		}
		for _, s := range n.states {
			for _, seg := range s.full.Segments {
				mean(seg.URI, fmt.Sprintf("segment %d", seg.MSN))
				for i, p := range seg.Parts {
					mean(p.URI, fmt.Sprintf("part %d of %d", i, seg.MSN))
				}
			}
			if open := s.full.Open; open != nil {
				for i, p := range open.Parts {
					mean(p.URI, fmt.Sprintf("part %d of %d", i, open.MSN))
				}
			}
		}
		for path, o := range n.Objects {
			body := o.Body()
			for _, x := range o.Gets {
				if x.OK() {
					r.want(bytes.Equal(body, x.Body), "%s: two bodies", path)
				}
			}
		}
	}
}

// checkDiscontinuity wants one behind each publisher that came and each restart,
// and where what a decoder was told changes.
func checkDiscontinuity(v *view, r *report) {
	for _, n := range v.renditions {
		for i, e := range n.entries {
			if i == 0 {
				continue
			}
			prev := n.entries[i-1]
			// Its first sample was published before it was listed, and after all of
			// the one in front of it were.
			if v.rec.between(prev.first.list.Done, e.start(), Came) {
				// Who lost all data does not know that there was a list before, and has
				// a clock at best, which some minutes do not move.
				lost := v.rec.between(prev.first.list.Done, e.start(), LostData)
				ok := e.Discontinuity && e.DSN > prev.DSN || lost && e.DSN >= prev.DSN
				r.want(ok, "%s: %d is the first of another publisher: tag %v, number %d behind %d", n.Path, e.MSN, e.Discontinuity, e.DSN, prev.DSN)
			}
			if e.MSN != prev.MSN+1 || e.DSN != prev.DSN {
				continue
			}
			r.want(e.Map == prev.Map, "%s: %d has the map %s behind %s", n.Path, e.MSN, e.Map, prev.Map)
			if e.ts != nil && prev.ts != nil {
				r.want(fmt.Sprint(e.ts.Streams) == fmt.Sprint(prev.ts.Streams), "%s: %d has the tracks %v behind %v", n.Path, e.MSN, e.ts.Streams, prev.ts.Streams)
				is, _ := e.coded() // where nothing is to be read others complain
				was, _ := prev.coded()
				if len(is.codecs) == len(was.codecs) {
					r.want(is.String() == was.String(), "%s: %d is %v behind %v", n.Path, e.MSN, is, was)
				}
			}
		}
	}
}

// start is when the entry was known first.
func (e *entry) start() time.Time {
	if !e.firstPart.IsZero() {
		return e.firstPart
	}
	return e.first.list.Done
}

func checkDSN(v *view, r *report) {
	for _, n := range v.renditions {
		first := map[uint64]uint64{}
		var newest *Segment
		for _, s := range n.states {
			for _, seg := range s.full.Segments {
				old, ok := first[seg.MSN]
				if !ok {
					first[seg.MSN] = seg.DSN
				} else {
					r.want(seg.DSN == old, "%s: that of %d was %d and is %d", n.Path, seg.MSN, old, seg.DSN)
				}
				if newest == nil || seg.MSN > newest.MSN {
					r.want(newest == nil || seg.DSN >= newest.DSN, "%s: %d of segment %d is below the one before", n.Path, seg.DSN, seg.MSN)
					newest = seg
				}
			}
		}
	}
}

func checkDSNSmall(v *view, r *report) {
	v.eachState(func(n *renditionView, s *state) {
		r.want(s.m.DiscontinuitySequence < 1_000_000, "%s: %d", n.Path, s.m.DiscontinuitySequence)
	})
}

func checkWindow(v *view, r *report) {
	const listed = 6
	for _, n := range v.renditions {
		for i, s := range n.states {
			if i == 0 || s.m.Sequence <= n.states[i-1].m.Sequence || n.restartBetween(v, i) {
				continue // what a killed process held is gone
			}
			if n.states[i-1].full.beginsWithGap() {
				continue // and so were these
			}
			var length time.Duration
			for _, seg := range s.full.Segments {
				length += seg.Duration
			}
			r.want(length >= 3*s.m.Target, "%s: %v remain with a target duration of %v", n.Path, length, s.m.Target)
			r.want(len(s.full.Segments) >= listed, "%s: %d segments remain", n.Path, len(s.full.Segments))
		}
	}
}

// checkAvailable also covers the initialization section of a segment of which the
// first part is listed only.
func checkAvailable(v *view, r *report) {
	for _, n := range v.renditions {
		for path, o := range n.Objects {
			if o.Hinted || len(o.Gets) == 0 {
				continue // who asks before it is named is another matter
			}
			x := o.Gets[0]
			r.want(x.OK() || v.rec.between(x.Sent.Add(-time.Second), x.Done.Add(time.Second), Restarted), "%s: %d %s", path, x.Status, x.Err)
		}
	}
}

// checkRetention: first appearance + own duration + longest playlist that held it,
// and the product's promise, the window and three target durations from where it
// left.
func checkRetention(v *view, r *report) {
	const close = 500 * time.Millisecond // of the end nothing is said
	for _, n := range v.renditions {
		for _, e := range n.entries {
			if e.object == nil || e.left.IsZero() {
				continue
			}
			until := e.first.list.Done.Add(e.Duration + e.longest)
			if promised := e.left.Add(v.rec.Window + 3*e.first.m.Target); promised.After(until) {
				until = promised
			}
			for _, x := range e.object.Gets {
				if x.Sent.After(e.left) && x.Sent.Before(until.Add(-close)) && !v.rec.between(e.start(), x.Done, Restarted) {
					r.want(x.Status == http.StatusOK, "%s: %d %v after it left the list", x.Path, x.Status, x.Sent.Sub(e.left))
				}
			}
		}
	}
}

// checkExtinf: what EXTINF sums up to, and where the media is, never drift apart
// by more than a frame.
func checkExtinf(v *view, r *report) {
	for _, n := range v.renditions {
		for _, run := range n.mediaRuns() {
			all := spans(run)
			for from := 0; from < len(run); from++ {
				to := from
				for to < len(run) && all[to] != nil {
					to++
				}
				if to > from {
					checkLengths(n.Path, run[from:to], all[from:to], r)
				}
				from = to
			}
		}
	}
}

// printed is what three decimals may be off.
const printed = time.Millisecond

func checkLengths(path string, run []*entry, all []*span, r *report) {
	var sum, low, high, frame time.Duration
	for _, s := range all {
		frame = max(frame, s.frame)
	}
	for i, e := range run {
		sum += e.Duration
		end := all[i].end
		if i+1 < len(all) {
			end = all[i+1].start
		}
		off := sum - (end - all[0].start)
		if tail := all[i].sound - all[i].end; i+1 == len(all) && tail > 0 && off > 0 {
			// The sound of the last segment goes on behind its pictures: the last one of
			// those stands until the decoder has nothing more.
			off = max(0, off-tail-all[i].delay)
		}
		low, high = min(low, off), max(high, off)
		r.want(high-low <= frame+printed, "%s: EXTINF up to %d is %v off the media, frames last %v", path, e.MSN, high-low, frame)
		if high-low > frame+printed {
			return // and all that follow
		}
	}
}

func checkPDTMapping(v *view, r *report) {
	for _, n := range v.renditions {
		for _, run := range n.runs() {
			for i, e := range run {
				if i == 0 || e.PDT.IsZero() || run[i-1].PDT.IsZero() {
					continue
				}
				off := e.PDT.Sub(run[i-1].PDT) - run[i-1].Duration
				r.want(off.Abs() <= 2*printed, "%s: the time of %d is %v off the one before and its length", n.Path, e.MSN, off)
			}
		}
	}
}

// checkAnchor allows the second for which a publisher's tracks may be waited for.
func checkAnchor(v *view, r *report) {
	first := map[int]time.Time{}
	last := -1
	for _, s := range v.rec.Sent {
		if _, ok := first[s.Session]; !ok {
			first[s.Session] = s.At
			last = s.Session
		}
	}
	for _, n := range v.renditions {
		for session := 0; session <= last; session++ {
			from, next := first[session], first[session+1]
			for _, e := range n.entries {
				if e.start().Before(from) {
					continue
				}
				if next.IsZero() || e.start().Before(next) { // else it sent too little for a segment
					off := e.PDT.Sub(from)
					r.want(e.PDT.IsZero() || -v.rec.Slack <= off && off <= time.Second+v.rec.Slack,
						"%s: %d is at %s, its publisher's first frame came %v before", n.Path, e.MSN, e.PDTForm, off)
				}
				break
			}
		}
	}
}

func checkRenditions(v *view, r *report) {
	a, b := v.format("fmp4"), v.format("ts")
	if a == nil || b == nil {
		return
	}
	other, extra := map[uint64]*entry{}, map[uint64]uint64{}
	changes := uint64(0) // a track that MPEG-TS has to announce, and fMP4 has not, is a discontinuity of one
	for i, e := range b.entries {
		if i > 0 && e.Discontinuity && e.ts != nil && b.entries[i-1].ts != nil && e.ts.timed() && !b.entries[i-1].ts.timed() {
			if own := a.find(e.MSN); own != nil && !own.Discontinuity {
				changes++
			}
		}
		other[e.MSN], extra[e.MSN] = e, changes
	}
	for _, e := range a.entries {
		o := other[e.MSN]
		if o == nil {
			continue
		}
		r.want(e.PDT.Sub(o.PDT).Abs() <= printed, "%d: times %s and %s", e.MSN, e.PDTForm, o.PDTForm)
		r.want((e.Duration-o.Duration).Abs() <= printed, "%d: lengths %v and %v", e.MSN, e.Duration, o.Duration)
		more := extra[e.MSN] - extra[e.MSN-1]
		same := e.Discontinuity == o.Discontinuity || more == 1 && o.Discontinuity
		r.want(same && e.DSN+extra[e.MSN] == o.DSN, "%d: discontinuities %v, %d and %v, %d", e.MSN, e.Discontinuity, e.DSN, o.Discontinuity, o.DSN)
	}
	if len(a.states) > 0 && len(b.states) > 0 {
		r.want(a.states[0].m.Target == b.states[0].m.Target, "target durations %v and %v", a.states[0].m.Target, b.states[0].m.Target)
	}
}

func (v *renditionView) find(msn uint64) *entry {
	for _, e := range v.entries {
		if e.MSN == msn {
			return e
		}
	}
	return nil
}

// timed says whether the segment announces ID3.
func (t *TS) timed() bool {
	for _, typ := range t.Streams {
		if typ == typeID3 {
			return true
		}
	}
	return false
}

func checkUpdateClock(v *view, r *report) {
	if !v.rec.Paced {
		return
	}
	for _, n := range v.renditions {
		for i, e := range n.entries {
			if i == 0 {
				continue
			}
			was, is := n.entries[i-1].first.list.Done, e.first.list.Done
			target := e.first.m.Target
			if v.rec.between(was.Add(-target), is) {
				continue
			}
			r.want(is.Sub(was) <= target*3/2+v.rec.Slack, "%s: %d came %v after %d", n.Path, e.MSN, is.Sub(was), n.entries[i-1].MSN)
		}
	}
}

// checkCapture: a segment is listed when its last picture has been captured, and
// not later than one more segment.
func checkCapture(v *view, r *report) {
	if !v.rec.Paced {
		return
	}
	for _, n := range v.renditions {
		for i, e := range n.entries {
			if i == 0 || e.PDT.IsZero() { // the first may have waited
				continue
			}
			behind := e.first.list.Done.Sub(e.PDT.Add(e.Duration))
			if v.rec.between(e.first.list.Done.Add(-2*e.first.m.Target), e.first.list.Done) ||
				v.rec.between(time.Time{}, e.first.list.Done, Stalled) {
				continue // media that was late goes on being late
			}
			r.want(-v.rec.Slack <= behind && behind <= e.first.m.Target+v.rec.Slack, "%s: %d ends %v before it is listed", n.Path, e.MSN, behind)
		}
	}
}
