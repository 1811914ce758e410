package remux

import (
	"context"
	"errors"
	"slices"
	"testing"
	"time"

	"headwater/remux/flv"
)

// stander sends what an encoder does in a second, as often as it is asked to.
type stander struct {
	t      *testing.T
	p      *Publisher
	err    error // of the last Write
	second int
}

func (s *stander) write(typ uint8, at int, body []byte) {
	s.err = s.p.Write(typ, uint32(at), rtmpMessage{body: body}.tag())
}

func (s *stander) header(typ uint8) {
	if typ == flv.TypeAudio {
		s.write(typ, 0, []byte{0xaf, 0, 0x12, 0x10})
		return
	}
	s.write(typ, 0, append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
		0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80))
}

func (s *stander) picture(at int, key bool) {
	body := []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 0x80}
	if key {
		body[0], body[9] = 0x17, 0x65
	}
	s.write(flv.TypeVideo, at, body)
}

func (s *stander) sound(at int) { s.write(flv.TypeAudio, at, []byte{0xaf, 1, 0x21, 0x10}) }

// media sends both for this second, times being mapped by at; a key frame comes every so
// many pictures, and 0 is the first alone.
func (s *stander) media(rate, every int, at func(ms int) int) {
	for i := range rate {
		n := s.second*rate + i
		s.picture(at(n*1000/rate), n == 0 || every > 0 && n%every == 0)
		s.sound(at(n * 1000 / rate))
	}
}

// sounds sends a second of sound.
func (s *stander) sounds() {
	for i := range 43 {
		s.sound(s.second*1000 + i*1000/43)
	}
}

func same(ms int) int { return ms }

// TestStandstill looks for three minutes at what encoders send. Whose playlist stands is
// removed once, not before three times the longest segment; nobody else is.
func TestStandstill(t *testing.T) {
	both := func(s *stander) { s.header(flv.TypeVideo); s.header(flv.TypeAudio) }
	pictures := func(s *stander) { s.header(flv.TypeVideo) }
	tests := map[string]struct {
		options func(*Options)
		begin   func(*stander)
		send    func(*stander)
		from    int // the second from which it stands; 0: it never does
	}{
		"pictures and sound": {nil, both, func(s *stander) { s.media(25, 50, same) }, 0},
		"sound alone":        {nil, func(s *stander) { s.header(flv.TypeAudio) }, (*stander).sounds, 0},
		"5 pictures a second": {nil, pictures, func(s *stander) {
			for i := range 5 {
				s.picture(s.second*1000+i*200, (s.second*5+i)%25 == 0)
			}
		}, 0},
		"a picture in 10 s": {nil, pictures, func(s *stander) {
			if s.second%10 == 0 {
				s.picture(s.second*1000, s.second%20 == 0)
			}
		}, 0},
		"a key frame in 10 s": {nil, both, func(s *stander) { s.media(25, 250, same) }, 0},
		"a key frame in 1 m":  {nil, both, func(s *stander) { s.media(25, 1500, same) }, 0},
		"one key frame":       {nil, both, func(s *stander) { s.media(25, 0, same) }, 0},
		"long parts": {func(o *Options) { o.SegmentDuration, o.PartDuration = 10*time.Second, 5*time.Second }, both,
			func(s *stander) { s.media(25, 250, same) }, 0},
		"no key frame": {nil, both, func(s *stander) {
			for i := range 25 {
				s.picture(s.second*1000+i*40, false)
			}
		}, 0},
		"no header":                       {nil, func(*stander) {}, func(s *stander) { s.media(25, 50, same) }, 0},
		"sound, pictures only announced":  {nil, both, (*stander).sounds, 0},
		"pictures stop":                   {nil, both, func(s *stander) { s.until(20, func() { s.media(25, 50, same) }, s.sounds) }, 0},
		"sound stops":                     {nil, both, func(s *stander) { s.until(20, func() { s.media(25, 50, same) }, func() { s.still(25) }) }, 0},
		"a jump in 7 s":                   {nil, both, func(s *stander) { s.media(25, 250, func(ms int) int { return ms + ms/7000*100_000 }) }, 0},
		"a tenth of real time":            {nil, both, func(s *stander) { s.media(25, 50, func(ms int) int { return ms / 10 }) }, 0},
		"ten times real time":             {nil, both, func(s *stander) { s.media(25, 50, func(ms int) int { return ms * 10 }) }, 0},
		"a minute of silence":             {nil, both, func(s *stander) { s.until(20, func() { s.media(25, 50, same) }, func() { s.resume(80) }) }, 0},
		"timestamps stand":                {nil, both, func(s *stander) { s.media(25, 50, func(ms int) int { return min(ms, 20_000) }) }, 20},
		"timestamps stand from the start": {nil, both, func(s *stander) { s.media(25, 50, func(int) int { return 0 }) }, 1},
		"one key frame, and a jump": {nil, both, func(s *stander) {
			s.media(25, 0, func(ms int) int { return ms + ms/20_000*100_000 })
		}, 20},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			o := DefaultOptions()
			if tt.options != nil {
				tt.options(&o)
			}
			r := NewRegistry(o, nil)
			evicted := make(chan error, 2)
			p, err := r.Publish(Name{"live", "x"}, Claim{Evicted: func(err error) { evicted <- err }})
			if err != nil {
				t.Fatal(err)
			}
			s, w, removed := &stander{t: t, p: p}, standWatch{}, 0
			tt.begin(s)
			for ; s.second < 180 && removed == 0; s.second++ {
				tt.send(s)
				w.look(r.Streams(), standEvery, func(n Name, stood time.Duration) {
					removed = s.second
					if n != p.Stream().Name || stood < 3*o.MaxSegmentDuration {
						t.Errorf("%s is removed after %s", n, stood)
					}
				})
			}
			if tt.from == 0 {
				if s.err != nil || removed != 0 {
					t.Fatalf("removed in second %d: %v", removed, s.err)
				}
				return
			}
			if removed < tt.from+30 || removed > tt.from+33 {
				t.Errorf("removed in second %d, want some 30 s from %d on", removed, tt.from)
			}
			if err := <-evicted; !errors.Is(err, ErrStandstill) {
				t.Errorf("the publisher is told %v", err)
			}
			if s.picture(0, true); !errors.Is(s.err, ErrStandstill) {
				t.Errorf("what it sends now fails with %v", s.err)
			}
			if _, err := r.Publish(Name{"live", "x"}, Claim{}); err != nil {
				t.Errorf("it cannot come back: %v", err)
			}
			w.look(r.Streams(), standEvery, func(Name, time.Duration) { t.Error("the next one is removed at once") })
		})
	}
}

// until does one thing before that second and another from then on.
func (s *stander) until(second int, before, after func()) {
	if s.second < second {
		before()
		return
	}
	after()
}

// still sends pictures alone.
func (s *stander) still(rate int) {
	for i := range rate {
		s.picture(s.second*1000+i*1000/rate, i == 0)
	}
}

// resume sends nothing before that second.
func (s *stander) resume(second int) {
	if s.second >= second {
		s.media(25, 50, same)
	}
}

// TestStandstillSparesTwins: who is still asked about has no playlist that could stand.
func TestStandstillSparesTwins(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	asked := make(chan struct{})
	defer close(asked)
	r.SetTwin("a", func(ctx context.Context, _ Name) (TwinState, error) {
		select {
		case <-asked:
		case <-ctx.Done():
		}
		return TwinState{ID: "b", Phase: TwinAsking}, nil
	})
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	s, w := &stander{t: t, p: p}, standWatch{}
	s.header(flv.TypeVideo)
	s.header(flv.TypeAudio)
	for ; s.second < 60; s.second++ {
		s.media(25, 50, same)
		w.look(r.Streams(), standEvery, func(Name, time.Duration) { t.Error("removed") })
	}
	if p.Stats().VideoFrames != 0 {
		t.Fatal("the twin was not waited for")
	}
}

// TestStandstillOfTheProcess: however long nobody looked, it counts for two looks; and
// a stream that is over is forgotten.
func TestStandstillOfTheProcess(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	s, w := &stander{t: t, p: p}, standWatch{}
	s.header(flv.TypeVideo)
	s.header(flv.TypeAudio)
	removed := func(Name, time.Duration) { t.Error("removed") }
	for range 14 {
		s.media(25, 0, func(int) int { return 0 })
		w.look(r.Streams(), time.Hour, removed)
	}
	p.Close()
	w.look(r.Streams(), time.Hour, removed)
	if len(w) != 0 {
		t.Errorf("%d streams are remembered", len(w))
	}
	if all := r.Streams(); !slices.Contains(all, p.Stream()) {
		t.Errorf("the stream is gone: %v", all)
	}
}
