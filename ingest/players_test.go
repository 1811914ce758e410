package ingest

import (
	"fmt"
	"io"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// starts are where the streams of these tests begin: at zero, a little before
// timestamps get their extended form, and before 2^31.
var starts = map[string]uint32{"start": 0, "2^24": 1<<24 - 3000, "2^31": 1<<31 - 3000}

// TestFFmpegPlays: it decodes without a complaint, and what it copies is what was
// sent.
func TestFFmpegPlays(t *testing.T) {
	t.Parallel()
	h := playHarness(t, func(c *Config) { c.PlayGather = 100 * time.Millisecond })
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := h.broadcast(t, "ffmpeg"+strconv.Itoa(int(start)), start)
			url := fmt.Sprintf("rtmp://%s/live/ffmpeg%d", h.addr, start)
			path := filepath.Join(t.TempDir(), "copy.flv")
			copied := run(t, "ffmpeg", "-hide_banner", "-loglevel", "warning", "-i", url, "-t", "6", "-c", "copy", "-copyts",
				"-start_at_zero", "-flvflags", "no_duration_filesize", path)
			decoded := run(t, "ffmpeg", "-hide_banner", "-loglevel", "warning", "-i", url, "-t", "4", "-f", "null", "-")
			for _, out := range []string{<-copied, <-decoded} {
				if lines := complaints(out); len(lines) > 0 {
					t.Errorf("ffmpeg says:\n%s", out)
				}
			}
			tags, err := readFLV(path)
			if err != nil {
				t.Fatal(err)
			}
			b.check(t, tags, 120, baseOf(tags, b))
		})
	}
}

// baseOf returns what a player has taken from the timestamps: what the first
// picture it got was sent at, less what it says.
func baseOf(got []tag, b *broadcast) uint32 {
	b.mu.Lock()
	defer b.mu.Unlock()
	for _, m := range got {
		if m.typ != 9 || !m.media() {
			continue
		}
		for _, s := range b.sent {
			if string(s.body) == string(m.body) {
				return s.timestamp - m.timestamp
			}
		}
		break
	}
	return 0
}

// TestRtmpdumpPlays: what it writes to its file is what was sent, at the very time.
func TestRtmpdumpPlays(t *testing.T) {
	t.Parallel()
	h := playHarness(t, nil)
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b := h.broadcast(t, "dump"+strconv.Itoa(int(start)), start)
			path := filepath.Join(t.TempDir(), "dump.flv")
			out := run(t, "timeout", "-s", "INT", "6", "rtmpdump", "-v", "-r", fmt.Sprintf("rtmp://%s/live/dump%d", h.addr, start), "-o", path)
			text := <-out
			tags, err := readFLV(path)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			b.check(t, tags, 50, 0)
			if t.Failed() {
				t.Logf("rtmpdump says:\n%s", text)
			}
		})
	}
}

// TestPlayersSeeTheEnd: each leaves by itself when the stream ends.
func TestPlayersSeeTheEnd(t *testing.T) {
	t.Parallel()
	for name, args := range map[string]func(url, path string) []string{
		"ffmpeg": func(url, path string) []string {
			return []string{"ffmpeg", "-hide_banner", "-loglevel", "warning", "-i", url, "-c", "copy", path}
		},
		"rtmpdump": func(url, path string) []string { return []string{"rtmpdump", "-q", "-v", "-r", url, "-o", path} },
		"rtmpsrc": func(url, path string) []string {
			return []string{"gst-launch-1.0", "-q", "rtmpsrc", "location=" + url + " live=1", "!", "filesink", "location=" + path}
		},
		"rtmp2src": func(url, path string) []string {
			return []string{"gst-launch-1.0", "-q", "rtmp2src", "location=" + url, "!", "filesink", "location=" + path}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := playHarness(t, nil)
			b := h.broadcast(t, "x", 0)
			path := filepath.Join(t.TempDir(), "played.flv")
			all := args("rtmp://"+h.addr+"/live/x", path)
			out := run(t, all[0], all[1:]...)
			for end := time.Now().Add(20 * time.Second); h.Stats().PlayFrames < 200; time.Sleep(20 * time.Millisecond) {
				if time.Now().After(end) {
					t.Fatalf("it does not play: %+v", h.Stats())
				}
			}
			b.stop()
			text := <-out
			if lines := complaints(text); len(lines) > 0 {
				t.Errorf("%s says:\n%s", name, text)
			}
			tags, err := readFLV(path)
			if err != nil {
				t.Fatalf("%v\n%s", err, text)
			}
			b.check(t, tags, 60, baseOf(tags, b))
			b.mu.Lock()
			last := b.sent[len(b.sent)-1:]
			if name == "rtmp2src" { // drops a message that its pipeline has not taken when the stream ends
				last = b.sent[len(b.sent)-2:]
			}
			b.mu.Unlock()
			got := tags[len(tags)-1]
			if name != "ffmpeg" && !slices.ContainsFunc(last, func(m tag) bool { return string(m.body) == string(got.body) }) {
				t.Errorf("the last message is not the last that was sent")
			}
			h.idle(t)
			if n := h.Stats().Ended[Ended]; n != 1 {
				t.Errorf("%+v", h.Stats())
			}
		})
	}
}

// TestPlayersWithoutAStream: each says so and leaves.
func TestPlayersWithoutAStream(t *testing.T) {
	h := playHarness(t, func(c *Config) { c.PlayHold = 50 * time.Millisecond })
	url := "rtmp://" + h.addr + "/live/none"
	ffmpeg := run(t, "ffmpeg", "-hide_banner", "-loglevel", "info", "-i", url, "-f", "null", "-")
	dump := run(t, "rtmpdump", "-r", url, "-o", "/dev/null", "-v")
	if text := <-ffmpeg; !strings.Contains(text, "no such stream: live/none") || !strings.Contains(text, "exit status") {
		t.Errorf("ffmpeg says:\n%s", text)
	}
	if text := <-dump; !strings.Contains(text, "NetStream.Play.StreamNotFound") && !strings.Contains(text, "exit status") {
		t.Errorf("rtmpdump says:\n%s", text)
	}
	h.idle(t)
	if st := h.Stats(); st.PlayRefused["NetStream.Play.StreamNotFound"] < 2 || st.Players != 0 {
		t.Errorf("%+v", st)
	}
}

// TestGStreamerDecodes: both of its sources, through its own demuxer and decoders.
func TestGStreamerDecodes(t *testing.T) {
	t.Parallel()
	h := playHarness(t, nil)
	h.broadcast(t, "x", 0)
	url := "rtmp://" + h.addr + "/live/x"
	for _, src := range [][]string{{"rtmp2src", "location=" + url}, {"rtmpsrc", "location=" + url + " live=1"}} {
		t.Run(src[0], func(t *testing.T) {
			t.Parallel()
			args := append([]string{"-v", src[0], src[1], "!", "flvdemux", "name=d"},
				"d.video", "!", "queue", "!", "h264parse", "!", "avdec_h264", "!", "identity", "eos-after=80", "silent=false", "!", "fakesink",
				"d.audio", "!", "queue", "!", "aacparse", "!", "avdec_aac", "!", "identity", "eos-after=100", "silent=false", "!", "fakesink")
			text := <-run(t, "gst-launch-1.0", args...)
			// "silent=false" prints a line for each buffer behind the decoders; on a
			// busy machine some are lost.
			video := strings.Count(text, "identity0: last-message = chain")
			audio := strings.Count(text, "identity1: last-message = chain")
			if video < 60 || audio < 80 || strings.Contains(text, "ERROR") || strings.Contains(text, "corrupted") {
				t.Errorf("%d pictures, %d sounds:\n%.3000s", video, audio, text)
			}
		})
	}
}

// TestVLCPlays: pictures and sound are decoded and shown, nothing is lost.
func TestVLCPlays(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("cvlc"); err != nil {
		t.Skip("VLC is not installed")
	}
	for name, start := range starts {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h := playHarness(t, func(c *Config) { c.PlayGather = 100 * time.Millisecond })
			h.broadcast(t, "x", start)
			said := playVLC(t, "rtmp://"+h.addr+"/live/x")
			rig.ReadVLCStats(said).Check(t, true, true, 60)
			if t.Failed() {
				t.Logf("VLC says:\n%s", said)
			}
		})
	}
}

// playVLC plays url for some seconds and returns VLC's output with its statistics.
func playVLC(t *testing.T, url string) string {
	t.Helper()
	cmd := rig.VLC(t, url)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out rig.Log
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var waited sync.WaitGroup
	waited.Go(func() { _ = cmd.Wait() })
	defer waited.Wait()
	defer func() { _ = cmd.Process.Kill() }()
	for end := time.Now().Add(25 * time.Second); time.Now().Before(end); time.Sleep(time.Second) {
		_, _ = io.WriteString(stdin, "stats\n")
		said := out.String()
		last := said[max(0, strings.LastIndex(said, "begin of statistical info")):]
		if rig.ReadVLCStats(last)["frames displayed"] > 100 {
			return said
		}
	}
	return out.String()
}
