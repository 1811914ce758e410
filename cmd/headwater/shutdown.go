package main

import (
	"context"
	"fmt"
	"sync"
	"time"

	"headwater/cmd/headwater/handover"
)

// publishersTime is how long a process that waits to take over waits for publishers to
// be told and gone: meanwhile nobody is answered. What ends a session is a message and
// a close.
const publishersTime = time.Second

// lastRequests is how long requests may be on their way on connections that have been
// accepted: from its Shutdown on http.Server answers none that it has not begun with.
const lastRequests = time.Second

// stateWritten is a stage of the end.
const stateWritten = "the state of streams to be written into the data folder"

// shutdown ends the server in order: no new work, publishers end, viewers get what is
// left, answers under way finish within the grace period, and whatever is left then is
// cut off. The admin listener ends last, so that probes see the rest go; but where a
// successor takes over they are to see that. It begins once the state is written.
// Whatever hangs meanwhile, hardStop ends it.
func (s *server) shutdown(next *handover.Successor) (err error) {
	s.ready.Store(false)
	s.last.begin()
	if next == nil {
		s.manager.stopping()
	}
	ctx, cancel := context.WithTimeout(context.Background(), s.cfg.Load().Shutdown.Grace)
	defer cancel()
	s.expire() // no stream is over because its publisher leaves now
	s.stopAccepting(next != nil)
	s.plain.SetKeepAlivesEnabled(false) // each connection has one more answer
	if next != nil {
		err = s.yield(ctx, next)
	}
	s.last.at("publishers and players over RTMP")
	if err := s.rtmp.Shutdown(ctx); err != nil {
		s.log.Warn("publishers cut off", "error", err)
	}
	s.unrelay(ctx) // behind the publishers, so that targets get all that came
	s.registry.Close()
	if next == nil {
		s.last.at(stateWritten)
		s.saveWindow()
	}
	s.last.at("viewers")
	if err := s.media.Shutdown(ctx); err != nil {
		s.log.Warn("viewers cut off", "error", err)
	}
	s.web.await(lastRequests)
	if err := s.plain.Shutdown(ctx); err != nil {
		s.log.Warn("answers cut off", "error", err)
		_ = s.plain.Close()
	}
	s.last.at("callbacks, traces and the access log")
	s.policies.close(ctx)
	s.tracing.Close(ctx)
	s.access.Close()
	_ = s.admin.Close()
	s.last.at(stateWritten)
	s.settle()
	s.last.at("listeners")
	s.running.Wait()
	s.last.at("a reload that is under way")
	s.log.Info("stopped")
	return err
}

// yield ends all that writes streams, and their state with it, and lets the successor
// serve.
func (s *server) yield(ctx context.Context, next *handover.Successor) error {
	s.admin.SetKeepAlivesEnabled(false)
	quick, cancel := context.WithTimeout(ctx, publishersTime)
	defer cancel()
	_ = s.rtmp.Shutdown(quick) // players may take longer, and are waited for later
	s.unrelay(quick)
	s.registry.Close()
	s.last.at(stateWritten)
	s.saveWindow()
	s.settle()
	s.last.at("the process that takes over")
	if err := next.Proceed(ctx); err != nil {
		return fmt.Errorf("hand over: %w", err)
	}
	s.manager.mainProcess(next.PID)
	s.log.Info("handed over", "pid", next.PID)
	return nil
}

// stopAccepting closes listeners, the admin listener only if it is asked to, and lets
// through what they have accepted.
func (s *server) stopAccepting(all bool) {
	var stopping sync.WaitGroup
	for _, l := range s.ls.all() {
		if all || l.proto != "admin" {
			stopping.Go(l.Stop)
		}
	}
	stopping.Wait()
}
