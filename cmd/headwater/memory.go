package main

import (
	"context"
	"log/slog"
	"math"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"sync/atomic"
	"time"
)

// What is live on the heap, in hundredths of the limit: from fullAt on new load is
// refused, so that what is there already has the rest; below freeAt it is taken again.
// From shedAt on the slowest viewers are closed, so that those who keep up have it, and
// publishers.
const (
	fullAt = 80
	freeAt = 75
	shedAt = 90
)

// memoryWatch looks once a second at how much memory is in use.
type memoryWatch struct {
	// fixed after watchMemory
	limit  int64 // bytes; math.MaxInt64: none
	live   func() uint64
	cycles func() uint64 // how often live has been found out
	shed   func() int    // closes some of the slowest viewers and says how many
	log    *slog.Logger

	full atomic.Bool

	// owned by run
	collected time.Time
	shedIn    uint64 // cycle in which viewers were closed last
}

// watchMemory sets the limit that the garbage collector keeps to: the configured one,
// else that of the environment (GOMEMLIMIT), else three quarters of what there is.
func watchMemory(configured int64, log *slog.Logger) *memoryWatch {
	limit := configured
	if limit == 0 {
		limit = debug.SetMemoryLimit(-1)
	}
	if limit == math.MaxInt64 {
		limit = available(os.DirFS("/")) / 4 * 3
	}
	if limit == 0 {
		limit = math.MaxInt64
	}
	debug.SetMemoryLimit(limit)
	return &memoryWatch{limit: limit, live: liveMemory, cycles: collections, log: log}
}

// Full reports whether new load is to be refused.
func (w *memoryWatch) Full() bool { return w.full.Load() }

// run looks until ctx is done.
func (w *memoryWatch) run(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			w.look(now)
		}
	}
}

// collectEvery bounds how often garbage is collected to find out how much of what
// was live still is: nobody else may cause it when no new load comes.
const collectEvery = 5 * time.Second

func (w *memoryWatch) look(now time.Time) {
	if w.limit == math.MaxInt64 {
		return
	}
	if w.used() >= freeAt && now.Sub(w.collected) >= collectEvery {
		w.collected = now
		runtime.GC()
	}
	used, full := w.used(), w.full.Load()
	switch {
	case !full && used >= fullAt:
		w.log.Warn("short of memory: new publishers and viewers are refused", "live", w.live(), "limit", w.limit)
		w.full.Store(true)
	case full && used < freeAt:
		w.log.Info("memory again: new publishers and viewers are taken", "live", w.live(), "limit", w.limit)
		w.full.Store(false)
	}
	if used >= shedAt {
		w.relieve()
	}
}

// relieve closes viewers, and no more before it is known what that has brought.
func (w *memoryWatch) relieve() {
	cycle := w.cycles()
	if cycle == w.shedIn {
		return
	}
	w.shedIn = cycle
	if n := w.shed(); n > 0 {
		w.log.Warn("short of memory: the slowest viewers are closed", "viewers", n, "live", w.live(), "limit", w.limit)
	}
}

// used is what is live in hundredths of the limit.
func (w *memoryWatch) used() int { return int(w.live() * 100 / uint64(w.limit)) }

// liveMemory is what the last garbage collection has found in use, and the stacks.
func liveMemory() uint64 {
	s := []metrics.Sample{{Name: "/gc/heap/live:bytes"}, {Name: "/memory/classes/heap/stacks:bytes"}}
	metrics.Read(s)
	return s[0].Value.Uint64() + s[1].Value.Uint64()
}

// collections is how often garbage has been collected.
func collections() uint64 {
	s := []metrics.Sample{{Name: "/gc/cycles/total:gc-cycles"}}
	metrics.Read(s)
	return s[0].Value.Uint64()
}
