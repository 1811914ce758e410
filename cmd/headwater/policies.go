package main

import (
	"context"
	"sync"
	"sync/atomic"

	"headwater/cmd/headwater/access"
)

// policies are the policy in force and those before it, which still have to tell
// callbacks of the ends of what they allowed.
type policies struct {
	current atomic.Pointer[access.Policy]

	mu      sync.Mutex
	retired []*access.Policy // guarded by mu
}

func newPolicies(p *access.Policy) *policies {
	ps := &policies{}
	ps.current.Store(p)
	return ps
}

// now returns the policy in force.
func (ps *policies) now() *access.Policy { return ps.current.Load() }

// replace puts another in force. Of those before the last, the ones that have nothing
// left to tell are closed; the last may be deciding about somebody yet.
func (ps *policies) replace(p *access.Policy) {
	ps.mu.Lock()
	defer ps.mu.Unlock()
	kept := ps.retired[:0]
	for _, old := range ps.retired {
		if old.Idle() {
			old.Close(context.Background()) // there is nothing to wait for
			continue
		}
		kept = append(kept, old)
	}
	clear(ps.retired[len(kept):])
	ps.retired = append(kept, ps.current.Swap(p))
}

// close tells what there is to tell, until ctx is done.
func (ps *policies) close(ctx context.Context) {
	ps.mu.Lock()
	all := append(ps.retired, ps.now())
	ps.mu.Unlock()
	var closing sync.WaitGroup
	for _, p := range all {
		closing.Go(func() { p.Close(ctx) })
	}
	closing.Wait()
}
