package histogram

import (
	"fmt"
	"testing"
	"time"
)

func TestHistogram(t *testing.T) {
	h := New(0.1, 1)
	for _, d := range []time.Duration{-time.Second, 0, 100 * time.Millisecond, 101 * time.Millisecond, time.Second, time.Minute} {
		h.Observe(d)
	}
	if got := fmt.Sprint(h.Snapshot()); got != "{6 61.201 map[0.1:3 1:5]}" {
		t.Errorf("got %s", got)
	}
	if got := fmt.Sprint((*Histogram)(nil).Snapshot()); got != "{0 0 map[]}" {
		t.Errorf("of nothing %s", got)
	}
}
