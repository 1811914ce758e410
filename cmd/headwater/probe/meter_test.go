package probe

import (
	"testing"
	"time"

	"headwater/cmd/headwater/probe/media"
	"headwater/remux/av"
)

const ms = time.Millisecond

// feed adds n pictures a step apart from a time on, with a key frame each gop, and
// sound beside them unless it is muted.
func feed(m *meter, from, step time.Duration, n, gop int, muted bool) (end time.Duration) {
	for i := range n {
		at := from + time.Duration(i)*step
		m.add(media.Frame{Kind: av.Video, Key: i%gop == 0, DTS: at, PTS: at, Size: 1000})
		if !muted {
			m.add(media.Frame{Kind: av.Audio, Key: true, DTS: at, PTS: at, Size: 100})
		}
	}
	return from + time.Duration(n)*step
}

func TestMeter(t *testing.T) {
	t.Run("steady", func(t *testing.T) {
		var m meter
		feed(&m, 0, 40*ms, 251, 50, false)
		c := m.measures()
		v, k := c.Video, c.Video.Keys
		if v.Rate != 25 || v.Uneven != 0 || v.Longest != 40*ms || v.Reordered || k.Count != 6 || k.Min != 2*time.Second || k.Mean != k.Min || k.Max != k.Min || k.Since != 0 {
			t.Errorf("%+v", v)
		}
		if c.Span != 10*time.Second || c.Bitrate.Mean < 220e3 || c.Bitrate.Mean > 222e3 || c.Bitrate.Peak != 220e3 || c.Bitrate.Lowest != 220e3 || c.Audio.Longest != 0 {
			t.Errorf("%+v, %+v", c, c.Audio)
		}
	})
	t.Run("a jump is not a hole", func(t *testing.T) {
		var m meter
		end := feed(&m, 0, 40*ms, 100, 50, false)
		feed(&m, end+time.Hour, 40*ms, 100, 50, false)
		c := m.measures()
		if c.Clock.Jumps != 1 || c.Clock.Backward != 0 || c.Video.Longest != 40*ms || c.Video.Keys.Mean != 2*time.Second || c.Video.Keys.Max != 2*time.Second || c.Span > 8*time.Second || c.Bitrate.Lowest < 200e3 {
			t.Errorf("%+v, %+v", c, c.Video)
		}
	})
	t.Run("a clock that begins again", func(t *testing.T) {
		var m meter
		feed(&m, time.Hour, 40*ms, 100, 50, false)
		feed(&m, 0, 40*ms, 100, 50, false)
		c := m.measures()
		if c.Clock.Backward != 1 || c.Video.Keys.Max != 2*time.Second || c.Video.Rate < 24.9 || c.Video.Rate > 25.1 {
			t.Errorf("%+v, %+v", c, c.Video)
		}
	})
	t.Run("sound goes away", func(t *testing.T) {
		var m meter
		end := feed(&m, 0, 40*ms, 100, 50, false)
		end = feed(&m, end, 40*ms, 200, 50, true)
		if c := m.measures(); c.Clock.Jumps != 0 || c.Audio.Missing != 8*time.Second || c.Audio.Longest != 0 {
			t.Errorf("%+v, %+v", c, c.Audio)
		}
		feed(&m, end, 40*ms, 50, 50, false)
		if c := m.measures(); c.Clock.Jumps != 0 || c.Audio.Missing != 0 || c.Audio.Longest != 8*time.Second {
			t.Errorf("%+v, %+v", c, c.Audio)
		}
	})
	t.Run("collapse", func(t *testing.T) {
		var m meter
		end := feed(&m, 0, 40*ms, 100, 50, false)
		m.add(media.Frame{Kind: av.Video, DTS: end + 4*time.Second, PTS: end + 4*time.Second, Size: 10})
		feed(&m, end+4*time.Second+40*ms, 40*ms, 100, 50, false)
		if c := m.measures(); c.Bitrate.Lowest != 0 || c.Bitrate.Peak < 200e3 || c.Video.Longest < 4*time.Second {
			t.Errorf("%+v, %+v", c.Bitrate, c.Video)
		}
	})
	t.Run("uneven", func(t *testing.T) {
		var m meter
		at := time.Duration(0)
		for i := range 200 {
			m.add(media.Frame{Kind: av.Video, Key: i == 0, DTS: at, PTS: at})
			at += []time.Duration{40, 40, 80, 40, 120}[i%5] * ms
		}
		if u := m.measures().Video.Uneven; u < 0.35 || u > 0.45 {
			t.Errorf("%.2f of the pictures are off", u)
		}
	})
	t.Run("B-frames", func(t *testing.T) {
		var m meter
		for i, cts := range []time.Duration{80, 160, 40, 0, 40, 160, 40} {
			dts := time.Duration(i) * 40 * ms
			m.add(media.Frame{Kind: av.Video, Key: i == 0, DTS: dts, PTS: dts + cts*ms})
		}
		if v := m.measures().Video; !v.Reordered || v.Reorder != 80*ms {
			t.Errorf("%+v", v)
		}
	})
	t.Run("drift", func(t *testing.T) {
		var m meter
		for i := range 100 {
			at := time.Duration(i) * 100 * ms
			m.Offset(at, 50*ms+time.Duration(i)*2*ms)
		}
		if c := m.measures(); c.Ahead == nil || c.Drift < 110*ms || c.Drift > 140*ms || *c.Ahead-c.Drift < 50*ms || *c.Ahead-c.Drift > 80*ms {
			t.Errorf("%v, %s", c.Ahead, c.Drift)
		}
	})
	t.Run("changes", func(t *testing.T) {
		var m meter
		m.setTrack(av.Video, media.Track{Codec: "H.264", Width: 640})
		m.setTrack(av.Video, media.Track{Codec: "H.264", Width: 640})
		m.setTrack(av.Video, media.Track{Codec: "H.264", Width: 1280})
		if c := m.measures(); c.Changes != 1 {
			t.Errorf("%d changes", c.Changes)
		}
	})
}
