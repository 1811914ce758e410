package remux

import (
	"fmt"
	"strings"
	"testing"
)

// TestNewestSegmentWaitsForAPart: no fMP4 playlist of a live publisher ends with a
// whole segment, but the very first one; what was listed stays listed; and a blocking
// reload is answered when the playlist has what was asked for.
func TestNewestSegmentWaitsForAPart(t *testing.T) {
	_, messages := testSource(t, 30)
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", nil)
	var last string
	lists, bare, listed := 0, 0, map[string]bool{}
	for _, m := range messages {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
		ix := p.Stream().Index()
		o, err := ix.Playlist(FMP4, Ask{})
		if err != nil || string(o.Body) == last {
			continue
		}
		last = string(o.Body)
		lists++
		lines := strings.Split(strings.TrimSpace(last), "\n")
		if !strings.HasPrefix(lines[len(lines)-2], "#EXT-X-PART:") {
			bare++
		}
		for name := range listed {
			if strings.Contains(last, name) {
				continue
			}
			if first := firstListed(lines); name > first {
				t.Fatalf("%s is listed no more, and %s is\n%s", name, first, last)
			}
			delete(listed, name)
		}
		whole := 0
		for _, line := range lines {
			if !strings.HasPrefix(line, "#") {
				listed[line] = true
				whole++
			}
		}
		if n := len(ix.Segments); whole > n || n > 2 && whole < min(n-1, minListed) {
			t.Fatalf("%d whole segments of %d\n%s", whole, n, last)
		}
		open, parts := number(t, last, "#EXT-X-MEDIA-SEQUENCE:")+uint64(whole), len(ix.parted.Parts)
		for _, ask := range []struct {
			sequence uint64
			part     int
			reached  bool
		}{
			{open - 1, -1, true}, {open - 1, 99, parts > 0}, {open, -1, false}, {open, parts - 1, parts > 0}, {open, parts, false}, {open + 1, 0, false},
		} {
			if got := ix.Reached(ask.sequence, ask.part); got != ask.reached {
				t.Fatalf("%s: Reached is %v, with %d parts of %d in\n%s", fmt.Sprint(ask), got, parts, open, last)
			}
		}
	}
	if lists < 30 || bare > 1 {
		t.Errorf("%d of %d lists end with a whole segment", bare, lists)
	}
	p.Close()
	if o, _ := p.Stream().Index().Playlist(FMP4, Ask{}); strings.LastIndex(string(o.Body), "#EXT-X-PART:") > strings.LastIndex(string(o.Body), "#EXTINF:") {
		t.Errorf("the last segment is not whole when its publisher has left:\n%s", o.Body)
	}
}

func firstListed(lines []string) string {
	for _, line := range lines {
		if !strings.HasPrefix(line, "#") {
			return line
		}
	}
	return ""
}
