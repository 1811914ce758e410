package mpegts

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
)

func TestAppendSegmentAppends(t *testing.T) {
	s := benchSegment()
	alone := render(t, []*Segment{s})[0]
	for _, dst := range [][]byte{[]byte("front"), append(make([]byte, 0, 4<<20), "front"...)} {
		got, err := AppendSegment(dst, s)
		if err != nil || string(got[:5]) != "front" || !bytes.Equal(got[5:], alone) {
			t.Errorf("appended to %d of %d: %d bytes, %v", len(dst), cap(dst), len(got), err)
		}
	}
	if again := render(t, []*Segment{s})[0]; !bytes.Equal(again, alone) {
		t.Error("the same segment gives other bytes")
	}
	s.Sequence += 16
	if again := render(t, []*Segment{s})[0]; !bytes.Equal(again, alone) {
		t.Error("16 segments later the bytes are others")
	}
}

// One allocation, and none where there is room; memory for what is written and
// not much more (the allocator's size classes).
func TestAllocations(t *testing.T) {
	s := benchSegment()
	var out []byte
	if n := testing.AllocsPerRun(5, func() { out, _ = AppendSegment(nil, s) }); n > 1 {
		t.Errorf("%v allocations", n)
	}
	if n, err := Size(s); err != nil || n != len(out) {
		t.Errorf("Size: %d, %v; AppendSegment wrote %d", n, err, len(out))
	}
	if cap(out) > len(out)+16<<10 {
		t.Errorf("capacity %d for %d bytes", cap(out), len(out))
	}
	if n := testing.AllocsPerRun(5, func() { out, _ = AppendSegment(out[:0], s) }); n > 0 {
		t.Errorf("%v allocations into memory that is there", n)
	}
}

func TestAppendSegmentFails(t *testing.T) {
	video, audio := &av.Config{Video: videoTrack()}, &av.Config{Audio: aacTrack(48000)}
	tests := []struct {
		name    string
		segment Segment
		want    string
	}{
		{"no config", Segment{}, "no tracks"},
		{"HEVC", Segment{Config: &av.Config{Video: &av.Track{Codec: av.HEVC}}}, "fMP4"},
		{"audio without a track", Segment{Config: video, Audio: sound(audio, 3, 0)}, "without an audio track"},
		{"video without a track", Segment{Config: audio, Video: frames(video, 3, 0, 3600, 3)}, "without a video track"},
		{"endless", Segment{Config: video, Video: frames(video, 3, 0, 3600, 3), End: 11 * time.Minute}, "11m"},
	}
	for _, test := range tests {
		dst := []byte("front")
		got, err := AppendSegment(dst, &test.segment)
		if err == nil || !strings.Contains(err.Error(), test.want) || string(got) != "front" {
			t.Errorf("%s: %q, %v", test.name, got, err)
		}
	}
}

// Frames that cannot be written are left out, and the rest stays in order.
func TestFramesLeftOut(t *testing.T) {
	c := &av.Config{Video: videoTrack(), Audio: aacTrack(48000)}
	resize := func(s av.Frame, size int) av.Frame { return audioSample(c, s.Time, size) }
	audio := sound(c, 20, 0)
	audio[3] = rawSample(c, av.Audio, audio[3].Time, true, nil)
	audio[8] = resize(audio[8], 8185)
	audio[9] = resize(audio[9], 8184)
	audio[19] = rawSample(c, av.Audio, audio[19].Time, true, nil)
	video := frames(c, 10, 0, 3600, 10)
	video[4] = rawSample(c, av.Video, video[4].Time, false, nil)
	video[9] = rawSample(c, av.Video, video[9].Time, false, nil)
	check := newChecker(map[int]byte{testVideoPID: 0x1b, testAudioPID: 0x0f})
	s := &Segment{Config: c, Video: video, Audio: audio, End: 430 * time.Millisecond}
	check.opaque = true // the holes are no PTS step of whole frames
	check.add(render(t, []*Segment{s})[0])
	report(t, check)
	if n := len(check.pes[testVideoPID]); n != 8 {
		t.Errorf("%d access units", n)
	}
	var starts []int64
	n := 0
	for _, p := range check.pes[testAudioPID] {
		frames, ok := splitADTS(p.payload)
		if !ok {
			t.Error("ADTS is broken")
		}
		starts = append(starts, (p.pts-Offset)/1920)
		n += len(frames)
	}
	want := []int64{0, 4, 9, 13, 17} // frame numbers: 3 and 8 are missing
	if n != 17 || len(starts) != len(want) {
		t.Fatalf("%d frames, PES packets from frames %v", n, starts)
	}
	for i := range want {
		if starts[i] != want[i] {
			t.Fatalf("PES packets begin at frames %v, want %v", starts, want)
		}
	}
}

// Audio frames that are large share no PES packet beyond its 64 KB; one that is
// larger than that is left out.
func TestLargeAudio(t *testing.T) {
	c := &av.Config{Audio: audioTrack(av.MP3, 48000, 1152)}
	var audio []av.Frame
	for i, size := range []int{30000, 30000, 30000, 65527, 65528, 100, 100} {
		audio = append(audio, audioSample(c, int64(i)*1152, size))
	}
	check := newChecker(map[int]byte{testAudioPID: 0x03})
	check.add(render(t, []*Segment{{Config: c, Audio: audio, End: 168 * time.Millisecond}})[0])
	report(t, check)
	var sizes []int
	for _, p := range check.pes[testAudioPID] {
		sizes = append(sizes, len(p.payload))
	}
	if len(sizes) != 4 || sizes[0] != 60000 || sizes[1] != 30000 || sizes[2] != 65527 || sizes[3] != 200 {
		t.Errorf("PES packets of %v", sizes)
	}
}

// A segment may have samples of neither track, or of one only: the clock runs on
// and the counters do.
func TestSparseSegments(t *testing.T) {
	c := &av.Config{Video: videoTrack(), Audio: aacTrack(48000)}
	video, audio := frames(c, 200, 0, 3600, 50), sound(c, 375, 0)
	segments := cut(c, 0, video, audio)
	segments[1].Audio = nil
	segments[2].Video = nil
	segments[2].Audio[0].DTS = segments[1].End // a segment begins where the last one ends
	check := newChecker(map[int]byte{testVideoPID: 0x1b, testAudioPID: 0x0f})
	for _, b := range render(t, segments) {
		check.add(b)
	}
	report(t, check)
	empty := render(t, []*Segment{{Config: c, Sequence: 5, End: time.Second}})[0]
	if len(empty) != 3*188 || empty[3] != 0x15 {
		t.Errorf("no samples: %d bytes", len(empty))
	}
}
