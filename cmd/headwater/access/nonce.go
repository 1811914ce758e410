package access

import (
	"sync"
	"time"
)

// maxNonces bounds the tokens for one use that are remembered. Only tokens with
// a valid signature get here, so that nobody else can fill it.
const maxNonces = 100_000

// nonces remembers which tokens for one use were used, until they expire.
type nonces struct {
	mu   sync.Mutex
	used map[string]time.Time // until when it must be remembered
}

type nonceState int

const (
	nonceFresh nonceState = iota
	nonceUsed
	nonceFull // no room to remember it
)

// use marks a nonce as used until then.
func (n *nonces) use(nonce string, until time.Time) nonceState {
	n.mu.Lock()
	defer n.mu.Unlock()
	now := time.Now()
	if _, used := n.used[nonce]; used {
		return nonceUsed
	}
	if len(n.used) >= maxNonces {
		for other, until := range n.used {
			if until.Before(now) {
				delete(n.used, other)
			}
		}
	}
	if len(n.used) >= maxNonces {
		return nonceFull
	}
	if n.used == nil {
		n.used = map[string]time.Time{}
	}
	n.used[nonce] = until
	return nonceFresh
}

// release takes a use back: what it was for did not happen.
func (n *nonces) release(nonce string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used, nonce)
}
