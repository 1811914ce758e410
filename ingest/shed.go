package ingest

import (
	"errors"

	"headwater/ingest/rtmp"
)

// errMemory ends playing when memory is short.
var errMemory = errors.New("the server is short of memory, and the player was among the slowest")

// Shed ends some of the slowest players when memory is short, and returns how many
// (fanout.Fanout.Shed). They are told why. Who keeps up is never ended.
func (s *Server) Shed() int { return s.fanout.Shed() }

// stopPlaying ends a session that plays, from another goroutine.
func (s *session) stopPlaying(why error) {
	<-s.begun
	s.removed.Store(&why)
	s.rtmp.Stop(why, rtmp.Status{Code: rtmp.PlayEnded, Description: why.Error()})
}
