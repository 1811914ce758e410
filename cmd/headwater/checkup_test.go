package main

import (
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestCheckupsAgree: of a stream with much that is wrong the server finds the same by
// itself as a probe that watches it from outside.
func TestCheckupsAgree(t *testing.T) {
	t.Parallel()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	p := openServe(t)
	// Pictures are dropped irregularly, three B-frames, a key frame each five seconds and
	// some between, and noise for a moment: peaks.
	cmd := exec.CommandContext(t.Context(), path, "-v", "error", "-re", "-f", "lavfi", "-i",
		"testsrc2=s=320x180:r=25,select='not(eq(mod(n,7),3)+eq(mod(n,11),5))',noise=c0s='if(1,90,0)':c0f=t+u:enable='between(mod(t,10),4,5)'",
		"-f", "lavfi", "-i", "sine=r=22050", "-fps_mode", "vfr", "-c:v", "libx264", "-preset", "veryfast", "-bf", "3", "-b_strategy", "0", "-g", "100", "-sc_threshold", "0",
		"-force_key_frames", "expr:eq(mod(n,100),30)", "-c:a", "aac", "-f", "flv", "rtmp://"+p.addrs["rtmp"]+"/live/x")
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	soonerThan(t, slow, "a stream", func() bool {
		_, list := p.get(t, "http", "/live/x/fmp4/index.m3u8")
		return strings.Contains(list, "#EXTINF")
	})

	type findings struct {
		Findings []struct{ Code, Severity, Text string }
	}
	codes := func(f findings) (all []string) {
		for _, x := range f.Findings {
			switch family, _, _ := strings.Cut(x.Code, "."); family {
			case "video", "audio", "keyframes", "framerate", "bframes", "bitrate", "clock", "av":
				all = append(all, x.Code+" "+x.Severity)
			}
		}
		slices.Sort(all)
		return all
	}
	out, err := command(t, nil, "probe", "--json", "--duration", "16s", "http://"+p.addrs["http"]+"/live/x.m3u8").Output()
	var outside, inside findings
	if e := json.Unmarshal(out, &outside); e != nil {
		t.Fatalf("%v, %v: %s", err, e, out)
	}
	time.Sleep(time.Second) // the newest part is there for both
	_, text := p.get(t, "admin", "/api/v1/streams/live/x/checkup")
	if err := json.Unmarshal([]byte(text), &inside); err != nil {
		t.Fatal(err)
	}
	if got, want := codes(inside), codes(outside); !slices.Equal(got, want) {
		t.Errorf("inside  %q\noutside %q\n%s\n%s", got, want, text, out)
	}
	for _, code := range []string{"framerate.variable warning", "keyframes.irregular warning", "audio.rate info"} {
		if !slices.Contains(codes(inside), code) {
			t.Errorf("no %s in %q", code, codes(inside))
		}
	}
}
