//go:build e2e

package conformance

import (
	"bytes"
	"slices"
	"testing"
	"time"
)

// endSoon makes a stream end soon after its publisher has left.
const endSoon = "STREAM_RECONNECT_WINDOW=1s"

// TestStreams pushes one kind of media each, faster than it plays, with short
// segments, to its end.
func TestStreams(t *testing.T) {
	streams := []struct {
		name string
		clip *recipe
		feed Feed
	}{
		{"plain", plain, Feed{}},
		{"ntsc", ntsc, Feed{}},
		{"film", film, Feed{}},
		{"early", plain, Feed{AudioEarly: 600 * time.Millisecond}},
		{"late", ntsc, Feed{AudioEarly: -400 * time.Millisecond}},
		{"offset", film, Feed{AudioLater: 730 * time.Millisecond}},
		{"sound", sound, Feed{}},
		{"silent", silent, Feed{}},
		{"mp3", mp3, Feed{}},
		{"hlg", hlg, Feed{}},
		{"cues", plain, Feed{Cues: 1700 * time.Millisecond}},
		{"extended", plain, Feed{Start: 1<<24 - 7000}},
		{"wrap31", ntsc, Feed{Start: 1<<31 - 7000}},
		{"wrap32", plain, Feed{Start: 1<<32 - 7000}},
		{"wrap33", film, Feed{Start: 1<<33/90 - 8000}},
	}
	for _, s := range streams {
		t.Run(s.name, func(t *testing.T) {
			t.Parallel()
			s.feed.Clip = s.clip.ready(t)
			rec := record(t, &s.feed)
			judge(t, rec)
		})
	}
}

// TestBytes: of groups of four seconds each is several segments, since their bytes are
// bounded: they cannot all begin with key frames, and all else holds.
func TestBytes(t *testing.T) {
	t.Parallel()
	rec := record(t, &Feed{Clip: heavy.ready(t)}, "HLS_MAX_SEGMENT_BYTES=1MiB")
	result := Check(rec)
	if broken := result.Broken(); !slices.Equal(slices.Sorted(slices.Values(broken)), []string{"mp4.starts-sync", "ts.starts-idr"}) {
		t.Errorf("breaks %v:\n%s%s", broken, result, keep(rec))
	}
	lists := rec.Rendition("fmp4").Lists
	if last := ParseMedia(lists[len(lists)-1].Body); len(last.Segments) < 6 || bytes.Contains(lists[len(lists)-1].Body, []byte("INDEPENDENT-SEGMENTS")) {
		t.Errorf("not cut for its bytes:\n%s", lists[len(lists)-1].Body)
	}
}

// record pushes a feed to its end and returns what was seen of it.
func record(t *testing.T, feed *Feed, env ...string) *Recording {
	t.Helper()
	length := 24 * time.Second
	if long {
		length = 4 * time.Minute
	}
	const speed = 4
	st := newStage(t, shortWindow, slices.Concat(short, []string{endSoon}, env)...)
	st.rec.Rec.Whole = true
	st.play(50 * time.Millisecond)
	p := st.publish(feed, speed)
	st.until(p, 4*time.Second)
	st.rec.Multivariant(st.ctx)
	st.until(p, length)
	st.rec.Multivariant(st.ctx)
	st.close(p, false)
	st.awaitEnd(5 * time.Second)
	return st.finish()
}
