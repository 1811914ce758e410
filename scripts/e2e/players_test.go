//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// need skips the test where a tool is missing, or fails it where
// E2E_ALL says that everything has to be there.
func need(t *testing.T, name string, args ...string) {
	t.Helper()
	err := exec.Command(name, args...).Run()
	if err == nil {
		return
	}
	if os.Getenv("E2E_ALL") != "" {
		t.Fatalf("%s %s: %v", name, strings.Join(args, " "), err)
	}
	t.Skipf("%s %s: %v", name, strings.Join(args, " "), err)
}

// TestGStreamerPublish: rtmpsink (which is librtmp) and rtmp2sink publish a
// source, and every frame of it arrives.
func TestGStreamerPublish(t *testing.T) {
	for _, sink := range []string{"rtmpsink", "rtmp2sink"} {
		t.Run(sink, func(t *testing.T) {
			t.Parallel()
			need(t, "gst-inspect-1.0", sink)
			src := sourceNamed(t, "plain") // its demuxer cuts off what lies before the first picture
			s := startServerIn(t, t.TempDir(), endSoon)
			flv := pullFLV(t, s.url("/live/x.flv"))
			fmp4 := pullHLS(t, s.url("/live/x/fmp4/index.m3u8"), true)
			expected := remuxed(t, src)
			p := start(t, exec.Command("gst-launch-1.0", flvPipeline(src, sink+" sync=true location="+s.publishURL("x"))...))
			p.wait(t, src.duration()+20*time.Second)
			file, _, _ := flv.finish(t)
			fmp4.finish(t, endsAfter+10*time.Second)
			c, err := readCapture(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []capture{c, fmp4.join(t, 0, len(fmp4.segments)).capture} {
				checkCapture(t, expected, c, rounded)
			}
		})
	}
}

// flvPipeline is GStreamer reading a source and muxing it again into sink.
func flvPipeline(src *source, sink string) []string {
	return strings.Fields(fmt.Sprintf("-q filesrc location=%s ! flvdemux name=d flvmux name=m streamable=true ! %s "+
		"d.video ! queue ! m.video d.audio ! queue ! m.audio", src.file, sink))
}

// remuxed returns src as GStreamer's muxer sends it, which is not to the
// millisecond what was in the file.
func remuxed(t *testing.T, src *source) *source {
	t.Helper()
	file := filepath.Join(t.TempDir(), "gst.flv")
	if _, err := quiet("gst-launch-1.0", flvPipeline(src, "filesink location="+file)...); err != nil {
		t.Fatal(err)
	}
	sent, err := readCapture(file)
	if err != nil {
		t.Fatal(err)
	}
	return &source{name: src.name, video: src.video, audio: src.audio, sent: sent}
}

// TestGStreamerPlay: GStreamer plays all three.
func TestGStreamerPlay(t *testing.T) {
	t.Parallel()
	for _, element := range []string{"souphttpsrc", "hlsdemux", "flvdemux", "tsdemux", "qtdemux", "avdec_h264"} {
		need(t, "gst-inspect-1.0", element)
	}
	src := sourceNamed(t, "bframes")
	s := startServer(t)
	ts := pullHLS(t, s.url("/live/x/ts/index.m3u8"), false)
	src.publish(t, s.publishURL("x"), "-stream_loop", "3")
	ts.waitSegments(t, 3, 30*time.Second)
	ts.cancel()
	for path, demux := range map[string]string{"/live/x.flv": "flvdemux", "/live/x.m3u8": "hlsdemux ! qtdemux",
		"/live/x.ts.m3u8": "hlsdemux ! tsdemux"} {
		t.Run(path[len("/live/x."):], func(t *testing.T) {
			t.Parallel()
			pipeline := fmt.Sprintf("-v souphttpsrc location=%s ! %s name=d "+
				"d. ! queue ! h264parse ! avdec_h264 ! fakesink name=pictures silent=false sync=false "+
				"d. ! queue ! aacparse ! avdec_aac ! fakesink name=sound silent=false sync=false", s.url(path), demux)
			playGStreamer(t, start(t, exec.Command("gst-launch-1.0", strings.Fields(pipeline)...)))
		})
	}
}

// playGStreamer waits until a pipeline has shown 150 pictures and 200 frames of
// sound.
func playGStreamer(t *testing.T, p *push) {
	t.Helper()
	end := time.Now().Add(40 * time.Second)
	for {
		said := p.log.String()
		pictures, sound := strings.Count(said, "chain   ******* (pictures:sink)"), strings.Count(said, "chain   ******* (sound:sink)")
		switch {
		case strings.Contains(said, "WARNING") || strings.Contains(said, "ERROR") || !p.running():
			t.Fatalf("GStreamer says:\n%s", p.log.Tail(4000))
		case pictures >= 150 && sound >= 200:
			return
		case time.Now().After(end):
			t.Fatalf("%d pictures and %d frames of sound in 40 s\n%s", pictures, sound, p.log.Tail(4000))
		}
		time.Sleep(200 * time.Millisecond)
	}
}
