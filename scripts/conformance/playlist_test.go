package conformance

import (
	"slices"
	"strings"
	"testing"
	"time"
)

// goodMedia has everything that a low latency playlist has.
const goodMedia = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-MEDIA-SEQUENCE:266
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-TARGETDURATION:4
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.0,CAN-SKIP-UNTIL=24.0
#EXT-X-PART-INF:PART-TARGET=0.33334
#EXT-X-MAP:URI="init.mp4"
#EXT-X-PROGRAM-DATE-TIME:2019-02-14T02:13:36.106Z
#EXTINF:4.00008,
fileSequence266.mp4
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="init2.mp4"
#EXT-X-PROGRAM-DATE-TIME:2019-02-14T02:13:40.106+01:00
#EXT-X-PART:DURATION=0.33334,URI="filePart267.a.mp4",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.33334,URI="filePart267.b.mp4"
#EXTINF:0.66668,no comment
fileSequence267.mp4
#EXT-X-PART:DURATION=0.33334,URI="filePart268.a.mp4",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="filePart268.b.mp4"
#EXT-X-RENDITION-REPORT:URI="../1M/waitForMSN.php",LAST-MSN=268,LAST-PART=0
`

func TestParseMedia(t *testing.T) {
	m := ParseMedia([]byte(goodMedia))
	if len(m.Problems) > 0 {
		t.Fatal(m.Problems)
	}
	if m.Version != 9 || m.Target != 4*time.Second || m.PartTarget != 333340*time.Microsecond || m.Last() != 267 || m.OpenParts() != 1 || m.Ended {
		t.Errorf("read as %+v", m)
	}
	a, b, open := m.Find(266), m.Find(267), m.Find(268)
	if a == nil || a.DSN != 3 || a.Duration != 4000080*time.Microsecond || a.Decimals != 5 || a.Map != "init.mp4" || len(a.Parts) != 0 {
		t.Errorf("266 is %+v", a)
	}
	if b == nil || b.DSN != 4 || !b.Discontinuity || b.Map != "init2.mp4" || len(b.Parts) != 2 || !b.Parts[0].Independent || b.Parts[1].Independent {
		t.Errorf("267 is %+v", b)
	}
	if open == nil || open.URI != "" || open.Map != "init2.mp4" || open.DSN != 4 {
		t.Errorf("268 is %+v", open)
	}
	if m.Find(265) != nil || m.Find(269) != nil {
		t.Error("finds what is not there")
	}
	if want := []Hint{{"PART", "filePart268.b.mp4", false}}; !slices.Equal(m.Hints, want) {
		t.Errorf("hints %v", m.Hints)
	}
	if d := m.Length(0); d != (4000080+666680+333340)*time.Microsecond {
		t.Errorf("length %v", d)
	}
}

func TestParseMediaFindsFaults(t *testing.T) {
	tests := []struct{ rule, old, now string }{
		{"list.syntax", "#EXTM3U\n", "#EXT\n"},
		{"list.syntax", "#EXT-X-TARGETDURATION:4", "#EXT-X-TARGETDURATION:4.5"},
		{"list.syntax", "#EXT-X-DISCONTINUITY\n", "#EXT-X-DISCONTINUITY:1\n"},
		{"list.syntax", "#EXTINF:4.00008,", "#EXTINF:4.00008"},
		{"list.syntax", "#EXTINF:4.00008,", "#EXTINF:-4.0,"},
		{"list.syntax", "#EXTINF:4.00008,\n", ""},
		{"list.syntax", "fileSequence266.mp4", "file Sequence266.mp4"},
		{"list.syntax", "#EXT-X-MEDIA-SEQUENCE:266\n", "#EXT-X-MAP:URI=\"x\"\n#EXT-X-MEDIA-SEQUENCE:266\n"},
		{"list.syntax", "#EXT-X-PRELOAD-HINT", "#EXT-X-PRELOAD-HINTS"},
		{"list.attributes", "PART-TARGET=0.33334", "PART-TARGET=\"0.33334\""},
		{"list.attributes", "PART-TARGET=0.33334", "PART-TARGET=1e3"},
		{"list.attributes", "PART-TARGET=0.33334", "PART-TARGET =0.33334"},
		{"list.attributes", "PART-TARGET=0.33334", "PART-TARGET= 0.33334"},
		{"list.attributes", "#EXT-X-PART-INF:PART-TARGET=0.33334", "#EXT-X-PART-INF:"},
		{"list.attributes", "CAN-BLOCK-RELOAD=YES,", "CAN-BLOCK-RELOAD=YES, "},
		{"list.attributes", "CAN-BLOCK-RELOAD=YES,", "CAN-BLOCK-RELOAD=YES,CAN-BLOCK-RELOAD=YES,"},
		{"list.attributes", `URI="init.mp4"`, `URI=init.mp4`},
		{"list.attributes", `URI="init.mp4"`, `URI="init.mp4`},
		{"list.attributes", `URI="init.mp4"`, `URI="init.mp4"X=1`},
		{"list.attributes", ",LAST-MSN=268", ",LAST-MSN=-1"},
		{"list.attributes", ",INDEPENDENT=YES", ",INDEPENDENT=TRUE"},
		{"list.once", "#EXT-X-TARGETDURATION:4\n", "#EXT-X-TARGETDURATION:4\n#EXT-X-TARGETDURATION:4\n"},
		{"list.once", "#EXTINF:4.00008,\n", "#EXTINF:4.00008,\n#EXTINF:4.00008,\n"},
		{"list.version-floor", "VERSION:9", "VERSION:5"},
		{"list.whole", "LAST-PART=0\n", "LAST-PART=0"},
		{"list.whole", "#EXT-X-PART:DURATION=0.33334,URI=\"filePart268.a.mp4\",INDEPENDENT=YES\n", "#EXTINF:1.0,\n"},
		{"list.target", "#EXT-X-TARGETDURATION:4\n", ""},
		{"list.pdt", "02:13:36.106Z", "02:13:36.106"},
		{"list.pdt", "2019-02-14T02:13:36", "2019-02-14 02:13:36"},
		{"list.encoding", "no comment", "no\tcomment"},
		{"list.encoding", "no comment", "no \xff"},
		{"list.encoding", "#EXTM3U", "\ufeff#EXTM3U"},
	}
	for _, test := range tests {
		text := strings.Replace(goodMedia, test.old, test.now, 1)
		m := ParseMedia([]byte(text))
		if text == goodMedia || len(m.Problems) == 0 {
			t.Errorf("%q for %q passes", test.now, test.old)
			continue
		}
		if !slices.ContainsFunc(m.Problems, func(p Problem) bool { return p.Rule == test.rule }) {
			t.Errorf("%q for %q: %v, want %s", test.now, test.old, m.Problems, test.rule)
		}
	}
}

// TestFill: a delta update and what was known make up the whole list.
func TestFill(t *testing.T) {
	known := map[uint64]*Segment{}
	for _, s := range ParseMedia([]byte(goodMedia)).Segments {
		known[s.MSN] = s
	}
	from := strings.Index(goodMedia, "#EXT-X-MAP")
	to := strings.Index(goodMedia, "#EXT-X-PART:DURATION=0.33334,URI=\"filePart268")
	delta := ParseMedia([]byte(goodMedia[:from] + "#EXT-X-SKIP:SKIPPED-SEGMENTS=2\n" + goodMedia[to:]))
	if len(delta.Problems) > 0 || delta.Last() != 267 || len(delta.Segments) != 0 {
		t.Fatalf("%+v", delta)
	}
	full := delta.fill(known)
	if full.Last() != 267 || full.Find(267).DSN != 4 || full.Open.DSN != 4 || full.Open.Map != "init2.mp4" || full.Open.MSN != 268 {
		t.Errorf("%+v, open %+v", full, full.Open)
	}
}

func TestAnswered(t *testing.T) {
	m := ParseMedia([]byte(goodMedia)) // up to 267, and a part of 268
	tests := []struct {
		query string
		want  bool
	}{
		{"", true}, {"?_HLS_msn=1", true}, {"?_HLS_msn=267", true}, {"?_HLS_msn=267&_HLS_part=1", true},
		{"?_HLS_msn=267&_HLS_part=2", true}, // that is part 0 of 268
		{"?_HLS_msn=268", false}, {"?_HLS_msn=268&_HLS_part=0", true}, {"?_HLS_msn=268&_HLS_part=1", false}, {"?_HLS_msn=269&_HLS_part=0", false},
	}
	for _, test := range tests {
		if got := m.answered(readDirectives("/x/index.m3u8" + test.query)); got != test.want {
			t.Errorf("%q: %v", test.query, got)
		}
	}
}

func TestParseSeconds(t *testing.T) {
	tests := []struct {
		text     string
		want     time.Duration
		decimals int
		ok       bool
	}{
		{"6", 6 * time.Second, 0, true}, {"6.0", 6 * time.Second, 1, true}, {"5.97267", 5972670 * time.Microsecond, 5, true},
		{"0.000000001", 1, 9, true}, {"", 0, 0, false}, {".5", 0, 0, false}, {"1.", 0, 0, false}, {"-1", 0, 0, false}, {"+1", 0, 0, false}, {"1e3", 0, 0, false},
	}
	for _, test := range tests {
		got, decimals, err := parseSeconds(test.text)
		if (err == nil) != test.ok || test.ok && (got != test.want || decimals != test.decimals) {
			t.Errorf("%q: %v with %d decimals, %v", test.text, got, decimals, err)
		}
	}
}

func TestParseMultivariant(t *testing.T) {
	const good = "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n" +
		"#EXT-X-STREAM-INF:BANDWIDTH=1280000,CODECS=\"avc1.64001f,mp4a.40.2\",RESOLUTION=1280x720,FRAME-RATE=29.970\nx/index.m3u8\n"
	m := ParseMultivariant([]byte(good))
	if len(m.Problems) > 0 || len(m.Variants) != 1 || m.Variants[0].Attrs["CODECS"] != "avc1.64001f,mp4a.40.2" || m.Variants[0].URI != "x/index.m3u8" || !m.Independent {
		t.Errorf("%+v", m)
	}
	for old, now := range map[string]string{"1280x720": "1280*720", "BANDWIDTH=1280000,": "", "x/index.m3u8\n": "", "#EXT-X-VERSION:3": "#EXT-X-TARGETDURATION:3", "=29.970": "=\"29.970\""} {
		if m := ParseMultivariant([]byte(strings.Replace(good, old, now, 1))); len(m.Problems) == 0 {
			t.Errorf("%q for %q passes", now, old)
		}
	}
}
