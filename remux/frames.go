package remux

import (
	"iter"

	"headwater/remux/av"
)

// Frames returns the audio and video that is held, each track in order of DTS and both
// beside each other. The flag says that a discontinuity lies in front of a frame.
func (ix *Index) Frames() iter.Seq2[*av.Frame, bool] {
	return func(yield func(*av.Frame, bool) bool) {
		for _, s := range ix.samples() {
			broken := s.broken
			for v, a := s.video, s.audio; len(v)+len(a) > 0; broken = false {
				next := &v
				if len(v) == 0 || len(a) > 0 && a[0].DTS < v[0].DTS {
					next = &a
				}
				if !yield((*next)[0].Frame, broken) {
					return
				}
				*next = (*next)[1:]
			}
		}
	}
}
