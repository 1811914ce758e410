package rtmp

import (
	"errors"
	"strings"
	"testing"
	"time"
)

// TestAssembly: when all sessions together hold too much, those that hold much
// go, and what they held is given back however they end.
func TestAssembly(t *testing.T) {
	e := NewEngine()
	t.Cleanup(e.Close)
	e.all.limit = 4 << 20
	small := newPeerOf(t, e, newJournal(), Options{})
	small.handshake()
	small.publish("live", "small")
	var large []*peer
	for range 6 { // 1 MB each
		p := newPeerOf(t, e, newJournal(), Options{})
		p.handshake()
		p.publish("live", "large")
		p.send(halfMessage(2<<20, 1<<20))
		large = append(large, p)
	}
	ended := 0
	for deadline := time.Now().Add(10 * time.Second); ended < 2 && time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		ended = 0
		for _, p := range large {
			select {
			case <-p.j.closed:
				ended++
				if err := p.j.reason(t); !errors.Is(err, ErrLimit) || !strings.Contains(err.Error(), "all connections") {
					t.Errorf("ended with %v", err)
				}
			default:
			}
		}
	}
	if held := e.all.held.Load(); ended < 2 || ended == len(large) || held > e.all.limit {
		t.Errorf("%d of them ended, and %d bytes are held", ended, held)
	}
	small.message(6, typeVideo, 1, 0, make([]byte, 200_000))
	small.media(1)
	for _, p := range large {
		_ = p.conn.Close()
		_ = p.j.reason(t)
	}
	if held := e.all.held.Load(); held != 0 {
		t.Errorf("%d bytes are still counted", held)
	}
}

// halfMessage begins a video message and sends n bytes of it.
func halfMessage(length, n int) []byte {
	b := wire("02 000000 000004 01 00000000 00ffffff", "06 000000")
	b = append(b, byte(length>>16), byte(length>>8), byte(length), typeVideo, 1, 0, 0, 0)
	return append(b, make([]byte, n)...)
}
