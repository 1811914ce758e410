package hls

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
)

const ms = time.Millisecond

var (
	both      = &av.Config{Video: &av.Track{Codec: av.H264}, Audio: &av.Track{Codec: av.AAC}}
	videoOnly = &av.Config{Video: both.Video}
	audioOnly = &av.Config{Audio: both.Audio}
)

func sample(c *av.Config, k av.Kind, dts time.Duration, key bool) *av.Frame {
	return &av.Frame{Kind: k, DTS: dts, Key: key, Config: c, Time: int64(dts / ms)}
}

// cuts feeds a constant-rate video with a key frame every gop frames and returns
// where segments and parts begin.
func cuts(c *Cutter, fps float64, gop, frames int) (segments, parts []time.Duration, independent []bool) {
	for i := range frames {
		dts := time.Duration(float64(i)*1000/fps) * ms
		switch c.Next(sample(videoOnly, av.Video, dts, i%gop == 0)) {
		case NewSegment:
			segments = append(segments, dts)
			parts = append(parts, dts)
			independent = append(independent, c.Independent())
		case NewPart:
			parts = append(parts, dts)
		}
	}
	return segments, parts, independent
}

func cutter() *Cutter {
	return &Cutter{SegmentDuration: 2 * time.Second, MaxSegmentDuration: 10 * time.Second, PartDuration: 333 * ms}
}

func TestSegmentsBeginAtKeyFrames(t *testing.T) {
	tests := []struct {
		fps    float64
		gop    int
		want   time.Duration // length of each segment
		target time.Duration
	}{
		{30, 60, 2000 * ms, 2 * time.Second},
		{30, 30, 2000 * ms, 2 * time.Second},
		{30000.0 / 1001, 60, 2002 * ms, 2 * time.Second},
		{24000.0 / 1001, 48, 2002 * ms, 2 * time.Second},
		{25, 48, 1920 * ms, 2 * time.Second},
		{25, 20, 2400 * ms, 2 * time.Second},
		{30, 75, 2500 * ms, 3 * time.Second},
		{30, 250, 8333 * ms, 8 * time.Second},
		{60, 600, 10000 * ms, 10 * time.Second},
	}
	for _, test := range tests {
		t.Run(fmt.Sprintf("%.3f fps, %d", test.fps, test.gop), func(t *testing.T) {
			c := cutter()
			segments, _, independent := cuts(c, test.fps, test.gop, 10*test.gop)
			for i := 1; i < len(segments); i++ {
				if d := segments[i] - segments[i-1]; d < test.want-ms || d > test.want+ms {
					t.Fatalf("segment %d lasts %v, want %v", i-1, d, test.want)
				}
			}
			if slices.Contains(independent, false) {
				t.Error("a segment does not begin with a key frame")
			}
			if c.Target != test.target {
				t.Errorf("target duration %v, want %v", c.Target, test.target)
			}
		})
	}
}

// A key frame that never comes, or comes later than it used to, must not make a
// segment longer than the target duration already published.
func TestSegmentsNeverExceedTarget(t *testing.T) {
	c := cutter()
	cuts(c, 30, 60, 121)
	target := c.Target
	segments := []time.Duration{4 * time.Second}
	for i := 121; i < 3000; i++ {
		dts := time.Duration(i*1000/30) * ms
		if c.Next(sample(videoOnly, av.Video, dts, i%400 == 0)) == NewSegment {
			segments = append(segments, dts)
		}
	}
	for i := 1; i < len(segments); i++ {
		if d := segments[i] - segments[i-1]; d.Round(time.Second) > target {
			t.Errorf("segment of %v with a target duration of %v", d, target)
		}
	}
	if c.Target != target {
		t.Errorf("target duration changed from %v to %v", target, c.Target)
	}
	for i := 400; i < 3000; i += 400 {
		if !slices.Contains(segments, time.Duration(i*1000/30)*ms) {
			t.Errorf("no segment begins at the key frame at frame %d", i)
		}
	}
}

func TestNothingBeginsBeforeAKeyFrame(t *testing.T) {
	c := cutter()
	if got := c.Next(sample(both, av.Audio, 0, true)); got != Drop {
		t.Errorf("audio first: %v, want Drop", got)
	}
	if got := c.Next(sample(both, av.Video, 10*ms, false)); got != Drop {
		t.Errorf("inter frame first: %v, want Drop", got)
	}
	if got := c.Next(sample(both, av.Video, 40*ms, true)); got != NewSegment {
		t.Errorf("key frame: %v, want NewSegment", got)
	}
	c.End(80 * ms)
	if got := c.Next(sample(both, av.Video, 80*ms, false)); got != Drop {
		t.Errorf("inter frame after the end: %v, want Drop", got)
	}
}

func TestAudioAloneIsCut(t *testing.T) {
	c := cutter()
	var segments []time.Duration
	for i := range 1000 {
		dts := time.Duration(i*1024*1000/44100) * ms
		if c.Next(sample(audioOnly, av.Audio, dts, true)) == NewSegment {
			segments = append(segments, dts)
		}
	}
	if len(segments) < 10 {
		t.Fatalf("%d segments in 23 s", len(segments))
	}
	for i := 1; i < len(segments); i++ {
		if d := segments[i] - segments[i-1]; d.Round(time.Second) != 2*time.Second {
			t.Errorf("segment of %v", d)
		}
	}
}

// Sound that goes on after the pictures have stopped is cut within the targets.
func TestSoundAfterTheLastPicture(t *testing.T) {
	for _, fps := range []float64{5, 10, 30} {
		c := cutter()
		cuts(c, fps, int(2*fps), int(6*fps)+1) // ends with a key frame at 6 s
		last := 6 * time.Second
		part := last
		for dts := last + 5*ms; dts < 15*time.Second; dts += 21 * ms {
			switch c.Next(sample(both, av.Audio, dts, true)) {
			case NewSegment:
				if d := c.At() - last; d.Round(time.Second) > c.Target {
					t.Errorf("%v fps: segment of %v, target %v", fps, d, c.Target)
				}
				last, part = c.At(), c.At()
			case NewPart:
				if d := c.At() - part; d > c.PartTarget || d <= 0 {
					t.Errorf("%v fps: part of %v, target %v", fps, d, c.PartTarget)
				}
				part = c.At()
			}
		}
		if last < 13*time.Second {
			t.Errorf("%v fps: the last segment begins at %v", fps, last)
		}
	}
}

func TestPartsKeepTheirLength(t *testing.T) {
	for _, fps := range []float64{10, 12, 15, 24000.0 / 1001, 25, 30000.0 / 1001, 30, 50, 60} {
		c := cutter()
		segments, parts, _ := cuts(c, fps, int(2*fps+0.5), int(20*fps))
		if c.PartTarget < 250*ms || c.PartTarget > 450*ms {
			t.Errorf("%.2f fps: part target %v", fps, c.PartTarget)
		}
		for i := 1; i < len(parts); i++ {
			d := parts[i] - parts[i-1]
			if d > c.PartTarget {
				t.Errorf("%.2f fps: part of %v with a target of %v", fps, d, c.PartTarget)
			}
			if last := slices.Contains(segments, parts[i]); d < c.PartTarget*85/100 && !last {
				t.Errorf("%.2f fps: part of %v is below 85%% of %v", fps, d, c.PartTarget)
			}
		}
	}
}

// A publisher that leaves within its first part does not say how long parts are.
func TestFirstPartIsCutShort(t *testing.T) {
	for _, fps := range []float64{10, 25, 30, 60} {
		for _, first := range []int{1, 2, 5} {
			if fps == 10 && first == 5 {
				continue // that is a whole part
			}
			frame := time.Duration(1000/fps) * ms
			c := cutter()
			for i := range first {
				if got := c.Next(sample(videoOnly, av.Video, time.Duration(i)*frame, i == 0)); (got == NewSegment) != (i == 0) || got == NewPart {
					t.Fatalf("%.0f fps: frame %d: %v", fps, i, got)
				}
			}
			c.End(time.Duration(first-1)*frame + ms)
			if c.PartTarget < 250*ms || c.PartTarget > 450*ms {
				t.Errorf("%.0f fps: part target %v behind %d frames", fps, c.PartTarget, first)
			}
			last := time.Duration(-1)
			for i := range 100 {
				dts := time.Minute + time.Duration(i)*frame
				switch c.Next(sample(videoOnly, av.Video, dts, i%50 == 0)) {
				case NewSegment:
					last = dts
				case NewPart:
					if d := dts - last; d > c.PartTarget || d < c.PartTarget*85/100 {
						t.Errorf("%.0f fps: a part of %v behind %d frames, target %v", fps, d, first, c.PartTarget)
					}
					last = dts
				}
			}
		}
	}
}

// order returns "v0 a0 v40 …" as samples come out.
func order(il *Interleaver) string {
	var out []string
	for s, ok := il.Pop(); ok; s, ok = il.Pop() {
		out = append(out, fmt.Sprintf("%c%d", "?va"[s.Kind], s.DTS/ms))
	}
	return strings.Join(out, " ")
}

func TestInterleaverSortsWhatArrivesUnevenly(t *testing.T) {
	var il Interleaver
	for i := range 30 { // audio arrives 600 ms early
		il.Push(sample(both, av.Audio, time.Duration(i)*20*ms, true))
	}
	if got := order(&il); got != "" {
		t.Fatalf("audio did not wait for video: %s", got)
	}
	il.Push(sample(both, av.Video, 0, true))
	if got := order(&il); got != "v0" {
		t.Errorf("after the first picture: %s", got)
	}
	il.Push(sample(both, av.Video, 40*ms, false))
	if got := order(&il); got != "a0 a20 v40" {
		t.Errorf("after the second picture: %s", got)
	}
}

func TestInterleaverDoesNotWaitForASilentTrack(t *testing.T) {
	var il Interleaver
	il.Push(sample(both, av.Audio, 0, true))
	il.Push(sample(both, av.Video, 0, true))
	n := 0
	for i := 1; i <= 100; i++ {
		il.Push(sample(both, av.Video, time.Duration(i)*40*ms, false))
		for _, ok := il.Pop(); ok; _, ok = il.Pop() {
			n++
		}
		if waiting := i + 2 - n; waiting > 27 {
			t.Fatalf("%d frames wait for audio that has stopped", waiting)
		}
	}
	if n != 102 {
		t.Errorf("%d of 102 samples came out", n)
	}
	il.Push(sample(both, av.Audio, 4000*ms, true)) // it is back
	il.Push(sample(both, av.Video, 4040*ms, false))
	if got := order(&il); got != "a4000" {
		t.Errorf("after audio came back: %q, want it to be waited for", got)
	}
}

func TestInterleaverSingleTrackIsNotDelayed(t *testing.T) {
	for _, c := range []*av.Config{videoOnly, audioOnly} {
		var il Interleaver
		k := av.Video
		if c == audioOnly {
			k = av.Audio
		}
		il.Push(sample(c, k, 0, true))
		if order(&il) == "" {
			t.Errorf("kind %d waits for a track that is not there", k)
		}
	}
}

func TestInterleaverFlush(t *testing.T) {
	var il Interleaver
	il.Push(sample(both, av.Video, 0, true))
	il.Push(sample(both, av.Video, 40*ms, true))
	il.Flush()
	if got := order(&il); got != "v0 v40" {
		t.Errorf("flushed %q", got)
	}
	il.Push(sample(both, av.Video, 80*ms, true))
	if got := order(&il); got != "" {
		t.Errorf("after a flush %q came out: it should wait for audio anew", got)
	}
}

func TestMediaPlaylist(t *testing.T) {
	at := time.Date(2026, 1, 2, 3, 4, 5, 100*int(ms), time.UTC)
	m := Media{
		Target: 2 * time.Second, Sequence: 7, DiscontinuitySequence: 3, Independent: true, Ended: true,
		Entries: []Entry{
			{URI: "e-7.m4s", Duration: 2002 * ms, ProgramTime: at, Map: "e-init0.mp4"},
			{URI: "e-8.m4s", Duration: 2002 * ms, ProgramTime: at.Add(2002 * ms), Map: "e-init0.mp4"},
			{URI: "e-9.m4s", Duration: 1100 * ms, ProgramTime: at.Add(time.Minute), Map: "e-init1.mp4", Discontinuity: true},
		},
	}
	got, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-TARGETDURATION:2
#EXT-X-DISCONTINUITY-SEQUENCE:3
#EXT-X-MAP:URI="e-init0.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:05.100Z
#EXTINF:2.002,
e-7.m4s
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:07.102Z
#EXTINF:2.002,
e-8.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="e-init1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:05:05.100Z
#EXTINF:1.100,
e-9.m4s
#EXT-X-ENDLIST
`
	if string(got) != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

func lowLatency() Media {
	at := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	m := Media{Target: 2 * time.Second, Sequence: 7, DiscontinuitySequence: 3, Independent: true, PartTarget: 350 * ms, Hint: "e-p99.m4s"}
	for i := range 8 {
		m.Entries = append(m.Entries, Entry{
			URI: fmt.Sprintf("e-%d.m4s", 7+i), Duration: 2 * time.Second, Map: "e-init0.mp4",
			ProgramTime: at.Add(time.Duration(i) * 2 * time.Second),
		})
	}
	m.Entries[7].Parts = []Part{{"e-p96.m4s", 333 * ms, true}, {"e-p97.m4s", 334 * ms, false}}
	m.Open = &Entry{Map: "e-init1.mp4", Discontinuity: true, ProgramTime: at.Add(16 * time.Second), Parts: []Part{{"e-p98.m4s", 333 * ms, true}}}
	return m
}

func TestLowLatencyPlaylist(t *testing.T) {
	m := lowLatency()
	full, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"#EXT-X-VERSION:9\n",
		"#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12.000,PART-HOLD-BACK=1.050\n#EXT-X-PART-INF:PART-TARGET=0.350\n",
		`#EXT-X-PART:DURATION=0.333,URI="e-p96.m4s",INDEPENDENT=YES
#EXT-X-PART:DURATION=0.334,URI="e-p97.m4s"
#EXTINF:2.000,
e-14.m4s
#EXT-X-DISCONTINUITY
#EXT-X-MAP:URI="e-init1.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-01-02T03:04:21.000Z
#EXT-X-PART:DURATION=0.333,URI="e-p98.m4s",INDEPENDENT=YES
#EXT-X-PRELOAD-HINT:TYPE=PART,URI="e-p99.m4s"
`,
	} {
		if !strings.Contains(string(full), want) {
			t.Errorf("no\n%s\nin\n%s", want, full)
		}
	}
	m.Skip = m.Skippable()
	if m.Skip != 3 { // 16.333 s in all: what begins more than 12 s from the end
		t.Errorf("%d skippable, want 3", m.Skip)
	}
	delta, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	want := "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-DISCONTINUITY-SEQUENCE:3\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXT-X-MAP"
	if !strings.Contains(string(delta), want) || strings.Contains(string(delta), "e-9.m4s") || !strings.Contains(string(delta), "e-10.m4s") {
		t.Errorf("delta update\n%s", delta)
	}
	m.Ended, m.Skip = true, 0
	ended, err := m.Encode()
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(string(ended), "PRELOAD-HINT") || !strings.HasSuffix(string(ended), "#EXT-X-ENDLIST\n") {
		t.Errorf("ended\n%s", ended)
	}
}

func TestMultivariantPlaylist(t *testing.T) {
	v := Variant{
		URI: "x/fmp4/index.m3u8", Bandwidth: 2_500_000, AverageBandwidth: 2_200_000,
		Codecs: []string{"avc1.64001f", "mp4a.40.2"}, Width: 1280, Height: 720, FrameRate: 29.97002997, VideoRange: "HLG", Independent: true,
	}
	want := `#EXTM3U
#EXT-X-VERSION:3
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-STREAM-INF:BANDWIDTH=2500000,AVERAGE-BANDWIDTH=2200000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=1280x720,FRAME-RATE=29.970,VIDEO-RANGE=HLG
x/fmp4/index.m3u8
`
	if got := string(v.Encode()); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
