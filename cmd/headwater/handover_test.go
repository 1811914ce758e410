package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// slow is for what begins processes, and an encoder among them.
const slow = 40 * time.Second

// TestHandOver replaces the process three times, while an encoder that comes back publishes
// and players ask all the time: nobody is refused a connection, each request gets an
// answer, and the playlist goes on with the next numbers.
func TestHandOver(t *testing.T) {
	t.Parallel()
	p := startServe(t, []string{"HEADWATER_PUBLISH_ACCESS=open"}, "--data", t.TempDir())
	endSuccessors(t, p)
	keepPublishing(t, "rtmp://"+p.addrs["rtmp"]+"/live/x")
	known := listing{}
	soonerThan(t, slow, "three segments", func() bool { return known.look(t, p) >= 3 })
	asked := keepAsking(t, "http://"+p.addrs["http"]+"/live/none.m3u8", http.StatusNotFound)
	probed := keepAsking(t, "http://"+p.addrs["admin"]+"/healthz", http.StatusOK)
	pid := p.cmd.Process.Pid
	for round := range 3 {
		before := known.look(t, p)
		if err := syscall.Kill(pid, syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		soonerThan(t, slow, "handed over", func() bool { return len(successors(p)) == round+1 })
		pid = successors(p)[round]
		soonerThan(t, slow, "one process stopped", func() bool { return strings.Count(p.log.String(), `"stopped"`) == round+1 })
		known.check(t, p)
		soonerThan(t, slow, "segments of the new process", func() bool { return known.look(t, p) > before+3 })
	}
	_, list := p.get(t, "http", "/live/x/fmp4/index.m3u8")
	if strings.Contains(list, "#EXT-X-ENDLIST") || strings.Contains(list, "#EXT-X-GAP") || !strings.Contains(list, "#EXT-X-DISCONTINUITY\n") {
		t.Errorf("the playlist has ended, or has gaps, or no discontinuity:\n%s", list)
	}
	for what, n := range map[string]int64{"players": asked(), "probes": probed()} {
		if n < 100 {
			t.Errorf("%s have asked %d times only", what, n)
		}
	}
	if _, state := p.get(t, "admin", "/api/v1/server"); !strings.Contains(state, p.addrs["rtmp"]) {
		t.Errorf("the listeners are others: %s", state)
	}
	// Not Wait, which waits for the output's end, too: it is the successors' as well.
	if state, err := p.cmd.Process.Wait(); err != nil || !state.Success() {
		t.Errorf("the first process: %v, %v", state, err)
	}
}

// listing is the segments that a player has seen listed, by number, and their bytes.
type listing map[int]struct{ name, body string }

// look reads both playlists, which number alike, and what is new in them. It returns how
// many segments of fMP4 there have been in a row, up to the newest, and fails if a
// number has come to mean another segment, or is none.
func (l listing) look(t *testing.T, p *process) (n int) {
	t.Helper()
	for _, folder := range []string{"/live/x/ts/", "/live/x/fmp4/"} {
		status, list := p.get(t, "http", folder+"index.m3u8")
		if status != http.StatusOK {
			if len(l) > 0 {
				t.Errorf("the playlist: %d, %s", status, list)
			}
			return 0
		}
		m := regexp.MustCompile(`#EXT-X-MEDIA-SEQUENCE:(\d+)`).FindStringSubmatch(list)
		if m == nil {
			t.Fatalf("no media sequence number:\n%s", list)
		}
		number, _ := strconv.Atoi(m[1])
		for _, m := range regexp.MustCompile(`#EXTINF:.*\n([^#].*)\n`).FindAllStringSubmatch(list, -1) {
			key, name := number*2, folder+m[1]
			if strings.HasSuffix(name, ".m4s") {
				key++
			}
			if _, ok := l[key]; !ok {
				l[key] = struct{ name, body string }{name, p.segment(t, name)}
			}
			if l[key].name != name {
				t.Errorf("segment %d was %s and is %s", number, l[key].name, name)
			}
			number++
		}
		for n = 0; l[(number-1-n)*2+1].name != ""; n++ {
		}
	}
	return n
}

// check fails if what the playlists list now is not what it was.
func (l listing) check(t *testing.T, p *process) {
	t.Helper()
	checked := 0
	for _, s := range l {
		_, list := p.get(t, "http", path.Dir(s.name)+"/index.m3u8")
		if !strings.Contains(list, path.Base(s.name)) {
			continue
		}
		checked++
		if p.segment(t, s.name) != s.body {
			t.Errorf("%s is another", s.name)
		}
	}
	if checked < 4 {
		t.Errorf("of %d segments %d are listed still", len(l), checked)
	}
}

func (p *process) segment(t *testing.T, name string) string {
	t.Helper()
	status, body := p.get(t, "http", name)
	if status != http.StatusOK {
		t.Errorf("%s: %d, %s", name, status, body)
	}
	return body
}

// TestRestartLosesNoSegment: a process that ends in order leaves what players know to the
// next one, which answers for it before the encoder is back, and then goes on.
func TestRestartLosesNoSegment(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	known := listing{}
	for round := range 3 {
		p := startServe(t, []string{"HEADWATER_PUBLISH_ACCESS=open"}, "--data", data)
		before := 0
		if round > 0 {
			known.check(t, p)
			before = known.look(t, p)
		}
		end := publishFor(t, "rtmp://"+p.addrs["rtmp"]+"/live/x")
		soonerThan(t, slow, "more segments", func() bool { return known.look(t, p) >= before+3 })
		if code := p.end(t, syscall.SIGTERM); code != 0 {
			t.Errorf("exit code %d", code)
		}
		end()
	}
}

// TestHandOverFails: while the configuration is bad, the program is no program, or the
// new process says nothing sensible, the old one goes on, and says why.
func TestHandOverFails(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "headwater.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("log: {level: info}\n")
	program := filepath.Join(dir, "headwater")
	install := func(make func(path string) error) {
		t.Helper()
		if err := errors.Join(make(program+".new"), os.Rename(program+".new", program)); err != nil {
			t.Fatal(err)
		}
	}
	self := func(path string) error { return os.Symlink(os.Args[0], path) }
	script := func(text string) func(string) error {
		return func(path string) error { return os.WriteFile(path, []byte(text), 0o700) }
	}
	install(self)
	p := startProgram(t, program, nil, "--data", dir, "--config", file)
	endSuccessors(t, p)
	tries := []struct {
		name, config, log string
		install           func(string) error
	}{
		{"bad key", "hls: {windoww: 1s}\n", `new process has failed: .*headwater.yaml:1: hls.windoww`, self},
		{"no relay", "relay: {push: [{name: 'live/*', url_file: /nonexistent}]}\n", `new process has failed: .*nonexistent`, self},
		{"no access log", "http: {access_log: /nonexistent/access.log}\n", `new process has failed: .*nonexistent`, self},
		{"no program", "", `start .*exec format error`, script("nonsense")},
		{"ends", "", `new process has ended: exit status 7`, script("#!/bin/sh\nexit 7\n")},
		{"babbles", "", `has said \\"hello\\" instead of \\"prepared\\"`, script("#!/bin/sh\necho hello >&$HANDOVER_FD\n")},
	}
	for i, try := range tries {
		write(try.config)
		install(try.install)
		if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		eventually(t, try.name+" fails", func() bool { return strings.Count(p.log.String(), "this process goes on") == i+1 })
		if !regexp.MustCompile(`this process goes on.*` + try.log).MatchString(p.log.String()) {
			t.Errorf("%s: the log has no %q\n%s", try.name, try.log, p.log)
		}
		if status, _ := p.get(t, "admin", "/readyz"); status != http.StatusOK {
			t.Errorf("%s: ready: %d", try.name, status)
		}
		if status, _ := p.get(t, "http", "/live/x.m3u8"); status != http.StatusNotFound {
			t.Errorf("%s: a stream that is not there: %d", try.name, status)
		}
	}
	// Until it is decided, nothing changes that the new process may have read.
	install(script("#!/bin/sh\nread wait <&$HANDOVER_FD\n"))
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "handing over", func() bool { return strings.Count(p.log.String(), `"handing over"`) == len(tries) }) // one did not start
	for path, body := range map[string]string{"/api/v1/reload": "", "/api/v1/keys": "{}"} {
		res, err := http.Post("http://"+p.addrs["admin"]+path, "application/json", strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		if res.StatusCode != http.StatusServiceUnavailable {
			t.Errorf("%s meanwhile: %s", path, res.Status)
		}
	}
	kill(t, lastStarted(p))
	eventually(t, "a killed process fails", func() bool { return strings.Contains(p.log.String(), "new process has ended: signal: killed") })
	write("log: {level: debug}\n")
	install(self)
	if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
		t.Fatal(err)
	}
	eventually(t, "handed over after all", func() bool { return len(successors(p)) == 1 })
}

// TestNotASuccessor: what a successor's environment says is nothing to its children.
func TestNotASuccessor(t *testing.T) {
	t.Parallel()
	p := startServe(t, []string{"LISTEN_PPID=1", "LISTEN_FDS=1", "LISTEN_FDNAMES=rtmp", "HANDOVER_FD=4"}, "--data", t.TempDir())
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d\n%s", code, p.log)
	}
}

// successors are the processes that took over, by their ids.
func successors(p *process) (all []int) {
	for _, m := range regexp.MustCompile(`"handed over","pid":(\d+)`).FindAllStringSubmatch(p.log.String(), -1) {
		pid, _ := strconv.Atoi(m[1])
		all = append(all, pid)
	}
	return all
}

// lastStarted is the process that was to take over last.
func lastStarted(p *process) (pid int) {
	for _, m := range regexp.MustCompile(`"handing over".*"pid":(\d+)`).FindAllStringSubmatch(p.log.String(), -1) {
		pid, _ = strconv.Atoi(m[1])
	}
	return pid
}

func kill(t *testing.T, pid int) {
	t.Helper()
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// endSuccessors ends them with the test.
func endSuccessors(t *testing.T, p *process) {
	t.Cleanup(func() {
		for _, m := range regexp.MustCompile(`"handing over".*"pid":(\d+)`).FindAllStringSubmatch(p.log.String(), -1) {
			pid, _ := strconv.Atoi(m[1])
			if args, _ := os.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid)); strings.Contains(string(args), "--admin\x00127.0.0.1:0") {
				_ = syscall.Kill(pid, syscall.SIGKILL)
			}
		}
	})
}

// keepPublishing publishes until the test ends, and begins again whenever it was ended.
func keepPublishing(t *testing.T, url string) {
	t.Helper()
	t.Cleanup(publishFor(t, url))
}

// publishFor does so until the function that it returns is called.
func publishFor(t *testing.T, url string) (end func()) {
	t.Helper()
	program, err := exec.LookPath("ffmpeg")
	if err != nil {
		t.Skip("ffmpeg is not installed")
	}
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for ctx.Err() == nil {
			_ = exec.CommandContext(ctx, program, "-v", "error", "-re", "-f", "lavfi", "-i", "testsrc2=s=320x180:r=25", "-f", "lavfi", "-i", "sine",
				"-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-c:a", "aac", "-f", "flv", url).Run()
		}
	})
	return func() { cancel(); running.Wait() }
}

// keepAsking asks over new connections and over one that is kept, until the function
// that it returns is called. Each request has to have its answer, whichever process
// gives it.
func keepAsking(t *testing.T, url string, want int) (stop func() int64) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	var running sync.WaitGroup
	var n atomic.Int64
	for _, transport := range []*http.Transport{{DisableKeepAlives: true}, {}} {
		transport.DialContext = (&net.Dialer{Timeout: 5 * time.Second}).DialContext
		client := http.Client{Transport: transport, Timeout: 10 * time.Second}
		running.Go(func() {
			defer client.CloseIdleConnections()
			for ctx.Err() == nil {
				res, err := client.Get(url)
				if err != nil {
					t.Errorf("after %d answers: %v", n.Load(), err)
					return
				}
				_, _ = io.Copy(io.Discard, res.Body)
				_ = res.Body.Close()
				if res.StatusCode != want {
					t.Errorf("after %d answers: %s", n.Load(), res.Status)
				}
				n.Add(1)
				time.Sleep(time.Millisecond)
			}
		})
	}
	return func() int64 { cancel(); running.Wait(); return n.Load() }
}
