package fanout

import (
	"errors"
	"fmt"
	"runtime/debug"
	"time"

	"headwater/remux"
)

// ErrPanicked says that writing to the viewer, or making what it was to be sent, ended
// in a panic: a fault of ours.
var ErrPanicked = errors.New("panicked")

// survive is to be deferred. It turns a panic into ErrPanicked, so that neither the
// loop nor the process ends with it, and logs it.
func (f *Fanout) survive(s *remux.Stream, err *error) {
	p := recover()
	if p == nil {
		return
	}
	*err = ErrPanicked
	f.config.Logger.Error("fan-out panicked", "stream", s.Name.String(), "error", fmt.Sprint(p), "stack", string(debug.Stack()))
}

// advance is feed.advance, but that a panic in it ends the feed and its viewers.
func (f *Fanout) advance(feed *feed, turn int64) (newest, start *block) {
	newest, start, err := f.tryAdvance(feed, turn)
	if err != nil {
		return feed.fail()
	}
	return newest, start
}

func (f *Fanout) tryAdvance(feed *feed, turn int64) (newest, start *block, err error) {
	defer f.survive(feed.key.stream, &err)
	newest, start = feed.advance(turn, f.every())
	return newest, start, nil
}

// fail ends the feed.
func (f *feed) fail() (newest, start *block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = ErrPanicked
	if !f.newest.ended {
		f.end()
	}
	return f.newest, f.start
}

// verdict is why a viewer is closed whose place says reason: one that the stream's end
// is told of may have been closed by a failing feed.
func (f *feed) verdict(reason error) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.fault != nil {
		return f.fault
	}
	return reason
}

// try is serve, but that a panic ends the viewer alone.
func (l *loop) try(v *viewer, newest, start *block, now time.Duration) (err error) {
	defer l.fanout.survive(v.feed.key.stream, &err)
	return l.serve(v, newest, start, now)
}

// bury calls what wants to know of a viewer's end.
func (l *loop) bury(v *viewer, e End) {
	var err error // logged
	defer l.fanout.survive(v.feed.key.stream, &err)
	v.left(e)
}
