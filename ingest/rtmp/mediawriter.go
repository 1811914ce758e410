package rtmp

import (
	"errors"
	"net"
)

// MediaWriter is the way of media to a peer.
type MediaWriter struct {
	out    *sender
	format Format
}

// Format returns how the peer gets media.
func (w *MediaWriter) Format() Format { return w.format }

// Send writes whole chunks, which are a Packer's. It waits for the peer, which has
// Options.Write, or ClientOptions.Write, to take something of them.
func (w *MediaWriter) Send(chunks net.Buffers) error {
	w.out.mu.Lock()
	defer w.out.mu.Unlock()
	for _, b := range append(net.Buffers{w.out.begin(nil)}, chunks...) {
		if err := w.out.flush(b); err != nil {
			return err
		}
	}
	return nil
}

// errHurried is what becomes of a Send that was stuck.
var errHurried = errors.New("the peer does not take what there is before the end")

// Hurry ends a Send that is stuck, and with it all that would be sent; one that comes to
// its end within some milliseconds, and none at all, are left alone.
func (w *MediaWriter) Hurry() {
	if w.out.hurry(errHurried) {
		w.out.mu.Unlock()
	}
}
