package conformance

import (
	"bytes"
	"net/http"
	"strings"
	"time"
)

// partRules hold for partial segments.
var partRules = []Rule{
	{"ll.control", "bis 4.4.3.8; APL 14.3", "SERVER-CONTROL with blocking, PART-HOLD-BACK ≥ 3 × PART-TARGET, CAN-SKIP-UNTIL ≥ 6 × TARGETDURATION, always the same", checkControl},
	{"ll.part-target", "bis 4.4.3.7", "PART-INF is there where parts are, and never changes", checkPartTarget},
	{"ll.part-longest", "bis 4.4.4.9", "no part is longer than PART-TARGET", checkPartLongest},
	{"ll.part-shortest", "bis 4.4.4.9", "parts last 85 % of PART-TARGET, but independent ones and the last of a segment", checkPartShortest},
	{"ll.concatenation", "bis 3.2", "a segment is its parts, one behind the other", checkConcatenation},
	{"ll.part-sum", "bis 3.2", "the parts' durations sum up to EXTINF, and are those of their samples", checkPartSum},
	{"ll.first-part-tags", "bis 6.2.1", "MAP, time and discontinuity stand in front of a segment's first part, as soon as that is listed", checkFirstPartTags},
	{"ll.independent", "bis 4.4.4.9", "INDEPENDENT=YES at each part that begins with a key frame, and nowhere else", checkIndependentParts},
	{"ll.part-window", "bis 6.2.2, 4.4.4.9", "parts stand in the list up to 3 × TARGETDURATION from its end, and not much longer", checkPartWindow},
	{"ll.part-retention", "HLS.md 4", "a part that left the list can be fetched for 3 × TARGETDURATION", checkPartRetention},
	{"ll.part-clock", "bis 6.2.1", "a part is there within PART-TARGET of its last sample", checkPartClock},
	{"ll.ranges", "HLS.md 4", "a part is a file of its own", checkRanges},
	{"ll.reports", "bis B.1, 4.4.5.4", "one RENDITION-REPORT for each other rendition, with where that is", checkReports},
}

func (v *view) eachLiveState(f func(*renditionView, *state)) {
	if n := v.format("fmp4"); n != nil {
		for _, s := range n.states {
			f(n, s)
		}
	}
}

func checkControl(v *view, r *report) {
	var first Attributes
	v.eachLiveState(func(n *renditionView, s *state) {
		c := s.m.Control
		back, _ := c.seconds("PART-HOLD-BACK")
		skip, _ := c.seconds("CAN-SKIP-UNTIL")
		hold, held := c.seconds("HOLD-BACK")
		ok := c["CAN-BLOCK-RELOAD"] == "YES" && back >= 3*s.m.PartTarget && skip >= 6*s.m.Target && (!held || hold >= 3*s.m.Target)
		r.want(ok, "%s: %v with PART-TARGET %v and TARGETDURATION %v", n.Path, c, s.m.PartTarget, s.m.Target)
		if first == nil {
			first = c
		}
		for _, name := range []string{"CAN-BLOCK-RELOAD", "PART-HOLD-BACK", "CAN-SKIP-UNTIL", "HOLD-BACK"} {
			r.want(c[name] == first[name], "%s: %s from %q to %q", n.Path, name, first[name], c[name])
		}
	})
}

func checkPartTarget(v *view, r *report) {
	var first time.Duration
	v.eachLiveState(func(n *renditionView, s *state) {
		if first == 0 {
			first = s.m.PartTarget
		}
		r.want(s.m.PartTarget > 0 && s.m.PartTarget == first, "%s: %v after %v", n.Path, s.m.PartTarget, first)
	})
}

// eachPart calls f for the parts of each segment that the recording knows whole.
func (v *view) eachPart(f func(n *renditionView, e *entry, i int, p Part)) {
	n := v.format("fmp4")
	if n == nil {
		return
	}
	for _, e := range n.entries {
		for i, p := range e.parts {
			if e.whole {
				f(n, e, i, p)
			}
		}
	}
}

func checkPartLongest(v *view, r *report) {
	v.eachPart(func(n *renditionView, e *entry, i int, p Part) {
		r.want(p.Duration <= e.first.m.PartTarget, "part %d of %d lasts %v, PART-TARGET is %v", i, e.MSN, p.Duration, e.first.m.PartTarget)
	})
}

func checkPartShortest(v *view, r *report) {
	v.eachPart(func(n *renditionView, e *entry, i int, p Part) {
		if p.Independent || p.Gap || i == len(e.parts)-1 {
			return
		}
		r.want(p.Duration*100 >= e.first.m.PartTarget*85, "part %d of %d lasts %v, PART-TARGET is %v", i, e.MSN, p.Duration, e.first.m.PartTarget)
	})
}

func checkConcatenation(v *view, r *report) {
	n := v.format("fmp4")
	if n == nil {
		return
	}
	for _, e := range n.entries {
		if !e.whole || e.object == nil || e.object.Body() == nil {
			continue
		}
		var all []byte
		known := true
		for _, p := range e.parts {
			o := n.Objects[resolve(n.Path, p.URI)]
			if o == nil || o.Body() == nil {
				known = false
				break
			}
			all = append(all, o.Body()...)
		}
		if known {
			r.want(bytes.Equal(all, e.object.Body()), "%s: %d bytes, its %d parts %d", e.URI, len(e.object.Body()), len(e.parts), len(all))
		}
	}
}

// checkPartSum also holds each part against its samples, to a frame.
func checkPartSum(v *view, r *report) {
	n := v.format("fmp4")
	if n == nil {
		return
	}
	for _, e := range n.entries {
		if !e.whole {
			continue
		}
		var sum time.Duration
		for i, p := range e.parts {
			sum += p.Duration
			m := n.parts[resolve(n.Path, p.URI)]
			if m == nil || e.init == nil {
				continue
			}
			if s := mp4Span(&entry{mp4: m, init: e.init}); s != nil {
				off := (s.end - s.start) - p.Duration
				r.want(off.Abs() <= s.frame+printed, "part %d of %d says %v and lasts %v", i, e.MSN, p.Duration, s.end-s.start)
			}
		}
		r.want((sum-e.Duration).Abs() <= time.Duration(len(e.parts)+1)*printed, "%s: EXTINF %v, its parts %v", e.URI, e.Duration, sum)
	}
}

func checkFirstPartTags(v *view, r *report) {
	v.eachLiveState(func(n *renditionView, s *state) {
		entries := s.full.Segments
		if s.full.Open != nil {
			entries = append(entries[:len(entries):len(entries)], s.full.Open)
		}
		for _, seg := range entries {
			if len(seg.Parts) > 0 {
				r.want(len(seg.Late) == 0, "%s: %v of segment %d stand behind its first part", n.Path, seg.Late, seg.MSN)
			}
		}
		open := s.full.Open
		if open == nil || len(open.Parts) == 0 {
			return
		}
		for _, e := range n.entries {
			if e.MSN == open.MSN {
				r.want(open.head() == e.head(), "%s: segment %d says %s with %d parts and %s when it is complete", n.Path, open.MSN, open.head(), len(open.Parts), e.head())
			}
		}
	})
}

func checkIndependentParts(v *view, r *report) {
	v.eachPart(func(n *renditionView, e *entry, i int, p Part) {
		m := n.parts[resolve(n.Path, p.URI)]
		if m == nil || e.init == nil {
			return
		}
		key, known := (&entry{mp4: m, init: e.init}).independent()
		if known {
			r.want(p.Independent == key, "part %d of %d: INDEPENDENT is %v, and it begins with a key frame: %v", i, e.MSN, p.Independent, key)
		}
	})
}

// checkPartWindow: an entry that ends within three target durations from the end
// of the playlist keeps its parts; one that begins four or more before it has
// lost them.
func checkPartWindow(v *view, r *report) {
	v.eachLiveState(func(n *renditionView, s *state) {
		if s.m.Ended {
			return
		}
		had := map[uint64]bool{}
		for _, e := range n.entries {
			had[e.MSN] = len(e.parts) > 0
		}
		for i, seg := range s.full.Segments {
			from := s.full.Length(i)
			switch behind := from - seg.Duration; {
			case i < s.m.Skipped: // a delta update leaves its parts out with it
			case behind < 3*s.m.Target && had[seg.MSN]:
				r.want(len(seg.Parts) > 0, "%s: segment %d ends %v before the end and has no parts", n.Path, seg.MSN, behind)
			case from > 4*s.m.Target+seg.Duration:
				r.want(len(seg.Parts) == 0, "%s: segment %d begins %v before the end and still has parts", n.Path, seg.MSN, from)
			}
		}
	})
}

func checkPartRetention(v *view, r *report) {
	n := v.format("fmp4")
	if n == nil {
		return
	}
	gone := map[string]time.Time{} // since when a part is in no list
	var before map[string]bool
	for _, s := range n.states {
		now := map[string]bool{}
		for _, seg := range s.m.Segments { // what a delta update skips is older than any part in the list
			for _, p := range seg.Parts {
				now[p.URI] = true
			}
		}
		for uri := range before {
			if !now[uri] && gone[uri].IsZero() {
				gone[uri] = s.list.Done
			}
		}
		before = now
	}
	for uri, since := range gone {
		o := n.Objects[resolve(n.Path, uri)]
		if o == nil {
			continue
		}
		until := since.Add(3*n.states[0].m.Target - 500*time.Millisecond)
		for _, x := range o.Gets {
			if x.Sent.After(since) && x.Sent.Before(until) && !v.rec.between(o.Gets[0].Sent, x.Done, Restarted) {
				r.want(x.Status == http.StatusOK, "%s: %d %v after it left the list", x.Path, x.Status, x.Sent.Sub(since))
			}
		}
	}
}

// partTimes is where a part's leading track begins and ends on the publisher's
// clock in ms, and where its last sample begins.
func (n *renditionView) partTimes(e *entry, p Part) (last, end int64, ok bool) {
	m := n.parts[resolve(n.Path, p.URI)]
	if m == nil || e.init == nil {
		return 0, 0, false
	}
	track := e.init.Track("vide")
	if track == nil {
		track = e.init.Track("soun")
	}
	runs := m.Runs(track.ID)
	if len(runs) == 0 || len(runs[len(runs)-1].Samples) == 0 {
		return 0, 0, false
	}
	run := runs[len(runs)-1]
	tail := run.Samples[len(run.Samples)-1]
	return track.milliseconds(run.End()-uint64(tail.Duration)) - n.ahead, track.milliseconds(run.End()) - n.ahead, true
}

// sentAt is when the first frame of a kind at or behind a time was published in
// the first session; zero if none was.
func (v *view) sentAt(video bool, from int64) time.Time {
	for _, s := range v.rec.Sent {
		if s.Session == 0 && s.Video == video && s.Time >= from {
			return s.At
		}
	}
	return time.Time{}
}

func checkPartClock(v *view, r *report) {
	n := v.format("fmp4")
	if n == nil || !v.rec.Paced {
		return
	}
	for _, e := range v.firstSession(n) {
		for i, p := range e.parts {
			_, end, ok := n.partTimes(e, p)
			o := n.Objects[resolve(n.Path, p.URI)]
			if !ok || o == nil || !o.Hinted || !o.Gets[0].OK() {
				continue
			}
			// It is complete when a frame of each track is there that is not in it.
			ready := v.sentAt(e.init.Track("vide") != nil, end)
			if e.init.Track("vide") != nil && e.init.Track("soun") != nil {
				if sound := v.sentAt(false, end); sound.After(ready) {
					ready = sound
				}
			}
			if ready.IsZero() || ready.Before(o.Gets[0].Sent) {
				continue
			}
			late := o.Gets[0].Done.Sub(ready)
			r.want(late <= e.first.m.PartTarget+v.rec.Slack, "part %d of %d is there %v after its last sample", i, e.MSN, late)
		}
	}
}

func checkRanges(v *view, r *report) {
	v.eachLiveState(func(n *renditionView, s *state) {
		for _, h := range s.m.Hints {
			r.want(!h.Ranged, "%s hints a byte range", n.Path)
		}
	})
	v.eachPart(func(n *renditionView, e *entry, i int, p Part) {
		r.want(p.ByteRange == "" && e.ByteRange == "", "%s: part %d of %d has a byte range", n.Path, i, e.MSN)
	})
}

func checkReports(v *view, r *report) {
	for _, m := range v.multis {
		for _, n := range v.renditions {
			own := ""
			others := 0
			for _, variant := range m.m.Variants {
				if resolve(m.Path, variant.URI) == n.Path {
					own = variant.URI
				} else {
					others++
				}
			}
			if own == "" || n.Format != "fmp4" || len(n.states) == 0 {
				continue
			}
			for _, s := range n.states {
				if s.m.Ended {
					continue
				}
				r.want(len(s.m.Reports) == others, "%s has %d reports of %d other renditions", n.Path, len(s.m.Reports), others)
				for _, report := range s.m.Reports {
					_, msn := report["LAST-MSN"]
					r.want(msn && !strings.HasPrefix(report["URI"], "/") && !strings.Contains(report["URI"], "://"), "%s: the report %v", n.Path, report)
				}
			}
		}
	}
}
