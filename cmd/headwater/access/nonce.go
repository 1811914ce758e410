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
	used expiring[string, struct{}]
}

func newNonces() *nonces {
	return &nonces{used: expiring[string, struct{}]{most: maxNonces}}
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
	if _, used := n.used.get(nonce); used {
		return nonceUsed
	}
	if !n.used.put(nonce, struct{}{}, until) {
		return nonceFull
	}
	return nonceFresh
}

// release takes a use back: what it was for did not happen.
func (n *nonces) release(nonce string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	delete(n.used.entries, nonce)
}
