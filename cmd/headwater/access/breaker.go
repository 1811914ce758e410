package access

import (
	"sync"
	"time"
)

// A breaker keeps this program from asking a server that does not answer. After
// threshold failures in a row nobody asks for a second, then one does; each
// further failure doubles the pause.
type breaker struct {
	threshold int

	mu       sync.Mutex
	failures int
	pause    time.Duration // 0: closed, everybody may ask
	until    time.Time     // of the pause
	trying   bool          // somebody asks to see whether it is over
}

const (
	firstPause   = time.Second
	longestPause = 30 * time.Second
)

// allow reports whether the caller may ask. If so it must call one of success,
// failure and abandon.
func (b *breaker) allow() bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.pause == 0 {
		return true
	}
	if b.trying || time.Now().Before(b.until) {
		return false
	}
	b.trying = true
	return true
}

// success notes an answer, and reports whether it ended a pause.
func (b *breaker) success() (recovered bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	recovered = b.pause > 0
	b.failures, b.pause, b.trying = 0, 0, false
	return recovered
}

// failure notes that there was no answer, and reports whether it began the first
// pause.
func (b *breaker) failure() (opened bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.failures++
	if b.failures < b.threshold {
		return false
	}
	opened = b.pause == 0
	if opened || b.trying {
		b.pause = min(max(2*b.pause, firstPause), longestPause)
		b.until = time.Now().Add(b.pause)
	}
	b.trying = false
	return opened
}

// abandon notes that whoever asked did not wait for the answer.
func (b *breaker) abandon() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.trying = false
}
