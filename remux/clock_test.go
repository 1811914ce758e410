package remux

import (
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// stamped is one message and the DTS in ms that it must get.
type stamped struct {
	kind av.Kind
	raw  uint32
	want int64
	jump bool
}

const ms = time.Millisecond

func TestClock(t *testing.T) {
	v, a := av.Video, av.Audio
	tests := []struct {
		name    string
		origin  time.Duration
		resumed bool
		in      []stamped
	}{
		{name: "kept as they come", in: []stamped{{v, 100, 100, false}, {a, 90, 90, false}, {v, 133, 133, false}, {a, 113, 113, false}}},
		{name: "wrap at 2^32", in: []stamped{
			{v, 0xFFFFFFF0, 0xFFFFFFF0, false}, {a, 0xFFFFFFE0, 0xFFFFFFE0, false},
			{v, 0x11, 0x100000011, false}, {a, 0x05, 0x100000005, false}, {v, 0x32, 0x100000032, false},
		}},
		{name: "wrap between the first messages of each track", in: []stamped{
			{a, 0xFFFFFFF0, 0xFFFFFFF0, false}, {v, 4, 0x100000004, false},
		}},
		{name: "wrap at 2^31", in: []stamped{
			{v, 0x7FFFFFF0, 0x7FFFFFF0, false}, {v, 0x11, 0x80000011, false}, {v, 0x32, 0x80000032, false},
			{a, 0x20, 0x80000020, false},
		}},
		{name: "past 2^24", in: []stamped{{v, 0xFFFFFF, 0xFFFFFF, false}, {v, 0x1000020, 0x1000020, false}}},
		{name: "a late frame keeps its place", in: []stamped{{v, 100, 100, false}, {v, 140, 140, false}, {v, 120, 140, false}, {v, 180, 180, false}}},
		{name: "both tracks restart at zero", in: []stamped{
			{v, 50000, 50000, false}, {a, 50010, 50010, false}, {v, 50040, 50040, false}, {a, 50033, 50033, false},
			{v, 0, 50080, true}, {a, 5, 50085, false}, {v, 40, 50120, false}, {a, 28, 50108, false},
		}},
		{name: "both tracks jump ahead by a day", in: []stamped{
			{v, 1000, 1000, false}, {a, 1000, 1000, false}, {v, 1040, 1040, false}, {a, 1023, 1023, false},
			{a, 86401046, 1046, true}, {v, 86401080, 1080, false}, {v, 86401120, 1120, false},
		}},
		{name: "one track alone jumps", in: []stamped{
			{v, 1000, 1000, false}, {a, 1000, 1000, false}, {v, 1040, 1040, false}, {a, 1023, 1023, false},
			{v, 61080, 1080, true}, {a, 1046, 1046, false}, {v, 61120, 1120, false}, {a, 1069, 1069, false},
		}},
		{name: "tracks that begin far apart", in: []stamped{{a, 1000, 1000, false}, {v, 900000, 1000, false}, {v, 900040, 1040, false}, {a, 1023, 1023, false}}},
		{name: "audio that runs two seconds ahead", in: []stamped{{a, 2000, 2000, false}, {v, 0, 0, false}, {v, 40, 40, false}}},
		{name: "a successor goes on", origin: 70 * time.Second, resumed: true, in: []stamped{
			{v, 12345, 70000, false}, {a, 12350, 70005, false}, {v, 12385, 70040, false},
		}},
		{name: "one track is silent for a while", in: []stamped{
			{v, 0, 0, false}, {a, 0, 0, false}, {v, 9000, 9000, false}, {v, 18000, 18000, false}, {v, 24000, 24000, false},
			{a, 24010, 24010, false}, {v, 24040, 24040, false}, {a, 24033, 24033, false},
		}},
		{name: "both are silent for a while", in: []stamped{
			{v, 0, 0, false}, {a, 0, 0, false}, {v, 40, 40, false}, {a, 23, 23, false},
			{v, 24040, 80, true}, {a, 24023, 63, false}, {v, 24080, 120, false}, {a, 24046, 86, false},
		}},
		{name: "one track alone jumps by less than a jump", in: []stamped{
			{v, 0, 0, false}, {a, 0, 0, false}, {v, 40, 40, false}, {a, 23, 23, false},
			{v, 8040, 8040, false}, {a, 46, 46, false}, {v, 8540, 8540, false}, {a, 546, 546, false},
			{v, 9040, 9040, false}, {a, 1046, 9040, true}, {v, 9080, 9080, false}, {a, 1069, 9063, false},
		}},
		{name: "a gap, and sound from before it", in: []stamped{
			{v, 0, 0, false}, {a, 0, 0, false}, {v, 40, 40, false}, {v, 8040, 8040, false}, {a, 23, 23, false}, {a, 46, 46, false},
			{a, 8046, 8046, false}, {v, 8080, 8080, false},
		}},
		{name: "a gap of nine seconds is a gap", in: []stamped{{v, 0, 0, false}, {v, 40, 40, false}, {v, 9040, 9040, false}}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			c := clock{origin: test.origin, resumed: test.resumed}
			for i, m := range test.in {
				dts, _, jump := c.stamp(m.kind, m.raw, 0)
				if dts != time.Duration(m.want)*ms || jump != m.jump {
					t.Fatalf("message %d (%d): DTS %d ms, jump %v; want %d, %v", i, m.raw, dts/ms, jump, m.want, m.jump)
				}
			}
		})
	}
}

func TestClockKeepsPresentationOfLateFrames(t *testing.T) {
	var c clock
	c.stamp(av.Video, 100, 80*ms)
	dts, cts, _ := c.stamp(av.Video, 90, 80*ms)
	if dts != 100*ms || dts+cts != 170*ms {
		t.Errorf("DTS %v, PTS %v; want 100ms, 170ms", dts, dts+cts)
	}
}

// TestClockDrift: sound whose clock is slow by one in a hundred is never further from
// the pictures than it may be, and each step is one discontinuity.
func TestClockDrift(t *testing.T) {
	for _, k := range []av.Kind{av.Video, av.Audio} {
		var c clock
		jumps := 0
		for at := int64(0); at < 4*3600*1000; at += 20 {
			slow, fast := at*99/100, at
			raw := map[av.Kind]int64{av.Video: fast, av.Audio: fast}
			raw[k] = slow
			v, _, jumped := c.stamp(av.Video, uint32(raw[av.Video]), 0)
			a, _, jumped2 := c.stamp(av.Audio, uint32(raw[av.Audio]), 0)
			if jumped || jumped2 {
				jumps++
			}
			if skew := v - a; skew < -maxSkew-lateFor || skew > maxSkew+lateFor {
				t.Fatalf("%v: %v apart after %v", k, skew, time.Duration(at)*ms)
			}
		}
		if jumps < 20 || jumps > 30 { // 144 s in steps of 5
			t.Errorf("%v: %d discontinuities", k, jumps)
		}
	}
}

// TestClockMonth drives 30 days of both tracks through every wrap of 32 bits.
func TestClockMonth(t *testing.T) {
	skipRaced(t)
	t.Parallel()
	var c clock
	const step = 40 // ms
	start := int64(0xFFFF0000)
	for raw := start; raw < start+30*24*3600*1000; raw += step {
		for _, k := range []av.Kind{av.Video, av.Audio} {
			at := raw + int64(k)
			dts, _, jumped := c.stamp(k, uint32(at), 0)
			if dts != time.Duration(at)*ms || jumped {
				t.Fatalf("kind %d at %d ms: DTS %d ms, jump %v", k, at, dts/ms, jumped)
			}
		}
	}
}

func audioFrame(dts time.Duration) *av.Frame {
	return &av.Frame{Kind: av.Audio, Key: true, DTS: dts}
}

func TestSampleClock(t *testing.T) {
	track := &av.Track{Codec: av.AAC, Timescale: 44100, FrameSamples: 1024}

	t.Run("counts samples through millisecond rounding", func(t *testing.T) {
		var s sampleClock
		first := int64(-1)
		for i := range int64(100_000) { // 38 minutes
			dts := time.Duration(i*1024*1000/44100) * ms
			at := s.place(audioFrame(dts), track)
			if first < 0 {
				first = at
			}
			if at != first+i*1024 {
				t.Fatalf("frame %d at %d, want %d", i, at, first+i*1024)
			}
		}
	})
	t.Run("jumps over a gap", func(t *testing.T) {
		var s sampleClock
		s.place(audioFrame(0), track)
		if at := s.place(audioFrame(500*ms), track); at != 22050 {
			t.Errorf("after a gap of 500 ms: %d, want 22050", at)
		}
	})
	t.Run("comes back gently when it is ahead", func(t *testing.T) {
		var s sampleClock
		last := s.place(audioFrame(0), track)
		for i := range 2000 { // the encoder's frames last 23 ms by its own clock
			dts := time.Duration(i+1) * 23 * ms
			at := s.place(audioFrame(dts), track)
			if at-last < 1024*7/8 || at-last > 1024 {
				t.Fatalf("frame %d is %d samples behind its predecessor", i, at-last)
			}
			if d := at - scale(dts, 44100); d > 44100*70/1000 {
				t.Fatalf("frame %d is %d samples ahead", i, d)
			}
			last = at
		}
	})
	t.Run("video is exact", func(t *testing.T) {
		var s sampleClock
		video := &av.Track{Codec: av.H264, Timescale: 90000}
		for _, d := range []time.Duration{0, 33 * ms, 67 * ms, 1 << 40 * ms} {
			if at := s.place(&av.Frame{Kind: av.Video, DTS: d}, video); at != int64(d/ms)*90 {
				t.Errorf("%v at %d, want %d", d, at, int64(d/ms)*90)
			}
		}
	})
}

// TestPicturesOfOneTime: encoders that were held up send several with one timestamp, the
// key frame among them. Each lasts a tick at least and has a time of its own, also over
// the end of a segment, and so do the decode times of MPEG-TS.
func TestPicturesOfOneTime(t *testing.T) {
	_, messages := testSource(t, 7)
	var pictures []int
	for i, m := range messages {
		if m.typ != flv.TypeVideo || m.body[1] != 1 {
			continue
		}
		pictures = append(pictures, i)
		if n := len(pictures); m.body[0]>>4 == 1 && n > 5 {
			for _, before := range pictures[n-5:] {
				messages[before].ts = messages[pictures[n-5]].ts
			}
		}
	}
	r := NewRegistry(DefaultOptions(), nil)
	ix := publish(t, r, "x", messages).Stream().Index()
	last, n := int64(-1), 0
	for _, s := range ix.Segments {
		for _, f := range s.video.all() {
			if n++; f.Time <= last {
				t.Errorf("picture %d of segment %d has the time %d, behind one of %d", n, s.Sequence, f.Time, last)
			}
			last = f.Time
		}
	}
	if len(ix.Segments) < 3 {
		t.Errorf("%d segments", len(ix.Segments))
	}
}
