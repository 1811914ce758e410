// Package media takes MPEG-TS, fragmented MP4 and FLV apart as they are read, from a
// server that nobody vouches for: it says which tracks there are and when which frame
// is due, and keeps no frame. Every table and buffer has a bound that is fixed here.
package media

import (
	"errors"
	"time"

	"headwater/remux/av"
)

// ErrFormat is what every error about the bytes themselves wraps.
var ErrFormat = errors.New("malformed")

// Track is what a player has to know before it decodes.
type Track struct {
	Codec         string // as people call it: "H.264"
	Tag           string // as CODECS has it, "avc1.64001f"; "" where it is not known
	Width, Height int
	FrameRate     float64 // as stated; 0: not
	SampleRate    int
	Channels      int
}

// Same reports whether a decoder would notice no difference.
func (t Track) Same(o Track) bool { return t == o }

func trackOf(t *av.Track) Track {
	return Track{
		Codec: t.Codec.String(), Tag: t.String, Width: t.Width, Height: t.Height, FrameRate: t.FrameRate,
		SampleRate: t.SampleRate, Channels: t.Channels,
	}
}

// Frame is a picture or a piece of sound.
type Frame struct {
	Kind     av.Kind
	Key      bool
	DTS, PTS time.Duration
	Size     int // bytes
}

// Sink is told what is found, in the order of the bytes.
type Sink interface {
	Track(kind av.Kind, t Track)
	Frame(f Frame)
}

// Faults counts what is wrong with the bytes and can be read over.
type Faults struct {
	Continuity int // MPEG-TS: packets that are missing, by their counters
	Sync       int // MPEG-TS: bytes that are no packet; FLV: wrong PreviousTagSize
	Malformed  int // frames and records that could not be read
	Unknown    int // of codecs that are not known here
	Encrypted  int // that cannot be looked into
}
