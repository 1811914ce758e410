package remux

import (
	"runtime/debug"
	"slices"
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// pictures publishes a stream of pictures under a test's control.
type pictures struct {
	t *testing.T
	p *Publisher
}

func newPictures(t *testing.T, o Options) *pictures {
	t.Helper()
	p, err := NewRegistry(o, nil).Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	s := &pictures{t, p}
	s.write(0, append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
		0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80))
	return s
}

func (s *pictures) write(at int, body []byte) {
	s.t.Helper()
	tag := flv.NewTag(len(body))
	copy(flv.Body(tag), body)
	if err := s.p.Write(flv.TypeVideo, uint32(at), tag); err != nil {
		s.t.Fatal(err)
	}
}

// picture writes one of a single byte.
func (s *pictures) picture(at int, key bool) {
	s.t.Helper()
	body := []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 1, 0x41}
	if key {
		body[0], body[9] = 0x17, 0x65
	}
	s.write(at, body)
}

// TestClockSteps sets the machine's clock by hours, forth and back. What a playlist says
// of the time of its segments goes on from where the stream began.
func TestClockSteps(t *testing.T) {
	s := newPictures(t, DefaultOptions())
	start := time.Date(2026, 3, 29, 0, 59, 50, 0, time.UTC)
	now := start
	s.p.now = func() time.Time { return now }
	for i := range 25 * 20 {
		switch i {
		case 150:
			now = now.Add(5 * time.Hour)
		case 300:
			now = now.Add(-9 * time.Hour)
		}
		now = now.Add(40 * time.Millisecond)
		s.picture(i*40, i%50 == 0)
	}
	segments := s.p.Stream().Index().Segments
	if len(segments) < 6 {
		t.Fatalf("%d segments", len(segments))
	}
	for i, seg := range segments[1:] {
		last := segments[i]
		if d := seg.ProgramTime.Sub(last.ProgramTime); d != last.Duration || seg.Discontinuity {
			t.Errorf("segment %d is %v behind the one before, which lasts %v; discontinuity %v", seg.Sequence, d, last.Duration, seg.Discontinuity)
		}
		if last.Duration != 2*time.Second {
			t.Errorf("segment %d lasts %v", last.Sequence, last.Duration)
		}
	}
}

// TestMonth publishes thirty days of pictures, with every wrap of their timestamps and
// of those of MPEG-TS, and looks at each frame and each segment: there is nothing but
// one picture after the other, and one segment after the other.
func TestMonth(t *testing.T) {
	skipRaced(t)
	t.Parallel()
	const step, start = 2000, 0xffff_0000 // ms
	s := newPictures(t, DefaultOptions())
	now := time.Date(2026, 3, 1, 0, 0, 0, 0, time.UTC)
	s.p.now = func() time.Time { return now }
	began := now
	cursor := s.p.Stream().NewCursor()
	var room [8]av.Frame
	next := int64(start)
	var last *Segment
	for at := int64(start); at < start+30*24*3600*1000; at += step {
		s.picture(int(uint32(at)), (at-start)%(2*step) == 0)
		now = now.Add(step * time.Millisecond)
		for _, f := range cursor.Take(room[:]).Frames {
			if f.DTS != time.Duration(next)*time.Millisecond || f.Time != next*90 || wireTime(f.DTS) != uint32(next) {
				t.Fatalf("the frame of %d ms is at %v, %d", next, f.DTS, f.Time)
			}
			next += step
		}
		ix := s.p.Stream().Index()
		if len(ix.whole) == 0 || ix.whole[len(ix.whole)-1] == last {
			continue
		}
		seg := ix.whole[len(ix.whole)-1]
		if last != nil && (seg.Sequence != last.Sequence+1 || seg.Start != last.Start+last.Duration || !seg.ProgramTime.Equal(last.ProgramTime.Add(last.Duration))) ||
			seg.Discontinuity || seg.Duration != 2*step*time.Millisecond {
			t.Fatalf("segment %d of %v at %v (%v), behind %+v", seg.Sequence, seg.Duration, seg.Start, seg.ProgramTime, last)
		}
		last = seg
	}
	if next < start+30*24*3600*1000-5*step || last.ProgramTime.Sub(began) < 30*24*time.Hour-10*time.Second {
		t.Errorf("ends at %d, %v", next, last.ProgramTime)
	}
}

// TestTinyFrames: what a frame costs beside its bytes counts, so that frames of a byte
// are not held by the million.
func TestTinyFrames(t *testing.T) {
	o := DefaultOptions()
	o.MaxBytes = 1 << 20
	s := newPictures(t, o)
	for i := range 200_000 {
		s.picture(i/10, i%1000 == 0)
	}
	l := &s.p.stream.log
	if n, most := l.next-l.first, uint64(o.MaxBytes/frameCost); n > most {
		t.Errorf("%d frames are held, want %d at most", n, most)
	}
	held, target := 0, time.Duration(0)
	index := s.p.Stream().Index()
	for _, seg := range index.held {
		held += seg.video.len()
		target += seg.Duration
	}
	// Three target durations have to be there, whatever they cost.
	if target > 4*index.Target+time.Second || held > 100_000 {
		t.Errorf("%d frames of %v are held for HLS", held, target)
	}
}

// skipRaced leaves a long simulation of one goroutine to runs without the race detector.
func skipRaced(t *testing.T) {
	t.Helper()
	info, ok := debug.ReadBuildInfo()
	if ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"}) {
		t.Skip("ten times as long with the race detector, which has nothing to see")
	}
}
