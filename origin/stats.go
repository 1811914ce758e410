package origin

import (
	"maps"
	"sync"
)

// Stats counts what a Handler does beside answering.
type Stats struct {
	Viewers int               // of endless bodies, now
	Waiting int               // HLS requests that wait for what is not there yet, now
	Ends    map[string]uint64 // viewers of endless bodies that have gone, by reason as in PlayEnd
	Skips   uint64            // how often one of those was too slow and skipped ahead
}

// Stats returns the counts so far.
func (h *Handler) Stats() Stats {
	s := Stats{Viewers: h.viewers.count(), Waiting: h.waiting.count()}
	h.ends.mu.Lock()
	defer h.ends.mu.Unlock()
	s.Ends, s.Skips = maps.Clone(h.ends.reasons), h.ends.skips
	return s
}

// ends count viewers that have gone.
type ends struct {
	mu      sync.Mutex
	reasons map[string]uint64
	skips   uint64
}

func (e *ends) count(reason string, skips int) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.reasons == nil {
		e.reasons = map[string]uint64{}
	}
	e.reasons[reason]++
	e.skips += uint64(skips)
}
