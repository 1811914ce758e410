package remux

import (
	"context"
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
	s.wanted.last.Store(1)
	if d := s.Unwatched(); d < time.Minute || d > time.Hour {
		t.Errorf("unwatched for %v", d)
	}
	cursor := s.NewCursor()
	for name, touch := range map[string]func(){
		"Touch":       s.Touch,
		"Cursor.Take": func() { cursor.Take(make([]av.Frame, 1)) },
	} {
		s.wanted.last.Store(0)
		if touch(); s.Unwatched() > 10*time.Second {
			t.Errorf("%s: unwatched for %v", name, s.Unwatched())
		}
	}
}

// TestWanted is how soon what comes is wanted, by each kind of reader and by several.
func TestWanted(t *testing.T) {
	const gather = 100 * time.Millisecond
	take := func(every time.Duration) func(s *Stream) {
		return func(s *Stream) {
			c := s.NewCursor()
			c.Every = every
			c.Take(make([]av.Frame, 1))
		}
	}
	wait := func(s *Stream) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		c := s.NewCursor()
		_, _ = c.Next(ctx, make([]av.Frame, 1))
	}
	touch := (*Stream).Touch
	later := func(d time.Duration) func(s *Stream) {
		return func(s *Stream) { s.Began = s.Began.Add(-d) }
	}
	for name, c := range map[string]struct {
		steps []func(s *Stream)
		want  time.Duration
	}{
		"nobody":                     {nil, Never},
		"a request":                  {[]func(s *Stream){touch}, 0},
		"a request, 29 s ago":        {[]func(s *Stream){touch, later(29 * time.Second)}, 0},
		"a request, 31 s ago":        {[]func(s *Stream){touch, later(31 * time.Second)}, Never},
		"frames as they come":        {[]func(s *Stream){take(0)}, 0},
		"who waits for a frame":      {[]func(s *Stream){wait}, 0},
		"gathered":                   {[]func(s *Stream){take(gather)}, gather},
		"gathered, 31 s ago":         {[]func(s *Stream){take(gather), later(31 * time.Second)}, Never},
		"gathered in two ways":       {[]func(s *Stream){take(gather), take(350 * time.Millisecond)}, 50 * time.Millisecond},
		"gathered, and a request":    {[]func(s *Stream){touch, take(gather)}, 0},
		"gathered, request 29 s ago": {[]func(s *Stream){touch, later(29 * time.Second), take(gather)}, 0},
		"gathered, request 31 s ago": {[]func(s *Stream){touch, later(31 * time.Second), take(gather)}, gather},
		"gathered, taken 1 s ago":    {[]func(s *Stream){take(0), later(time.Second), take(gather)}, 0},
		"gathered, taken 3 s ago":    {[]func(s *Stream){take(0), later(3 * time.Second), take(gather)}, gather},
		"a request, taken since":     {[]func(s *Stream){touch, take(0), later(3 * time.Second), take(gather)}, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p, err := NewRegistry(DefaultOptions(), nil).Publish(Name{"live", "x"}, Claim{})
			if err != nil {
				t.Fatal(err)
			}
			s := p.Stream()
			for _, step := range c.steps {
				step(s)
			}
			if got := s.Wanted(); got != c.want {
				t.Errorf("wanted at multiples of %v, want %v", got, c.want)
			}
		})
	}
}
