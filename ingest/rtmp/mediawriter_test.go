package rtmp

import (
	"context"
	"errors"
	"net"
	"testing"
	"time"

	"headwater/remux/av"
)

// TestHurry ends a Send that is stuck at once, and no other.
func TestHurry(t *testing.T) {
	t.Parallel()
	c := &av.Config{Video: track(av.H264, 9, avcHeader)}
	j := newJournal()
	var failure error
	var took time.Duration
	j.view = func(_ context.Context, to *Player) error {
		to.LimitBuffer(64 << 10)
		to.Hurry()
		if err := to.send(nil, frame(av.Video, 0, c, "small")); err != nil {
			t.Errorf("one that is not stuck: %v", err)
		}
		began := time.Now()
		time.AfterFunc(100*time.Millisecond, to.Hurry)
		failure = to.Send(net.Buffers{make([]byte, 16<<20)})
		took = time.Since(began)
		return failure
	}
	p := newPeer(t, j, Options{Write: time.Minute})
	p.handshake()
	if media := p.play("x", 2); media[1].body != "small" {
		t.Errorf("got %v", media)
	}
	if err := j.reason(t); !errors.Is(failure, errHurried) || took > 5*time.Second {
		t.Errorf("Send ended after %v with %v, the session with %v", took, failure, err)
	}
}
