// Package rate bounds how often each address does something.
package rate

import (
	"net/netip"
	"time"
)

// Limit bounds how often each address may do something: so often a second, after a burst
// of two and a half times that. It remembers an address for as long as that matters, a
// few seconds. It belongs to one goroutine at a time. To change PerSecond, begin with a
// new Limit.
type Limit struct {
	PerSecond float64 // 0: no limit

	taken map[netip.Prefix]taken
	swept time.Time
}

// taken is what an address has used up of its burst.
type taken struct {
	n  float64
	at time.Time
}

// burstTime is how much of its rate an address may use up at once.
const burstTime = 2.5 // seconds

// Allow reports whether key may once more, and counts it if so.
func (r *Limit) Allow(key netip.Prefix, now time.Time) bool {
	if r.PerSecond == 0 {
		return true
	}
	r.sweep(now)
	t := r.taken[key]
	t.n, t.at = r.left(t, now)+1, now
	if t.n > max(1, r.PerSecond*burstTime) {
		return false
	}
	if r.taken == nil {
		r.taken = map[netip.Prefix]taken{}
	}
	r.taken[key] = t
	return true
}

// left is what has not come back yet of what was taken.
func (r *Limit) left(t taken, now time.Time) float64 {
	return max(0, t.n-now.Sub(t.at).Seconds()*r.PerSecond)
}

// sweep forgets addresses that may use their whole burst again.
func (r *Limit) sweep(now time.Time) {
	if now.Sub(r.swept) < time.Second {
		return
	}
	r.swept = now
	for key, t := range r.taken {
		if r.left(t, now) == 0 {
			delete(r.taken, key)
		}
	}
}
