package feed

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"headwater/remux"
	"headwater/remux/av"
	"headwater/remux/flv"
)

// stream is a live stream of pictures without sound.
type stream struct {
	t *testing.T
	r *remux.Registry
	p *remux.Publisher
	n uint32
}

var avcHeader = append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
	0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80)

func newStream(t *testing.T, o remux.Options) *stream {
	t.Helper()
	r := remux.NewRegistry(o, nil)
	p, err := r.Publish(remux.Name{App: "live", Stream: "x"}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	s := &stream{t: t, r: r, p: p}
	s.write(avcHeader)
	return s
}

func (s *stream) write(body []byte) {
	s.t.Helper()
	tag := flv.NewTag(len(body))
	copy(flv.Body(tag), body)
	if err := s.p.Write(flv.TypeVideo, s.n*40, tag); err != nil {
		s.t.Fatal(err)
	}
}

// frames publishes n pictures of 40 ms, every 25th a key frame. The first second is
// held back, since sound might still come.
func (s *stream) frames(n int) {
	s.t.Helper()
	for range n {
		body := []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 4, 0x41, 1, 2, 3}
		if s.n%25 == 0 {
			body[0], body[9] = 0x17, 0x65
		}
		s.write(body)
		s.n++
	}
}

// writer is a peer that keeps the times of what it gets.
type writer struct {
	got     []time.Duration // DTS
	turns   []time.Time     // of Flush
	pending int
	flush   func() error
}

func (w *writer) Add(frames []av.Frame, _ []byte) error {
	for _, f := range frames {
		w.got = append(w.got, f.DTS)
	}
	w.pending += 10 * len(frames)
	return nil
}

func (w *writer) Flush() (int, error) {
	w.turns = append(w.turns, time.Now())
	n := w.pending
	w.pending = 0
	if w.flush != nil {
		return n, w.flush()
	}
	return n, nil
}

var errTest = errors.New("test")

// TestRun: from the newest key frame to the end, gathered, nothing twice and nothing
// left out.
func TestRun(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, remux.DefaultOptions())
		s.frames(60) // the newest key frame is the 51st
		w := &writer{}
		f := &Feed{Stream: s.p.Stream(), Gather: 100 * time.Millisecond}
		done := make(chan error)
		go func() { done <- f.Run(t.Context(), w) }()
		for range 100 {
			time.Sleep(40 * time.Millisecond)
			s.frames(1)
		}
		synctest.Wait()
		s.r.Close()
		if err := <-done; err != io.EOF {
			t.Errorf("ended with %v", err)
		}
		if len(w.got) != 110 || f.Frames() != 110 || f.Bytes() != 1100 || f.Skips() != 0 {
			t.Fatalf("%d frames (%d counted), %d bytes, %d skips", len(w.got), f.Frames(), f.Bytes(), f.Skips())
		}
		for i, at := range w.got {
			if want := time.Duration(50+i) * 40 * time.Millisecond; at != want {
				t.Fatalf("frame %d is at %v, want %v", i, at, want)
			}
		}
		if n := len(w.turns); n > 43 {
			t.Errorf("%d writes for 4 s in steps of 100 ms", n)
		}
		for i := 2; i < len(w.turns)-1; i++ {
			if d := w.turns[i].Sub(w.turns[i-1]); d < 60*time.Millisecond {
				t.Errorf("write %d comes %v after the last", i, d)
			}
		}
	})
}

// TestTick comes whether the stream is busy or silent.
func TestTick(t *testing.T) {
	for _, busy := range []bool{true, false} {
		synctest.Test(t, func(t *testing.T) {
			s := newStream(t, remux.DefaultOptions())
			s.frames(30)
			ticks := 0
			f := &Feed{Stream: s.p.Stream(), Every: 15 * time.Second}
			f.Tick = func() error {
				if ticks++; ticks == 4 {
					return errTest
				}
				return nil
			}
			done := make(chan error, 1)
			began := time.Now()
			go func() { done <- f.Run(t.Context(), &writer{}) }()
			for busy && len(done) == 0 {
				time.Sleep(40 * time.Millisecond)
				s.frames(1)
				synctest.Wait()
			}
			if err := <-done; err != errTest {
				t.Errorf("busy %v: ended with %v", busy, err)
			}
			if d := time.Since(began); d < 60*time.Second || d > 61*time.Second {
				t.Errorf("busy %v: four ticks took %v", busy, d)
			}
		})
	}
}

// TestEndOfContext: what is there is sent before the feed gives up.
func TestEndOfContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream(t, remux.DefaultOptions())
		s.frames(30)
		ctx, cancel := context.WithCancelCause(t.Context())
		w := &writer{}
		f := &Feed{Stream: s.p.Stream(), Gather: time.Second}
		done := make(chan error)
		go func() { done <- f.Run(ctx, w) }()
		synctest.Wait() // it pauses
		s.frames(10)
		cancel(errTest)
		if err := <-done; err != errTest {
			t.Errorf("ended with %v", err)
		}
		if len(w.got) != 15 {
			t.Errorf("%d frames", len(w.got))
		}
	})
}

// TestSlowPeer skips to a key frame, and ends if it is told to.
func TestSlowPeer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		o := remux.DefaultOptions()
		o.MaxLag = 2 * time.Second
		s := newStream(t, o)
		s.frames(30)
		w := &writer{}
		w.flush = func() error {
			s.frames(100) // meanwhile
			return nil
		}
		skipped := 0
		f := &Feed{Stream: s.p.Stream(), Skipped: func() error {
			if skipped++; skipped == 3 {
				return errTest
			}
			return nil
		}}
		if err := f.Run(t.Context(), w); err != errTest {
			t.Errorf("ended with %v", err)
		}
		if f.Skips() != 3 {
			t.Errorf("%d skips", f.Skips())
		}
		for i := 1; i < len(w.got); i++ {
			step := w.got[i] - w.got[i-1]
			if key := w.got[i]%time.Second == 0; step != 40*time.Millisecond && !key {
				t.Errorf("frame %d comes %v after the last and is no key frame", i, step)
			}
		}
	})
}

// TestPeerFails: its error ends the feed.
func TestPeerFails(t *testing.T) {
	s := newStream(t, remux.DefaultOptions())
	s.frames(30)
	f := &Feed{Stream: s.p.Stream()}
	if err := f.Run(t.Context(), &writer{flush: func() error { return errTest }}); err != errTest {
		t.Errorf("ended with %v", err)
	}
}
