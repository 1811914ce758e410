package fanout

import (
	"testing"
	"time"
)

// TestTurns numbers turns and says when they begin: those of few viewers come more often,
// at times that are also those of many.
func TestTurns(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct {
		gather  time.Duration
		viewers int64
		now     time.Duration
		turn    int64
		next    time.Duration
	}{
		{100 * ms, 51, 250 * ms, 10, 300 * ms},
		{100 * ms, 50, 250 * ms, 12, 260 * ms},
		{100 * ms, 1, 280 * ms, 14, 300 * ms},
		{100 * ms, 1, 299 * ms, 14, 300 * ms},
		{100 * ms, 1, 300 * ms, 15, 320 * ms},
		{33 * ms, 1, 40 * ms, 1, 66 * ms},
		{10 * ms, 1, 25 * ms, 2, 30 * ms},
		{350 * ms, 1000, 349 * ms, 0, 350 * ms},
		{350 * ms, 1, 350*ms - 1, 16, 350 * ms}, // 17 steps of 20.588235 ms are not quite all of it
		{350 * ms, 1, 351 * ms, 17, 350*ms + 350*ms/17},
	} {
		f := New(Config{Gather: c.gather})
		f.viewers.Store(c.viewers)
		if turn, next := f.turn(c.now), f.following(c.now); turn != c.turn || next != c.next {
			t.Errorf("%d viewers, %v: at %v it is turn %d and the next one at %v, want %d and %v", c.viewers, c.gather, c.now, turn, next, c.turn, c.next)
		}
		f.Close()
	}
}

// TestRoomiest fills one loop before the next is begun with, and then all alike.
func TestRoomiest(t *testing.T) {
	f := New(Config{Gather: 10 * time.Millisecond})
	defer f.Close()
	loops := f.loops
	defer func() { f.loops = loops }()
	f.loops = []*loop{{}, {}, {}}
	full := int(f.config.Gather / roomFor)
	has := func() (n [3]int) {
		for i, l := range f.loops {
			n[i] = l.viewers
		}
		return n
	}
	add := func(n int) {
		for range n {
			f.roomiest().viewers++
		}
	}
	for _, c := range []struct {
		more int
		want [3]int
	}{
		{full, [3]int{full, 0, 0}},
		{full + 5, [3]int{full, full, 5}},
		{full - 5, [3]int{full, full, full}},
		{30, [3]int{full + 10, full + 10, full + 10}},
	} {
		if add(c.more); has() != c.want {
			t.Errorf("%d more: the loops have %v viewers, want %v", c.more, has(), c.want)
		}
	}
	f.loops[1].viewers = 1
	if add(2); f.loops[1].viewers != 3 {
		t.Errorf("the loops have %v viewers: those of the one in the middle had left", has())
	}
}
