package remux

import (
	"bytes"
	"testing"
	"time"

	"headwater/remux/av"
)

// TestSegmentBytes publishes 50 Mbit/s with a key frame each ten seconds, as for a master
// that is kept. No segment is above 32 MiB, and the playlist says what it may.
func TestSegmentBytes(t *testing.T) {
	o := DefaultOptions()
	o.Window = time.Minute
	s := newPictures(t, o)
	const size, pictures = 50_000_000 / 8 / 25, 25 * 25
	for i := range pictures {
		body := make([]byte, size)
		copy(body, []byte{0x27, 1, 0, 0, 0, 0, (size - 9) >> 16, (size - 9) >> 8 & 255, (size - 9) & 255, 0x41})
		if i%250 == 0 {
			body[0], body[9] = 0x17, 0x65
		}
		s.write(i*40, body)
	}
	ix := s.p.Stream().Index()
	if n := len(ix.Segments); n != 4 {
		t.Fatalf("%d segments in 25 s", n)
	}
	for i, seg := range ix.Segments {
		if seg.Bytes > o.MaxSegmentBytes || seg.Bytes < o.MaxSegmentBytes*8/10 {
			t.Errorf("segment %d has %d bytes", i, seg.Bytes)
		}
		if key := i%2 == 0; seg.Independent != key || seg.video.frames[0].key != key {
			t.Errorf("segment %d begins with a key frame: %v", i, seg.video.frames[0].key)
		}
	}
	if ix.Target != 5*time.Second {
		t.Errorf("target duration %v", ix.Target)
	}
	for _, f := range []Format{FMP4, TS} {
		o, err := ix.Playlist(f, Ask{})
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Contains(o.Body, []byte("INDEPENDENT-SEGMENTS")) || !bytes.Contains(o.Body, []byte("TARGETDURATION:5\n")) {
			t.Errorf("%s", o.Body)
		}
	}
	s.p.Close()
	checkUneven(t, "50 Mbit/s", s.p.Stream().Index(), pictures, 40*time.Millisecond, false)
}

// TestSegmentBytesOfAnyRate: whatever comes at once, a segment that is cut for its bytes
// has lasted a second.
func TestSegmentBytesOfAnyRate(t *testing.T) {
	o := DefaultOptions()
	o.Window, o.MaxSegmentBytes = time.Hour, 20_000
	for _, gop := range []int{1, 7, 40, 1000} {
		s := newPictures(t, o)
		for i := range 1000 { // 33 s
			body := make([]byte, 10_000)
			copy(body, []byte{0x27, 1, 0, 0, 0, 0, 0, 0x27, 0x07, 0x41})
			if i%gop == 0 {
				body[0], body[9] = 0x17, 0x65
			}
			s.write(i*33, body)
		}
		s.p.Close()
		ix := s.p.Stream().Index()
		checkUneven(t, "300 kB a second", ix, 1000, 33*time.Millisecond, false)
		for _, seg := range ix.Segments[:len(ix.Segments)-1] {
			if next := ix.find(seg.Sequence + 1); seg.Duration < time.Second && !(next.Independent && !seg.Independent) {
				t.Errorf("a key frame each %d: a segment of %v", gop, seg.Duration)
			}
		}
		if n := len(ix.Segments); n < 18 || n > 66 {
			t.Errorf("a key frame each %d: %d segments in 33 s", gop, n)
		}
	}
}

// TestStallAtAHighRate: a viewer of 50 Mbit/s, 1.9 s behind when it begins, reads nothing
// for two seconds more, and misses nothing. One that stays away for six goes on at a key
// frame.
func TestStallAtAHighRate(t *testing.T) {
	const size = 50_000_000 / 8 / 25
	s := newPictures(t, DefaultOptions())
	sent := 0
	more := func(n int) {
		for range n {
			body := make([]byte, size)
			copy(body, []byte{0x27, 1, 0, 0, 0, 0, (size - 9) >> 16, (size - 9) >> 8 & 255, (size - 9) & 255, 0x41})
			if sent%50 == 0 { // each 2 s
				body[0], body[9] = 0x17, 0x65
			}
			s.write(sent*40, body)
			sent++
		}
	}
	more(48)
	cursor := s.p.Stream().NewCursor()
	var one [1]av.Frame
	room := make([]av.Frame, 500)
	if b := cursor.Take(one[:]); len(b.Frames) != 1 || b.Frames[0].DTS != 0 {
		t.Fatalf("begins with %+v", b)
	}
	more(50)
	if b := cursor.Take(room); b.Skipped || len(b.Frames) != sent-1 {
		t.Errorf("%d frames of %d, skipped %v", len(b.Frames), sent-1, b.Skipped)
	}
	more(150)
	if b := cursor.Take(room); !b.Skipped || !b.Frames[0].Key {
		t.Errorf("%d frames, skipped %v", len(b.Frames), b.Skipped)
	}
}
