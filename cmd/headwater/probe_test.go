package main

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// probed is what the tests read of a report.
type probed struct {
	Kind   string
	Result string
	Video  *struct {
		Codec             string
		Width             int
		FrameRate         float64 `json:"frame_rate"`
		KeyIntervalMean   float64 `json:"key_interval_mean"`
		KeyFrames, Frames int
		BFrames           bool `json:"b_frames"`
	}
	Audio *struct {
		Codec      string
		SampleRate int `json:"sample_rate"`
	}
	HLS *struct {
		LowLatency     bool `json:"low_latency"`
		Container      string
		Segments       int `json:"segments_fetched"`
		Parts          int
		BlockedReloads int `json:"blocked_reloads"`
		Hints          int `json:"preload_hints"`
	}
	Findings []struct{ Code, Severity, Text, Advice string }
}

func (p probed) has(code, severity string) bool {
	return slices.ContainsFunc(p.Findings, func(f struct{ Code, Severity, Text, Advice string }) bool {
		return f.Code == code && f.Severity == severity
	})
}

// push publishes what ffmpeg makes of args in real time, until the test ends.
func push(t *testing.T, p *process, name string, args ...string) {
	t.Helper()
	path, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	args = append([]string{"-hide_banner", "-loglevel", "error", "-re"}, args...)
	cmd := exec.CommandContext(t.Context(), path, append(args, "-t", "60", "-f", "flv", "rtmp://"+p.addrs["rtmp"]+"/live/"+name)...)
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
}

// TestProbe publishes what encoders do right and wrong to a real server, and asks the
// real command about each.
func TestProbe(t *testing.T) {
	p := startServe(t, nil, "--data", t.TempDir())
	picture := func(rate, filter string) []string {
		return []string{"-f", "lavfi", "-i", "testsrc=size=160x120:rate=" + rate + filter}
	}
	sound := []string{"-f", "lavfi", "-i", "sine=frequency=440:sample_rate=48000", "-c:a", "aac"}
	video := func(gop string, more ...string) []string {
		return append([]string{"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", gop, "-keyint_min", gop, "-sc_threshold", "0", "-b:v", "200k"}, more...)
	}
	push(t, p, "good", slices.Concat(picture("25", ""), sound, video("25", "-bf", "0"))...)
	push(t, p, "longgop", slices.Concat(picture("10", ""), sound, video("80", "-bf", "0"))...)
	push(t, p, "silent", slices.Concat(picture("5", ""), video("5", "-bf", "0"))...)
	push(t, p, "varied", slices.Concat(picture("25", ",select='gt(random(0),0.4)'"), sound, video("25", "-bf", "3", "-fps_mode", "vfr"))...)
	eventually(t, "streams", func() bool {
		for _, name := range []string{"good", "silent", "varied"} {
			if status, _ := p.get(t, "http", "/live/"+name+".m3u8"); status != 200 {
				return false
			}
		}
		return true
	})
	type want struct {
		path, kind string
		code       int
		found      [][2]string
	}
	tests := []want{
		{"good.m3u8", "hls", 0, [][2]string{{"keyframes.interval", "ok"}, {"framerate.steady", "ok"}, {"audio.format", "ok"}, {"latency.good", "ok"}}},
		{"good.ts.m3u8", "hls", 0, [][2]string{{"keyframes.interval", "ok"}}},
		{"good.flv", "flv", 0, [][2]string{{"keyframes.interval", "ok"}, {"av.together", "ok"}}},
		{"good.ts", "ts", 0, [][2]string{{"keyframes.interval", "ok"}, {"av.together", "ok"}}},
		{"longgop.flv", "flv", 0, [][2]string{{"keyframes.long", "warning"}, {"framerate.low", "warning"}}},
		{"silent.m3u8", "hls", 0, [][2]string{{"audio.none", "warning"}, {"framerate.low", "warning"}}},
		{"varied.flv", "flv", 0, [][2]string{{"framerate.variable", "warning"}, {"bframes.delay", "warning"}}},
		{"none.m3u8", "", 1, [][2]string{{"refused", "problem"}}},
	}
	reports := make([]probed, len(tests))
	var running sync.WaitGroup
	for i, tt := range tests {
		running.Go(func() {
			var stdout, stderr bytes.Buffer
			cmd := command(t, nil, "probe", "--json", "--duration", "5s", "http://"+p.addrs["http"]+"/live/"+tt.path)
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			began := time.Now()
			_ = cmd.Run()
			if code := cmd.ProcessState.ExitCode(); code != tt.code || time.Since(began) > 8*time.Second {
				t.Errorf("%s: exit code %d after %s\n%s%s", tt.path, code, time.Since(began), stdout.String(), stderr.String())
			}
			if err := json.Unmarshal(stdout.Bytes(), &reports[i]); err != nil {
				t.Errorf("%s: %v: %s", tt.path, err, stdout.String())
			}
		})
	}
	running.Wait()
	for i, tt := range tests {
		r := reports[i]
		if r.Kind != tt.kind {
			t.Errorf("%s is %q", tt.path, r.Kind)
		}
		for _, f := range tt.found {
			if !r.has(f[0], f[1]) {
				t.Errorf("%s: %s is not found to be %s: %+v", tt.path, f[0], f[1], r.Findings)
			}
		}
		if !strings.HasPrefix(tt.path, "good") {
			continue
		}
		for _, f := range r.Findings {
			late := strings.HasPrefix(f.Code, "arrival.") || f.Code == "playlist.late" // a machine with much else to do
			if (f.Severity == "problem" || f.Severity == "warning") && !late {
				t.Errorf("%s: %s: %s", tt.path, f.Code, f.Text)
			}
		}
		if v := r.Video; v == nil || v.Codec != "H.264" || v.Width != 160 || v.FrameRate < 24.5 || v.FrameRate > 25.5 || v.KeyIntervalMean < 0.95 || v.KeyIntervalMean > 1.05 || v.BFrames {
			t.Errorf("%s: %+v", tt.path, v)
		}
		if a := r.Audio; a == nil || a.Codec != "AAC" || a.SampleRate != 48000 {
			t.Errorf("%s: %+v", tt.path, a)
		}
	}
	if h := reports[0].HLS; h == nil || !h.LowLatency || h.Container != "fmp4" || h.Segments < 3 || h.Parts < 10 || h.BlockedReloads < 8 || h.Hints == 0 {
		t.Errorf("%+v", h)
	}
}

func TestProbeUsage(t *testing.T) {
	for _, args := range [][]string{
		{"probe"}, {"probe", "a", "b"}, {"probe", "rtmp://host/live/x"}, {"probe", "--duration", "1ms", "http://host/x"},
		{"probe", "--duration", "x", "http://host/x"}, {"doctor", "extra"}, {"doctor", "--nonsense"},
	} {
		cmd := command(t, nil, args...)
		out, err := cmd.CombinedOutput()
		if code := cmd.ProcessState.ExitCode(); code != exitUsage {
			t.Errorf("%q: exit code %d (%v): %s", args, code, err, out)
		}
	}
	// Nobody is there: it can be asked for, and does not work.
	cmd := command(t, nil, "probe", "http://127.0.0.1:1/live/x.m3u8")
	if out, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != exitFailed || !strings.Contains(string(out), "PROBLEM It cannot be watched") {
		t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), out)
	}
}
