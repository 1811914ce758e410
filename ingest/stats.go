package ingest

import (
	"maps"
	"sync"

	"headwater/ingest/feed"
)

// Stats is a snapshot of a Server's counters. All of them but the first three
// count from its start.
type Stats struct {
	Connections int // open now
	Publishers  int // publishing now
	Players     int // playing now

	Accepted     uint64            // connections
	OverLimit    uint64            // connections closed on sight, by MaxConnections
	OverAddress  uint64            // and by MaxConnectionsPerAddress
	OverRate     uint64            // and by MaxRatePerAddress
	AcceptErrors uint64            // descriptors or memory ran out
	Refused      map[string]uint64 // publish commands, by the code that the encoder was told
	Ended        map[Reason]uint64 // connections

	Messages uint64 // audio, video and data messages
	Bytes    uint64 // of them, as FLV tags

	PlayRefused map[string]uint64 // play commands, by the code that the player was told
	PlayFrames  uint64            // sent to players
	PlayBytes   uint64            // of them, with headers
	PlaySkips   uint64            // how often one was too slow and skipped ahead
}

// counters are the totals of what is over; what goes on is with the sessions.
type counters struct {
	mu    sync.Mutex
	total Stats
}

func (c *counters) count(f func(*Stats)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	f(&c.total)
}

func (c *counters) refused(code string) {
	c.count(func(s *Stats) { s.Refused[code]++ })
}

func (c *counters) published(messages, bytes uint64) {
	c.count(func(s *Stats) {
		s.Messages += messages
		s.Bytes += bytes
	})
}

func (c *counters) refusedPlay(code string) {
	c.count(func(s *Stats) { s.PlayRefused[code]++ })
}

func (c *counters) played(f *feed.Feed) {
	c.count(func(s *Stats) { s.addPlay(f) })
}

func (s *Stats) addPlay(f *feed.Feed) {
	s.PlayFrames += f.Frames()
	s.PlayBytes += f.Bytes()
	s.PlaySkips += f.Skips()
}

func (c *counters) snapshot() Stats {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := c.total
	s.Refused, s.PlayRefused, s.Ended = maps.Clone(s.Refused), maps.Clone(s.PlayRefused), maps.Clone(s.Ended)
	return s
}

// Stats returns the counters as they are now.
func (s *Server) Stats() Stats {
	s.mu.Lock()
	defer s.mu.Unlock()
	st := s.stats.snapshot()
	st.Connections = len(s.sessions)
	for ses := range s.sessions {
		if ses.publishing.Load() {
			st.Publishers++
			st.Messages += ses.messages.Load()
			st.Bytes += ses.bytes.Load()
		}
		if f := ses.watched.Load(); f != nil {
			st.Players++
			st.addPlay(f)
		}
	}
	return st
}
