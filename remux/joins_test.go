package remux

import (
	"testing"
	"time"

	"headwater/remux/av"
)

// TestJoins: a segment knows how far decode times were put back in those before it, up to
// the last discontinuity; so MPEG-TS goes on behind them.
func TestJoins(t *testing.T) {
	var tl timeline
	tl.init(DefaultOptions(), State{Sequence: 1}, false, &servedMark{})
	c := &av.Config{Video: &av.Track{Codec: av.H264, Timescale: 90000}}
	at := time.Duration(0)
	push := func(earliest time.Duration) { // a group of pictures
		for i := range 50 {
			f := av.Frame{Kind: av.Video, Key: i == 0, DTS: at, Time: int64(at) * 9 / 100_000, Config: c, Data: []byte{1}}
			if i%5 == 3 {
				f.CTS = earliest
			}
			tl.push(&f, time.Now)
			at += 40 * time.Millisecond
		}
	}
	push(0)
	push(-40 * time.Millisecond)
	push(80 * time.Millisecond)
	tl.breakOff(time.Now())
	push(0)
	push(0)
	tl.breakOff(time.Now())
	type joint struct {
		joins    bool
		earliest time.Duration
	}
	want := []joint{{false, 0}, {true, 0}, {true, -40 * time.Millisecond}, {false, 0}, {true, 0}}
	if len(tl.held) != len(want) {
		t.Fatalf("%d segments, want %d", len(tl.held), len(want))
	}
	for i, s := range tl.held {
		if got := (joint{s.joins, s.earliest}); got != want[i] {
			t.Errorf("segment %d: %+v, want %+v", i, got, want[i])
		}
	}
}
