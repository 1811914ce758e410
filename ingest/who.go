package ingest

import (
	"cmp"
	"errors"
	"net/netip"
	"slices"
	"time"

	"headwater/remux"
)

// Publisher is a session that publishes now.
type Publisher struct {
	Session  uint64
	Name     remux.Name
	Remote   netip.AddrPort
	Encoder  string // what it calls itself
	Key      string // the id of the secret that it has shown; "": none
	TLS      bool
	Since    time.Time
	Bytes    uint64 // of FLV tags taken in
	Messages uint64 // audio, video and data
}

// Player is a session that plays now.
type Player struct {
	Session uint64
	Name    remux.Name
	Remote  netip.AddrPort
	Player  string // what it calls itself
	TLS     bool
	Since   time.Time
	Bytes   uint64 // sent
	Frames  uint64 // likewise
	Skips   uint64 // how often it was too slow
}

// publication is what others may know of a session that publishes.
type publication struct {
	name         remux.Name
	encoder, key string
	since        time.Time
}

// Publishers returns those who publish now, in order of their names.
func (s *Server) Publishers() []Publisher {
	s.mu.Lock()
	all := make([]Publisher, 0, 16)
	for ses := range s.sessions {
		p := ses.publication.Load()
		if p == nil {
			continue
		}
		all = append(all, Publisher{
			Session: ses.id, Name: p.name, Remote: ses.remote, Encoder: p.encoder, Key: p.key, TLS: ses.secure,
			Since: p.since, Bytes: ses.bytes.Load(), Messages: ses.messages.Load(),
		})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Publisher) int {
		return cmp.Or(cmp.Compare(a.Name.String(), b.Name.String()), cmp.Compare(a.Session, b.Session))
	})
	return all
}

// Players returns those who play now, the oldest first.
func (s *Server) Players() []Player {
	s.mu.Lock()
	all := make([]Player, 0, 16)
	for ses := range s.sessions {
		v := ses.view.Load()
		if v == nil {
			continue
		}
		all = append(all, Player{
			Session: ses.id, Name: v.request.Name, Remote: ses.remote, Player: v.request.Player, TLS: ses.secure,
			Since: v.began, Bytes: v.feed.Bytes(), Frames: v.feed.Frames(), Skips: v.feed.Skips(),
		})
	}
	s.mu.Unlock()
	slices.SortFunc(all, func(a, b Player) int { return cmp.Compare(a.Session, b.Session) })
	return all
}

// errPlayerKicked ends playing at the operator's wish.
var errPlayerKicked = errors.New("the player was removed by the operator")

// KickPlayer ends the session of a player. It returns false if there is none of
// that number that plays.
func (s *Server) KickPlayer(id uint64) bool {
	s.mu.Lock()
	var found *session
	for ses := range s.sessions {
		if ses.id == id && ses.view.Load() != nil {
			found = ses
		}
	}
	s.mu.Unlock()
	if found == nil {
		return false
	}
	found.stopPlaying(errPlayerKicked)
	return true
}
