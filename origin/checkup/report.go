package checkup

import (
	"math"
	"time"

	"headwater/remux"
)

// FromReport takes over what the server has measured itself. now is for how long
// nothing has come.
func FromReport(r remux.Report, now time.Time) Measures {
	m := Measures{
		Span:        r.HLS.Window,
		Ended:       r.Phase != remux.Live,
		LowLatency:  r.HLS.PartTarget > 0,
		Segment:     r.HLS.Target,
		Bitrate:     Bitrate{Mean: r.Bitrate},
		Clock:       Clock{Jumps: count(r.Publisher.Discontinuities)},
		Ahead:       r.AVOffset,
		Malformed:   count(r.Publisher.Malformed),
		Unsupported: count(r.Publisher.Unsupported),
	}
	if r.Phase == remux.Live && !r.LastPart.IsZero() {
		m.Arrival.Stall = max(0, now.Sub(r.LastPart))
	}
	if r.Config == nil {
		return m
	}
	if v := r.Config.Video; v != nil {
		m.Video = &Video{
			Codec: v.Codec.String(), Width: v.Width, Height: v.Height, Rate: r.FrameRate, StatedRate: v.FrameRate,
			Frames: count(r.Publisher.VideoFrames),
			Keys:   keys(r),
		}
	}
	if a := r.Config.Audio; a != nil {
		m.Audio = &Audio{Codec: a.Codec.String(), SampleRate: a.SampleRate, Channels: a.Channels, Frames: count(r.Publisher.AudioFrames)}
	}
	return m
}

// FromStream is FromReport with what only the media itself tells: how even pictures
// come, peaks and collapses of the bit rate, holes, and what B-frames cost. drift is how
// AVOffset has changed since the publisher came.
func FromStream(s *remux.Stream, drift time.Duration, now time.Time) Measures {
	r := s.Report()
	m := FromReport(r, now)
	var seen Meter
	for f, broken := range s.Index().Frames() {
		if broken {
			seen.Cut()
		}
		seen.Add(Frame{Kind: f.Kind, Key: f.Key, DTS: f.DTS, PTS: f.DTS + f.CTS, Size: len(f.Data)})
	}
	c := seen.Measures()
	m.Span = max(m.Span, c.Span)
	m.Drift = drift
	if c.Bitrate.Peak > 0 && m.Bitrate.Mean > 0 {
		m.Bitrate = c.Bitrate
	}
	if m.Video != nil && c.Video != nil {
		v := m.Video
		v.Uneven, v.Longest, v.Reordered, v.Reorder = c.Video.Uneven, c.Video.Longest, c.Video.Reordered, c.Video.Reorder
		v.Keys = c.Video.Keys
	}
	if m.Audio != nil && c.Audio != nil {
		m.Audio.Longest, m.Audio.Missing = c.Audio.Longest, c.Audio.Missing
	} else if m.Audio != nil && c.Video != nil {
		m.Audio.Missing = c.Span // there was sound, and in all that is held there is none
	}
	return m
}

// keys returns the distances of key frames. Fewer than two in all of a window are at
// least half of it apart.
func keys(r remux.Report) Distances {
	k := Distances{Min: r.KeyFrames.Min, Mean: r.KeyFrames.Last, Max: r.KeyFrames.Max}
	if k.Max == 0 && r.HLS.Window > 2*keysLong {
		k.Count, k.Since = 1, r.HLS.Window/2
	}
	return k
}

func count(n uint64) int { return int(min(n, math.MaxInt32)) }
