package conformance

import (
	"net/http"
	"slices"
	"strings"
	"time"
)

// listRules hold for each media playlist by itself.
var listRules = []Rule{
	{"list.target", "bis 4.4.3.1; APL 7.7", "TARGETDURATION is 1 at least, and no EXTINF rounded is above it", checkTarget},
	{"list.decimals", "bis 4.4.4.1; APL 8.1", "EXTINF has three decimals at least", checkDecimals},
	{"list.dsn-present", "APL 8.17", "EXT-X-DISCONTINUITY-SEQUENCE is always there", checkDSNPresent},
	{"list.type-absent", "bis 6.2.2", "a list that moves has no PLAYLIST-TYPE", checkTypeAbsent},
	{"list.pdt", "APL 8.4; bis 4.4.4.6, B.1", "PROGRAM-DATE-TIME with zone and ms in each list and after each discontinuity", checkPDT},
	{"list.independent", "APL 9.11, 9.12; bis 4.4.2.1", "INDEPENDENT-SEGMENTS is there just where all segments are", checkIndependentTag},
	{"list.map", "bis 3.1.2, 4.4.4.5; APL 8.20", "each fMP4 segment has an EXT-X-MAP, and no MPEG-TS segment has", checkMap},
	{"list.uris", "HLS.md 6", "URIs are relative, without leading slash, and carry no query of the request's", checkURIs},
	{"list.end", "bis 4.4.3.4, 6.2.1", "after ENDLIST nothing changes, nothing is hinted, all of the list can be fetched", checkEnd},
}

// eachState calls f for all media playlists.
func (v *view) eachState(f func(*renditionView, *state)) {
	for _, n := range v.renditions {
		for _, s := range n.states {
			f(n, s)
		}
	}
}

func checkTarget(v *view, r *report) {
	problems("list.target")(v, r)
	v.eachState(func(n *renditionView, s *state) {
		r.want(s.m.Target >= time.Second, "%s: TARGETDURATION %v", s.list.Path, s.m.Target)
		for _, seg := range s.m.Segments {
			r.want(seg.Duration.Round(time.Second) <= s.m.Target && seg.Duration <= s.m.Target+500*time.Millisecond,
				"%s: EXTINF %v with TARGETDURATION %v", seg.URI, seg.Duration, s.m.Target)
		}
	})
}

func checkDecimals(v *view, r *report) {
	v.eachState(func(n *renditionView, s *state) {
		for _, seg := range s.m.Segments {
			r.want(seg.Decimals >= 3, "%s: EXTINF has %d decimals", seg.URI, seg.Decimals)
		}
	})
}

func checkDSNPresent(v *view, r *report) {
	v.eachState(func(n *renditionView, s *state) {
		r.want(s.m.Has["EXT-X-DISCONTINUITY-SEQUENCE"], "%s at %v", s.list.Path, s.list.Done)
	})
}

func checkTypeAbsent(v *view, r *report) {
	v.eachState(func(n *renditionView, s *state) {
		r.want(s.m.Type == "", "%s: PLAYLIST-TYPE:%s", s.list.Path, s.m.Type)
	})
}

func checkPDT(v *view, r *report) {
	problems("list.pdt")(v, r)
	v.eachState(func(n *renditionView, s *state) {
		entries := s.m.Segments
		if s.m.Open != nil && len(s.m.Open.Parts) > 0 {
			entries = append(entries[:len(entries):len(entries)], s.m.Open)
		}
		some := false
		for _, seg := range entries {
			some = some || seg.PDTForm != ""
			if seg.Discontinuity {
				r.want(seg.PDTForm != "", "%s: segment %d has a discontinuity and no time", s.list.Path, seg.MSN)
			}
			if seg.PDTForm != "" {
				_, fraction, _ := strings.Cut(seg.PDTForm, ".")
				zone := strings.TrimLeft(fraction, "0123456789")
				r.want(len(fraction)-len(zone) >= 3 && zone != "", "%s: segment %d at %q: no ms or no zone", s.list.Path, seg.MSN, seg.PDTForm)
			}
		}
		r.want(some || len(entries) == 0, "%s at %v has no time", s.list.Path, s.list.Done)
	})
}

// independent says whether a segment's media starts with a key frame, and whether
// that is known.
func (e *entry) independent() (yes, known bool) {
	switch {
	case e.ts != nil:
		for _, typ := range e.ts.Streams {
			if isVideo(typ) {
				video := e.ts.track(isVideo)
				return len(video) > 0 && accessUnit(video[0]).idr, len(video) > 0
			}
		}
		return true, true
	case e.mp4 != nil && e.init != nil:
		video := e.init.Track("vide")
		if video == nil {
			return true, true
		}
		runs := e.mp4.Runs(video.ID)
		if len(runs) == 0 || len(runs[0].Samples) == 0 {
			return false, false // sound alone is whatever it is called
		}
		yes, err := video.sync(runs[0].Samples[0].Data)
		return yes && err == nil, true
	}
	return false, false
}

func checkIndependentTag(v *view, r *report) {
	for _, n := range v.renditions {
		starts := map[uint64]bool{}
		for _, e := range n.entries {
			if yes, known := e.independent(); known {
				starts[e.MSN] = yes
			}
		}
		inMulti := false
		for _, m := range v.multis {
			inMulti = inMulti || m.Format == n.Format && m.m.Independent
		}
		for _, s := range n.states {
			all := true
			listed := slices.Clip(s.full.Segments)
			if s.full.OpenParts() > 0 {
				listed = append(listed, s.full.Open)
			}
			for _, seg := range listed {
				if yes, known := starts[seg.MSN]; known {
					all = all && yes
				}
			}
			if s.m.Has["EXT-X-INDEPENDENT-SEGMENTS"] {
				r.want(all, "%s at %v: the tag is there and a segment begins without a key frame", s.list.Path, s.list.Done)
			} else {
				next, known := starts[s.full.Last()+1] // of which there may be a hint only
				r.want(!all || known && !next || inMulti || len(s.full.Segments) == 0, "%s at %v: all segments begin with key frames", s.list.Path, s.list.Done)
			}
		}
	}
}

func checkMap(v *view, r *report) {
	v.eachState(func(n *renditionView, s *state) {
		entries := s.full.Segments
		if s.full.Open != nil && len(s.full.Open.Parts) > 0 {
			entries = append(entries[:len(entries):len(entries)], s.full.Open)
		}
		for _, seg := range entries {
			if seg.URI == "" && seg.Parts == nil {
				continue // skipped and never seen
			}
			r.want((n.Format == "fmp4") == (seg.Map != ""), "%s: segment %d has the map %q", s.list.Path, seg.MSN, seg.Map)
		}
	})
}

func checkURIs(v *view, r *report) {
	look := func(where, uri string) {
		r.want(uri != "" && uri[0] != '/' && !strings.Contains(uri, "?") && !strings.Contains(uri, "://"), "%s: %q", where, uri)
	}
	v.eachState(func(n *renditionView, s *state) {
		for _, uri := range s.m.uris() {
			look(s.list.Path, uri)
		}
		for _, h := range s.m.Hints {
			look(s.list.Path, h.URI)
		}
	})
	for _, m := range v.multis {
		for _, variant := range m.m.Variants {
			look(m.Path, variant.URI)
		}
	}
}

func checkEnd(v *view, r *report) {
	for _, n := range v.renditions {
		var end *state
		for _, s := range n.states {
			if end != nil {
				r.want(string(s.list.Body) == string(end.list.Body) || s.m.Skipped > 0, "%s changes after ENDLIST", s.list.Path)
			}
			if !s.m.Ended {
				continue
			}
			end = s
			r.want(len(s.m.Hints) == 0, "%s: ENDLIST and EXT-X-PRELOAD-HINT", s.list.Path)
			r.want(s.m.OpenParts() == 0, "%s: ENDLIST and a segment that is not complete", s.list.Path)
			for _, seg := range s.m.Segments {
				o := n.Objects[resolve(n.Path, seg.URI)]
				r.want(o != nil && len(o.Gets) > 0 && o.Gets[len(o.Gets)-1].Status == http.StatusOK,
					"%s stands in the last list and cannot be fetched", seg.URI)
			}
		}
	}
}
