package rtmp

import "sync/atomic"

const (
	// maxAssembly bounds the bytes of unfinished messages of all sessions
	// together.
	maxAssembly = 256 << 20
	// fairParked is what a session may hold all the same, so that a few that
	// fill the bound up cannot end those of the others, whose frames are smaller.
	fairParked = 512 << 10
)

// assembly counts what all sessions of an engine hold for messages that are not
// complete. A nil one counts nothing.
type assembly struct {
	limit int64
	held  atomic.Int64
}

// take counts n more bytes for a session that holds own with them. It returns
// false, and counts nothing, where that is too much.
func (a *assembly) take(n, own int) bool {
	if a == nil {
		return true
	}
	if a.held.Add(int64(n)) > a.limit && own > fairParked {
		a.give(n)
		return false
	}
	return true
}

// give gives n bytes back.
func (a *assembly) give(n int) {
	if a != nil {
		a.held.Add(-int64(n))
	}
}
