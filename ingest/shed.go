package ingest

import (
	"cmp"
	"errors"
	"slices"
	"sync"
	"time"

	"headwater/ingest/rtmp"
)

// errMemory ends playing when memory is short.
var errMemory = errors.New("the server is short of memory, and the player was among the slowest")

const (
	// shedAfter is how long a player has to be behind to be shed.
	shedAfter = 2 * time.Second
	// shedShare is the part of those that is shed at a time, a tenth.
	shedShare = 10
)

// Shed ends some of the slowest players when memory is short: of those that have been
// behind for more than two seconds the tenth that has been for longest, and at least
// one. It returns how many. Who keeps up is never ended.
func (s *Server) Shed() int {
	type slow struct {
		session *session
		behind  time.Duration
	}
	var all []slow
	s.mu.Lock()
	for ses := range s.sessions {
		if f := ses.watched.Load(); f != nil && f.Behind() > shedAfter && ses.removed.Load() == nil {
			all = append(all, slow{ses, f.Behind()})
		}
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b slow) int { return cmp.Compare(b.behind, a.behind) })
	all = all[:(len(all)+shedShare-1)/shedShare]
	var stopping sync.WaitGroup
	for _, p := range all {
		stopping.Go(func() { p.session.stopPlaying(errMemory) })
	}
	stopping.Wait()
	return len(all)
}

// stopPlaying ends a session that plays, from another goroutine.
func (s *session) stopPlaying(why error) {
	<-s.begun
	s.removed.Store(&why)
	s.rtmp.Stop(why, rtmp.Status{Code: rtmp.PlayEnded, Description: why.Error()})
}
