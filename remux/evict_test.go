package remux

import (
	"testing"
	"time"
)

// TestEvictedSegmentsAreFree: what nobody can ask for any more is held by nothing,
// the array that it stood in included.
func TestEvictedSegmentsAreFree(t *testing.T) {
	tl := &timeline{}
	tl.init(DefaultOptions(), State{Target: 2 * time.Second}, false, &servedMark{})
	var held []*Segment
	for i := range 10 {
		held = append(held, &Segment{Sequence: uint64(i + 1), Duration: 2 * time.Second})
	}
	kept := tl.evict(held, time.Now())
	if len(kept) != minListed || kept[0].Sequence != 5 {
		t.Fatalf("%d segments are kept, from %d on", len(kept), kept[0].Sequence)
	}
	for i, s := range held[:len(held)-len(kept)] {
		if s != nil {
			t.Errorf("segment %d is still held", i+1)
		}
	}
}
