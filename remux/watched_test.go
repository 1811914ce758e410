package remux

import (
	"testing"
	"time"

	"headwater/remux/av"
)

func TestBegunTellsOfNewStreams(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	if n := r.Begun().Load(); n != 0 {
		t.Fatalf("%d streams have begun", n)
	}
	told := make(chan uint64)
	go func() {
		n, _ := r.Begun().Wait(t.Context(), func(n uint64) bool { return n > 0 })
		told <- n
	}()
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	if n := <-told; n != 1 || r.Stream(Name{"live", "x"}) == nil {
		t.Errorf("told of %d streams", n)
	}
	p.Close()
	if _, err := r.Publish(Name{"live", "x"}, Claim{}); err != nil {
		t.Fatal(err)
	}
	if n := r.Begun().Load(); n != 1 {
		t.Errorf("a publisher that came back made %d streams", n)
	}
}

func TestUnwatched(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	s := p.Stream()
	s.Began = s.Began.Add(-time.Minute)
	if d := s.Unwatched(); d < 24*time.Hour {
		t.Errorf("unwatched for %v, though nobody ever wanted it", d)
	}
	s.touched.Store(1)
	if d := s.Unwatched(); d < time.Minute || d > time.Hour {
		t.Errorf("unwatched for %v", d)
	}
	cursor := s.NewCursor()
	for name, touch := range map[string]func(){
		"Touch":       s.Touch,
		"Cursor.Take": func() { cursor.Take(make([]av.Frame, 1)) },
	} {
		s.touched.Store(0)
		if touch(); s.Unwatched() > 10*time.Second {
			t.Errorf("%s: unwatched for %v", name, s.Unwatched())
		}
	}
}
