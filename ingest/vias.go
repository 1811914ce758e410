package ingest

import (
	"slices"
	"sync"

	"headwater/remux"
)

// vias remembers through which servers the streams have come that relays publish
// here, so that no relay sends one back.
type vias struct {
	mu    sync.Mutex
	names map[remux.Name]viaOf
}

type viaOf struct {
	session *session
	ids     []string
}

func (v *vias) set(name remux.Name, s *session, ids []string) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(ids) == 0 {
		delete(v.names, name)
		return
	}
	if v.names == nil {
		v.names = map[remux.Name]viaOf{}
	}
	v.names[name] = viaOf{s, ids}
}

// drop forgets what s has set, unless another session has taken the name over.
func (v *vias) drop(name remux.Name, s *session) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.names[name].session == s {
		delete(v.names, name)
	}
}

// Via returns the ids of the servers that a stream has come through that a relay
// publishes here; nil for every other.
func (s *Server) Via(name remux.Name) []string {
	s.vias.mu.Lock()
	defer s.vias.mu.Unlock()
	return slices.Clone(s.vias.names[name].ids)
}
