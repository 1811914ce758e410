package fmp4

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"math"
	"slices"
	"testing"
	"time"

	"headwater/remux/av"
)

// TestFragmentBytes holds one fragment byte for byte: whoever changes it on
// purpose changes what every cache has stored.
func TestFragmentBytes(t *testing.T) {
	c := tracks(av.H264, av.AAC)
	got, err := AppendFragment(nil, &Fragment{
		Config: c, Sequence: 7,
		Video:    []av.Frame{videoSample(0x123456789, true, 66*time.Millisecond, "KEY"), videoSample(0x123456789+3000, false, -33*time.Millisecond, "b")},
		VideoEnd: 0x123456789 + 6000,
		Audio:    []av.Frame{audioSample(512, "aa"), audioSample(1536, "bb")},
		AudioEnd: 2560,
	})
	if err != nil {
		t.Fatal(err)
	}
	want := unhex("000000c0 6d6f6f66" +
		"00000010 6d666864 00000000 00000007" +
		"0000005c 74726166" +
		"00000018 74666864 00020028 00000001 00000bb8 01010000" +
		"00000014 74666474 01000000 0000000123456789" +
		"00000028 7472756e 01000a05 00000002 000000c8 02000000" + "00000003 00001734" + "00000001 fffff466" +
		"0000004c 74726166" +
		"0000001c 74666864 00020038 00000002 00000400 00000002 02000000" +
		"00000014 74666474 01000000 0000000000000200" +
		"00000014 7472756e 01000001 00000002 000000cc" +
		"00000010 6d646174" + hex.EncodeToString([]byte("KEYbaabb")))
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", hex.Dump(got), hex.Dump(want))
	}
}

func videoSample(at int64, key bool, cts time.Duration, data string) av.Frame {
	return av.Frame{Time: at, Kind: av.Video, Key: key, CTS: cts, Data: []byte(data)}
}

func audioSample(at int64, data string) av.Frame {
	return av.Frame{Time: at, Kind: av.Audio, Key: true, Data: []byte(data)}
}

// TestFragmentsJoin writes 40 s in parts as a live stream does: video times are
// milliseconds, so that frames differ in length, and audio times count samples.
func TestFragmentsJoin(t *testing.T) {
	for _, fps := range []float64{24000. / 1001, 25, 30000. / 1001, 30, 60000. / 1001, 7.3} {
		for _, rate := range []int64{44100, 48000} {
			t.Run(fmt.Sprintf("%.3f fps, %d Hz", fps, rate), func(t *testing.T) {
				c := tracks(av.H264, av.AAC)
				c.Audio.Timescale, c.Audio.SampleRate = rate, int(rate)
				var video, audio []av.Frame
				const length = 40.0
				for i := 0; float64(i)/fps < length; i++ {
					ms := int64(math.Round(float64(i)*1000/fps)) + 17
					shown := i + []int{2, 3, -1, 0}[i%4] + 1 // a P frame and the two B frames before it
					cts := int64(math.Round(float64(shown)*1000/fps)) + 17 - ms
					video = append(video, videoSample(ms*90, i%50 == 0, time.Duration(cts)*time.Millisecond, fmt.Sprint("v", i)))
				}
				for i := int64(0); float64(i*1024)/float64(rate) < length; i++ {
					audio = append(audio, audioSample(i*1024+5, fmt.Sprint("a", i)))
				}
				m := writeParts(t, c, video, audio, 333*time.Millisecond)
				compare(t, "video", m.samples[videoTrackID], video)
				compare(t, "audio", m.samples[audioTrackID], audio)
			})
		}
	}
}

// writeParts cuts the samples into parts of about the given length, writes
// them, every other one with timed metadata, and returns the file that they make,
// checked. The last sample of each track only ends the one before.
func writeParts(t *testing.T, c *av.Config, video, audio []av.Frame, length time.Duration) *movie {
	t.Helper()
	file, err := Init(c)
	if err != nil {
		t.Fatal(err)
	}
	cut := func(samples []av.Frame, timescale int64, until time.Duration) int {
		n := len(samples) - 1
		i := slices.IndexFunc(samples, func(s av.Frame) bool { return s.Time >= int64(until)*timescale/int64(time.Second) })
		if i < 0 {
			return max(n, 0)
		}
		return min(i, max(n, 0))
	}
	for sequence, until := uint32(1), length; len(video) > 1 || len(audio) > 1; until += length {
		f := &Fragment{Config: c, Sequence: sequence}
		if len(video) > 1 {
			n := cut(video, videoTimescale, until)
			f.Video, f.VideoEnd, video = video[:n], video[n].Time, video[n:]
		}
		if len(audio) > 1 {
			n := cut(audio, c.Audio.Timescale, until)
			f.Audio, f.AudioEnd, audio = audio[:n], audio[n].Time, audio[n:]
		}
		if sequence%2 == 0 {
			at := int64(until-length) * 9 / 100_000
			f.Metadata = []av.Frame{tagSample(at, "one"), tagSample(at, "two"), tagSample(at+900, "three")}
		}
		before := len(file)
		file, err = AppendFragment(file, f)
		if errors.Is(err, ErrEmpty) && len(f.Video)+len(f.Audio) == 0 && len(file) == before {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		sequence++
	}
	m, err := check(file)
	if err != nil {
		t.Fatal(err)
	}
	m.file = file
	return m
}

// compare holds samples that were read against those that were written, all but
// the last of which are in the file.
func compare(t *testing.T, name string, got []sample, want []av.Frame) {
	t.Helper()
	if len(got) != len(want)-1 {
		t.Fatalf("%s: %d samples, want %d", name, len(got), len(want)-1)
	}
	for i, g := range got {
		w := want[i]
		pts := w.Time + w.CTS.Milliseconds()*90
		if g.dts != w.Time || g.pts() != pts || int64(g.duration) != want[i+1].Time-w.Time {
			t.Fatalf("%s %d: decoded at %d for %d, shown at %d; want %d for %d, %d", name, i, g.dts, g.duration, g.pts(), w.Time, want[i+1].Time-w.Time, pts)
		}
		if g.key() != w.Key || !bytes.Equal(g.data, w.Data) {
			t.Fatalf("%s %d: key %v with %q, want %v with %q", name, i, g.key(), g.data, w.Key, w.Data)
		}
	}
}

// TestFragmentDurations gives times that no encoder should send. Presentation
// times stay; the samples fill the fragment to its end and not beyond.
func TestFragmentDurations(t *testing.T) {
	for _, c := range []struct {
		name  string
		times []int64
		end   int64
		want  []uint32
	}{
		{"one", []int64{10}, 20, []uint32{10}},
		{"even", []int64{0, 10, 20}, 30, []uint32{10, 10, 10}},
		{"two at once", []int64{0, 10, 10, 20}, 30, []uint32{10, 1, 9, 10}},
		{"three at once", []int64{0, 10, 10, 10, 20}, 30, []uint32{10, 1, 1, 8, 10}},
		{"at once at the end", []int64{0, 10, 10, 10}, 12, []uint32{9, 1, 1, 1}},
		{"all at the end", []int64{0, 10, 10, 10}, 10, []uint32{7, 1, 1, 1}},
		{"all at once", []int64{10, 10, 10}, 40, []uint32{1, 1, 28}},
		{"more samples than ticks", []int64{10, 10, 10}, 11, []uint32{0, 0, 1}},
		{"no ticks", []int64{10, 10}, 10, []uint32{0, 0}},
		{"back", []int64{10, 50, 20, 60}, 70, []uint32{40, 1, 9, 10}},
		{"beyond the end", []int64{10, 90, 20}, 30, []uint32{18, 1, 1}},
		{"below 0", []int64{10, -90, 20}, 30, []uint32{1, 9, 10}},
		{"long", []int64{0}, math.MaxUint32, []uint32{math.MaxUint32}},
		{"late", []int64{math.MaxInt64 - 20, math.MaxInt64 - 20}, math.MaxInt64, []uint32{1, 19}},
	} {
		t.Run(c.name, func(t *testing.T) {
			f := &Fragment{Config: tracks(av.H264, 0), Sequence: 1, VideoEnd: c.end}
			for _, at := range c.times {
				f.Video = append(f.Video, videoSample(at, false, 10*time.Millisecond, "x"))
			}
			b, err := AppendFragment(nil, f)
			if err != nil {
				t.Fatal(err)
			}
			m, err := readMovie(b)
			if err != nil {
				t.Fatal(err)
			}
			var got []uint32
			for i, s := range m.samples[videoTrackID] {
				got = append(got, s.duration)
				if s.pts() != c.times[i]+900 {
					t.Errorf("sample %d shown at %d, want %d", i, s.pts(), c.times[i]+900)
				}
			}
			if !slices.Equal(got, c.want) || m.samples[videoTrackID][0].dts != c.times[0] {
				t.Errorf("durations %d from %d, want %d", got, m.samples[videoTrackID][0].dts, c.want)
			}
		})
	}
}

func TestFragmentComposition(t *testing.T) {
	for _, c := range []struct {
		cts  time.Duration
		want int32
	}{
		{0, 0},
		{33 * time.Millisecond, 2970},
		{-8388608 * time.Millisecond, -754974720}, // the least in FLV's 24 bits
		{8388607 * time.Millisecond, 754974630},
		{33_366_666, 3002}, // nanoseconds
		{math.MaxInt64, math.MaxInt32},
		{math.MinInt64, math.MinInt32},
	} {
		f := &Fragment{Config: tracks(av.H264, 0), VideoEnd: 1, Video: []av.Frame{videoSample(0, true, c.cts, "x")}}
		b, err := AppendFragment(nil, f)
		if err != nil {
			t.Fatal(err)
		}
		m, err := readMovie(b)
		if err != nil || m.samples[videoTrackID][0].composition != c.want {
			t.Errorf("%v: offset %d, want %d (error %v)", c.cts, m.samples[videoTrackID][0].composition, c.want, err)
		}
	}
}

// TestFragmentSyncFlags checks that the flags of every arrangement of key
// frames come back, however they are packed.
func TestFragmentSyncFlags(t *testing.T) {
	for _, keys := range []string{"k", "-", "k--", "---", "-k-", "k-k", "kkk", "--k"} {
		f := &Fragment{Config: tracks(av.H264, 0), Sequence: 1, VideoEnd: int64(len(keys))}
		for i, k := range keys {
			f.Video = append(f.Video, videoSample(int64(i), k == 'k', 0, "x"))
		}
		file, err := Init(f.Config)
		if err != nil {
			t.Fatal(err)
		}
		if file, err = AppendFragment(file, f); err != nil {
			t.Fatal(err)
		}
		m, err := check(file)
		if err != nil {
			t.Fatal(err)
		}
		got := ""
		for _, s := range m.samples[videoTrackID] {
			got += map[uint32]string{flagsSync: "k", flagsNonSync: "-"}[s.flags]
		}
		if got != keys {
			t.Errorf("key frames %q, want %q", got, keys)
		}
	}
}

func TestFragmentErrors(t *testing.T) {
	v := []av.Frame{videoSample(10, true, 0, "x")}
	a := []av.Frame{audioSample(10, "x")}
	both := tracks(av.H264, av.AAC)
	for name, f := range map[string]*Fragment{
		"empty":                  {Config: both},
		"no config":              {Video: v, VideoEnd: 20},
		"no video track":         {Config: tracks(0, av.AAC), Video: v, VideoEnd: 20},
		"no audio track":         {Config: tracks(av.H264, 0), Video: v, VideoEnd: 20, Audio: a, AudioEnd: 20},
		"video ends too early":   {Config: both, Video: v, VideoEnd: 9},
		"audio ends too early":   {Config: both, Video: v, VideoEnd: 20, Audio: a, AudioEnd: 9},
		"time below 0":           {Config: both, Video: []av.Frame{videoSample(-1, true, 0, "x")}, VideoEnd: 20},
		"a sample of many hours": {Config: both, Video: v, VideoEnd: 10 + 1<<32},
		"too large":              {Config: both, Video: slices.Repeat([]av.Frame{videoSample(0, true, 0, string(make([]byte, 1<<20)))}, 2048), VideoEnd: 1 << 20},
	} {
		got, err := AppendFragment([]byte("before"), f)
		if err == nil || string(got) != "before" {
			t.Errorf("%s: %d bytes, error %v", name, len(got), err)
		}
		if errors.Is(err, ErrEmpty) != (name == "empty") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}

func TestAppendFragmentAppends(t *testing.T) {
	f := steady(time.Second / 3)
	alone, err := AppendFragment(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	after, err := AppendFragment([]byte("before"), f)
	if err != nil || !bytes.Equal(after, append([]byte("before"), alone...)) {
		t.Errorf("differs from the fragment alone: %d and %d bytes, error %v", len(after), len(alone), err)
	}
	// Growing a slice is one allocation, or more under the race detector.
	var grown []byte
	once := testing.AllocsPerRun(20, func() { grown = slices.Grow([]byte(nil), len(alone)) })
	for _, dst := range [][]byte{nil, grown} {
		allocations := testing.AllocsPerRun(20, func() { _, err = AppendFragment(dst, f) })
		if want := map[bool]float64{true: once}[dst == nil]; allocations != want || err != nil {
			t.Errorf("%v allocations with room for %d bytes, want %v; error %v", allocations, cap(dst), want, err)
		}
	}
}

// TestFragmentOverhead keeps the boxes small: they are sent with every part.
func TestFragmentOverhead(t *testing.T) {
	f := steady(time.Second / 3)
	b, err := AppendFragment(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	payload := 0
	for _, s := range slices.Concat(f.Video, f.Audio) {
		payload += len(s.Data)
	}
	if overhead := len(b) - payload; overhead > 400 {
		t.Errorf("%d bytes of boxes for %d samples", overhead, len(f.Video)+len(f.Audio))
	}
}
