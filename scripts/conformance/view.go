package conformance

import (
	"net/url"
	"slices"
	"strconv"
	"time"
)

// view is a recording made ready for rules: playlists parsed, deltas filled up,
// segments read and put in order.
type view struct {
	rec        *Recording
	renditions []*renditionView
	multis     []*multiView
}

type multiView struct {
	*Multi
	m *Multivariant
	n *renditionView // that its first variant leads to; nil if there is none
}

type renditionView struct {
	*Rendition
	states  []*state
	entries []*entry // by media sequence number
	inits   map[string]*MP4Init
	parts   map[string]*MP4 // by path
	ahead   int64           // of the publisher's clock, ms; fMP4 alone
}

// state is one media playlist as it was answered.
type state struct {
	list *List
	m    *Media // as it was written
	full *Media // with what a delta update left out
}

// entry is one segment through all the playlists that hold it.
type entry struct {
	*Segment  // as it stood when it was complete first
	first     *state
	firstPart time.Time // when its first part was listed first; zero without parts
	last      *state    // that lists it
	left      time.Time // when a playlist did without it first; zero: never
	longest   time.Duration
	parts     []Part // all that were ever listed, in order
	whole     bool   // parts are all parts: they were listed when it was complete
	object    *Object
	ts        *TS
	mp4       *MP4
	init      *MP4Init
}

func newView(rec *Recording) *view {
	v := &view{rec: rec}
	for _, n := range rec.Renditions {
		r := newRenditionView(n)
		r.ahead = v.ahead(r)
		v.renditions = append(v.renditions, r)
	}
	for _, m := range rec.Multis {
		if m.OK() {
			v.multis = append(v.multis, v.leads(m))
		}
	}
	return v
}

// leads finds the rendition that a multivariant playlist leads to.
func (v *view) leads(m *Multi) *multiView {
	out := &multiView{Multi: m, m: ParseMultivariant(m.Body)}
	for _, n := range v.renditions {
		if len(out.m.Variants) > 0 && resolve(m.Path, out.m.Variants[0].URI) == n.Path {
			out.n = n
		}
	}
	return out
}

func (v *view) format(name string) *renditionView {
	for _, n := range v.renditions {
		if n.Format == name {
			return n
		}
	}
	return nil
}

func newRenditionView(n *Rendition) *renditionView {
	v := &renditionView{Rendition: n, inits: map[string]*MP4Init{}, parts: map[string]*MP4{}}
	known := map[uint64]*Segment{}
	for _, l := range n.Lists {
		if !l.OK() {
			continue
		}
		s := &state{list: l, m: ParseMedia(l.Body)}
		s.full = s.m.fill(known)
		for _, seg := range s.full.Segments {
			if known[seg.MSN] == nil {
				known[seg.MSN] = seg
			}
		}
		v.states = append(v.states, s)
	}
	v.follow()
	v.read()
	return v
}

// fill returns the playlist with the entries that a delta update left out, as
// they were known before; m itself where it is whole. The discontinuity sequence
// numbers of the others follow from theirs.
func (m *Media) fill(known map[uint64]*Segment) *Media {
	if m.Skipped == 0 {
		return m
	}
	full := *m
	full.Skipped, full.Segments = 0, nil
	inForce, tags := "", uint64(0)
	for msn := m.Sequence; msn < m.Sequence+uint64(m.Skipped); msn++ {
		s := &Segment{MSN: msn}
		if k := known[msn]; k != nil {
			c := *k
			c.Parts = nil
			s = &c
			inForce = c.Map
			if c.Discontinuity {
				tags++
			}
		}
		s.DSN = m.DiscontinuitySequence + tags
		full.Segments = append(full.Segments, s)
	}
	add := func(s *Segment) *Segment {
		c := *s
		c.DSN += tags
		if c.Map == "" {
			c.Map = inForce
		}
		return &c
	}
	for _, s := range m.Segments {
		full.Segments = append(full.Segments, add(s))
	}
	if m.Open != nil {
		full.Open = add(m.Open)
	}
	return &full
}

// follow makes the entries.
func (v *renditionView) follow() {
	byMSN := map[uint64]*entry{}
	for _, s := range v.states {
		for _, seg := range s.full.Segments {
			e := byMSN[seg.MSN]
			if seg.URI == "" || seg.Gap { // skipped before it was ever known, or gone
				continue
			}
			if e == nil {
				e = &entry{}
				byMSN[seg.MSN] = e
			}
			if e.Segment == nil {
				e.Segment, e.first = seg, s
				e.whole = len(seg.Parts) > 0
			}
			e.last = s
			e.longest = max(e.longest, s.full.Length(0))
			e.note(seg, s)

		}
		if open := s.full.Open; open != nil && len(open.Parts) > 0 {
			if byMSN[open.MSN] == nil {
				byMSN[open.MSN] = &entry{}
			}
			byMSN[open.MSN].note(open, s)
		}
		for msn, e := range byMSN {
			if e.Segment != nil && msn < s.full.Sequence && e.left.IsZero() {
				e.left = s.list.Done
			}
		}
	}
	for _, e := range byMSN {
		if e.Segment != nil {
			v.entries = append(v.entries, e)
		}
	}
	slices.SortFunc(v.entries, func(a, b *entry) int {
		if a.MSN < b.MSN {
			return -1
		}
		return 1
	})
}

// note remembers the parts of an entry.
func (e *entry) note(seg *Segment, s *state) {
	if len(seg.Parts) > len(e.parts) {
		e.parts = seg.Parts
	}
	if len(seg.Parts) > 0 && e.firstPart.IsZero() {
		e.firstPart = s.list.Done
	}
}

// read parses the media.
func (v *renditionView) read() {
	for path, o := range v.Objects {
		body := o.Body()
		switch {
		case body == nil:
		case o.Kind == InitObject:
			v.inits[path] = ReadInit(body)
		case o.Kind == PartObject:
			v.parts[path] = ReadMP4(body)
		}
	}
	for _, e := range v.entries {
		if e.object = v.Objects[resolve(v.Path, e.URI)]; e.object == nil {
			continue
		}
		body := e.object.Body()
		switch {
		case body == nil:
		case v.Format == "ts":
			e.ts = ReadTS(body)
		default:
			e.mp4 = ReadMP4(body)
			e.init = v.inits[resolve(v.Path, e.Map)]
		}
	}
}

// runs splits the entries where a player starts anew: at discontinuities, and
// where the recording does not know a segment.
func (v *renditionView) runs() (runs [][]*entry) {
	for i, e := range v.entries {
		if i == 0 || e.MSN != v.entries[i-1].MSN+1 || e.DSN != v.entries[i-1].DSN {
			runs = append(runs, nil)
		}
		runs[len(runs)-1] = append(runs[len(runs)-1], e)
	}
	return runs
}

// known says whether the segment's media has been read.
func (e *entry) known() bool { return e.ts != nil || e.mp4 != nil && e.init != nil }

// mediaRuns is runs without the entries whose media is not known.
func (v *renditionView) mediaRuns() (runs [][]*entry) {
	for _, run := range v.runs() {
		from := 0
		for i := 0; i <= len(run); i++ {
			if i < len(run) && run[i].known() {
				continue
			}
			if i > from {
				runs = append(runs, run[from:i])
			}
			from = i + 1
		}
	}
	return runs
}

// span is where a segment's leading track begins and ends, in presentation, and
// where its sound does, if that is later.
type span struct {
	start, end, sound time.Duration // unwrapped within a run; end is start plus the length of the samples
	frame             time.Duration
	delay             time.Duration // from the first picture's decoding to its presentation
	video             bool
}

// spans returns the spans of a run of segments; nil for one without samples of
// the leading track.
func spans(run []*entry) []*span {
	out := make([]*span, len(run))
	lead := byte(0)
	for i, e := range run {
		if e.ts != nil {
			out[i] = tsSpan(e.ts, run[0].ts, &lead)
		} else {
			out[i] = mp4Span(e)
		}
	}
	return out
}

func clock90(t int64) time.Duration { return time.Duration(t) * time.Second / 90000 }

func tsSpan(t, first *TS, lead *byte) *span {
	is := isAudio
	if len(first.track(isVideo)) > 0 {
		is = isVideo
	}
	all := t.track(is)
	origin := first.track(is)
	if len(all) == 0 || len(origin) == 0 {
		return nil
	}
	var steps []int64
	for i, p := range all[1:] {
		steps = append(steps, since(p.DTS, all[i].DTS))
	}
	tail := all[len(all)-1]
	s := &span{start: clock90(since(all[0].PTS, origin[0].PTS)), frame: clock90(median(steps)), video: isVideo(all[0].Type)}
	s.delay = clock90(since(all[0].PTS, all[0].DTS))
	s.end = s.start + clock90(since(tail.DTS, all[0].DTS))
	if s.video {
		s.end += s.frame
	} else {
		s.end += audioLength(tail)
	}
	s.sound = s.end
	if audio := t.track(isAudio); len(audio) > 0 {
		tail := audio[len(audio)-1]
		s.sound = max(s.end, clock90(since(tail.PTS, origin[0].PTS))+audioLength(tail))
	}
	return s
}

func mp4Span(e *entry) *span {
	track := e.init.Track("vide")
	if track == nil {
		track = e.init.Track("soun")
	}
	if track == nil || track.Timescale == 0 {
		return nil
	}
	runs := e.mp4.Runs(track.ID)
	if len(runs) == 0 || len(runs[0].Samples) == 0 {
		return nil
	}
	var length int64
	var steps []int64
	for _, r := range runs {
		for _, s := range r.Samples {
			length += int64(s.Duration)
			steps = append(steps, int64(s.Duration))
		}
	}
	first := int64(runs[0].Time) + int64(runs[0].Samples[0].Composition)
	s := &span{start: track.scale(first), end: track.scale(first + length), frame: track.scale(median(steps)), video: track.Handler == "vide"}
	s.sound, s.delay = s.end, track.scale(int64(runs[0].Samples[0].Composition))
	if audio := e.init.Track("soun"); audio != nil && audio.Timescale > 0 {
		if runs := e.mp4.Runs(audio.ID); len(runs) > 0 {
			s.sound = max(s.end, audio.scale(int64(runs[len(runs)-1].End())))
		}
	}
	return s
}

// scale converts a time on the track's clock.
func (t *MP4Track) scale(at int64) time.Duration {
	whole, rest := at/int64(t.Timescale), at%int64(t.Timescale)
	return time.Duration(whole)*time.Second + time.Duration(rest)*time.Second/time.Duration(t.Timescale)
}

func median(all []int64) int64 {
	if len(all) == 0 {
		return 0
	}
	all = slices.Clone(all)
	slices.Sort(all)
	return all[len(all)/2]
}

// directives is what a playlist request asked for.
type directives struct {
	blocking bool
	msn      uint64
	part     int // -1: none
	skip     bool
}

func readDirectives(path string) (d directives) {
	d.part = -1
	u, err := url.Parse(path)
	if err != nil {
		return d
	}
	q := u.Query()
	d.skip = q.Get("_HLS_skip") != ""
	if !q.Has("_HLS_msn") {
		return d
	}
	d.msn, err = strconv.ParseUint(q.Get("_HLS_msn"), 10, 64)
	d.blocking = err == nil
	if q.Has("_HLS_part") {
		d.part, _ = strconv.Atoi(q.Get("_HLS_part"))
	}
	return d
}

// answered says whether a playlist holds what was asked for (6.2.5.2).
func (m *Media) answered(d directives) bool {
	switch last := m.Last(); {
	case m.Ended || !d.blocking || d.msn < last:
		return true
	case d.msn == last:
		s := m.Find(last)
		return d.part < 0 || s == nil || len(s.Parts) == 0 || d.part < len(s.Parts) || m.OpenParts() > 0
	default:
		return d.msn == last+1 && 0 <= d.part && d.part < m.OpenParts()
	}
}
