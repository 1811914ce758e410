package ingest

import (
	"testing"
	"time"

	"headwater/remux"
)

// TestTimesOfMedia sends pictures with all kinds of times. Whatever they say: at most
// five segments a second are made, each of a length that a playlist may state, and
// nobody beside notices.
func TestTimesOfMedia(t *testing.T) {
	const day = 24 * 3600 * 1000
	const frozen = 12 << 20 // bytes
	h := shortHarness(t, 0, func(c *Config) { c.MaxUncut = frozen })
	b := h.bystander(t)
	for _, c := range []struct {
		name   string
		frames int
		size   int
		frame  func(i int) (at int, key bool)
		most   time.Duration // of wall time it may take
		least  int           // segments
		ends   string        // what is logged; "": it goes on
	}{
		{"a key frame each millisecond", 1000, 100, func(i int) (int, bool) { return i, true }, 3 * time.Second, 1, ""},
		{"a key frame each second, at once", 10, 100, func(i int) (int, bool) { return 1000 * i, true }, 3 * time.Second, 6, ""},
		{"ten times real time", 100, 100, func(i int) (int, bool) { return 40 * i, i%25 == 0 }, 3 * time.Second, 3, ""},
		{"a day ahead", 100, 100, func(i int) (int, bool) { return 40*i + i/60*day, i%20 == 0 }, 3 * time.Second, 5, ""},
		{"a day ahead and back, each time", 36, 100, func(i int) (int, bool) { return 40*i + i%2*day, true }, 4 * time.Second, 3, ""},
		{"no key frame", 1000, 100, func(i int) (int, bool) { return 40 * i, false }, 3 * time.Second, 0, ""},
		{"one key frame", 200, 100, func(i int) (int, bool) { return 40 * i, i == 0 }, 3 * time.Second, 1, ""},
		{"over 2^32", 100, 100, func(i int) (int, bool) { return 1<<32 - 2000 + 40*i, i%20 == 0 }, 3 * time.Second, 4, ""},
		{"always the same", 100_000, 1000, func(int) (int, bool) { return 5000, true }, 5 * time.Second, 0, "without a new segment"},
		{"always the same, tiny", 100_000, 10, func(int) (int, bool) { return 5000, true }, 5 * time.Second, 0, "without a new segment"},
		{"no end of a segment", 100_000, 1000, func(i int) (int, bool) { return i / 1000, i == 0 }, 5 * time.Second, 0, "without a new segment"},
		{"one of 8 MB", 1, 8 << 20, func(int) (int, bool) { return 0, true }, 3 * time.Second, 0, ""},
		{"one above the cap", 1, 8<<20 + 1, func(int) (int, bool) { return 0, true }, 3 * time.Second, 0, "too long"},
	} {
		t.Run(c.name, func(t *testing.T) {
			e := h.encoder(t, "live", "timed")
			stream := h.config.Registry.Stream(remux.Name{App: "live", Stream: "timed"})
			first := stream.Coming()
			began := time.Now()
			e.video(0, avcHeader)
			for i := range c.frames {
				at, key := c.frame(i)
				if _, err := e.conn.Write(videoChunk(uint32(at), picture(key, c.size))); err != nil {
					break
				}
			}
			if c.ends == "" {
				e.command(0, "FCUnpublish", 9, nil, "timed")
				e.reply("onFCUnpublish")
			}
			e.closed()
			for h.Stats().Connections > 2 {
				time.Sleep(time.Millisecond)
			}
			took := time.Since(began)
			if took > c.most {
				t.Errorf("took %v", took)
			}
			made := 0
			for _, s := range stream.Index().Segments {
				if s.Sequence < first {
					continue
				}
				made++
				if s.Duration <= 0 || s.Duration > 2*max(time.Second, stream.Index().Target) {
					t.Errorf("segment %d lasts %v, target %v", s.Sequence, s.Duration, stream.Index().Target)
				}
			}
			// The first second is held back, and may be more than one; the last ends at once.
			if most := int(took/cutPause) + 3; made > most || made < c.least {
				t.Errorf("%d segments in %v", made, took)
			}
			if n := len(h.logged("publish ended", "name=live/timed", c.ends)); c.ends != "" && n != 1 {
				t.Errorf("the reason is logged %d times", n)
			}
			h.log.Reset()
		})
	}
	b.unharmed()
	// Who plays may leave with something unread, which resets the connection.
	if st := h.Stats(); st.Ended[Stream] != 3 || st.Ended[Limit] != 1 || st.Ended[Closed]+st.Ended[Reset] != st.Accepted-uint64(st.Connections)-4 || st.Ended[Reset] > 1 {
		t.Errorf("stats %+v", st)
	}
}
