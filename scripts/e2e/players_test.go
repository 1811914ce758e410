//go:build e2e

package e2e

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// need skips the test where a tool is missing, or fails it where
// HEADWATER_E2E_ALL says that everything has to be there.
func need(t *testing.T, name string, args ...string) {
	t.Helper()
	err := exec.Command(name, args...).Run()
	if err == nil {
		return
	}
	if os.Getenv("HEADWATER_E2E_ALL") != "" {
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
			src := sourceNamed(t, "bframes")
			s := startServerIn(t, t.TempDir(), endSoon)
			flv := pullFLV(t, s.url("/live/x.flv"))
			fmp4 := pullHLS(t, s.url("/live/x/fmp4/index.m3u8"), true)
			pipeline := fmt.Sprintf("filesrc location=%s ! flvdemux name=d flvmux name=m streamable=true ! %s sync=true location=%s "+
				"d.video ! queue ! m.video d.audio ! queue ! m.audio", src.file, sink, s.publishURL("x"))
			p := start(t, exec.Command("gst-launch-1.0", strings.Fields("-q "+pipeline)...))
			p.wait(t, src.duration()+20*time.Second)
			file, _, _ := flv.finish(t)
			fmp4.finish(t, endsAfter+10*time.Second)
			c, err := readCapture(file)
			if err != nil {
				t.Fatal(err)
			}
			for _, c := range []capture{c, fmp4.join(t, 0, len(fmp4.segments)).capture} {
				checkRestamped(t, src, c)
			}
		})
	}
}

// checkRestamped is checkCapture for a publisher that rounds times once more on
// the way and may keep the last few frames to itself.
func checkRestamped(t *testing.T, src *source, c capture) {
	t.Helper()
	if err := decode(c.file); err != nil {
		t.Error(err)
	}
	const tolerance = 2 * time.Millisecond
	video, err := src.sent.video.follow(c.video, tolerance)
	if err != nil || video.count < len(src.sent.video)*9/10 {
		t.Errorf("%s: %d of %d pictures: %v", c.file, video.count, len(src.sent.video), err)
	}
	audio, err := src.sent.audio.follow(c.audio, tolerance)
	if err != nil || audio.count < len(src.sent.audio)*9/10 {
		t.Errorf("%s: %d of %d audio frames: %v", c.file, audio.count, len(src.sent.audio), err)
	}
	if d := audio.offset - video.offset; d.Abs() > tolerance {
		t.Errorf("%s: audio is %v off against video", c.file, d)
	}
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
	for _, path := range []string{"/live/x.flv", "/live/x.m3u8", "/live/x.ts.m3u8"} {
		t.Run(path[len("/live/x."):], func(t *testing.T) {
			t.Parallel()
			p := start(t, exec.Command("gst-launch-1.0", strings.Fields("-q uridecodebin name=d uri="+s.url(path)+
				" d. ! videoconvert ! fakesink num-buffers=150 sync=false d. ! audioconvert ! fakesink num-buffers=200 sync=false")...))
			p.wait(t, 40*time.Second)
			if said := p.log.String(); strings.Contains(said, "WARNING") || strings.Contains(said, "ERROR") {
				t.Errorf("GStreamer says:\n%s", said)
			}
		})
	}
}

// TestVLC: VLC plays all three: pictures and sound are decoded and shown, and
// none is lost, damaged or out of order.
func TestVLC(t *testing.T) {
	t.Parallel()
	need(t, "sh", "-c", "command -v vlc")
	src := sourceNamed(t, "bframes")
	s := startServer(t)
	ts := pullHLS(t, s.url("/live/x/ts/index.m3u8"), false)
	src.publish(t, s.publishURL("x"), "-stream_loop", "3")
	ts.waitSegments(t, 3, 30*time.Second)
	ts.cancel()
	for _, path := range []string{"/live/x.flv", "/live/x.m3u8", "/live/x.ts.m3u8"} {
		t.Run(path[len("/live/x."):], func(t *testing.T) {
			t.Parallel()
			playVLC(t, s.url(path))
		})
	}
	if r := ask(t, http.MethodGet, s.url("/live/x.m3u8")); r.status != http.StatusOK {
		t.Errorf("afterwards: status %d", r.status)
	}
}

// playVLC plays url for a while through VLC's command interface and reads its
// statistics.
func playVLC(t *testing.T, url string) {
	t.Helper()
	home, err := os.MkdirTemp("", "headwater-vlc-")
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command("vlc", "-I", "rc", "--rc-fake-tty", "--no-dbus", "--no-color", "-v",
		"--vout", "dummy", "--aout", "dummy", url)
	cmd.Env = append(os.Environ(), "HOME="+home)
	if os.Geteuid() == 0 { // VLC refuses root
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := os.Chown(home, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	p := start(t, cmd)
	time.Sleep(10 * time.Second)
	if _, err := io.WriteString(stdin, "stats\n"); err != nil {
		t.Fatalf("VLC: %v\n%s", err, p.log.tail(4000))
	}
	end := time.Now().Add(10 * time.Second)
	for !strings.Contains(p.log.String(), "end of statistical info") {
		if time.Now().After(end) {
			t.Fatalf("VLC gives no statistics\n%s", p.log.tail(4000))
		}
		time.Sleep(50 * time.Millisecond)
	}
	said := p.log.String()
	_, _ = io.WriteString(stdin, "quit\n")
	checkVLC(t, said)
}

var vlcStat = regexp.MustCompile(`(?m)^\| ([a-z ]+?) *: +(\d+)$`)

func checkVLC(t *testing.T, said string) {
	t.Helper()
	stats := map[string]int{}
	for _, m := range vlcStat.FindAllStringSubmatch(said, -1) {
		stats[m[1]], _ = strconv.Atoi(m[2])
	}
	for _, key := range []string{"demux corrupted", "discontinuities"} {
		if n, ok := stats[key]; !ok || n != 0 {
			t.Errorf("VLC: %s: %d", key, n)
		}
	}
	for _, key := range []string{"video decoded", "frames displayed", "audio decoded", "buffers played"} {
		if stats[key] < 60 {
			t.Errorf("VLC: %s: %d after 10 s", key, stats[key])
		}
	}
	for _, complaint := range []string{"duplicate", "discontinuity", "error while decoding", "concealing"} {
		if strings.Contains(strings.ToLower(said), complaint) {
			t.Errorf("VLC complains of %q", complaint)
		}
	}
	if t.Failed() {
		t.Logf("VLC says:\n%s", said)
	}
}
