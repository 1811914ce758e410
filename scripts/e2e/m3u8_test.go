//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// mediaList is a parsed HLS media playlist.
type mediaList struct {
	version, target int
	msn, dsn        int
	independent     bool
	ended           bool
	typ             string // EXT-X-PLAYLIST-TYPE
	segments        []segmentEntry
}

// segmentEntry is one segment of a media playlist with all that applies to it.
// It is comparable: an entry must be the same in every list it stands in.
type segmentEntry struct {
	msn, dsn      int
	uri           string
	extinf        string // as written
	pdt           string // as written; empty: none
	discontinuity bool
	mapURI        string
	gap           bool
}

func (e segmentEntry) duration() time.Duration {
	d, _ := parseSeconds(e.extinf)
	return d
}

func (e segmentEntry) date() (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999Z0700"} {
		if at, err := time.Parse(layout, e.pdt); err == nil {
			return at, nil
		}
	}
	return time.Time{}, fmt.Errorf("EXT-X-PROGRAM-DATE-TIME %q is no ISO 8601 date with zone", e.pdt)
}

// parseMedia reads a media playlist strictly enough to notice what players trip
// over: single-use tags that stand twice, empty lines of a torn write, numbers
// that are none.
func parseMedia(text string) (mediaList, error) {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if lines[0] != "#EXTM3U" {
		return mediaList{}, fmt.Errorf("does not start with #EXTM3U but with %q", lines[0])
	}
	var (
		l    mediaList
		next segmentEntry
		once = map[string]bool{}
		errs []error
	)
	number := func(tag, s string) int {
		n, err := strconv.Atoi(s)
		if err != nil {
			errs = append(errs, fmt.Errorf("%s:%s is no integer", tag, s))
		}
		return n
	}
	for _, line := range lines[1:] {
		tag, value, _ := strings.Cut(line, ":")
		switch tag {
		case "#EXT-X-VERSION", "#EXT-X-TARGETDURATION", "#EXT-X-MEDIA-SEQUENCE", "#EXT-X-ENDLIST",
			"#EXT-X-DISCONTINUITY-SEQUENCE", "#EXT-X-INDEPENDENT-SEGMENTS", "#EXT-X-PLAYLIST-TYPE":
			if once[tag] {
				errs = append(errs, fmt.Errorf("%s stands twice", tag))
			}
			once[tag] = true
		}
		switch {
		case line == "" || strings.TrimSpace(line) != line:
			errs = append(errs, fmt.Errorf("line %q is empty or padded", line))
		case tag == "#EXT-X-VERSION":
			l.version = number(tag, value)
		case tag == "#EXT-X-TARGETDURATION":
			l.target = number(tag, value)
		case tag == "#EXT-X-MEDIA-SEQUENCE":
			l.msn = number(tag, value)
		case tag == "#EXT-X-DISCONTINUITY-SEQUENCE":
			l.dsn = number(tag, value)
			next.dsn = l.dsn
		case tag == "#EXT-X-INDEPENDENT-SEGMENTS":
			l.independent = true
		case tag == "#EXT-X-PLAYLIST-TYPE":
			l.typ = value
		case tag == "#EXT-X-ENDLIST":
			l.ended = true
		case tag == "#EXT-X-DISCONTINUITY":
			next.discontinuity = true
			next.dsn++
		case tag == "#EXT-X-GAP":
			next.gap = true
		case tag == "#EXT-X-MAP":
			next.mapURI = attributes(value)["URI"]
		case tag == "#EXT-X-PROGRAM-DATE-TIME":
			next.pdt = value
		case tag == "#EXTINF":
			next.extinf, _, _ = strings.Cut(value, ",")
		case strings.HasPrefix(line, "#"):
		default:
			next.uri, next.msn = line, l.msn+len(l.segments)
			if next.extinf == "" {
				errs = append(errs, fmt.Errorf("%s has no EXTINF", line))
			}
			l.segments = append(l.segments, next)
			next = segmentEntry{mapURI: next.mapURI, dsn: next.dsn}
		}
	}
	return l, errors.Join(errs...)
}

// attributes reads an HLS attribute list.
func attributes(s string) map[string]string {
	all := map[string]string{}
	for s != "" {
		key, rest, ok := strings.Cut(s, "=")
		if !ok {
			break
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			value, rest, _ = strings.Cut(rest[1:], `"`)
			rest = strings.TrimPrefix(rest, ",")
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		all[strings.TrimSpace(key)] = value
		s = rest
	}
	return all
}

// variant is one EXT-X-STREAM-INF of a multivariant playlist.
type variant struct {
	attrs map[string]string
	uri   string
}

// parseMultivariant reads a multivariant playlist's variants.
func parseMultivariant(text string) ([]variant, error) {
	if !strings.HasPrefix(text, "#EXTM3U\n") {
		return nil, fmt.Errorf("does not start with #EXTM3U: %.60q", text)
	}
	var all []variant
	var pending map[string]string
	for line := range strings.Lines(text) {
		line = strings.TrimSuffix(line, "\n")
		value, isInf := strings.CutPrefix(line, "#EXT-X-STREAM-INF:")
		switch {
		case isInf:
			pending = attributes(value)
		case strings.HasPrefix(line, "#"):
		case pending == nil:
			return nil, fmt.Errorf("line %q follows no EXT-X-STREAM-INF", line)
		default:
			all = append(all, variant{pending, line})
			pending = nil
		}
	}
	return all, nil
}

// checkList holds one media playlist against the rules that need no history.
func checkList(l mediaList, fmp4 bool) (errs []error) {
	if l.target < 1 {
		errs = append(errs, fmt.Errorf("EXT-X-TARGETDURATION is %d", l.target))
	}
	if l.typ != "" {
		errs = append(errs, fmt.Errorf("EXT-X-PLAYLIST-TYPE:%s in a live playlist", l.typ))
	}
	if !l.independent {
		errs = append(errs, errors.New("no EXT-X-INDEPENDENT-SEGMENTS"))
	}
	if low := 3; l.version < low || fmp4 && l.version < 6 {
		errs = append(errs, fmt.Errorf("EXT-X-VERSION is %d", l.version))
	}
	for i, e := range l.segments {
		if d := e.duration(); math.Round(d.Seconds()) > float64(l.target) || d <= 0 {
			errs = append(errs, fmt.Errorf("%s: EXTINF %s with a target of %d", e.uri, e.extinf, l.target))
		}
		if _, decimals, _ := strings.Cut(e.extinf, "."); len(decimals) < 3 {
			errs = append(errs, fmt.Errorf("%s: EXTINF %s has fewer than 3 decimals", e.uri, e.extinf))
		}
		if strings.HasPrefix(e.uri, "/") || strings.Contains(e.uri, "://") {
			errs = append(errs, fmt.Errorf("%s is not a relative URI", e.uri))
		}
		if fmp4 != (e.mapURI != "") {
			errs = append(errs, fmt.Errorf("%s: EXT-X-MAP is %q", e.uri, e.mapURI))
		}
		at, err := e.date()
		if err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", e.uri, err))
			continue
		}
		if i == 0 || e.discontinuity {
			continue
		}
		before, err := l.segments[i-1].date()
		drift := at.Sub(before) - l.segments[i-1].duration()
		if err == nil && drift.Abs() > 2*time.Millisecond {
			errs = append(errs, fmt.Errorf("%s: PROGRAM-DATE-TIME is %v off the sum of EXTINF", e.uri, drift))
		}
	}
	return errs
}

// checkHistory holds the successive states of one media playlist against each
// other: what was said of a segment stays, and the list only grows at its end
// and shrinks at its front.
func checkHistory(lists []mediaList) (errs []error) {
	known := map[int]segmentEntry{}
	byURI := map[string]int{}
	for i, l := range lists {
		for _, e := range l.segments {
			if old, ok := known[e.msn]; ok && old != e {
				errs = append(errs, fmt.Errorf("list %d: segment %d was %+v, is %+v", i, e.msn, old, e))
			}
			if msn, ok := byURI[e.uri]; ok && msn != e.msn {
				errs = append(errs, fmt.Errorf("list %d: %s was segment %d, is %d", i, e.uri, msn, e.msn))
			}
			known[e.msn], byURI[e.uri] = e, e.msn
		}
		if i == 0 {
			continue
		}
		old := lists[i-1]
		if l.target != old.target {
			errs = append(errs, fmt.Errorf("list %d: EXT-X-TARGETDURATION went from %d to %d", i, old.target, l.target))
		}
		if l.msn < old.msn || l.dsn < old.dsn {
			errs = append(errs, fmt.Errorf("list %d: MSN %d after %d, DSN %d after %d", i, l.msn, old.msn, l.dsn, old.dsn))
		}
		if end, before := l.msn+len(l.segments), old.msn+len(old.segments); end < before {
			errs = append(errs, fmt.Errorf("list %d: ends at segment %d, ended at %d", i, end, before))
		}
		if old.ended && !l.ended {
			errs = append(errs, fmt.Errorf("list %d: goes on after EXT-X-ENDLIST", i))
		}
		if l.msn > old.msn && !l.ended {
			var left time.Duration
			for _, e := range l.segments {
				left += e.duration()
			}
			if left < time.Duration(3*l.target)*time.Second {
				errs = append(errs, fmt.Errorf("list %d: a segment was removed and %v are left, less than 3 targets of %d s", i, left, l.target))
			}
		}
	}
	return errs
}
