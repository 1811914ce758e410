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
