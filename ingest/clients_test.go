package ingest

import (
	"context"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// run starts a client and returns a channel that gets its output when it ends.
func run(t *testing.T, name string, args ...string) <-chan string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err != nil {
		t.Skipf("%s is not installed", name)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	cmd := exec.CommandContext(ctx, path, args...)
	out := make(chan string, 1)
	go func() {
		b, err := cmd.CombinedOutput()
		if err != nil {
			b = append(b, err.Error()...)
		}
		out <- string(b)
	}()
	return out
}

// checkMedia checks that a publisher's messages are what a file of 50 frames of
// video at 25 a second, with audio, is made of.
func checkMedia(t *testing.T, tags []tag) {
	t.Helper()
	var last [20]int64
	var video, audio, meta int
	for _, m := range tags {
		switch m.typ {
		case 8:
			audio++
		case 9:
			video++
		case 18:
			meta++
			if !strings.HasPrefix(string(m.body), "\x02\x00\x0aonMetaData\x08") {
				t.Errorf("data message begins %q", m.body[:min(len(m.body), 20)])
			}
			continue
		}
		if at := int64(m.timestamp); at < last[m.typ] {
			t.Errorf("type %d goes from %d back to %d", m.typ, last[m.typ], at)
		} else {
			last[m.typ] = at
		}
	}
	if video < 51 || video > 52 { // frames, the sequence header, perhaps the end of sequence
		t.Errorf("%d video messages", video)
	}
	if audio < 80 || audio > 95 {
		t.Errorf("%d audio messages", audio)
	}
	if meta < 1 {
		t.Error("no metadata")
	}
	if last[9] < 1900 || last[9] > 2200 || last[8] < 1900 || last[8] > 2200 {
		t.Errorf("video ends at %d ms, audio at %d ms", last[9], last[8])
	}
}

func TestFFmpegPublishes(t *testing.T) {
	h := newHarness(t, nil)
	out := run(t, "ffmpeg", "-hide_banner", "-loglevel", "info",
		"-f", "lavfi", "-i", "testsrc2=s=640x360:r=25", "-f", "lavfi", "-i", "sine=r=44100",
		"-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-b:v", "1500k", "-g", "25",
		"-c:a", "aac", "-f", "flv", "rtmp://"+h.addr+"/live/ffmpeg")
	r := h.stream(t)
	if r.name.String() != "live/ffmpeg" {
		t.Errorf("publishes %s", r.name)
	}
	tags := r.end(t)
	if text := <-out; strings.Contains(text, "rror") {
		t.Errorf("ffmpeg says:\n%s", text)
	}
	checkMedia(t, tags)
}

// gstreamer publishes two seconds through the given sink.
func gstreamer(t *testing.T, sink ...string) <-chan string {
	t.Helper()
	args := []string{"-q", "flvmux", "name=mux", "streamable=true", "!"}
	args = append(args, sink...)
	return run(t, "gst-launch-1.0", append(args,
		"videotestsrc", "num-buffers=50", "!", "video/x-raw,width=640,height=360,framerate=25/1", "!",
		"x264enc", "speed-preset=ultrafast", "tune=zerolatency", "bitrate=1500", "key-int-max=25", "!", "h264parse", "!", "queue", "!", "mux.",
		"audiotestsrc", "num-buffers=86", "samplesperbuffer=1024", "!", "audio/x-raw,rate=44100,channels=2", "!",
		"avenc_aac", "!", "aacparse", "!", "queue", "!", "mux.")...)
}

func TestGStreamerPublishes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		sink func(addr string) []string
	}{
		{"rtmpsink", func(addr string) []string { // librtmp
			return []string{"rtmpsink", "location=rtmp://" + addr + "/live/gst live=1"}
		}},
		{"rtmp2sink", func(addr string) []string {
			return []string{"rtmp2sink", "location=rtmp://" + addr + "/live/gst"}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			h := newHarness(t, nil)
			out := gstreamer(t, c.sink(h.addr)...)
			r := h.stream(t)
			tags := r.end(t)
			if text := <-out; text != "" {
				t.Errorf("gst-launch says:\n%s", text)
			}
			checkMedia(t, tags)
		})
	}
}

// TestFFmpegLongAfterStart publishes as if for hours already, across the 2^24 ms
// where timestamps get their extended form, on type 3 chunks too.
func TestFFmpegLongAfterStart(t *testing.T) {
	h := newHarness(t, nil)
	out := run(t, "ffmpeg", "-hide_banner", "-loglevel", "warning",
		"-f", "lavfi", "-i", "testsrc2=s=640x360:r=25", "-f", "lavfi", "-i", "sine=r=44100",
		"-t", "2", "-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-b:v", "1500k", "-g", "25",
		"-c:a", "aac", "-output_ts_offset", "16776.5", "-f", "flv", "rtmp://"+h.addr+"/live/late")
	tags := h.stream(t).end(t)
	if text := <-out; strings.Contains(text, "rror") {
		t.Errorf("ffmpeg says:\n%s", text)
	}
	const start = 16_776_400 // AAC begins a little early
	for i := range tags {
		if tags[i].typ == 18 || tags[i].timestamp == 0 { // metadata and sequence headers
			tags[i].timestamp = start
		}
		if tags[i].timestamp < start || tags[i].timestamp > start+2300 {
			t.Fatalf("message %d of type %d is at %d", i, tags[i].typ, tags[i].timestamp)
		}
		tags[i].timestamp -= start
	}
	if last := tags[len(tags)-1].timestamp; last+start < 1<<24 {
		t.Fatalf("it ends at %d already", last+start)
	}
	checkMedia(t, tags)
}

// TestClientsUnderstandRefusals checks that encoders stop and show the reason.
func TestClientsUnderstandRefusals(t *testing.T) {
	h := newHarness(t, func(c *Config) {
		c.Authorize = func(context.Context, PublishRequest) (Grant, error) {
			return Grant{}, Denied("the key is wrong, dear user")
		}
	})
	out := run(t, "ffmpeg", "-hide_banner", "-loglevel", "info", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25",
		"-t", "2", "-c:v", "libx264", "-f", "flv", "rtmp://"+h.addr+"/live/x?key=y")
	if text := <-out; !strings.Contains(text, "the key is wrong, dear user") || !strings.Contains(text, "exit status") {
		t.Errorf("ffmpeg says:\n%s", text)
	}
	out = gstreamer(t, "rtmpsink", "location=rtmp://"+h.addr+"/live/x?key=y")
	if text := <-out; !strings.Contains(text, "ERROR") {
		t.Errorf("gst-launch says:\n%s", text)
	}
	if st := h.Stats(); st.Refused["NetStream.Publish.Denied"] != 2 || st.Accepted != 2 {
		t.Errorf("they tried again: %+v", st)
	}
}
