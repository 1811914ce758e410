// Package histogram counts durations in buckets, for metrics that are read seldom and
// written often.
package histogram

import (
	"sync/atomic"
	"time"
)

// Histogram counts durations. Its methods may be called by many goroutines.
type Histogram struct {
	bounds []float64       // fixed
	counts []atomic.Uint64 // one a bound, of what is at most that and above the one before; one for the rest
	nanos  atomic.Uint64
}

// New returns a histogram with upper bounds in seconds, in rising order.
func New(bounds ...float64) *Histogram {
	return &Histogram{bounds: bounds, counts: make([]atomic.Uint64, len(bounds)+1)}
}

// Observe counts a duration.
func (h *Histogram) Observe(d time.Duration) {
	i := 0
	for i < len(h.bounds) && d.Seconds() > h.bounds[i] {
		i++
	}
	h.counts[i].Add(1)
	h.nanos.Add(uint64(max(d, 0)))
}

// Snapshot is what a Histogram has counted.
type Snapshot struct {
	Count   uint64
	Seconds float64            // of all together
	Below   map[float64]uint64 // how many are at most a bound
}

// Snapshot returns the counts so far. Of one that is nil there are none.
func (h *Histogram) Snapshot() Snapshot {
	s := Snapshot{Below: map[float64]uint64{}}
	if h == nil {
		return s
	}
	for i := range h.counts {
		s.Count += h.counts[i].Load()
		if i < len(h.bounds) {
			s.Below[h.bounds[i]] = s.Count
		}
	}
	s.Seconds = time.Duration(h.nanos.Load()).Seconds()
	return s
}
