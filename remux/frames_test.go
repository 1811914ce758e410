package remux

import (
	"testing"
	"time"

	"headwater/remux/av"
)

// TestFrames: all that is held comes once, each track in order, and both beside each
// other.
func TestFrames(t *testing.T) {
	_, messages := testSource(t, 5)
	r := NewRegistry(DefaultOptions(), nil)
	publish(t, r, "x", messages)
	ix := r.Stream(Name{"live", "x"}).Index()
	want := 0
	for _, s := range ix.stretches() {
		want += s.video.len() + s.audio.len()
	}
	got, breaks := 0, 0
	last := map[av.Kind]time.Duration{}
	newest := time.Duration(0)
	for f, broken := range ix.Frames() {
		if got++; broken {
			breaks++
		}
		if f.DTS < last[f.Kind] {
			t.Errorf("%v goes back from %s to %s", f.Kind, last[f.Kind], f.DTS)
		}
		if newest-f.DTS > time.Second {
			t.Errorf("a frame of %s stands beside one of %s", f.DTS, newest)
		}
		last[f.Kind], newest = f.DTS, max(newest, f.DTS)
	}
	if got != want || want < 100 || breaks > 1 || len(last) != 2 {
		t.Errorf("%d frames of %d, %d breaks, %d tracks", got, want, breaks, len(last))
	}
	for range ix.Frames() {
		break // it ends when it is told to
	}
}
