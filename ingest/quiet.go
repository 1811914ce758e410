package ingest

import (
	"sync"
	"time"
)

// quiet bounds how often a line is logged for the same cause.
type quiet struct {
	mu     sync.Mutex
	causes map[string]*cause // causes are ours, never the peer's
}

type cause struct {
	left    float64 // lines that may be logged now
	at      time.Time
	skipped int
}

const (
	quietBurst = 20
	quietRate  = 1 // lines a second
)

// allow returns whether to log, and how many lines of that cause were left out
// since the last.
func (q *quiet) allow(name string, now time.Time) (skipped int, ok bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	c := q.causes[name]
	if c == nil {
		c = &cause{left: quietBurst, at: now}
		if q.causes == nil {
			q.causes = map[string]*cause{}
		}
		q.causes[name] = c
	}
	c.left = min(quietBurst, c.left+now.Sub(c.at).Seconds()*quietRate)
	c.at = now
	if c.left < 1 {
		c.skipped++
		return 0, false
	}
	c.left--
	skipped, c.skipped = c.skipped, 0
	return skipped, true
}

// warn logs a warning unless there have been too many of its cause.
func (s *Server) warn(cause, msg string, args ...any) {
	skipped, ok := s.quiet.allow(cause, time.Now())
	if !ok {
		return
	}
	if skipped > 0 {
		args = append(args, "skipped", skipped)
	}
	s.config.Logger.Warn(msg, args...)
}
