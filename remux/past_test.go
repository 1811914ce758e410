package remux

import (
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// After a restart the low-latency playlist goes on listing the end of what it had, as
// gaps, under the same numbers, until there is enough to do without. A stream that had
// ended is over.
func TestPlaylistGoesOnAfterRestart(t *testing.T) {
	path := filepath.Join(t.TempDir(), "streams.json")
	_, messages := testSource(t, 16)
	open := func() *Registry {
		return NewRegistry(DefaultOptions(), OpenMemory(path, slog.New(slog.DiscardHandler)))
	}
	text := func(r *Registry, f Format) string {
		o, err := r.Stream(Name{"live", "x"}).Index().Playlist(f, Ask{Known: true})
		if err != nil {
			t.Fatal(err)
		}
		return string(o.Body)
	}
	before := open()
	publish(t, before, "x", messages)
	flush(before.memory)
	old := text(before, FMP4)
	newest := before.Stream(Name{"live", "x"}).Index().newest()

	after := open() // the first one was killed
	if !after.Expects(Name{"live", "x"}) || after.Expects(Name{"live", "y"}) {
		t.Error("the wrong stream is expected")
	}
	short := at(messages, 4100)
	p := publish(t, after, "x", messages[:short])
	ix := p.Stream().Index()
	list := text(after, FMP4)
	first := newest.Sequence - 2
	if !strings.Contains(list, fmt.Sprintf("#EXT-X-MEDIA-SEQUENCE:%d\n", first)) {
		t.Errorf("the playlist does not begin at %d:\n%s", first, list)
	}
	gaps := int(ix.Segments[0].Sequence - first)
	if n := strings.Count(list, "#EXT-X-GAP\n"); n != gaps || gaps > 3+2*spareSequences {
		t.Errorf("%d gaps, want %d", n, gaps)
	}
	if n := strings.Count(list, "#EXT-X-DISCONTINUITY\n"); n != 1 {
		t.Errorf("%d discontinuities", n)
	}
	for _, s := range before.Stream(Name{"live", "x"}).Index().Segments[4:] {
		entry := fmt.Sprintf("%.3f,\n%s\n", s.Duration.Seconds(), segmentName(s.epoch, s.Sequence, FMP4))
		if strings.Contains(old, entry) != strings.Contains(list, entry) {
			t.Errorf("%d is not listed as it was", s.Sequence)
		}
	}
	if d := number(t, list, "#EXT-X-DISCONTINUITY-SEQUENCE:"); d != number(t, old, "#EXT-X-DISCONTINUITY-SEQUENCE:") || d+1 != ix.Segments[0].DiscontinuitySequence {
		t.Errorf("discontinuity sequence %d in front of %d", d, ix.Segments[0].DiscontinuitySequence)
	}
	if plain, err := ix.Playlist(FMP4, Ask{}); err != nil || strings.Contains(string(plain.Body), "GAP") {
		t.Errorf("who has not had the playlist: %v\n%s", err, plain.Body)
	}
	if strings.Contains(text(after, TS), "GAP") {
		t.Error("gaps in the playlist of MPEG-TS")
	}
	for sequence := first; sequence <= ix.newest().Sequence+1; sequence++ {
		o, err := ix.Playlist(FMP4, Ask{Delta: true, Known: true, Next: sequence})
		if err != nil {
			t.Fatal(err)
		}
		if list := string(o.Body); strings.Contains(list, "#EXT-X-SKIP:") {
			if skipped := number(t, list, "#EXT-X-SKIP:SKIPPED-SEGMENTS="); first+skipped > sequence {
				t.Errorf("who asks for %d is spared %d to %d, of which it cannot know all", sequence, first, first+skipped-1)
			}
		} else if sequence > ix.newest().Sequence {
			t.Errorf("who knows all is spared nothing:\n%s", list)
		}
	}
	for _, m := range messages[short:] {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
	}
	if list := text(after, FMP4); strings.Contains(list, "GAP") || number(t, list, "#EXT-X-MEDIA-SEQUENCE:") <= first {
		t.Errorf("there are gaps still:\n%s", list)
	}

	p.Close()
	p.Stream().lastSeen = time.Now().Add(-time.Hour)
	after.expire(time.Now())
	flush(after.memory)
	again := open()
	if again.Expects(Name{"live", "x"}) {
		t.Error("a stream that is over is expected")
	}
	publish(t, again, "x", messages)
	if list := text(again, FMP4); strings.Contains(list, "GAP") {
		t.Errorf("a new stream has gaps:\n%s", list)
	}
}

func number(t *testing.T, list, tag string) (n uint64) {
	t.Helper()
	_, rest, _ := strings.Cut(list, tag)
	if _, err := fmt.Sscan(rest, &n); err != nil {
		t.Fatalf("%s: %v", tag, err)
	}
	return n
}
