package remux

import (
	"context"
	"sync"
)

// Watch is a value that can be loaded, or waited on until a condition holds. It
// is the only thing that readers block on: HTTP-FLV waits in it for the next
// frame, a blocking playlist reload for the next segment or part. The zero Watch
// holds the zero T.
//
// A store costs one uncontended lock when nobody waits, and one close of a
// channel, shared by all, when somebody does.
type Watch[T any] struct {
	mu      sync.Mutex
	value   T
	changed chan struct{} // nil while nobody waits
}

// Load returns the current value.
func (w *Watch[T]) Load() T {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.value
}

// Store replaces the value and wakes all who wait.
func (w *Watch[T]) Store(v T) {
	w.mu.Lock()
	w.value = v
	changed := w.changed
	w.changed = nil
	w.mu.Unlock()
	if changed != nil {
		close(changed)
	}
}

// Wait returns the first value for which ok holds, the current one included. It
// fails only with the context's error, and then returns the latest value.
func (w *Watch[T]) Wait(ctx context.Context, ok func(T) bool) (T, error) {
	for {
		w.mu.Lock()
		v := w.value
		if ok(v) {
			w.mu.Unlock()
			return v, nil
		}
		if w.changed == nil {
			w.changed = make(chan struct{})
		}
		changed := w.changed
		w.mu.Unlock()
		select {
		case <-changed:
		case <-ctx.Done():
			return v, ctx.Err()
		}
	}
}
