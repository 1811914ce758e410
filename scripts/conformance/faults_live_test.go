//go:build e2e

package conformance

import (
	"bytes"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// partFaults break low latency playlists and parts.
var partFaults = []fault{
	{rule: "ll.control", name: "hold back too short", plant: func(f *faulty) {
		back := f.middle("fmp4").m.Control["PART-HOLD-BACK"]
		f.text("fmp4", replace("PART-HOLD-BACK="+back, "PART-HOLD-BACK=0.500"))
	}},
	{rule: "ll.control", name: "changed", plant: func(f *faulty) {
		f.text("fmp4", only(f.middle("fmp4"), replace("CAN-SKIP-UNTIL=6", "CAN-SKIP-UNTIL=7")))
	}},
	{rule: "ll.part-target", name: "changed", plant: func(f *faulty) {
		f.text("fmp4", only(f.middle("fmp4"), replace("PART-TARGET=0.211", "PART-TARGET=0.210")))
	}},
	{rule: "ll.part-longest", name: "12 ms more", plant: func(f *faulty) {
		e := f.quiet("fmp4")
		f.text("fmp4", func(s string) string {
			return stretch(stretch(s, e.parts[1].URI, 12*ms), e.parts[len(e.parts)-1].URI, -12*ms)
		})
	}},
	{rule: "ll.part-shortest", name: "24 ms less", plant: func(f *faulty) {
		e := f.quiet("fmp4")
		f.text("fmp4", func(s string) string {
			for i, by := range []time.Duration{8 * ms, -24 * ms, 8 * ms, 8 * ms} {
				s = stretch(s, e.parts[i].URI, by)
			}
			return s
		})
	}},
	{rule: "ll.concatenation", name: "a bit", plant: func(f *faulty) {
		f.body("fmp4", f.quiet("fmp4").URI, func(b []byte) []byte {
			b[len(b)-3] ^= 1 // in a frame of sound
			return b
		})
	}},
	{rule: "ll.part-sum", name: "12 ms missing", plant: func(f *faulty) {
		e := f.quiet("fmp4")
		f.text("fmp4", func(s string) string { return stretch(s, e.parts[len(e.parts)-1].URI, -12*ms) })
	}, also: []string{"ll.part-window"}}, // while the part is the last of all, the list is shorter by it
	{rule: "ll.first-part-tags", name: "time behind the part", plant: func(f *faulty) {
		s := f.state("fmp4", func(s *state) bool { return s.m.OpenParts() > 0 })
		time := "#EXT-X-PROGRAM-DATE-TIME:" + s.m.Open.PDTForm + "\n"
		f.text("fmp4", only(s, func(text string) string {
			before, after, _ := strings.Cut(text, time)
			part, rest, _ := strings.Cut(after, "\n")
			return before + part + "\n" + time + rest
		}))
	}},
	{rule: "ll.first-part-tags", name: "time with the segment only", plant: func(f *faulty) {
		s := f.state("fmp4", func(s *state) bool { return s.m.OpenParts() > 0 })
		f.text("fmp4", only(s, replace("#EXT-X-PROGRAM-DATE-TIME:"+s.m.Open.PDTForm+"\n", "")))
	}, also: []string{"list.stable"}},
	{rule: "ll.independent", name: "not told", plant: func(f *faulty) {
		f.text("fmp4", replace(`URI="`+f.quiet("fmp4").parts[0].URI+`",INDEPENDENT=YES`, `URI="`+f.quiet("fmp4").parts[0].URI+`"`))
	}},
	{rule: "ll.independent", name: "told of one that is not", plant: func(f *faulty) {
		form := regexp.MustCompile(`(DURATION=[0-9.]+,URI="` + f.quiet("fmp4").parts[1].URI + `")`)
		f.text("fmp4", func(s string) string { return form.ReplaceAllString(s, "$1,INDEPENDENT=YES") })
	}},
	{rule: "ll.part-window", name: "taken away early", plant: func(f *faulty) {
		s := f.state("fmp4", func(s *state) bool { return s.m.OpenParts() > 1 })
		f.text("fmp4", only(s, func(text string) string {
			for _, p := range s.m.Segments[len(s.m.Segments)-2].Parts {
				from := strings.Index(text, p.URI)
				from = strings.LastIndex(text[:from], "#EXT-X-PART")
				to := from + strings.IndexByte(text[from:], '\n') + 1
				text = text[:from] + text[to:]
			}
			return text
		}))
	}},
	{rule: "ll.part-retention", name: "gone at once", plant: func(f *faulty) {
		n := f.Rendition("fmp4")
		o := n.Objects[resolve(n.Path, f.quiet("fmp4").parts[1].URI)]
		refuse(o.Gets[1], http.StatusNotFound)
	}},
	{rule: "ll.part-clock", name: "late", plant: func(f *faulty) {
		n := f.Rendition("fmp4")
		delay(n.Objects[resolve(n.Path, f.hinted().URI)].Gets[0], 3*time.Second)
	}},
	{rule: "ll.ranges", name: "in one file", plant: func(f *faulty) {
		f.text("fmp4", replace("#EXT-X-PART:", `#EXT-X-PART:BYTERANGE="100@0",`))
	}},
	{rule: "ll.reports", name: "none of another rendition", plant: func(f *faulty) {
		for _, m := range f.Multis {
			m.Body = append(bytes.Clone(m.Body), "#EXT-X-STREAM-INF:BANDWIDTH=1\nx/other/index.m3u8\n"...)
		}
	}, also: []string{"http.etag"}},
	{rule: "hint.one", name: "two", plant: func(f *faulty) {
		s := f.middle("fmp4")
		line := `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="` + s.m.Hints[0].URI + "\"\n"
		f.text("fmp4", only(s, behind(line, line)))
	}},
	{rule: "hint.one", name: "none", plant: func(f *faulty) {
		s := f.middle("fmp4")
		f.text("fmp4", only(s, replace(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`+s.m.Hints[0].URI+"\"\n", "")))
	}},
	{rule: "hint.next", name: "another part", plant: func(f *faulty) {
		s := f.middle("fmp4")
		f.text("fmp4", only(s, replace(`HINT:TYPE=PART,URI="`+s.m.Hints[0].URI, `HINT:TYPE=PART,URI="`+later(s.m.Hints[0].URI, 500))))
	}},
	{rule: "hint.blocks", name: "first byte before the last sample", plant: func(f *faulty) {
		n := f.Rendition("fmp4")
		x := n.Objects[resolve(n.Path, f.hinted().URI)].Gets[0]
		x.First = x.First.Add(-180 * ms)
	}},
	{rule: "hint.blocks", name: "in drops", plant: func(f *faulty) {
		n := f.Rendition("fmp4")
		x := n.Objects[resolve(n.Path, f.hinted().URI)].Gets[0]
		x.Done = x.First.Add(1100 * ms)
	}},
	{rule: "hint.unknown", name: "waits", plant: func(f *faulty) { refuse(f.probe("hint-unknown").Exchanges[0], http.StatusServiceUnavailable) }},
	{rule: "hint.timeout", name: "not found", plant: func(f *faulty) { refuse(f.probe("hint-timeout").Exchanges[0], http.StatusNotFound) }},
}

// hinted is a part that was asked for before it was there, and its segment is
// nobody else's business.
func (f *faulty) hinted() Part {
	n := f.v.format("fmp4")
	e := f.quiet("fmp4")
	for _, p := range e.parts[1:] {
		o := n.Objects[resolve(n.Path, p.URI)]
		if last, _, ok := n.partTimes(e, p); ok && o.Hinted && o.Gets[0].Sent.Before(f.v.sentAt(true, last).Add(-50*ms)) {
			return p
		}
	}
	f.t.Fatal("no part was asked for in time")
	return Part{}
}

// reloadFaults break blocking reloads and delta updates.
var reloadFaults = []fault{
	{rule: "reload.holds", name: "answered too early", plant: func(f *faulty) {
		s := f.blocked(0)
		d := readDirectives(s.list.Path)
		s2 := f.list(s)
		s2.Path = strings.Replace(s2.Path, strconv.FormatUint(d.msn, 10), strconv.FormatUint(d.msn+2, 10), 1)
	}},
	{rule: "reload.prompt", name: "late", plant: func(f *faulty) { delay(&f.list(f.blocked(1)).Exchange, 1500*ms) },
		also: []string{"list.clock", "list.pdt-capture", "http.last-modified"}},
	{rule: "reload.segment", name: "at its first part", plant: func(f *faulty) {
		p := f.probe("reload-segment")
		d := readDirectives(p.Exchanges[0].Path)
		giveAs(p.Exchanges[0], &f.Rendition("fmp4").Lists[f.index(func(s *state) bool { return s.m.Last()+1 == d.msn && s.m.OpenParts() > 0 && s.m.Skipped == 0 })].Exchange)
	}},
	{rule: "reload.past-end", name: "a whole segment later", plant: func(f *faulty) {
		p := f.probe("reload-past-end")
		d := readDirectives(p.Exchanges[0].Path)
		giveAs(p.Exchanges[0], &f.Rendition("fmp4").Lists[f.index(func(s *state) bool { return s.m.Last() == d.msn+1 && s.m.Skipped == 0 })].Exchange)
	}},
	{rule: "reload.at-once", name: "waits", plant: func(f *faulty) { delay(f.probe("reload-at-once").Exchanges[0], 2*time.Second) }},
	{rule: "reload.at-once", name: "refused", plant: func(f *faulty) { refuse(f.probe("reload-at-once").Exchanges[0], http.StatusBadRequest) }},
	{rule: "reload.ahead", name: "refused", plant: func(f *faulty) { refuse(f.probe("reload-ahead").Exchanges[0], http.StatusBadRequest) }},
	{rule: "reload.too-far", name: "waits", plant: func(f *faulty) {
		refuse(f.probe("reload-too-far").Exchanges[0], http.StatusServiceUnavailable)
	}},
	{rule: "reload.part-too-far", name: "waits", plant: func(f *faulty) {
		refuse(f.probe("reload-part-too-far").Exchanges[0], http.StatusServiceUnavailable)
	}},
	{rule: "reload.part-alone", name: "taken", plant: func(f *faulty) {
		giveAs(f.probe("reload-part-alone").Exchanges[0], f.probe("reload-plain").Exchanges[0])
	}, also: []string{"http.etag"}},
	{rule: "reload.malformed", name: "not found", plant: func(f *faulty) { refuse(f.probe("reload-malformed").Exchanges[0], http.StatusNotFound) }},
	{rule: "reload.shared", name: "another answer", plant: func(f *faulty) {
		f.probe("reload-shared").Exchanges[3].Header.Set("Etag", `"another"`)
	}},
	{rule: "reload.shared", name: "one after the other", plant: func(f *faulty) { delay(f.probe("reload-shared").Exchanges[3], 1500*ms) }},
	{rule: "reload.timeout", name: "given up early", plant: func(f *faulty) {
		x := f.probe("reload-timeout").Exchanges[0]
		delay(x, -2*time.Second)
	}},
	{rule: "reload.timeout", name: "not found", plant: func(f *faulty) { refuse(f.probe("reload-timeout").Exchanges[0], http.StatusNotFound) }},
	{rule: "reload.released", name: "hangs", plant: func(f *faulty) { delay(f.probe("reload-left").Exchanges[0], 10*time.Second) }},
	{rule: "reload.released", name: "not at once", plant: func(f *faulty) { delay(f.probe("reload-left-at-once").Exchanges[0], 1500*ms) }},
	{rule: "reload.ended", name: "refused", plant: func(f *faulty) { refuse(f.probe("reload-ended").Exchanges[0], http.StatusBadRequest) }},
	{rule: "reload.plain", name: "refused", plant: func(f *faulty) { refuse(f.probe("reload-plain").Exchanges[0], http.StatusBadRequest) }},
	{rule: "delta.skips", name: "one too many", plant: func(f *faulty) {
		s := f.delta()
		f.text("fmp4", only(s, func(text string) string {
			now := "SKIPPED-SEGMENTS=" + strconv.Itoa(s.m.Skipped+1)
			text = strings.Replace(text, "SKIPPED-SEGMENTS="+strconv.Itoa(s.m.Skipped), now, 1)
			from := strings.Index(text, now) + len(now) + 1
			_, entries, tail := blocks(text[from:])
			return text[:from] + strings.Join(entries[1:], "") + tail
		}))
	}},
	{rule: "delta.skips", name: "none", plant: func(f *faulty) {
		// a whole list for who asked for a delta update
		s := f.list(f.delta())
		whole := f.index(func(w *state) bool {
			return w.m.Skipped == 0 && w.full.Length(0) > 6*time.Second && w.list.Done.Before(s.Done) && f.delta().list.Done.Sub(w.list.Done) < 400*ms
		})
		modified := s.Header.Get("Last-Modified")
		giveAs(&s.Exchange, &f.Rendition("fmp4").Lists[whole].Exchange)
		s.Header.Set("Last-Modified", modified)
	}, also: []string{"reload.holds", "hint.next", "list.sequence", "ll.part-window", "reload.prompt"}},
	{rule: "delta.same", name: "another length", plant: func(f *faulty) {
		x := f.probe("delta").Exchanges[1]
		m := ParseMedia(x.Body)
		x.Body = []byte(extinf(string(x.Body), m.Segments[2].URI, ms))
		x.Header.Set("Etag", `"another"`)
	}},
	{rule: "delta.same", name: "another discontinuity sequence", plant: func(f *faulty) {
		x := f.probe("delta").Exchanges[1]
		x.Body = []byte(number(string(x.Body), dsnTag, func(n int64) int64 { return n + 1 }))
		x.Header.Set("Etag", `"another"`)
	}},
	{rule: "delta.version", name: "8", plant: func(f *faulty) {
		f.text("fmp4", only(f.delta(), replace("#EXT-X-VERSION:9", "#EXT-X-VERSION:8")))
	}, also: []string{"list.version-floor"}},
	{rule: "delta.asked", name: "for who did not ask", plant: func(f *faulty) {
		l := f.list(f.delta())
		l.Path = strings.Replace(l.Path, "&_HLS_skip=YES", "", 1)
	}},
}

// index is where the first state of the low latency playlist stands that is as
// wanted.
func (f *faulty) index(want func(*state) bool) int {
	f.t.Helper()
	states := f.v.format("fmp4").states
	i := slices.IndexFunc(states, want)
	if i < 0 {
		f.t.Fatal("no such state")
	}
	return slices.IndexFunc(f.Rendition("fmp4").Lists, same(states[i]))
}

// list is a state's answer, to be changed.
func (f *faulty) list(s *state) *List {
	n := f.Rendition("fmp4")
	return n.Lists[slices.IndexFunc(n.Lists, same(s))]
}

// blocked is an answer to a blocking reload for a part behind the first ones.
func (f *faulty) blocked(part int) *state {
	return f.state("fmp4", func(s *state) bool {
		d := readDirectives(s.list.Path)
		return d.blocking && d.part >= part && d.msn == s.m.Last()+1 && s.m.OpenParts() > part
	})
}

// delta is a delta update of the first session.
func (f *faulty) delta() *state {
	f.t.Helper()
	n := f.v.format("fmp4")
	for _, s := range n.states {
		if s.m.Skipped > 0 && s.m.OpenParts() > 1 && s.full.DiscontinuitySequence == n.states[0].full.DiscontinuitySequence {
			return s
		}
	}
	f.t.Fatal("no delta update")
	return nil
}
