package origin

import "sync"

// gate counts who is inside, up to a limit, until it is shut; then nobody comes in
// and one can wait for those inside to leave. A sync.WaitGroup must not be entered
// while it is waited for.
type gate struct {
	limit int // 0: none

	mu    sync.Mutex
	n     int           // guarded by mu
	empty chan struct{} // guarded by mu; not nil once shut, closed when nobody is inside
}

// enter reports whether there is room.
func (g *gate) enter() bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty != nil || g.limit > 0 && g.n >= g.limit {
		return false
	}
	g.n++
	return true
}

func (g *gate) leave() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.n--; g.n == 0 && g.empty != nil {
		close(g.empty)
	}
}

func (g *gate) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.n
}

// shut closes the gate and returns what is closed when all have left.
func (g *gate) shut() <-chan struct{} {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.empty == nil {
		g.empty = make(chan struct{})
		if g.n == 0 {
			close(g.empty)
		}
	}
	return g.empty
}
