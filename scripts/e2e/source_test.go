//go:build e2e

package e2e

import (
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// source is one kind of input. It is encoded once and pushed with -c copy, so
// that the timestamps and bytes that reach the server are known exactly.
type source struct {
	name    string
	video   string // lavfi graph; empty: no video
	vcodec  string // options of the encoder
	audio   string // lavfi graph; empty: no audio
	acodec  string
	seconds int
	offset  int // seconds added to every timestamp while pushing

	// What the multivariant playlist has to say.
	width, height int
	frameRate     float64

	once     sync.Once
	err      error
	file     string
	sent     capture  // what the push sends, read back from a file
	pictures []string // hash of every decoded picture, in display order
	avc      string   // its entry in CODECS, from the profile and level in avcC
}

const (
	chirp   = "aevalsrc=0.3*sin(2*PI*(200+30*t)*t)|0.3*sin(2*PI*(300+20*t)*t):s=%d"
	x264    = "-c:v libx264 -preset veryfast -pix_fmt yuv420p -b:v 1M -maxrate 1M -bufsize 1M -sc_threshold 0 "
	aac     = "-c:a aac -b:a 128k "
	seconds = 16
)

var sources = []*source{
	{name: "bframes", video: "testsrc2=s=640x360:r=30", vcodec: x264 + "-g 60 -bf 2",
		audio: fmt.Sprintf(chirp, 44100), acodec: aac, seconds: seconds,
		width: 640, height: 360, frameRate: 30},
	{name: "plain", video: "testsrc2=s=640x360:r=30", vcodec: x264 + "-g 60 -bf 0",
		audio: fmt.Sprintf(chirp, 44100), acodec: aac, seconds: seconds,
		width: 640, height: 360, frameRate: 30},
	{name: "ntsc", video: "testsrc2=s=854x480:r=30000/1001", vcodec: x264 + "-g 48 -bf 3 -profile:v main",
		audio: fmt.Sprintf(chirp, 48000), acodec: aac, seconds: seconds,
		width: 854, height: 480, frameRate: 29.97},
	{name: "audio", audio: fmt.Sprintf(chirp, 44100), acodec: aac, seconds: seconds},
	{name: "video", video: "testsrc2=s=640x360:r=25", vcodec: x264 + "-g 50 -bf 2", seconds: seconds,
		width: 640, height: 360, frameRate: 25},
	{name: "mp3", video: "testsrc2=s=640x360:r=30", vcodec: x264 + "-g 60 -bf 2",
		audio: fmt.Sprintf(chirp, 44100), acodec: "-c:a libmp3lame -reservoir 0 -b:a 128k", seconds: seconds,
		width: 640, height: 360, frameRate: 30},
	{name: "slow", video: "testsrc2=s=320x180:r=5", vcodec: x264 + "-g 10 -bf 2",
		audio: "aevalsrc=0.3*sin(2*PI*(200+30*t)*t):s=24000", acodec: "-c:a aac -b:a 48k", seconds: seconds,
		width: 320, height: 180, frameRate: 5},
	{name: "longgop", video: "testsrc2=s=640x360:r=30", vcodec: x264 + "-g 150 -bf 2",
		audio: fmt.Sprintf(chirp, 44100), acodec: aac, seconds: seconds,
		width: 640, height: 360, frameRate: 30},
	{name: "past24bits", video: "testsrc2=s=640x360:r=30", vcodec: x264 + "-g 60 -bf 2",
		audio: fmt.Sprintf(chirp, 44100), acodec: aac, seconds: seconds, offset: 17000,
		width: 640, height: 360, frameRate: 30},
	{name: "across24bits", video: "testsrc2=s=640x360:r=30", vcodec: x264 + "-g 60 -bf 2",
		audio: fmt.Sprintf(chirp, 44100), acodec: aac, seconds: seconds, offset: 16770, // 2^24 ms is 16777.216 s
		width: 640, height: 360, frameRate: 30},
	{name: "fast", video: "testsrc2=s=1280x720:r=30,noise=alls=80:allf=t",
		vcodec: "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 50M -maxrate 50M -bufsize 25M -g 60",
		audio:  fmt.Sprintf(chirp, 44100), acodec: aac, seconds: 10,
		width: 1280, height: 720, frameRate: 30},
}

// sourceNamed returns one of sources, encoded.
func sourceNamed(t *testing.T, name string) *source {
	t.Helper()
	for _, s := range sources {
		if s.name == name {
			s.ready(t)
			return s
		}
	}
	t.Fatalf("no source %q", name)
	return nil
}

// ready encodes the source and reads back what a push of it sends. Only the
// first caller works; the others wait.
func (s *source) ready(t *testing.T) {
	t.Helper()
	s.once.Do(func() { s.err = s.make() })
	if s.err != nil {
		t.Fatalf("make source %s: %v", s.name, s.err)
	}
}

func (s *source) make() error {
	s.file = filepath.Join(sourceDir, s.name+".flv")
	args := []string{"-y"}
	for _, graph := range []string{s.video, s.audio} {
		if graph != "" {
			args = append(args, "-f", "lavfi", "-i", graph)
		}
	}
	args = append(args, "-t", fmt.Sprint(s.seconds))
	args = append(args, strings.Fields(s.vcodec+" "+s.acodec)...)
	if _, err := ffmpeg(append(args, s.file)...); err != nil {
		return err
	}
	// ffmpeg may move timestamps on their way through -c copy; what counts is
	// what comes out of that.
	sent := filepath.Join(sourceDir, s.name+".sent.flv")
	if _, err := ffmpeg(append(append([]string{"-y", "-i", s.file}, s.copyArgs()...), sent)...); err != nil {
		return err
	}
	var err error
	if s.sent, err = readCapture(sent); err != nil {
		return err
	}
	for _, tr := range []track{s.sent.video, s.sent.audio} {
		if err := tr.unique(); err != nil {
			return err
		}
	}
	if s.video == "" {
		return nil
	}
	if s.avc, err = avcCodec(sent); err != nil {
		return err
	}
	s.pictures, err = pictures(sent)
	return err
}

func (s *source) copyArgs() []string {
	args := []string{"-c", "copy", "-f", "flv"}
	if s.offset != 0 {
		args = append(args, "-output_ts_offset", fmt.Sprint(s.offset))
	}
	return args
}

// duration is how long a push of the source lasts.
func (s *source) duration() time.Duration { return time.Duration(s.seconds) * time.Second }

// push is a running ffmpeg that publishes a source in real time.
type push struct {
	cmd  *exec.Cmd
	log  *rig.Log
	done chan struct{}
	err  error // its result; read it after done
}

// publish starts pushing s to url. inputArgs stand before -i (-stream_loop,
// -t …). The process ends with the test at the latest.
func (s *source) publish(t *testing.T, url string, inputArgs ...string) *push {
	t.Helper()
	args := append([]string{"-hide_banner", "-nostdin", "-loglevel", "info", "-nostats", "-re"}, inputArgs...)
	args = append(append(append(args, "-i", s.file), s.copyArgs()...), url)
	return start(t, exec.Command("ffmpeg", args...))
}

// start runs a command in the background and kills it when the test ends.
func start(t *testing.T, cmd *exec.Cmd) *push {
	t.Helper()
	p := &push{cmd: cmd, log: &rig.Log{}, done: make(chan struct{})}
	cmd.Stdout, cmd.Stderr = p.log, p.log
	cmd.WaitDelay = 5 * time.Second
	if err := cmd.Start(); err != nil {
		t.Fatalf("start %s: %v", cmd.Path, err)
	}
	go func() {
		p.err = cmd.Wait()
		close(p.done)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-p.done
	})
	return p
}

// wait returns when the process has ended by itself, and fails the test if it
// ended badly or not within limit.
func (p *push) wait(t *testing.T, limit time.Duration) {
	t.Helper()
	select {
	case <-p.done:
		if p.err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(p.cmd.Args, " "), p.err, p.log.Tail(4000))
		}
	case <-time.After(limit):
		t.Fatalf("%s: still running after %v\n%s", strings.Join(p.cmd.Args, " "), limit, p.log.Tail(4000))
	}
}

// running says whether the process is still there.
func (p *push) running() bool {
	select {
	case <-p.done:
		return false
	default:
		return true
	}
}

// codecs returns what CODECS may say. MPEG-1 layer III has had several names.
func (s *source) codecs() (all [][]string) {
	names := []string{"mp4a.40.2"}
	if s.name == "mp3" {
		names = []string{"mp4a.40.34", "mp4a.6B", "mp4a.6b", "mp4a.69"}
	}
	switch {
	case s.audio == "":
		return [][]string{{s.avc}}
	case s.video == "":
		return [][]string{names[:1]}
	}
	for _, name := range names {
		all = append(all, []string{s.avc, name})
	}
	return all
}
