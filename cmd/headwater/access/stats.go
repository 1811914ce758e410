package access

import (
	"sync/atomic"

	"headwater/cmd/headwater/histogram"
)

// Stats counts since New.
type Stats struct {
	Publish, Play Decisions
	Limited       uint64 // publishers refused for failing too often; among Publish.Rejected
	JWKSFailures  uint64
	Callbacks     map[string]CallbackStats // by key: on_publish, …; those that are set
}

// Decisions counts by outcome.
type Decisions struct{ Granted, Denied, Rejected, BadName uint64 }

// CallbackStats counts how a callback gets on.
type CallbackStats struct {
	Failures uint64 // requests without a usable answer
	Dropped  uint64 // ended sessions that it could not be told
	Latency  histogram.Snapshot
}

// hookCounts are CallbackStats that change.
type hookCounts struct {
	failures, dropped atomic.Uint64
	latency           *histogram.Histogram
}

// latencyBounds are in seconds; callbacks.timeout is 3 s where nobody changed it.
var latencyBounds = []float64{0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5}

// Stats returns the counters.
func (p *Policy) Stats() Stats {
	s := Stats{
		Publish:   p.counts.publish.decisions(),
		Play:      p.counts.play.decisions(),
		Limited:   p.counts.limited.Load(),
		Callbacks: map[string]CallbackStats{},
	}
	if p.jwt != nil && p.jwt.remote != nil {
		s.JWKSFailures = p.jwt.remote.failures.Load()
	}
	for _, h := range p.hooks {
		if h != nil {
			s.Callbacks[h.kind.name()] = CallbackStats{h.counts.failures.Load(), h.counts.dropped.Load(), h.counts.latency.Snapshot()}
		}
	}
	return s
}

type counters struct {
	publish, play decisionCounters
	limited       atomic.Uint64
}

type decisionCounters struct{ granted, denied, rejected, badName atomic.Uint64 }

func (c *decisionCounters) refused(k Kind) {
	switch k {
	case Denied:
		c.denied.Add(1)
	case Rejected:
		c.rejected.Add(1)
	case BadName:
		c.badName.Add(1)
	}
}

func (c *decisionCounters) decisions() Decisions {
	return Decisions{c.granted.Load(), c.denied.Load(), c.rejected.Load(), c.badName.Load()}
}
