package conformance

import (
	"mime"
	"path"
	"slices"
	"strings"
	"time"
)

// grammarRules hold for the text of each playlist.
var grammarRules = []Rule{
	{"list.type", "bis 4; APL 10.4", "a playlist's path ends in .m3u8 and its type is one of the two that exist", checkListType},
	{"list.encoding", "bis 4.1", "UTF-8 without byte order mark and control characters", problems("list.encoding")},
	{"list.syntax", "bis 4.1", "known tags, where they belong, with values of their type", problems("list.syntax")},
	{"list.attributes", "bis 4.2", "attributes are known, of their type, once each, without white space", problems("list.attributes")},
	{"list.once", "bis 4.4.3", "a tag that may stand once stands once", problems("list.once")},
	{"list.version-floor", "bis 8", "EXT-X-VERSION is not below what the tags need", problems("list.version-floor")},
	{"list.version-ceiling", "bis 6.2.1", "EXT-X-VERSION is not above what the tags need", checkVersionCeiling},
	{"list.whole", "bis 6.2.1", "nobody ever reads half a playlist", checkWhole},
}

// problems is a check of what the parser found.
func problems(rule string) func(*view, *report) {
	return func(v *view, r *report) {
		look := func(where string, all []Problem) {
			r.checked++
			for _, p := range all {
				if p.Rule == rule {
					r.findings = append(r.findings, where+": "+p.String())
				}
			}
		}
		for _, n := range v.renditions {
			for _, s := range n.states {
				look(s.list.Path, s.m.Problems)
			}
		}
		for _, m := range v.multis {
			look(m.Path, m.m.Problems)
		}
		for _, p := range v.rec.Probes {
			for _, x := range p.Exchanges {
				if p.Target == "list" && x.OK() && x.Method == "GET" && x.Header.Get("Content-Encoding") == "" {
					look(x.Path, ParseMedia(x.Body).Problems)
				}
			}
		}
	}
}

func checkListType(v *view, r *report) {
	look := func(x *Exchange) {
		p, _, _ := strings.Cut(x.Path, "?")
		kind, _, _ := mime.ParseMediaType(x.Header.Get("Content-Type"))
		ok := path.Ext(p) == ".m3u8" && slices.Contains([]string{"application/vnd.apple.mpegurl", "audio/mpegurl"}, kind)
		r.want(ok, "%s is %q", x.Path, x.Header.Get("Content-Type"))
	}
	for _, n := range v.renditions {
		for _, s := range n.states {
			look(&s.list.Exchange)
		}
	}
	for _, m := range v.multis {
		look(&m.Exchange)
	}
}

// checkVersionCeiling allows 6 for what EXT-X-TARGETDURATION means, and for
// EXT-X-MAP; 9 where there may be delta updates.
func checkVersionCeiling(v *view, r *report) {
	for _, n := range v.renditions {
		for _, s := range n.states {
			limit := 6
			if s.m.Control["CAN-SKIP-UNTIL"] != "" || s.m.Skipped > 0 {
				limit = 9
			}
			r.want(s.m.Version <= limit, "%s: version %d, and %d would do", s.list.Path, s.m.Version, limit)
		}
	}
	for _, m := range v.multis {
		r.want(m.m.Version <= 6, "%s: version %d", m.Path, m.m.Version)
	}
}

func checkWhole(v *view, r *report) {
	problems("list.whole")(v, r)
	for _, n := range v.renditions {
		for _, l := range n.Lists {
			r.want(l.Err == "" || v.rec.between(l.Sent.Add(-time.Second), l.Done.Add(time.Second), Restarted, Left), "%s: %s", l.Path, l.Err)
		}
	}
}
