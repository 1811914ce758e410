package mpegts

import (
	"testing"
	"time"

	"headwater/remux/av"
)

// BenchmarkAppendSegment writes 2 s of 6 Mbit/s: 30 frames a second and 48 kHz
// AAC.
func BenchmarkAppendSegment(b *testing.B) {
	s := benchSegment()
	b.ReportAllocs()
	var size int
	for b.Loop() {
		out, err := AppendSegment(nil, s)
		if err != nil {
			b.Fatal(err)
		}
		size = len(out)
	}
	b.SetBytes(int64(size))
}

// BenchmarkAppendSegmentReuse is the same into memory that is there already.
func BenchmarkAppendSegmentReuse(b *testing.B) {
	s := benchSegment()
	var out []byte
	b.ReportAllocs()
	for b.Loop() {
		var err error
		if out, err = AppendSegment(out[:0], s); err != nil {
			b.Fatal(err)
		}
	}
	b.SetBytes(int64(len(out)))
}

func benchSegment() *Segment {
	c := &av.Config{Video: videoTrack(), Audio: aacTrack(48000)}
	s := &Segment{Config: c, Sequence: 7, End: 2 * time.Second}
	for i := range 60 {
		size := 24_000
		if i == 0 {
			size = 100_000
		}
		s.Video = append(s.Video, videoSample(c, int64(i)*3000, i == 0, size))
	}
	for i := range 94 {
		s.Audio = append(s.Audio, audioSample(c, int64(i)*1024, 340))
	}
	return s
}
