package relay

import (
	"context"
	"math/rand/v2"
	"time"
)

// backoff is how long to wait before the next try: from least on twice as long each
// time, up to most, and of that between a half and all, so that many relays do not
// come back at once.
type backoff struct {
	least, most time.Duration
	d           time.Duration
}

const (
	leastRetry = time.Second
	mostRetry  = time.Minute
	// steady is how long a connection has to last for the next try to be soon.
	steady = 10 * time.Second
)

func (b *backoff) reset() { b.d = 0 }

func (b *backoff) next() time.Duration {
	b.d = min(max(2*b.d, b.least), b.most)
	return b.d/2 + rand.N(b.d/2+1)
}

// sleep waits and reports whether ctx is still alive.
func sleep(ctx context.Context, d time.Duration) bool {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}
