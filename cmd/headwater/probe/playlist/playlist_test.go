package playlist

import (
	"slices"
	"strings"
	"testing"
	"time"
)

const lowLatency = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-PART-INF:PART-TARGET=0.333
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.000,HOLD-BACK=6.0
#EXT-X-MEDIA-SEQUENCE:41
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI="init, with comma.mp4",BYTERANGE="100@20"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.500Z
#EXTINF:2.000,
a.mp4
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:05:00.000+0100
#EXT-X-PART:DURATION=0.333,URI="b.0",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.3,URI="b.1"
#EXTINF:1.9,title, with comma
b.mp4
#EXT-X-GAP
#EXTINF:2,
c.mp4
#EXT-X-PART:DURATION=0.25,URI="d.0"
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="d.1"
`

func TestLowLatency(t *testing.T) {
	for _, text := range []string{lowLatency, "\ufeff" + strings.ReplaceAll(lowLatency, "\n", "\r\n")} {
		p, err := Parse(text)
		if err != nil || len(p.Faults) > 0 {
			t.Fatalf("%v, %q", err, p.Faults)
		}
		if p.Target != 2*time.Second || p.PartTarget != 333*time.Millisecond || p.Sequence != 41 || p.DiscontinuitySequence != 3 || p.Next() != 44 ||
			p.Control != (Control{true, time.Second, 6 * time.Second}) || p.Hint != "d.1" || len(p.Open) != 1 || len(p.Segments) != 3 || p.IsMultivariant() {
			t.Fatalf("%+v", p)
		}
		a, b, c := p.Segments[0], p.Segments[1], p.Segments[2]
		if a.Sequence != 41 || a.Discontinuity || a.Map != "init, with comma.mp4" || a.MapRange != "bytes=20-119" {
			t.Errorf("%+v", a)
		}
		if !b.Discontinuity || len(b.Parts) != 2 || !b.Parts[0].Independent || b.Parts[1].URI != "b.1" || b.Duration != 1900*time.Millisecond {
			t.Errorf("%+v", b)
		}
		if !c.Gap || c.Discontinuity || !c.Time.Equal(time.Date(2026, 1, 2, 2, 5, 1, 900e6, time.UTC)) {
			t.Errorf("%+v", c)
		}
		if edge := p.Edge(); !edge.Equal(time.Date(2026, 1, 2, 2, 5, 4, 150e6, time.UTC)) {
			t.Errorf("the newest media ends at %s", edge)
		}
	}
}

func TestMultivariant(t *testing.T) {
	p, err := Parse(`#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",DEFAULT=YES,URI="en.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="x",URI="s.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=2000000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,AUDIO="a"
hi.m3u8
#EXT-X-STREAM-INF:CODECS="avc1.64001f"
lo.m3u8
`)
	if err != nil || !p.IsMultivariant() || len(p.Variants) != 2 || len(p.Renditions) != 1 {
		t.Fatalf("%v, %+v", err, p)
	}
	want := Variant{URI: "hi.m3u8", Codecs: "avc1.64001f,mp4a.40.2", Resolution: "1280x720", Audio: "a", Bandwidth: 2000000}
	if p.Variants[0] != want || p.Renditions[0] != (Rendition{"a", "English", "en.m3u8", true}) || !slices.Equal(p.Faults, []string{"a variant has no BANDWIDTH"}) {
		t.Errorf("%+v", p)
	}
}

// TestFaults: what is wrong is named, and the rest is read.
func TestFaults(t *testing.T) {
	tests := map[string]string{
		"#EXTM3U\n#EXTINF:2,\na\n":                                                                     "EXT-X-TARGETDURATION is missing",
		"#EXTM3U\n#EXT-X-TARGETDURATION:2\na\n":                                                        `segment "a" has no EXTINF`,
		"#EXTM3U\n#EXT-X-TARGETDURATION:two\n":                                                         `EXT-X-TARGETDURATION has "two" where seconds should be`,
		"#EXTM3U\n#EXT-X-TARGETDURATION:NaN\n":                                                         `EXT-X-TARGETDURATION has "NaN" where seconds should be`,
		"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXTINF:1e300,\na\n":                                        `EXTINF has "1e300" where seconds should be`,
		"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:-1\n":                                 `EXT-X-MEDIA-SEQUENCE has "-1" where a number should be`,
		"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PROGRAM-DATE-TIME:today\n":                           `EXT-X-PROGRAM-DATE-TIME "today" is no date`,
		"#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-PART:DURATION=1,URI=\"a\"\n":                         "it has parts, and no EXT-X-PART-INF with their PART-TARGET",
		"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n#EXTINF:2,\nb\n#EXT-X-TARGETDURATION:2\n":          "it lists playlists and media at once",
		"#EXTM3U\n#EXT-X-TARGETDURATION:2\n" + strings.Repeat("#EXTINF:x,\na\n", 100) + "#EXTINF:y,\n": `EXTINF has "x" where seconds should be`,
	}
	for text, want := range tests {
		p, err := Parse(text)
		if err != nil || len(p.Faults) == 0 || len(p.Faults) > maxFaults || p.Faults[0] != want {
			t.Errorf("%.80q: %v, %q", text, err, p.Faults)
		}
	}
	if _, err := Parse("<html>"); err == nil {
		t.Error("a page is no playlist")
	}
}

func TestByteRange(t *testing.T) {
	p, err := Parse("#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-BYTERANGE:10@5\n#EXTINF:1,\na\n#EXT-X-BYTERANGE:7\n#EXTINF:1,\na\n#EXTINF:1,\nb\n#EXT-X-BYTERANGE:-4@0\n#EXTINF:1,\nc\n")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, s := range p.Segments {
		got = append(got, s.Range)
	}
	if want := []string{"bytes=5-14", "bytes=15-21", "", ""}; !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func FuzzParse(f *testing.F) {
	f.Add(lowLatency)
	f.Add("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"a\"\nx\n#EXT-X-MEDIA:TYPE=AUDIO,URI=\"y\"\n")
	f.Fuzz(func(t *testing.T, text string) {
		p, err := Parse(text)
		if err != nil {
			return
		}
		if n := len(p.Segments) + len(p.Variants) + len(p.Open); n > len(text) || len(p.Faults) > maxFaults {
			t.Errorf("%d things in %d bytes, %d faults", n, len(text), len(p.Faults))
		}
		for _, s := range p.Segments {
			if s.Duration < 0 || s.Duration > 24*time.Hour {
				t.Errorf("a segment of %s", s.Duration)
			}
		}
		_ = p.Edge()
	})
}
