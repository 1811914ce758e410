package fmp4

import (
	"testing"
	"time"

	"headwater/remux/av"
)

// steady returns a fragment of the given length as an encoder at 6 Mbit/s makes
// it: 30 pictures a second, the first of them a key frame, and AAC at 48 kHz.
func steady(length time.Duration) *Fragment {
	const (
		frameTicks = videoTimescale / 30
		frameBytes = 6_000_000 / 8 / 30
		aacBytes   = 160_000 / 8 * 1024 / 48000
	)
	f := &Fragment{
		Config: &av.Config{
			Video: &av.Track{Codec: av.H264, Timescale: videoTimescale},
			Audio: &av.Track{Codec: av.AAC, Timescale: 48000},
		},
		Sequence: 1,
		VideoEnd: int64(length * videoTimescale / time.Second),
		AudioEnd: int64(length*48000/time.Second) / 1024 * 1024,
	}
	for at := int64(0); at < f.VideoEnd; at += frameTicks {
		frame := av.Frame{
			Kind: av.Video, Time: at, Key: at == 0, Config: f.Config,
			CTS:  33 * time.Millisecond * time.Duration(at/frameTicks%3),
			Data: payload(frameBytes - int(at/frameTicks%7)),
		}
		f.Video = append(f.Video, frame)
	}
	for at := int64(0); at < f.AudioEnd; at += 1024 {
		frame := av.Frame{Kind: av.Audio, Time: at, Key: true, Config: f.Config, Data: payload(aacBytes - int(at/1024%5))}
		f.Audio = append(f.Audio, frame)
	}
	return f
}

// payload returns n bytes that have been written: memory that nobody has written
// is copied at no cost.
func payload(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i)
	}
	return b
}

func BenchmarkAppendFragment(b *testing.B) {
	for _, c := range []struct {
		name   string
		length time.Duration
	}{{"part-333ms", time.Second / 3}, {"segment-2s", 2 * time.Second}} {
		f := steady(c.length)
		once, err := AppendFragment(nil, f)
		if err != nil {
			b.Fatal(err)
		}
		for _, dst := range []struct {
			name string
			buf  []byte
		}{{"fresh", nil}, {"reused", once[:0]}} {
			b.Run(c.name+"/"+dst.name, func(b *testing.B) {
				b.SetBytes(int64(len(once)))
				b.ReportAllocs()
				for b.Loop() {
					if _, err := AppendFragment(dst.buf, f); err != nil {
						b.Fatal(err)
					}
				}
			})
		}
	}
}
