package main

import (
	"log/slog"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// lastWrites is what the end of the process may take beyond shutdown.grace: the state
// is written then, and a slow disk may take its time.
const lastWrites = 8 * time.Second

// hardStop ends the process where its end hangs: a disk that is gone lets nobody go who
// waits for it, and there is no other way to be rid of them.
type hardStop struct {
	grace func() time.Duration
	log   *slog.Logger
	exit  func(code int)

	once  sync.Once
	stage atomic.Pointer[string] // what the end waits for; nil: it has not come so far
}

func newHardStop(grace func() time.Duration, log *slog.Logger) *hardStop {
	return &hardStop{grace: grace, log: log, exit: os.Exit}
}

// begin says that the process ends: from now on it has the grace period and lastWrites.
// It may be called more than once.
func (h *hardStop) begin() {
	h.once.Do(func() {
		most := h.grace() + lastWrites
		time.AfterFunc(most, func() { h.end(most) })
	})
}

// at says what the end waits for next.
func (h *hardStop) at(stage string) { h.stage.Store(&stage) }

func (h *hardStop) end(after time.Duration) {
	stage := "the configuration, or what it names"
	if s := h.stage.Load(); s != nil {
		stage = *s
	}
	h.log.Error("ending at once: the end hangs", "waits_for", stage, "after", after)
	time.Sleep(lastWords)
	h.exit(exitFailed)
}
