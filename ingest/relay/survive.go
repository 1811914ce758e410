package relay

import (
	"runtime/debug"

	"headwater/ingest/rtmp"
)

// survive calls f, which handles what another server sends, and turns a panic into an
// error: the relay is interrupted, and nothing else is.
func (j *job) survive(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			p := &rtmp.PanicError{Value: v, Stack: debug.Stack()}
			j.log.Error("relay panicked", "error", p.Error(), "stack", string(p.Stack))
			err = p
		}
	}()
	return f()
}
