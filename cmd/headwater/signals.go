package main

import (
	"context"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// sameSignal is the time in which a further signal is the first one over again:
// a wrapper that passes on what its whole process group got sends it twice.
const sameSignal = 100 * time.Millisecond

// lastWords is for the log, which another goroutine writes.
const lastWords = 50 * time.Millisecond

// untilSignal returns a context that ends at the first SIGTERM or SIGINT. The
// second ends the process at once: whoever sends it has waited enough.
func untilSignal(parent context.Context, log *slog.Logger) (ctx context.Context, stop func()) {
	ctx, cancel := context.WithCancel(parent)
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, syscall.SIGTERM, syscall.SIGINT)
	done := make(chan struct{})
	go func() {
		var first time.Time
		for {
			select {
			case s := <-signals:
				switch {
				case first.IsZero():
					first = time.Now()
					log.Info("shutting down", "signal", s.String())
					cancel()
				case time.Since(first) > sameSignal:
					log.Warn("ending at once", "signal", s.String())
					time.Sleep(lastWords)
					os.Exit(exitFailed)
				}
			case <-done:
				return
			}
		}
	}()
	return ctx, func() {
		signal.Stop(signals)
		close(done)
		cancel()
	}
}
