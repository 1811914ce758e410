package remux

import (
	"iter"

	"headwater/remux/av"
)

// Frames returns the audio and video that is held, each track in order of DTS and both
// beside each other. The flag says that a discontinuity lies in front of a frame.
func (ix *Index) Frames() iter.Seq2[av.Frame, bool] {
	return func(yield func(av.Frame, bool) bool) {
		for _, s := range ix.stretches() {
			broken := s.broken
			for v, a := 0, 0; v < s.video.len() || a < s.audio.len(); broken = false {
				from, next := s.video, &v
				if v == s.video.len() || a < s.audio.len() && s.audio.frames[a].dts < s.video.frames[v].dts {
					from, next = s.audio, &a
				}
				if !yield(from.at(*next), broken) {
					return
				}
				*next++
			}
		}
	}
}
