package access

// A server that reads its configuration again makes another Policy, which goes on
// from the one before: see Options.Before. That one is kept until it has told
// callbacks of all that it allowed.

// inherit takes over what has to outlive a change of configuration: who guesses
// secrets, which tokens for one use were used, and the counts.
func (p *Policy) inherit(before *Policy) {
	if before == nil {
		return
	}
	p.nonces, p.shown, p.counts = before.nonces, before.shown, before.counts
	if p.limit.each == before.limit.each {
		p.limit = before.limit
	}
	for i, h := range p.hooks {
		if h != nil && before.hooks[i] != nil {
			h.counts = before.hooks[i].counts
		}
	}
}

// Idle reports whether callbacks have been told of the ends of all that the policy
// has allowed.
func (p *Policy) Idle() bool {
	for _, h := range p.hooks {
		if h != nil && !h.idle() {
			return false
		}
	}
	return true
}

func (h *hook) idle() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.pending.Load() == 0 && len(h.queue) == 0 && h.tellers == 0
}
