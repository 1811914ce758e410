//go:build e2e

package conformance

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
)

// enhanced are recordings of what encoders send as Enhanced RTMP. They belong to
// package remux; where they are not there, what needs them is skipped.
var enhanced = []struct {
	name  string
	video Rational
	audio Rational
}{
	{"hevc_aac", Rational{15, 1}, Rational{48000, 1024}},
	{"hevc10_opus", Rational{15, 1}, Rational{48000, 960}},
	{"av1_aac", Rational{15, 1}, Rational{48000, 1024}},
	{"av1_opus", Rational{15, 1}, Rational{48000, 960}},
	{"obs_av1_aac", Rational{15, 1}, Rational{48000, 1024}},
	{"vp9_aac", Rational{15, 1}, Rational{48000, 1024}},
	{"h264_flac", Rational{15, 1}, Rational{16000, 1024}},
	{"h264_ac3", Rational{15, 1}, Rational{48000, 1536}},
	{"h264_eac3", Rational{15, 1}, Rational{48000, 1536}},
	{"opus51", Rational{}, Rational{48000, 960}},
	{"opus60", Rational{}, Rational{48000, 2880}},
}

// TestEnhanced is TestStreams with the codecs of Enhanced RTMP.
func TestEnhanced(t *testing.T) {
	for _, e := range enhanced {
		t.Run(e.name, func(t *testing.T) {
			t.Parallel()
			b, err := os.ReadFile(filepath.Join("..", "..", "remux", "testdata", "enhanced", e.name+".flv"))
			if errors.Is(err, fs.ErrNotExist) {
				t.Skip(err)
			}
			if err != nil {
				t.Fatal(err)
			}
			clip, err := NewClip(b, e.video, e.audio)
			if err != nil {
				t.Fatal(err)
			}
			judge(t, record(t, &Feed{Clip: clip}))
		})
	}
}
