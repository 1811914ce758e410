//go:build e2e

package conformance

import (
	"bytes"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"
)

const ms = time.Millisecond

// listFaults break what holds for each playlist by itself.
var listFaults = []fault{
	{rule: "list.type", name: "another content type", plant: func(f *faulty) {
		f.header("list", func(h http.Header) { h.Set("Content-Type", "application/x-mpegurl") })
	}},
	{rule: "list.encoding", name: "byte order mark", plant: func(f *faulty) {
		f.text("ts", only(f.middle("ts"), func(s string) string { return "\ufeff" + s }))
	}},
	{rule: "list.encoding", name: "control character", plant: func(f *faulty) {
		f.text("ts", only(f.middle("ts"), func(s string) string { return s + "# \x07\n" }))
	}},
	{rule: "list.encoding", name: "not UTF-8", plant: func(f *faulty) {
		f.text("fmp4", only(f.middle("fmp4"), func(s string) string { return s + "# \xff\n" }))
	}},
	{rule: "list.syntax", name: "unknown tag", plant: func(f *faulty) {
		f.text("ts", only(f.middle("ts"), func(s string) string { return s + "#EXT-X-NONSENSE\n" }))
	}},
	{rule: "list.syntax", name: "tag of the other kind", plant: func(f *faulty) {
		f.text("ts", only(f.middle("ts"), func(s string) string { return s + "#EXT-X-STREAM-INF:BANDWIDTH=1\n" }))
	}},
	{rule: "list.attributes", name: "twice", plant: func(f *faulty) {
		f.text("fmp4", func(s string) string {
			return strings.Replace(s, ",PART-HOLD-BACK", ",CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK", 1)
		})
	}},
	{rule: "list.attributes", name: "white space", plant: func(f *faulty) {
		f.text("fmp4", func(s string) string { return strings.ReplaceAll(s, ",INDEPENDENT=YES", ",INDEPENDENT=YES, X=1") })
	}},
	{rule: "list.once", name: "tag twice", plant: func(f *faulty) {
		f.text("ts", only(f.middle("ts"), behind("#EXT-X-INDEPENDENT-SEGMENTS\n", "#EXT-X-INDEPENDENT-SEGMENTS\n")))
	}},
	{rule: "list.version-floor", name: "decimals in version 2", plant: func(f *faulty) {
		f.text("ts", only(f.middle("ts"), replace("#EXT-X-VERSION:6", "#EXT-X-VERSION:2")))
	}},
	{rule: "list.version-floor", name: "map in version 3", plant: func(f *faulty) {
		f.text("fmp4", only(f.middle("fmp4"), replace("#EXT-X-VERSION:9", "#EXT-X-VERSION:3")))
	}},
	{rule: "list.version-ceiling", name: "version 7 over MPEG-TS", plant: func(f *faulty) {
		f.text("ts", replace("#EXT-X-VERSION:6", "#EXT-X-VERSION:7"))
	}},
	{rule: "list.whole", name: "last line cut", plant: func(f *faulty) {
		f.text("ts", only(f.middle("ts"), func(s string) string { return strings.TrimSuffix(s, "\n") }))
	}},
	{rule: "list.whole", name: "connection lost", plant: func(f *faulty) {
		f.plain("list").Err = "unexpected EOF"
	}},
	{rule: "list.target", name: "shorter than a segment", plant: func(f *faulty) {
		// where nothing else looks at it: in the answer to a probe
		x := f.probe("reload-at-once").Exchanges[0]
		x.Body = bytes.Replace(x.Body, []byte("#EXT-X-TARGETDURATION:1\n"), nil, 1)
		x.Header.Set("Etag", `"another"`)
	}},
	{rule: "list.target", name: "segment of one and a half", plant: func(f *faulty) {
		uri := f.quiet("ts").URI
		f.text("ts", func(s string) string { return extinf(s, uri, 600*ms) })
	}, also: []string{"list.extinf", "list.pdt-mapping", "list.renditions", "list.pdt-capture"}},
	{rule: "list.decimals", name: "one", plant: func(f *faulty) {
		f.texts(replace("#EXTINF:1.000,", "#EXTINF:1.0,"))
	}},
	{rule: "list.dsn-present", name: "dropped", plant: func(f *faulty) {
		f.text("fmp4", only(f.middle("fmp4"), func(s string) string { return dsnTag.ReplaceAllString(s, "#") }))
	}, also: []string{"list.dsn"}},
	{rule: "list.type-absent", name: "event", plant: func(f *faulty) {
		f.text("ts", only(f.middle("ts"), behind("#EXT-X-TARGETDURATION:1\n", "#EXT-X-PLAYLIST-TYPE:EVENT\n")))
	}},
	{rule: "list.pdt", name: "without zone", plant: func(f *faulty) {
		form := f.quiet("ts").PDTForm
		f.texts(replace(form, strings.TrimSuffix(form, "Z")))
	}},
	{rule: "list.pdt", name: "none at all", plant: func(f *faulty) {
		f.texts(func(s string) string { return timeTag.ReplaceAllString(s, "#") })
	}},
	{rule: "list.independent", name: "dropped", plant: func(f *faulty) {
		f.text("ts", replace("#EXT-X-INDEPENDENT-SEGMENTS\n", ""))
		for _, m := range f.Multis {
			m.Body = bytes.Replace(m.Body, []byte("#EXT-X-INDEPENDENT-SEGMENTS\n"), nil, 1)
		}
	}, also: []string{"http.etag", "http.gzip", "http.query"}}, // a probe may have the multivariant one as it was
	{rule: "list.map", name: "over MPEG-TS", plant: func(f *faulty) {
		f.text("ts", func(s string) string {
			head, entries, tail := blocks(s)
			return head + "#EXT-X-MAP:URI=\"i.mp4\"\n" + strings.Join(entries, "") + tail
		})
	}},
	{rule: "list.uris", name: "leading slash", plant: func(f *faulty) {
		f.text("ts", func(s string) string {
			for _, e := range f.v.format("ts").entries {
				s = strings.Replace(s, "\n"+e.URI+"\n", "\n/live/x/ts/"+e.URI+"\n", 1)
			}
			return s
		})
	}},
	{rule: "list.uris", name: "query copied", plant: func(f *faulty) {
		f.text("fmp4", func(s string) string {
			for _, p := range f.quiet("fmp4").parts {
				s = strings.Replace(s, p.URI+`"`, p.URI+`?auth_key=1"`, 1)
			}
			return s
		})
	}, also: []string{"list.names", "hint.next", "ll.independent", "ll.part-sum", "list.stable"}},
	{rule: "list.end", name: "hint behind the end", plant: func(f *faulty) {
		f.text("ts", replace("#EXT-X-ENDLIST\n", "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"z\"\n#EXT-X-ENDLIST\n"))
	}},
	{rule: "list.end", name: "segment not there", plant: func(f *faulty) {
		n := f.Rendition("ts")
		e := f.v.format("ts").entries
		gets := n.Objects[resolve(n.Path, e[len(e)-1].URI)]
		x := *gets.Gets[0]
		x.Header = x.Header.Clone()
		refuse(&x, http.StatusNotFound)
		gets.Gets = append(gets.Gets, &x)
	}},
}

// historyFaults break what holds over all states of a playlist.
var historyFaults = []fault{
	{rule: "list.target-fixed", name: "grown", plant: func(f *faulty) {
		from := f.middle("ts").m.Sequence
		f.text("ts", sinceSequence(from, replace("#EXT-X-TARGETDURATION:1\n", "#EXT-X-TARGETDURATION:2\n")))
	}},
	{rule: "list.sequence", name: "an older list again", plant: func(f *faulty) {
		// as an edge with a stale copy answers
		n := f.Rendition("ts")
		for i, s := range f.v.format("ts").states {
			if i > 0 && s.m.Sequence > f.v.format("ts").states[i-1].m.Sequence {
				old, now := n.Lists[slices.IndexFunc(n.Lists, same(s))-1], n.Lists[slices.IndexFunc(n.Lists, same(s))]
				stale := &List{*old.clone(), now.Until}
				stale.Sent, stale.First, stale.Done = now.Done, now.Done, now.Done
				stale.Header.Set("Last-Modified", now.Header.Get("Last-Modified"))
				n.Lists = slices.Insert(n.Lists, slices.IndexFunc(n.Lists, same(s))+1, stale)
				return
			}
		}
	}},
	{rule: "list.sequence", name: "begun anew", plant: func(f *faulty) {
		// all numbers of the last lists are small, as after a restart without memory
		last := f.v.format("ts").states
		end := last[len(last)-1].m
		f.text("ts", only(last[len(last)-1], func(s string) string {
			return number(s, sequenceTag, func(n int64) int64 { return n - int64(end.Sequence) })
		}))
	}, also: []string{"list.dsn", "list.discontinuity", "list.renditions", "list.names", "list.clock", "list.pdt-capture", "media.video", "media.audio"}},
	{rule: "list.stable", name: "another URI", plant: func(f *faulty) {
		f.rename("ts", func(uri string) string { return "z" + uri })
	}},
	{rule: "list.stable", name: "another length", plant: func(f *faulty) {
		e := f.quiet("ts")
		f.text("ts", sinceSequence(e.first.m.Sequence+2, func(s string) string { return extinf(s, e.URI, 10*ms) }))
	}},
	{rule: "list.stable", name: "time dropped", plant: func(f *faulty) {
		e := f.quiet("ts")
		f.text("ts", sinceSequence(e.first.m.Sequence+2, replace("#EXT-X-PROGRAM-DATE-TIME:"+e.PDTForm+"\n", "")))
	}},
	{rule: "list.names", name: "other bytes", plant: func(f *faulty) {
		n := f.Rendition("ts")
		x := n.Objects[resolve(n.Path, f.entry("ts", 1).URI)].Gets[1]
		x.Body = bytes.Clone(x.Body)
		x.Body[len(x.Body)/2] ^= 1
		x.Header.Set("Etag", `"another"`)
	}},
	{rule: "list.names", name: "one name for two parts", plant: func(f *faulty) {
		e := f.quiet("fmp4")
		f.text("fmp4", replace(`URI="`+e.parts[2].URI+`"`, `URI="`+e.parts[1].URI+`"`))
	}, also: []string{"ll.concatenation", "hint.next", "reload.prompt", "hint.one"}},
	{rule: "list.discontinuity", name: "a publisher without", plant: func(f *faulty) {
		f.Events = append(f.Events, Event{Came, f.quiet("ts").start().Add(-300 * ms)})
	}},
	{rule: "list.dsn", name: "lower by one", plant: func(f *faulty) {
		f.text("fmp4", only(f.middle("fmp4"), func(s string) string { return number(s, dsnTag, func(n int64) int64 { return n - 1 }) }))
	}},
	{rule: "list.dsn-small", name: "a clock", plant: func(f *faulty) {
		f.texts(func(s string) string { return number(s, dsnTag, func(n int64) int64 { return n + 1_700_000_000 }) })
	}},
	{rule: "list.window", name: "five segments", plant: func(f *faulty) {
		from := f.middle("ts").m.Sequence
		f.text("ts", sinceSequence(from, func(s string) string { return trim(s, 5) }))
	}},
	{rule: "list.available", name: "not found", plant: func(f *faulty) {
		n := f.Rendition("ts")
		refuse(n.Objects[resolve(n.Path, f.quiet("ts").URI)].Gets[0], http.StatusNotFound)
	}},
	{rule: "list.retention", name: "gone at once", plant: func(f *faulty) {
		n := f.Rendition("ts")
		refuse(n.Objects[resolve(n.Path, f.entry("ts", 1).URI)].Gets[1], http.StatusNotFound)
	}},
	{rule: "list.extinf", name: "sixty milliseconds in three segments", plant: func(f *faulty) {
		f.slowClock(20*ms, 3)
	}, also: []string{"ll.part-window"}},
	{rule: "list.pdt-mapping", name: "a jump", plant: func(f *faulty) {
		at := f.quiet("ts").PDT
		f.texts(func(s string) string {
			return shiftTimes(s, func(t time.Time) time.Duration {
				if t.Equal(at) {
					return 40 * ms
				}
				return 0
			})
		})
	}},
	{rule: "list.renditions", name: "other times", plant: func(f *faulty) {
		f.text("ts", func(s string) string { return shiftTimes(s, func(time.Time) time.Duration { return 5 * ms }) })
	}},
	{rule: "list.clock", name: "late", plant: func(f *faulty) {
		e := f.quiet("ts")
		until := e.first.list.Done.Add(1700 * ms)
		for _, l := range f.Rendition("ts").Lists {
			if !l.Done.Before(e.first.list.Done) && l.Done.Before(until) {
				l.Done = until
			}
		}
	}},
	{rule: "list.pdt-anchor", name: "carried on from the one before", plant: func(f *faulty) {
		n := f.v.format("ts")
		second := n.entries[slices.IndexFunc(n.entries, func(e *entry) bool { return e.Discontinuity && e.DSN > n.entries[0].DSN })]
		f.texts(func(s string) string {
			return shiftTimes(s, func(at time.Time) time.Duration {
				if at.Before(second.PDT) {
					return 0
				}
				return -5 * time.Second
			})
		})
	}},
	{rule: "list.pdt-capture", name: "ten seconds ago", plant: func(f *faulty) {
		f.texts(func(s string) string {
			return shiftTimes(s, func(time.Time) time.Duration { return -10 * time.Second })
		})
	}, also: []string{"list.pdt-anchor"}},
}

// sinceSequence is an edit of the playlists from a media sequence number on.
func sinceSequence(from uint64, edit func(string) string) func(string) string {
	return func(s string) string {
		m := sequenceTag.FindStringSubmatch(s)
		if m == nil {
			return s
		}
		if n, _ := strconv.ParseUint(m[2], 10, 64); n < from {
			return s
		}
		return edit(s)
	}
}

func same(s *state) func(*List) bool {
	return func(l *List) bool { return l.Done.Equal(s.list.Done) }
}

// rename gives a segment another name from its second list on.
func (f *faulty) rename(format string, name func(string) string) {
	e := f.quiet(format)
	f.text(format, sinceSequence(e.first.m.Sequence+2, replace("\n"+e.URI+"\n", "\n"+name(e.URI)+"\n")))
}

// slowClock makes some segments shorter than their media, in all that is said of
// them.
func (f *faulty) slowClock(by time.Duration, segments int) {
	first := slices.Index(f.v.format("fmp4").entries, f.quiet("fmp4"))
	f.texts(func(s string) string {
		from := f.v.format("fmp4").entries[first].PDT
		for i := range segments {
			e := f.v.format("fmp4").entries[first+i]
			s = extinf(s, e.URI, -by)
			s = extinf(s, strings.TrimSuffix(e.URI, ".m4s")+".ts", -by)
			s = stretch(s, e.parts[len(e.parts)-1].URI, -by)
		}
		return shiftTimes(s, func(t time.Time) time.Duration {
			if !t.After(from) {
				return 0
			}
			return -by * min(time.Duration(segments), (t.Sub(from)+100*ms)/time.Second)
		})
	})
}
