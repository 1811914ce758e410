package main

import (
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// TestMemoryWatch: new load is refused from 80 % on, and taken again below 75 %; each
// is said once.
func TestMemoryWatch(t *testing.T) {
	var log rig.Log
	live := uint64(0)
	w := &memoryWatch{limit: 1000, live: func() uint64 { return live }, log: slog.New(slog.NewTextHandler(&log, nil))}
	w.cycles, w.shed = func() uint64 { return 0 }, func() int { return 0 }
	now := time.Now()
	for _, c := range []struct {
		live uint64
		full bool
	}{{0, false}, {799, false}, {800, true}, {5000, true}, {760, true}, {750, true}, {749, false}, {799, false}, {900, true}} {
		live, now = c.live, now.Add(time.Second)
		if w.look(now); w.Full() != c.full {
			t.Errorf("%d of 1000: full %v", c.live, w.Full())
		}
	}
	if n := strings.Count(log.String(), "are refused"); n != 2 {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
	none := &memoryWatch{limit: math.MaxInt64, live: func() uint64 { return math.MaxUint64 / 200 }}
	if none.look(now); none.Full() {
		t.Error("full without a limit")
	}
}

// TestMemorySheds: from 90 % on viewers are closed, and no more before a collection has
// said what it has brought. It is said how many.
func TestMemorySheds(t *testing.T) {
	var log rig.Log
	var live, cycle uint64
	sheds, slow := 0, 3
	w := &memoryWatch{
		limit: 1000, live: func() uint64 { return live }, cycles: func() uint64 { return cycle },
		shed: func() int { sheds++; n := min(slow, 2); slow -= n; return n }, log: slog.New(slog.NewTextHandler(&log, nil)),
	}
	now := time.Now()
	for i, c := range []struct {
		live, cycle uint64
		sheds       int
	}{
		{899, 1, 0}, {900, 2, 1}, {950, 2, 1}, {950, 2, 1}, {950, 3, 2}, {899, 4, 2}, {899, 5, 2}, {901, 5, 3}, {600, 6, 3}, {2000, 7, 4},
	} {
		live, cycle, now = c.live, c.cycle, now.Add(time.Second)
		if w.look(now); sheds != c.sheds {
			t.Errorf("look %d, %d of 1000: %d times, want %d", i, c.live, sheds, c.sheds)
		}
	}
	if n := strings.Count(log.String(), "slowest viewers are closed"); n != 2 || !strings.Contains(log.String(), "viewers=2") {
		t.Errorf("said %d times:\n%s", n, log.String())
	}
	if before := collections(); before == collections() {
		runtime.GC()
		if collections() == before {
			t.Error("a collection is not counted")
		}
	}
}

// TestMemoryLimit: the configuration wins over the environment, that over the machine.
func TestMemoryLimit(t *testing.T) {
	before := debug.SetMemoryLimit(-1)
	defer debug.SetMemoryLimit(before)
	log := slog.New(slog.DiscardHandler)
	if w := watchMemory(1<<30, log); w.limit != 1<<30 || debug.SetMemoryLimit(-1) != 1<<30 {
		t.Errorf("limit %d", w.limit)
	}
	debug.SetMemoryLimit(2 << 30)
	if w := watchMemory(0, log); w.limit != 2<<30 {
		t.Errorf("limit %d", w.limit)
	}
	debug.SetMemoryLimit(math.MaxInt64)
	all := available(os.DirFS("/"))
	if w := watchMemory(0, log); all > 0 && w.limit != all/4*3 || w.limit <= 0 {
		t.Errorf("limit %d of %d", w.limit, all)
	}
	if n := liveMemory(); n == 0 || n > 1<<30 {
		t.Errorf("%d bytes are live", n)
	}
}
