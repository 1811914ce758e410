package fanout

import (
	"runtime"
	"testing"
	"weak"

	"headwater/remux"
	"headwater/remux/flv"
)

// begun returns the publisher of a stream, and its registry.
func begun(t *testing.T) (*remux.Registry, *remux.Publisher) {
	t.Helper()
	r := remux.NewRegistry(remux.DefaultOptions(), nil)
	p, err := r.Publish(remux.Name{App: "live", Stream: "x"}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r, p
}

// publisher returns one of H.264 pictures alone, that has sent its header.
func publisher(t *testing.T) *remux.Publisher {
	t.Helper()
	_, p := begun(t)
	send(t, p, flv.TypeVideo, 0, append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
		0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80))
	return p
}

// pictures publishes some of 20 KB and 40 ms from a time on; key says that the first is a
// key frame.
func pictures(t *testing.T, p *remux.Publisher, from, n int, key bool) {
	for i := range n {
		body := make([]byte, 20_000)
		copy(body, []byte{0x27, 1, 0, 0, 0, 0, 0, (20_000 - 9) >> 8, (20_000 - 9) & 255, 0x41})
		if key && i == 0 {
			body[0], body[9] = 0x17, 0x65
		}
		send(t, p, flv.TypeVideo, uint32(from+40*i), body)
	}
}

// TestKeyFrameThatIsTheLast: an encoder that sends one key frame and then none costs what
// a viewer may be behind, not all that it has sent. Who comes late waits for the next.
func TestKeyFrameThatIsTheLast(t *testing.T) {
	p := publisher(t)
	f := newFeed(feedKey{p.Stream(), FLV})
	turn := int64(0)
	publish := func(from, n int, key bool) (newest, start *block) {
		for at := from; at < from+n; at += 25 {
			pictures(t, p, 40*at, 25, key && at == from)
			turn++
			newest, start = f.advance(turn, 0)
		}
		return newest, start
	}
	_, start := publish(0, 350, true) // 14 s
	if start == nil {
		t.Fatal("there is nothing to begin with 14 s behind a key frame")
	}
	held := weak.Make(start)
	newest, start := publish(350, 100, false)
	if start != nil {
		t.Errorf("viewers begin %v behind", newest.dts-start.dts)
	}
	runtime.GC()
	if held.Value() != nil {
		t.Error("all that came behind the key frame is held")
	}
	late := place{feed: f}
	if lead, err := late.enter(newest, start, 0); lead != nil || err != nil || late.last != nil {
		t.Errorf("a viewer begins with nothing to begin with: %q, %v", lead, err)
	}
	newest, start = publish(450, 25, true)
	if start == nil || start.dts != 18_000*1e6 {
		t.Fatalf("the next key frame is not begun with: %+v", start)
	}
	if lead, err := late.enter(newest, start, 0); len(lead) == 0 || err != nil || late.last.next.Load() != start {
		t.Errorf("a viewer that has waited gets %q, %v", lead, err)
	}
	runtime.KeepAlive(f)
}

// TestFeedThatIsLate: frames that nobody took in time are missing for all viewers, who
// begin anew behind the hole, are told of it, and are not closed for it.
func TestFeedThatIsLate(t *testing.T) {
	p := publisher(t)
	pictures(t, p, 0, 30, true)
	f := newFeed(feedKey{p.Stream(), FLV})
	newest, start := f.advance(1, 0)
	var counts Counts
	v := place{feed: f, pause: skipPause, counts: &counts}
	if lead, err := v.enter(newest, start, 0); len(lead) == 0 || err != nil {
		t.Fatalf("it begins with %q, %v", lead, err)
	}
	for turn := range 3 { // each time more than a viewer may be behind, at once
		for b := v.last.next.Load(); continues(v.last, b); b = v.last.next.Load() {
			v.sent(b)
		}
		pictures(t, p, 1200+(turn*16_000), 400, true)
		pictures(t, p, 1200+(turn*16_000)+16_000, 1, true)
		newest, start = f.advance(int64(turn+2), 0)
		v.follow(newest, start, false)
		if continues(v.last, v.last.next.Load()) {
			t.Fatal("it goes on as if nothing were missing")
		}
		if _, err := v.enter(newest, start, 0); err != nil {
			t.Fatalf("hole %d: %v", turn+1, err)
		}
		if next := v.last.next.Load(); !continues(v.last, next) || !next.start {
			t.Fatal("it does not go on at a key frame")
		}
	}
	if counts.Skips() != 3 {
		t.Errorf("%d skips are counted", counts.Skips())
	}
}
