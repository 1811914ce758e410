package checkup

import (
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/remux"
	"headwater/remux/av"
)

// fine is a stream that nothing is wrong with.
func fine() Measures {
	ahead := 20 * time.Millisecond
	return Measures{
		Span: 20 * time.Second, LowLatency: true, Segment: 2 * time.Second,
		Video: &Video{
			Codec: "H.264", Width: 1920, Height: 1080, Rate: 29.97, StatedRate: 29.97, Frames: 600, Uneven: 0.01, Longest: 40 * time.Millisecond,
			Keys: Distances{Count: 10, Min: 2 * time.Second, Mean: 2 * time.Second, Max: 2 * time.Second, Since: time.Second},
		},
		Audio:   &Audio{Codec: "AAC", SampleRate: 48000, Channels: 2, Frames: 900, Longest: 20 * time.Millisecond},
		Bitrate: Bitrate{Mean: 4e6, Peak: 5e6, Lowest: 3e6},
		Arrival: Arrival{Pace: 1, Stall: 100 * time.Millisecond},
		Ahead:   &ahead,
	}
}

func TestFine(t *testing.T) {
	all := Check(fine())
	for _, f := range all {
		if f.Severity != OK || f.Advice != "" {
			t.Errorf("%+v", f)
		}
	}
	want := []string{"video.format", "keyframes.interval", "framerate.steady", "audio.format", "av.together", "bitrate.steady"}
	if got := codes(all); !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
}

func codes(all []Finding) (c []string) {
	for _, f := range all {
		c = append(c, f.Code)
	}
	return c
}

// TestRules: one thing changed of a fine stream, and the one thing that is said.
func TestRules(t *testing.T) {
	apart := func(d time.Duration) *time.Duration { return &d }
	tests := map[string]struct {
		change   func(m *Measures)
		code     string
		severity Severity
		text     string
	}{
		"nothing":         {func(m *Measures) { m.Video, m.Audio = nil, nil }, "media.none", Problem, "No media"},
		"no video":        {func(m *Measures) { m.Video = nil }, "video.none", Info, "sound alone"},
		"no sound":        {func(m *Measures) { m.Audio = nil }, "audio.none", Warning, "no sound"},
		"HEVC":            {func(m *Measures) { m.Video.Codec = "HEVC" }, "video.codec", Info, "everywhere"},
		"12 s":            {func(m *Measures) { m.Video.Keys = Distances{2, 12e9, 12e9, 12e9, 0} }, "keyframes.long", Problem, "12.0 s"},
		"not yet":         {func(m *Measures) { m.Video.Keys = Distances{1, 0, 0, 0, 11e9} }, "keyframes.long", Problem, "11.0 s"},
		"5 s":             {func(m *Measures) { m.Video.Keys = Distances{4, 5e9, 5e9, 5e9, 0} }, "keyframes.long", Warning, "5.0 s"},
		"4 s, low":        {func(m *Measures) { m.Video.Keys = Distances{4, 4e9, 4e9, 4e9, 0} }, "keyframes.long", Warning, "4.0 s"},
		"none":            {func(m *Measures) { m.Video.Keys = Distances{} }, "keyframes.none", Problem, "nobody"},
		"short":           {func(m *Measures) { m.Video.Keys = Distances{80, 25e7, 25e7, 25e7, 0} }, "keyframes.short", Warning, "250 ms"},
		"irregular":       {func(m *Measures) { m.Video.Keys = Distances{20, 5e8, 15e8, 3e9, 0} }, "keyframes.irregular", Warning, "500 ms to 3.0 s"},
		"5 fps":           {func(m *Measures) { m.Video.Rate, m.Video.StatedRate = 5, 5 }, "framerate.low", Warning, "5 pictures"},
		"120 fps":         {func(m *Measures) { m.Video.Rate, m.Video.StatedRate = 120, 120 }, "framerate.high", Info, "120 pictures"},
		"variable":        {func(m *Measures) { m.Video.Uneven = 0.4 }, "framerate.variable", Warning, "40 %"},
		"dropped":         {func(m *Measures) { m.Video.Rate = 20 }, "framerate.differs", Warning, "29.97"},
		"a picture stood": {func(m *Measures) { m.Video.Longest = 900 * time.Millisecond }, "video.gap", Warning, "900 ms"},
		"B-frames":        {func(m *Measures) { m.Video.Reordered, m.Video.Reorder = true, 2e8 }, "bframes.delay", Warning, "200 ms"},
		"few B-frames":    {func(m *Measures) { m.Video.Reordered, m.Video.Reorder = true, 66e6 }, "bframes.used", Info, "66 ms"},
		"changes":         {func(m *Measures) { m.Changes = 1 }, "format.changes", Warning, "once"},
		"22 kHz":          {func(m *Measures) { m.Audio.SampleRate = 22050 }, "audio.rate", Info, "22050"},
		"5.1":             {func(m *Measures) { m.Audio.Channels = 6 }, "audio.channels", Info, "6 channels"},
		"holes":           {func(m *Measures) { m.Audio.Longest = 3e8 }, "audio.gap", Warning, "300 ms"},
		"long holes":      {func(m *Measures) { m.Audio.Longest = 3e9 }, "audio.gap", Problem, "3.0 s"},
		"sound stopped":   {func(m *Measures) { m.Audio.Missing = 5e9 }, "audio.lost", Problem, "5.0 s"},
		"late sound":      {func(m *Measures) { m.Audio.Late = 4e9 }, "audio.late_start", Warning, "4.0 s"},
		"apart":           {func(m *Measures) { m.Ahead = apart(-800 * time.Millisecond) }, "av.apart", Warning, "800 ms behind"},
		"far apart":       {func(m *Measures) { m.Ahead = apart(3 * time.Second) }, "av.apart", Problem, "3.0 s ahead"},
		"drift":           {func(m *Measures) { m.Drift = -200 * time.Millisecond }, "av.drift", Warning, "200 ms in 20.0 s"},
		"collapse":        {func(m *Measures) { m.Bitrate.Lowest = 5e5 }, "bitrate.collapse", Warning, "500 kbit/s"},
		"peaks":           {func(m *Measures) { m.Bitrate.Peak = 15e6 }, "bitrate.peaks", Warning, "15.0 Mbit/s"},
		"back":            {func(m *Measures) { m.Clock.Backward = 2 }, "clock.backward", Problem, "2 times"},
		"jump":            {func(m *Measures) { m.Clock.Jumps = 1 }, "clock.jumps", Warning, "once"},
		"jumps":           {func(m *Measures) { m.Clock.Jumps = 5 }, "clock.jumps", Problem, "5 times"},
		"malformed":       {func(m *Measures) { m.Malformed = 3 }, "media.malformed", Warning, "3 pieces"},
		"unsupported":     {func(m *Measures) { m.Unsupported = 3 }, "media.unsupported", Warning, "3 pieces"},
		"slow":            {func(m *Measures) { m.Arrival.Pace = 0.8 }, "arrival.slow", Problem, "0.80 s"},
		"a little slow":   {func(m *Measures) { m.Arrival.Pace = 0.95 }, "arrival.slow", Warning, "0.95 s"},
		"stall":           {func(m *Measures) { m.Arrival.Stall = 2e9 }, "arrival.stall", Warning, "2.0 s"},
		"long stall":      {func(m *Measures) { m.Arrival.Stall = 9e9 }, "arrival.stall", Problem, "9.0 s"},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			m := fine()
			tt.change(&m)
			var said []Finding
			for _, f := range Check(m) {
				if f.Severity != OK {
					said = append(said, f)
				}
			}
			if len(said) != 1 || said[0].Code != tt.code || said[0].Severity != tt.severity || !strings.Contains(said[0].Text, tt.text) {
				t.Fatalf("%+v", said)
			}
			if s := said[0]; s.Severity == Problem || s.Severity == Warning {
				if s.Advice == "" {
					t.Error("nothing is advised")
				}
			}
		})
	}
}

// TestUnmeasured: what nobody measured is not spoken of.
func TestUnmeasured(t *testing.T) {
	got := codes(Check(Measures{Video: &Video{Codec: "H.264"}, Audio: &Audio{Codec: "AAC"}}))
	if !slices.Equal(got, []string{"video.format", "audio.format"}) {
		t.Errorf("%q", got)
	}
	m := fine()
	m.Ended, m.Audio.Missing, m.Arrival = true, 9e9, Arrival{0.5, 9e9}
	if got := Worst(Check(m)); got != OK {
		t.Errorf("what has ended is called late: %+v", Check(m))
	}
}

func TestSort(t *testing.T) {
	all := []Finding{{Code: "a", Severity: OK}, {Code: "b", Severity: Warning}, {Code: "c", Severity: Problem}, {Code: "d", Severity: Info}, {Code: "e", Severity: Warning}}
	if Worst(all) != Problem || Worst(nil) != OK {
		t.Error("the worst is not the worst")
	}
	Sort(all)
	if got := strings.Join(codes(all), ""); got != "cbeda" {
		t.Error(got)
	}
}

func TestFromReport(t *testing.T) {
	now := time.Now()
	ahead := -30 * time.Millisecond
	r := remux.Report{
		Phase: remux.Live, LastPart: now.Add(-5 * time.Second), Bitrate: 3e6, FrameRate: 25, AVOffset: &ahead,
		Config: &av.Config{
			Video: &av.Track{Codec: av.H264, Width: 1280, Height: 720, FrameRate: 25},
			Audio: &av.Track{Codec: av.AAC, SampleRate: 48000, Channels: 2},
		},
		KeyFrames: remux.KeyFrames{Last: 2e9, Min: 2e9, Max: 2e9},
		HLS:       remux.HLSReport{Target: 2e9, PartTarget: 333e6, Window: 12e9},
	}
	r.Publisher.VideoFrames, r.Publisher.AudioFrames, r.Publisher.Malformed = 1000, 1900, 1<<63
	m := FromReport(r, now)
	if m.Video.Width != 1280 || m.Video.Frames != 1000 || m.Audio.Codec != "AAC" || m.Ahead != &ahead || m.Malformed <= 0 || !m.LowLatency || m.Ended || m.Arrival.Stall != 5*time.Second {
		t.Errorf("%+v", m)
	}
	if got := codes(Check(m)); !slices.Equal(got, []string{"video.format", "keyframes.interval", "framerate.steady", "audio.format", "av.together", "bitrate.steady", "media.malformed", "arrival.stall"}) {
		t.Errorf("%q", got)
	}
	r.KeyFrames = remux.KeyFrames{}
	if got := codes(Check(FromReport(r, now))); !slices.Contains(got, "keyframes.long") {
		t.Errorf("one key frame in 12 s: %q", got)
	}
	if got := codes(Check(FromReport(remux.Report{Phase: remux.Ended}, now))); !slices.Equal(got, []string{"media.none"}) {
		t.Errorf("%q", got)
	}
}
