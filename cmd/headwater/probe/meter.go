package probe

import (
	"headwater/cmd/headwater/probe/media"
	"headwater/origin/checkup"
	"headwater/remux/av"
)

// meter measures media as it goes by, and knows what it is.
type meter struct {
	checkup.Meter
	video, audio *media.Track
	changes      int
}

// setTrack takes a track's parameters, which may be new.
func (m *meter) setTrack(kind av.Kind, t media.Track) {
	at := &m.video
	if kind == av.Audio {
		at = &m.audio
	}
	if *at != nil && !(*at).Same(t) {
		m.changes++
	}
	*at = &t
}

// add takes one frame.
func (m *meter) add(f media.Frame) { m.Add(checkup.Frame(f)) }

// measures returns what has been found out.
func (m *meter) measures() checkup.Measures {
	c := m.Measures()
	c.Changes = m.changes
	if v, t := c.Video, m.video; v != nil && t != nil {
		v.Codec, v.Width, v.Height, v.StatedRate = t.Codec, t.Width, t.Height, t.FrameRate
	}
	if a, t := c.Audio, m.audio; a != nil && t != nil {
		a.Codec, a.SampleRate, a.Channels = t.Codec, t.SampleRate, t.Channels
	}
	return c
}
