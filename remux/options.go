// Package remux turns what publishers send into what viewers ask for.
//
// A live stream is a timeline of immutable frames, and everything a viewer can
// ask for is a view of it. A Publisher appends frames to its Stream; a Cursor
// reads them in order of arrival (HTTP-FLV); an Index says where HLS segments
// and parts begin. Packaging is a pure function of frames, run when somebody
// first asks for the result and kept with the segment: a stream that nobody
// watches costs its frames and nothing else.
//
// # Concurrency
//
// Publisher is the only way to write and belongs to one goroutine. Readers see
// immutable values: frames, segments, and an Index that is replaced, never
// changed. A reader that has to wait uses Watch, the one waiting primitive of
// the media path. The publisher never waits for a reader.
//
// # Two orders
//
// Frames go to cursors at once, in the order in which they arrived, so that
// HTTP-FLV adds no delay. HLS needs audio and video cut at the same time however
// unevenly they arrive, so the timeline sorts them by DTS first; package hls
// says how long it waits for a track that is behind.
package remux

import "time"

// Options are the limits and lengths that hold for every stream of a Registry.
// DefaultOptions are good values; zero is not a default.
type Options struct {
	// SegmentDuration is the media time after which the next key frame begins a
	// new segment.
	SegmentDuration time.Duration
	// MaxSegmentDuration is where a segment is cut even without a key frame. It
	// also bounds EXT-X-TARGETDURATION, which is taken from the first segment
	// and never changes afterwards.
	MaxSegmentDuration time.Duration
	// MaxSegmentBytes is where a segment of a second or more is cut even without a
	// key frame, so that a player gets no segment that its memory cannot hold.
	MaxSegmentBytes int64
	// PartDuration is the nominal length of a low-latency part.
	PartDuration time.Duration
	// Window is the media time that a playlist lists; it lists at least six
	// segments and three target durations.
	Window time.Duration
	// MaxBytes bounds the frames that one stream holds. Above it the oldest
	// segments go, first those that no playlist lists any more.
	MaxBytes int64
	// Reconnect is how long a stream waits for its publisher to come back
	// before it ends. 0 ends it at once.
	Reconnect time.Duration
	// Linger is how long an ended stream can still be played to its end.
	Linger time.Duration
	// MaxLag and MaxLagBytes are how far a Cursor may fall behind before it
	// skips to the newest key frame. What it is behind by is held once for all
	// viewers, most of it for those who come as well, so the bytes are no viewer's
	// cost: they bound what one stream can hold beyond its window. A bound that is
	// near one group of pictures, or a second, would cost viewers of a high rate
	// pictures for each short stall, and for nothing.
	MaxLag      time.Duration
	MaxLagBytes int64
}

// DefaultOptions returns the defaults of the configuration file.
func DefaultOptions() Options {
	return Options{
		SegmentDuration:    2 * time.Second,
		MaxSegmentDuration: 10 * time.Second,
		MaxSegmentBytes:    32 << 20,
		PartDuration:       333 * time.Millisecond,
		Window:             12 * time.Second,
		MaxBytes:           256 << 20,
		Reconnect:          30 * time.Second,
		Linger:             time.Minute,
		MaxLag:             8 * time.Second,
		MaxLagBytes:        32 << 20,
	}
}

// MaxLag returns how far behind a viewer of the stream may fall before it goes on at
// the newest key frame: in media time and in bytes.
func (s *Stream) MaxLag() (time.Duration, int64) { return s.options.MaxLag, s.options.MaxLagBytes }
