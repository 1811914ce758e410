package ingest

import (
	"strings"
	"testing"
	"time"
)

// TestFFmpegAboveTheBitrate publishes as fast as ffmpeg can: it is held back, and
// shows why it was sent away. (It looks at what the server says after every tenth
// packet, so that these must not be too large.)
func TestFFmpegAboveTheBitrate(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxBitrate, c.BitrateGrace = 8e6, time.Second })
	out := run(t, "ffmpeg", "-hide_banner", "-loglevel", "info",
		"-f", "lavfi", "-i", "color=gray:s=320x180:r=25,noise=alls=100:allf=t", "-f", "lavfi", "-i", "sine=r=44100",
		"-t", "100", "-c:v", "libx264", "-preset", "ultrafast", "-qp", "1", "-c:a", "aac", "-f", "flv", "rtmp://"+h.addr+"/live/x")
	tags := h.stream(t).end(t)
	if text := <-out; !strings.Contains(text, "the stream is above this server's limit of 8 Mbit/s") || !strings.Contains(text, "exit status") {
		t.Errorf("ffmpeg says:\n%s", text)
	}
	total := 0
	for _, m := range tags {
		total += len(m.body)
	}
	if total < 15<<20 || total > 24<<20 {
		t.Errorf("%d bytes were taken", total)
	}
	h.idle(t)
	if len(h.logged("publish ended", "reason=bitrate", "more than 8 Mbit/s for 1s")) != 1 || h.Stats().Ended[Bitrate] != 1 {
		t.Errorf("stats %+v", h.Stats())
	}
}
