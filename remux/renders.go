package remux

import "sync/atomic"

// Renders counts what has been made of a stream for viewers, each thing once,
// however many asked for it. What nobody asks for is not made.
type Renders struct {
	Multivariants uint64
	Playlists     uint64 // media playlists and their delta updates
	Segments      uint64
	Parts         uint64
	Inits         uint64
}

// Total is how many things were made.
func (r Renders) Total() uint64 {
	return r.Multivariants + r.Playlists + r.Segments + r.Parts + r.Inits
}

// renderCounts count while many render.
type renderCounts struct {
	multivariants, playlists, segments, parts, inits atomic.Uint64
}

func (c *renderCounts) snapshot() Renders {
	return Renders{
		Multivariants: c.multivariants.Load(),
		Playlists:     c.playlists.Load(),
		Segments:      c.segments.Load(),
		Parts:         c.parts.Load(),
		Inits:         c.inits.Load(),
	}
}

// Renders returns the counts so far.
func (s *Stream) Renders() Renders { return s.served.renders.snapshot() }
