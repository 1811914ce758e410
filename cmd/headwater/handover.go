package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"headwater/cmd/headwater/handover"
	"headwater/origin/admin"
)

// preparing is how long a successor has to read its configuration and all that.
const preparing = 30 * time.Second

// windowTime is how long writing segments for the next process may take.
const windowTime = 3 * time.Second

// errHandingOver is what changes are refused with that a successor would not hear of.
var errHandingOver = admin.NewProblem(http.StatusServiceUnavailable, "another process is taking over from this one; ask again")

// upgradeSignals catches SIGUSR2, which would else end the process. One that comes
// before there is anything to hand over waits.
func upgradeSignals() chan os.Signal {
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGUSR2)
	return signals
}

// handOver starts a successor at each of the signals, until one is ready to take over,
// which it sends, or the function that it returns is called. One that fails leaves
// everything as it is.
func (s *server) handOver(ctx context.Context, signals chan os.Signal) (next <-chan *handover.Successor, stop func()) {
	successors := make(chan *handover.Successor, 1)
	ctx, cancel := context.WithCancel(ctx)
	var running sync.WaitGroup
	running.Go(func() {
		for {
			select {
			case <-signals:
			case <-ctx.Done():
				return
			}
			successor, err := s.successor(ctx)
			if err == nil {
				successors <- successor
				return
			}
			s.log.Error("not handed over, this process goes on", "error", err)
		}
	})
	return successors, func() {
		signal.Stop(signals)
		cancel()
		running.Wait()
	}
}

// successor starts a process that can take over. Until that one has failed nothing
// changes that it may have read already.
func (s *server) successor(ctx context.Context) (next *handover.Successor, err error) {
	if os.Getpid() == 1 {
		return nil, errors.New("this is the first process of its container, which would end with it: replace the container instead")
	}
	s.reloading.Lock() // one that is under way ends first
	s.handing.Store(true)
	s.reloading.Unlock()
	defer func() {
		if err != nil {
			s.handing.Store(false)
		}
	}()
	var ls []handover.Listener
	for _, l := range s.ls.all() {
		ls = append(ls, handover.Listener{Name: l.proto, TCPListener: l.TCPListener})
	}
	if next, err = handover.Start(s.program, ls); err != nil {
		return nil, err
	}
	s.log.Info("handing over", "program", s.program, "pid", next.PID)
	ctx, cancel := context.WithTimeoutCause(ctx, preparing, fmt.Errorf("it has taken more than %s", preparing))
	defer cancel()
	return next, next.Prepared(ctx)
}

// takeOver waits, if this process is a successor, until the one before has written its
// state. All that can fail has been done by then. Then it goes on with what the last
// process has left.
func (s *server) takeOver() error {
	if s.before != nil {
		if err := s.before.Prepared(); err != nil {
			return err
		}
		s.memory.Reread()
	}
	streams, err := s.registry.RestoreWindow(s.window())
	if err != nil {
		s.log.Warn("segments of the last process not kept", "error", err)
	} else if streams > 0 {
		s.log.Info("going on where the last process ended", "streams", streams)
	}
	return nil
}

// window is the file that a process leaves to the next one.
func (s *server) window() string { return filepath.Join(s.cfg.Load().Data, "window") }

// saveWindow leaves segments to the next process. The publishers have ended.
func (s *server) saveWindow() {
	ctx, cancel := context.WithTimeout(context.Background(), windowTime)
	defer cancel()
	if _, err := s.registry.SaveWindow(ctx, s.window()); err != nil {
		s.log.Warn("segments not kept for the next process", "error", err)
	}
}
