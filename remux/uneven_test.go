package remux

import (
	"math/rand/v2"
	"testing"
	"time"

	"headwater/remux/flv"
)

// TestUnevenPictures: pictures alone whose rate changes, or that stand still. No part
// is said to be longer than the target, no segment is, and nothing is lost as long as a
// segment can hold it.
func TestUnevenPictures(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	for _, c := range []struct {
		name  string
		next  func(i, at int) (step int) // ms until the picture behind picture i, which is at that time
		still time.Duration              // the longest picture
		holes bool                       // one of them is longer than a segment may be
	}{
		{"30 fps", func(i, _ int) int { return 33 + i%3/2 }, 34 * time.Millisecond, false},
		{"5 fps, then 60", func(_, at int) int {
			if at < 10_000 {
				return 200
			}
			return 17
		}, 200 * time.Millisecond, false},
		{"60 fps, then 5", func(_, at int) int {
			if at < 10_000 {
				return 17
			}
			return 200
		}, 200 * time.Millisecond, false},
		{"each second another rate", func(_, at int) int { return []int{17, 33, 40, 100, 66}[at/1000%5] }, 100 * time.Millisecond, false},
		{"a screen that stands still for 1.5 s now and then", func(i, _ int) int {
			if i%70 == 40 {
				return 1500
			}
			return 33
		}, 1500 * time.Millisecond, false},
		{"still for 2.2 s", func(i, _ int) int {
			if i%70 == 40 {
				return 2200
			}
			return 33
		}, 2200 * time.Millisecond, false},
		{"still for 4 s", func(i, _ int) int {
			if i%100 == 40 {
				return 4000
			}
			return 33
		}, 4 * time.Second, true},
		{"1 fps behind 30", func(_, at int) int {
			if at < 6000 {
				return 33
			}
			return 1000
		}, time.Second, false},
		{"any rate from 4 to 60 fps", func(int, int) int { return 17 + random.IntN(233) }, 250 * time.Millisecond, false},
		{"any", func(int, int) int { return []int{10, 20, 33, 500, 900, 1800}[random.IntN(6)] }, 1800 * time.Millisecond, false},
	} {
		for _, gop := range []int{2000, 5000, 60_000} { // ms
			o := DefaultOptions()
			o.Window = time.Hour
			s := newPictures(t, o)
			sent, key := 0, 0
			for i, at := 0, 0; at < 60_000; i++ {
				s.picture(at, at >= key)
				if at >= key {
					key += gop
				}
				sent++
				at += c.next(i, at)
				if i == 20 {
					key = max(key, at) // however it begins, the first segment is short
				}
			}
			s.p.Close()
			checkUneven(t, c.name, s.p.Stream().Index(), sent, c.still, c.holes)
		}
	}
}

func checkUneven(t *testing.T, name string, ix *Index, sent int, still time.Duration, holes bool) {
	t.Helper()
	got := 0
	for i, seg := range ix.Segments {
		if seg.Duration.Round(time.Second) > ix.Target {
			t.Errorf("%s: a segment of %v, target %v", name, seg.Duration, ix.Target)
		}
		if seg.Discontinuity && !holes {
			t.Errorf("%s: a discontinuity at %v", name, seg.Start)
		}
		if i > 0 && !seg.Discontinuity && seg.Start != ix.Segments[i-1].Start+ix.Segments[i-1].Duration {
			t.Errorf("%s: a segment at %v, behind one that ends at %v", name, seg.Start, ix.Segments[i-1].Start+ix.Segments[i-1].Duration)
		}
		at := seg.Start
		for j, p := range seg.Parts {
			got += p.video.len()
			end := seg.Start + seg.Duration
			if j+1 < len(seg.Parts) {
				end = seg.Parts[j+1].Start
			}
			length := end - at
			switch {
			case p.Duration > ix.PartTarget:
				t.Errorf("%s: a part of %v, target %v", name, p.Duration, ix.PartTarget)
			case p.Start != at:
				t.Errorf("%s: a part at %v, want %v", name, p.Start, at)
			case length <= ix.PartTarget && p.Duration != length:
				t.Errorf("%s: a part of %v is said to last %v", name, length, p.Duration)
			case length > ix.PartTarget && (p.video.len() != 1 || p.Duration != ix.PartTarget || length > still):
				t.Errorf("%s: a part of %d pictures and %v, target %v, is said to last %v", name, p.video.len(), length, ix.PartTarget, p.Duration)
			}
			if p.video.at(0).DTS != p.Start {
				t.Errorf("%s: a part at %v begins with a picture at %v", name, p.Start, p.video.at(0).DTS)
			}
			at = end
		}
	}
	if got != sent && !holes {
		t.Errorf("%s: %d pictures of %d", name, got, sent)
	}
}

// TestUnevenTracks: pictures and sound that come and go as they like. No part is said to
// be longer than the target, and no segment is.
func TestUnevenTracks(t *testing.T) {
	for seed := range uint64(300) {
		random := rand.New(rand.NewPCG(seed, 7))
		steps := [][]int{{33}, {17, 33, 40}, {10, 200, 900}, {500, 1800, 2300}, {33, 5000}, {1000}}
		video, audio := steps[random.IntN(len(steps))], [][]int{{21}, {21, 64}, {23, 500}, {21, 3000}, {120}}[random.IntN(5)]
		gop := []int{1000, 2000, 5000, 30_000}[random.IntN(4)]
		o := DefaultOptions()
		o.Window = time.Hour
		s := newPictures(t, o)
		s.sound(0, []byte{0xaf, 0, 0x12, 0x10})
		v, a, key := 0, random.IntN(500), 0
		for v < 60_000 {
			if a < v {
				s.sound(a, []byte{0xaf, 1, 1, 2, 3})
				a += audio[random.IntN(len(audio))]
				if random.IntN(2000) == 0 {
					a += 8000
				}
				continue
			}
			s.picture(v, v >= key)
			if v >= key {
				key += gop
			}
			v += video[random.IntN(len(video))]
			if random.IntN(2000) == 0 {
				v += 8000
			}
		}
		s.p.Close()
		ix := s.p.Stream().Index()
		for i, seg := range ix.Segments {
			if seg.Duration.Round(time.Second) > ix.Target || seg.Duration <= 0 {
				t.Errorf("seed %d, %v, %v, %d: a segment of %v, target %v", seed, video, audio, gop, seg.Duration, ix.Target)
			}
			if i > 0 && !seg.Discontinuity && seg.Start != ix.Segments[i-1].Start+ix.Segments[i-1].Duration {
				t.Errorf("seed %d: a segment at %v, behind one that ends at %v", seed, seg.Start, ix.Segments[i-1].Start+ix.Segments[i-1].Duration)
			}
			for _, p := range seg.Parts {
				if p.Duration > ix.PartTarget || p.Duration <= 0 {
					t.Errorf("seed %d, %v, %v, %d: a part of %v, target %v", seed, video, audio, gop, p.Duration, ix.PartTarget)
				}
			}
		}
	}
}

func (s *pictures) sound(at int, body []byte) {
	s.t.Helper()
	tag := flv.NewTag(len(body))
	copy(flv.Body(tag), body)
	if err := s.p.Write(flv.TypeAudio, uint32(at), tag); err != nil {
		s.t.Fatal(err)
	}
}
