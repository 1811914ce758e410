package ingest

import (
	"net/netip"
	"time"
)

// rateLimit bounds how often each address connects. It remembers an address for
// as long as that matters, a few seconds.
type rateLimit struct {
	rate  float64 // a second; 0: no limit
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

// allow reports whether one more connection of key is within the rate, and counts
// it if so.
func (r *rateLimit) allow(key netip.Prefix, now time.Time) bool {
	if r.rate == 0 {
		return true
	}
	r.sweep(now)
	t := r.taken[key]
	t.n, t.at = r.left(t, now)+1, now
	if t.n > max(1, r.rate*burstTime) {
		return false
	}
	if r.taken == nil {
		r.taken = map[netip.Prefix]taken{}
	}
	r.taken[key] = t
	return true
}

// left is what has not come back yet of what was taken.
func (r *rateLimit) left(t taken, now time.Time) float64 {
	return max(0, t.n-now.Sub(t.at).Seconds()*r.rate)
}

// sweep forgets addresses that may use their whole burst again.
func (r *rateLimit) sweep(now time.Time) {
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
