package rtmp

import (
	"slices"
	"time"
)

const (
	// maxAge is how long a message may take from its first chunk on.
	maxAge = 10 * time.Second
	// maxGap is what the time between two looks counts at most: a process that stood
	// still for a while holds it against nobody.
	maxGap = 5 * time.Second
	// unseen is the age of a message that has begun since the last look.
	unseen = -1
)

// overdue is called about once a second, with the time since it was called last. It
// reports whether a message has been under way for too long.
func (c *ChunkReader) overdue(since time.Duration) bool {
	for _, s := range c.streams {
		switch {
		case !s.open:
		case s.age == unseen:
			s.age = 0
		default:
			if s.age += min(since, maxGap); s.age >= maxAge {
				return true
			}
		}
	}
	return false
}

// unfinished reports whether a message is under way.
func (c *ChunkReader) unfinished() bool {
	return slices.ContainsFunc(c.streams, func(s *chunkStream) bool { return s.open })
}
