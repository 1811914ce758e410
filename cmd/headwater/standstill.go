package main

import (
	"context"
	"time"

	"headwater/remux"
)

// endStanding removes publishers whose media comes in and makes no playlist, until ctx
// is done: nobody can watch them, and a new session may do better.
func (s *server) endStanding(ctx context.Context) {
	s.registry.EndStanding(ctx, func(name remux.Name, stood time.Duration) {
		s.log.Warn("publisher removed", "name", name.String(), "stood", stood.Round(time.Second), "reason", remux.ErrStandstill.Error())
	})
}
