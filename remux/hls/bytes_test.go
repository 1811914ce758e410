package hls

import (
	"fmt"
	"testing"
	"time"

	"headwater/remux/av"
)

// TestSegmentsAreBoundedInBytes: at high rates a segment ends where its bytes do, and
// never so often that there would be hundreds of them.
func TestSegmentsAreBoundedInBytes(t *testing.T) {
	const most = 32 << 20
	room := make([]byte, 8<<20)
	for _, test := range []struct {
		name   string
		mbit   int // a second
		fps    int
		gop    time.Duration
		config *av.Config
		want   []time.Duration // the first segments
		over   bool            // a second holds more than the bound
	}{
		{"6 Mbit/s", 6, 30, 2 * time.Second, videoOnly, []time.Duration{2000 * ms, 2000 * ms, 2000 * ms}, false},
		{"20 Mbit/s, 10 s", 20, 30, 10 * time.Second, videoOnly, []time.Duration{10 * time.Second, 10 * time.Second}, false},
		{"50 Mbit/s, 2 s", 50, 30, 2 * time.Second, videoOnly, []time.Duration{2000 * ms, 2000 * ms}, false},
		{"50 Mbit/s, 10 s", 50, 30, 10 * time.Second, videoOnly, []time.Duration{5366 * ms, 4634 * ms, 5366 * ms, 4634 * ms}, false},
		{"50 Mbit/s, 10 s, with sound", 50, 30, 10 * time.Second, both, []time.Duration{5333 * ms, 4667 * ms, 5333 * ms, 4667 * ms}, false},
		{"60 Mbit/s, one key frame", 60, 60, time.Hour, videoOnly, []time.Duration{4466 * ms, 4434 * ms, 4450 * ms}, false},
		{"60 Mbit/s, 1 fps", 60, 1, time.Hour, videoOnly, []time.Duration{4 * time.Second, 4 * time.Second}, false},
		{"pictures of 8 MB", 240 * 67, 240, time.Hour, videoOnly, []time.Duration{time.Second, time.Second, time.Second}, true},
		{"pictures of 8 MB, all key frames", 60 * 67, 60, 16 * ms, videoOnly, []time.Duration{time.Second, time.Second, time.Second}, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			c := cutter()
			c.MaxSegmentBytes = most
			var cuts []time.Duration
			var bytes, sound int64
			key := time.Duration(0)
			next := func(s *av.Frame, n int64) {
				s.Tag = room[:n]
				if c.Next(s) == NewSegment {
					if s.Kind != av.Video {
						t.Errorf("sound at %v ends a segment", s.DTS)
					}
					cuts = append(cuts, c.At())
					if bytes > most && !test.over {
						t.Errorf("%d bytes in front of %v", bytes, c.At())
					}
					bytes = 0
				}
				bytes += n
			}
			for i := range 25 * test.fps {
				dts := time.Duration(i*1000/test.fps) * ms
				for ; test.config == both && i > 0 && time.Duration(sound)*20*ms <= dts; sound++ {
					next(sample(both, av.Audio, time.Duration(sound)*20*ms, true), 400)
				}
				next(sample(test.config, av.Video, dts, dts >= key), int64(test.mbit*1e6/8/test.fps))
				if dts >= key {
					key += test.gop
				}
			}
			if got := lengths(cuts); len(got) < len(test.want) || fmt.Sprint(got[:len(test.want)]) != fmt.Sprint(test.want) {
				t.Errorf("segments of %v, want %v", got, test.want)
			}
		})
	}
}

func lengths(cuts []time.Duration) (d []time.Duration) {
	for i := 1; i < len(cuts); i++ {
		d = append(d, cuts[i]-cuts[i-1])
	}
	return d
}

// What Late moves into the next segment counts there.
func TestBytesOfALatePicture(t *testing.T) {
	c := cutter()
	c.MaxSegmentBytes = 1000
	c.Target = 2 * time.Second
	room := make([]byte, 900)
	for _, p := range []struct {
		at    time.Duration
		bytes int
		late  Cut
		want  Cut
	}{
		{0, 100, Continue, NewSegment},
		{1000 * ms, 100, Continue, NewPart},
		{2000 * ms, 700, Continue, NewPart},
		{3100 * ms, 250, NewSegment, NewPart}, // the one before began a segment, with 700
		{3200 * ms, 100, Continue, NewSegment},
	} {
		s := sample(videoOnly, av.Video, p.at, p.at == 0)
		s.Tag = room[:p.bytes]
		late := c.Late(s)
		if got := c.Next(s); late != p.late || got != p.want {
			t.Errorf("%v: %v, %v, want %v, %v", p.at, late, got, p.late, p.want)
		}
	}
}
