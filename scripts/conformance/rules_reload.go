package conformance

import (
	"bytes"
	"net/http"
	"slices"
	"time"
)

// hintRules hold for EXT-X-PRELOAD-HINT and what it names.
var hintRules = []Rule{
	{"hint.one", "bis 4.4.5.3", "exactly one PRELOAD-HINT of a part, as long as the list goes on", checkOneHint},
	{"hint.next", "bis 4.4.5.3", "the part that comes next is the one that was hinted", checkHintNext},
	{"hint.blocks", "bis 6.2.6", "no byte of a hinted part comes before its last sample was there, and then all of them", checkHintBlocks},
	{"hint.unknown", "HLS.md 4", "the part behind the hinted one is not found", status("hint-unknown", http.StatusNotFound)},
	{"hint.timeout", "bis 6.2.6", "who waits for a part that does not come is told 503 after 3 × TARGETDURATION", checkTimeout("hint-timeout")},
}

// reloadRules hold for playlist requests with delivery directives (bis 6.2.5).
var reloadRules = []Rule{
	{"reload.holds", "bis 6.2.5.2", "the answer to a blocking reload holds what was asked for", checkHolds},
	{"reload.prompt", "bis 6.2.5.2", "a blocking reload is answered as soon as the part is there", checkPrompt},
	{"reload.segment", "bis 6.2.5.2", "_HLS_msn alone waits for the complete segment", checkAnswered("reload-segment")},
	{"reload.past-end", "bis 6.2.5.2", "a part past the end of a finished segment is the first one of the next", checkPastEnd},
	{"reload.at-once", "bis 6.2.5.2", "what is there already, or was long ago, is answered at once with the whole list", checkAtOnce},
	{"reload.ahead", "bis 6.2.5.2", "two segments behind the last one may be asked for", checkAnswered("reload-ahead")},
	{"reload.too-far", "bis 6.2.5.2", "three segments behind the last one is a bad request", status("reload-too-far", http.StatusBadRequest)},
	{"reload.part-too-far", "bis 6.2.5.2", "more parts ahead than the Advance Part Limit is a bad request", status("reload-part-too-far", http.StatusBadRequest)},
	{"reload.part-alone", "bis 6.2.5.2", "_HLS_part without _HLS_msn is a bad request", status("reload-part-alone", http.StatusBadRequest)},
	{"reload.malformed", "bis 6.2.5", "directives that are no numbers are a bad request", status("reload-malformed", http.StatusBadRequest)},
	{"reload.shared", "HLS.md 4", "all who wait for one thing get the same answer at the same time", checkShared},
	{"reload.timeout", "bis 6.2.5.2", "who waits for 3 × TARGETDURATION is told 503", checkTimeout("reload-timeout")},
	{"reload.released", "HLS.md 4", "who waits when the publisher goes is answered", checkReleased},
	{"reload.ended", "bis 6.2.5.2", "directives mean nothing once the list has ended", checkReloadEnded},
	{"reload.plain", "bis 6.2.5", "directives mean nothing to a list that does not offer them", checkReloadPlain},
}

// deltaRules hold for delta updates (bis 4.4.5.2).
var deltaRules = []Rule{
	{"delta.skips", "bis 6.2.5.1", "_HLS_skip leaves out the segments beyond CAN-SKIP-UNTIL and no others", checkDeltaSkips},
	{"delta.same", "bis 6.2.5.1", "a delta update, filled up, is the whole list", checkDeltaSame},
	{"delta.version", "bis 8", "a delta update says version 9 at least", checkDeltaVersion},
	{"delta.asked", "bis 6.2.5.1", "EXT-X-SKIP stands only where it was asked for", checkDeltaAsked},
}

func checkOneHint(v *view, r *report) {
	v.eachLiveState(func(n *renditionView, s *state) {
		parts := 0
		for _, h := range s.m.Hints {
			if h.Type == "PART" {
				parts++
			}
		}
		want := 1
		if s.m.Ended {
			want = 0
		}
		r.want(parts == want, "%s at %v: %d hints of parts, ENDLIST %v", n.Path, s.list.Done, parts, s.m.Ended)
	})
}

// following returns the part that comes behind all that m lists, from what is
// known of later.
func (n *renditionView) following(m *Media, byMSN map[uint64]*entry) (uri string, ok bool) {
	msn, index := m.Last()+1, m.OpenParts()
	for range 2 {
		e := byMSN[msn]
		if e == nil || !e.whole {
			return "", false
		}
		if index < len(e.parts) {
			return e.parts[index].URI, true
		}
		msn, index = msn+1, 0
	}
	return "", false
}

func checkHintNext(v *view, r *report) {
	n := v.format("fmp4")
	if n == nil {
		return
	}
	byMSN := map[uint64]*entry{}
	for _, e := range n.entries {
		byMSN[e.MSN] = e
	}
	for _, s := range n.states {
		next, ok := n.following(s.m, byMSN)
		if !ok || byMSN[s.m.Last()+1] == nil || v.rec.between(s.list.Done, byMSN[s.m.Last()+1].first.list.Done, Restarted) {
			continue
		}
		for _, h := range s.m.Hints {
			if h.Type == "PART" {
				r.want(h.URI == next, "%s: %s is hinted, and %s comes", n.Path, h.URI, next)
			}
		}
	}
}

func checkHintBlocks(v *view, r *report) {
	n := v.format("fmp4")
	if n == nil || len(n.entries) == 0 {
		return
	}
	for _, e := range v.firstSession(n) {
		for i, p := range e.parts {
			o := n.Objects[resolve(n.Path, p.URI)]
			last, _, ok := n.partTimes(e, p)
			if !ok || o == nil || !o.Hinted {
				continue
			}
			x := o.Gets[0]
			sent := v.sentAt(e.init.Track("vide") != nil, last)
			if x.OK() && !sent.IsZero() {
				r.want(!x.First.Before(sent), "part %d of %d: the first byte came %v before the last sample", i, e.MSN, sent.Sub(x.First))
			}
			if x.OK() {
				r.want(x.Done.Sub(x.First) <= v.rec.Slack, "part %d of %d took %v", i, e.MSN, x.Done.Sub(x.First))
			}
			// A player may rely on what it was told: the name has to come to be.
			if !v.rec.between(x.Sent, x.Done, Restarted, Left) && !v.stalledAt(x.Done) {
				r.want(x.OK(), "part %d of %d was hinted, and is answered %d %s", i, e.MSN, x.Status, x.Err)
			}
		}
	}
}

// each calls f for the probes of a kind.
func (v *view) each(kind string, f func(p *Probe)) {
	for _, p := range v.rec.Probes {
		if p.Kind == kind {
			f(p)
		}
	}
}

// status is a check that wants all answers to a kind of probe to have a status,
// at once.
func status(kind string, want int) func(*view, *report) {
	return func(v *view, r *report) {
		v.each(kind, func(p *Probe) {
			for _, x := range p.Exchanges {
				r.want(x.Status == want && x.Took() <= v.rec.Slack, "%s: %d after %v %s", x.Path, x.Status, x.Took(), x.Err)
			}
		})
	}
}

// eachReload calls f for all playlists that answer a blocking reload.
func (v *view) eachReload(f func(x *Exchange, d directives, m *Media)) {
	v.eachLiveState(func(n *renditionView, s *state) {
		if d := readDirectives(s.list.Path); d.blocking {
			f(&s.list.Exchange, d, s.m)
		}
	})
}

func checkHolds(v *view, r *report) {
	v.eachReload(func(x *Exchange, d directives, m *Media) {
		r.want(m.answered(d), "%s is answered with a list up to %d and %d parts", x.Path, m.Last(), m.OpenParts())
	})
}

func checkPrompt(v *view, r *report) {
	n := v.format("fmp4")
	v.eachReload(func(x *Exchange, d directives, m *Media) {
		e := m.Find(d.msn)
		if d.part < 0 || e == nil || d.part >= len(e.Parts) {
			return
		}
		o := n.Objects[resolve(n.Path, e.Parts[d.part].URI)]
		if o == nil || !o.Hinted || !o.Gets[0].OK() {
			return
		}
		late := x.Done.Sub(o.Gets[0].Done)
		r.want(late <= v.rec.Slack, "%s is answered %v after the part was there", x.Path, late)
	})
}

// checkAnswered wants the list that was asked for.
func checkAnswered(kind string) func(*view, *report) {
	return func(v *view, r *report) {
		v.each(kind, func(p *Probe) {
			for _, x := range p.Exchanges {
				m := ParseMedia(x.Body)
				d := readDirectives(x.Path)
				r.want(x.OK() && m.answered(d), "%s: %d %s, a list up to %d", x.Path, x.Status, x.Err, m.Last())
			}
		})
	}
}

// checkPastEnd: not the whole of the next segment is waited for.
func checkPastEnd(v *view, r *report) {
	v.each("reload-past-end", func(p *Probe) {
		for _, x := range p.Exchanges {
			m := ParseMedia(x.Body)
			d := readDirectives(x.Path)
			r.want(x.OK() && m.answered(d), "%s: %d %s, a list up to %d with %d parts", x.Path, x.Status, x.Err, m.Last(), m.OpenParts())
			r.want(!x.OK() || m.Last() == d.msn, "%s: the answer has %d already", x.Path, m.Last())
		}
	})
}

func checkAtOnce(v *view, r *report) {
	v.each("reload-at-once", func(p *Probe) {
		for _, x := range p.Exchanges {
			m := ParseMedia(x.Body)
			r.want(x.OK() && x.Took() <= v.rec.Slack, "%s: %d after %v %s", x.Path, x.Status, x.Took(), x.Err)
			r.want(!x.OK() || m.Skipped == 0 && m.Last() >= p.Before.Last(), "%s: a list up to %d, %d segments left out", x.Path, m.Last(), m.Skipped)
		}
	})
}

// checkShared wants byte for byte the same answers from one blocking request.
func checkShared(v *view, r *report) {
	v.each("reload-shared", func(p *Probe) {
		first := p.Exchanges[0]
		for _, x := range p.Exchanges {
			r.want(x.OK() && bytes.Equal(x.Body, first.Body) && x.Header.Get("Etag") == first.Header.Get("Etag"),
				"%s: %d, %d bytes and ETag %s; another got %d, %d and %s", x.Path, x.Status, len(x.Body), x.Header.Get("Etag"),
				first.Status, len(first.Body), first.Header.Get("Etag"))
			r.want(x.Done.Sub(first.Done).Abs() <= v.rec.Slack, "%s: answered %v apart", x.Path, x.Done.Sub(first.Done))
		}
	})
}

// checkTimeout: after three target durations, not much earlier or later.
func checkTimeout(kind string) func(*view, *report) {
	return func(v *view, r *report) {
		v.each(kind, func(p *Probe) {
			limit := 3 * p.Before.Target
			for _, x := range p.Exchanges {
				ok := x.Status == http.StatusServiceUnavailable && x.Took() > limit-limit/6 && x.Took() <= limit+v.rec.Slack
				r.want(ok, "%s: %d after %v %s", x.Path, x.Status, x.Took(), x.Err)
			}
		})
	}
}

// checkReleased: what the publisher's going completes, or ends, is told at once;
// whatever else is waited for is told 503 in time.
func checkReleased(v *view, r *report) {
	v.each("reload-left", func(p *Probe) {
		for _, x := range p.Exchanges {
			m := ParseMedia(x.Body)
			done := x.OK() && (m.Ended || m.answered(readDirectives(x.Path))) ||
				x.Status == http.StatusServiceUnavailable || x.Status == http.StatusNotFound && p.Target != "list"
			r.want(done && x.Took() <= 3*p.Before.Target+v.rec.Slack, "%s: %d after %v %s", x.Path, x.Status, x.Took(), x.Err)
		}
	})
	v.each("reload-left-at-once", func(p *Probe) {
		for _, x := range p.Exchanges {
			left := time.Time{}
			for _, e := range v.rec.Events {
				if e.Kind == Left && e.At.After(x.Sent) && left.IsZero() {
					left = e.At
				}
			}
			r.want(!left.IsZero() && x.Done.Sub(left) <= v.rec.Slack, "%s: %d, %v after the publisher left", x.Path, x.Status, x.Done.Sub(left))
		}
	})
}

func checkReloadEnded(v *view, r *report) {
	v.each("reload-ended", func(p *Probe) {
		for _, x := range p.Exchanges {
			m := ParseMedia(x.Body)
			r.want(x.OK() && m.Ended && m.Skipped == 0 && x.Took() <= v.rec.Slack, "%s: %d after %v, ENDLIST %v, %d left out", x.Path, x.Status, x.Took(), m.Ended, m.Skipped)
		}
	})
}

func checkReloadPlain(v *view, r *report) {
	v.each("reload-plain", func(p *Probe) {
		for _, x := range p.Exchanges {
			r.want(x.OK() && x.Took() <= v.rec.Slack && ParseMedia(x.Body).Skipped == 0, "%s: %d after %v %s", x.Path, x.Status, x.Took(), x.Err)
		}
	})
}

// checkDeltaSkips: distances are those from a segment's start to the end of the
// playlist (HLS.md 8).
func checkDeltaSkips(v *view, r *report) {
	v.eachLiveState(func(n *renditionView, s *state) {
		until, can := s.m.Control.seconds("CAN-SKIP-UNTIL")
		if !readDirectives(s.list.Path).skip || !can {
			return
		}
		if s.m.Ended {
			r.want(s.m.Skipped == 0, "%s: a delta update with ENDLIST", s.list.Path)
			return
		}
		// EXTINF is rounded; what lies at the boundary may be left out or not.
		rounding := time.Duration(len(s.full.Segments)+s.full.OpenParts()) * printed
		may, must := 0, 0
		for i := range s.full.Segments {
			if s.full.Length(i) >= until-rounding {
				may++
			}
			if s.full.Length(i) > until+rounding {
				must++
			}
		}
		r.want(s.m.Skipped <= may && (s.m.Skipped > 0 || must == 0), "%s: %d left out, %d are beyond %v", s.list.Path, s.m.Skipped, may, until)
		known := !slices.ContainsFunc(s.full.Segments, func(seg *Segment) bool { return seg.URI == "" })
		r.want(known || v.rec.between(n.states[0].list.Sent, s.list.Done, Restarted), "%s leaves out what was never listed", s.list.Path)
	})
}

func checkDeltaSame(v *view, r *report) {
	v.each("delta", func(p *Probe) {
		if len(p.Exchanges) != 2 || !p.Exchanges[0].OK() || !p.Exchanges[1].OK() {
			r.want(false, "%s: %d and %d", p.Exchanges[0].Path, p.Exchanges[0].Status, p.Exchanges[1].Status)
			return
		}
		whole, delta := ParseMedia(p.Exchanges[0].Body), ParseMedia(p.Exchanges[1].Body)
		if whole.Last() != delta.Last() || whole.OpenParts() != delta.OpenParts() {
			return // the list has moved on between them
		}
		known := map[uint64]*Segment{}
		for _, s := range whole.Segments {
			known[s.MSN] = s
		}
		filled := delta.fill(known)
		r.want(whole.Sequence == delta.Sequence && whole.DiscontinuitySequence == delta.DiscontinuitySequence && whole.Target == delta.Target &&
			whole.PartTarget == delta.PartTarget && len(whole.Segments) == len(filled.Segments),
			"%s: %d…%d, discontinuity %d; whole %d…%d, discontinuity %d", p.Exchanges[1].Path,
			delta.Sequence, delta.Last(), delta.DiscontinuitySequence, whole.Sequence, whole.Last(), whole.DiscontinuitySequence)
		for i := range min(len(whole.Segments), len(filled.Segments)) {
			a, b := whole.Segments[i], filled.Segments[i]
			same := a.says() == b.says() && a.DSN == b.DSN && (i < delta.Skipped || slices.Equal(a.Parts, b.Parts))
			r.want(same, "%s: %d is %s; whole %s", p.Exchanges[1].Path, a.MSN, b.says(), a.says())
		}
		r.want(slices.Equal(whole.Hints, delta.Hints), "%s: hints %v; whole %v", p.Exchanges[1].Path, delta.Hints, whole.Hints)
	})
}

func checkDeltaVersion(v *view, r *report) {
	v.eachLiveState(func(n *renditionView, s *state) {
		if s.m.Skipped > 0 {
			r.want(s.m.Version >= 9, "%s: version %d", s.list.Path, s.m.Version)
		}
	})
}

func checkDeltaAsked(v *view, r *report) {
	v.eachState(func(n *renditionView, s *state) {
		if !readDirectives(s.list.Path).skip || n.Format != "fmp4" {
			r.want(s.m.Skipped == 0, "%s leaves out %d", s.list.Path, s.m.Skipped)
		}
	})
}
