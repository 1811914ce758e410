//go:build e2e

package conformance

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// recipe says how ffmpeg makes a clip: whole groups of pictures, each a second
// long or nearly so, and some audio.
type recipe struct {
	name          string
	width, height int
	rate          Rational // of pictures; 0: no video
	bframes       int
	x264          string // more parameters
	video         string // more options
	sound         int    // sampling rate; 0: no audio
	audio         string // encoder and options; empty: AAC
	samples       int64  // in an audio frame; 0: 1024

	once sync.Once
	clip *Clip
	err  error
}

const clipSeconds = 4

var (
	plain = &recipe{name: "plain", width: 320, height: 180, rate: Rational{30, 1}, bframes: 2, sound: 44100}
	ntsc  = &recipe{name: "ntsc", width: 320, height: 180, rate: Rational{30000, 1001}, bframes: 3, sound: 48000}
	film  = &recipe{name: "film", width: 320, height: 132, rate: Rational{24000, 1001}, bframes: 2, sound: 44100}
	pal   = &recipe{name: "pal", width: 426, height: 240, rate: Rational{25, 1}, sound: 48000}
	hlg   = &recipe{name: "hlg", width: 320, height: 180, rate: Rational{25, 1}, bframes: 2, sound: 48000,
		x264: ":transfer=arib-std-b67:colorprim=bt2020:colormatrix=bt2020nc"}
	heavy = &recipe{name: "heavy", width: 320, height: 180, rate: Rational{30, 1}, sound: 44100,
		x264: ":keyint=120:min-keyint=120", video: "-b:v 10M -maxrate 10M -bufsize 1M"} // a key frame each 4 s
	sound  = &recipe{name: "sound", sound: 44100}
	silent = &recipe{name: "silent", width: 320, height: 180, rate: Rational{25, 1}, bframes: 2}
	mp3    = &recipe{name: "mp3", width: 320, height: 180, rate: Rational{30, 1}, sound: 44100,
		audio: "-c:a libmp3lame -reservoir 0 -b:a 96k", samples: 1152}
)

// ready returns the clip. Only the first caller makes it; the others wait.
func (r *recipe) ready(t *testing.T) *Clip {
	t.Helper()
	r.once.Do(func() { r.clip, r.err = r.make() })
	if r.err != nil {
		t.Fatalf("make clip %s: %v", r.name, r.err)
	}
	return r.clip
}

func (r *recipe) make() (*Clip, error) {
	args := []string{"-hide_banner", "-nostdin", "-loglevel", "error"}
	if r.rate.Num > 0 {
		graph := fmt.Sprintf("testsrc2=s=%dx%d:r=%d/%d,noise=alls=12:allf=t:all_seed=1", r.width, r.height, r.rate.Num, r.rate.Den)
		args = append(args, "-f", "lavfi", "-i", graph)
	}
	if r.sound > 0 {
		args = append(args, "-f", "lavfi", "-i", fmt.Sprintf("aevalsrc=0.3*sin(2*PI*(200+30*t)*t)|0.3*sin(2*PI*(300+20*t)*t):s=%d", r.sound))
	}
	audio, samples := Rational{}, int64(1024)
	if r.rate.Num > 0 {
		group := (r.rate.Num + r.rate.Den/2) / r.rate.Den
		args = append(args, "-frames:v", fmt.Sprint(clipSeconds*group), "-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p",
			"-b:v", "300k", "-maxrate", "300k", "-bufsize", "150k", "-threads", "1",
			"-x264-params", fmt.Sprintf("keyint=%d:min-keyint=%d:scenecut=0:bframes=%d:b-adapt=0:force-cfr=1%s", group, group, r.bframes, r.x264))
		args = append(args, strings.Fields(r.video)...)
	}
	if r.sound > 0 {
		encoder := "-c:a aac -b:a 96k"
		if r.audio != "" {
			encoder, samples = r.audio, r.samples
		}
		args = append(args, strings.Fields(encoder)...)
		args = append(args, "-t", fmt.Sprint(clipSeconds))
		audio = Rational{int64(r.sound), samples}
	}
	file := filepath.Join(workDir, r.name+".flv")
	var stderr bytes.Buffer
	cmd := exec.Command("ffmpeg", append(args, "-y", file)...)
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("ffmpeg: %w\n%s", err, stderr.String())
	}
	b, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	return NewClip(b, r.rate, audio)
}
