package main

import (
	"bufio"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// process is a running headwater serve.
type process struct {
	cmd    *exec.Cmd
	stdout *rig.Log
	log    *rig.Log
	addrs  map[string]string // proto to address, as the log gives them
	done   chan struct{}     // closed when standard error ended
}

// startServe starts a server on free ports and waits until it listens.
func startServe(t *testing.T, environ []string, args ...string) *process {
	t.Helper()
	return startProgram(t, os.Args[0], environ, args...)
}

// startProgram is startServe of a program that may be found under another name.
func startProgram(t *testing.T, program string, environ []string, args ...string) *process {
	t.Helper()
	args = append([]string{"serve", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json"}, args...)
	p := &process{cmd: command(t, environ, args...), stdout: &rig.Log{}, log: &rig.Log{}, addrs: map[string]string{}, done: make(chan struct{})}
	p.cmd.Path, p.cmd.Args[0] = program, program
	p.cmd.Stdout = p.stdout
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	listening := make(chan struct{})
	go p.readLog(stderr, listening)
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-p.done; _ = p.cmd.Wait() })
	select {
	case <-listening:
	case <-p.done:
		t.Fatalf("the server ended: %s", p.log)
	case <-time.After(20 * time.Second):
		t.Fatalf("the server does not listen: %s", p.log)
	}
	return p
}

func (p *process) readLog(stderr io.Reader, listening chan<- struct{}) {
	defer close(p.done)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		_, _ = p.log.Write(append(lines.Bytes(), '\n'))
		var line struct{ Msg, Addr, Proto string }
		if json.Unmarshal(lines.Bytes(), &line) != nil || line.Msg != "listening" || p.addrs["admin"] != "" {
			continue
		}
		p.addrs[line.Proto] = line.Addr
		if line.Proto == "admin" { // the last of the three
			close(listening)
		}
	}
}

func (p *process) get(t *testing.T, proto, path string) (status int, body string) {
	t.Helper()
	res, err := http.Get("http://" + p.addrs[proto] + path)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		t.Fatal(err)
	}
	return res.StatusCode, string(text)
}

// eventually waits for what another process does.
func eventually(t *testing.T, what string, is func() bool) {
	t.Helper()
	soonerThan(t, 10*time.Second, what, is)
}

// soonerThan is eventually for what takes its time, on a machine with much else to do.
func soonerThan(t *testing.T, most time.Duration, what string, is func() bool) {
	t.Helper()
	for end := time.Now().Add(most); !is(); time.Sleep(5 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("after %s still not: %s", most, what)
		}
	}
}

// end sends a signal and returns the exit code.
func (p *process) end(t *testing.T, s os.Signal) int {
	t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil {
		t.Fatal(err)
	}
	return p.wait(t)
}

func (p *process) wait(t *testing.T) int {
	t.Helper()
	select {
	case <-p.done:
	case <-time.After(20 * time.Second):
		t.Fatalf("the server does not end: %s", p.log)
	}
	_ = p.cmd.Wait()
	return p.cmd.ProcessState.ExitCode()
}

func TestServe(t *testing.T) {
	data := t.TempDir()
	p := startServe(t, nil, "--data", data)
	eventually(t, "ready", func() bool { status, _ := p.get(t, "admin", "/readyz"); return status == http.StatusOK })
	if status, _ := p.get(t, "admin", "/healthz"); status != http.StatusOK {
		t.Errorf("health: %d", status)
	}
	if status, _ := p.get(t, "http", "/live/none.m3u8"); status != http.StatusNotFound {
		t.Errorf("a stream that is not there: %d", status)
	}
	if status, _ := p.get(t, "http", "/healthz"); status != http.StatusNotFound {
		t.Errorf("the public listener answers /healthz with %d", status)
	}
	out, err := command(t, nil, "health", "--admin", p.addrs["admin"]).CombinedOutput()
	if err != nil || string(out) != "ok\n" {
		t.Errorf("headwater health: %q, %v", out, err)
	}
	eventually(t, "a banner", func() bool { return strings.Contains(p.stdout.String(), "Administer") })
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d\n%s", code, p.log)
	}
	checkKeyShownOnce(t, p, data)
}

// checkKeyShownOnce starts a second server on the same data.
func checkKeyShownOnce(t *testing.T, first *process, data string) {
	t.Helper()
	path := filepath.Join(data, publishKeyFile)
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	key := strings.TrimSpace(string(text))
	if n := strings.Count(first.stdout.String(), key); n != 1 || strings.Contains(first.log.String(), key) {
		t.Errorf("the new key is shown %d times:\n%s\nlog:\n%s", n, first.stdout, first.log)
	}
	second := startServe(t, nil, "--data", data, "--log-level", "debug")
	eventually(t, "a banner", func() bool { return strings.Contains(second.stdout.String(), "Administer") })
	if code := second.end(t, syscall.SIGINT); code != exitOK {
		t.Errorf("exit code %d after SIGINT", code)
	}
	shown := second.stdout.String() + second.log.String()
	if strings.Contains(shown, key) || !strings.Contains(shown, path) {
		t.Errorf("the second start should name the file and not the key:\n%s", shown)
	}
}

func TestServeConfiguredKey(t *testing.T) {
	data := filepath.Join(t.TempDir(), "data")
	p := startServe(t, []string{"HEADWATER_PUBLISH_KEY=hush-hush-hush", "HEADWATER_DATA=" + data, "HEADWATER_TYPO=1"})
	eventually(t, "a banner", func() bool { return strings.Contains(p.stdout.String(), "publish.key") })
	if code := p.end(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d", code)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Errorf("a data folder was made that nothing needs: %v", err)
	}
	shown := p.stdout.String() + p.log.String()
	if strings.Contains(shown, "hush") || !strings.Contains(shown, "HEADWATER_TYPO") {
		t.Errorf("shown:\n%s", shown)
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	p := startServe(t, nil, "--data", t.TempDir())
	// A request whose header never ends keeps the shutdown waiting.
	held, err := net.Dial("tcp", p.addrs["http"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = held.Close() }()
	if _, err := io.WriteString(held, "GET / HTTP/1.1\r\n"); err != nil {
		t.Fatal(err)
	}
	if status, _ := p.get(t, "http", "/"); status != http.StatusNotFound { // by now the first has been accepted
		t.Fatalf("got %d", status)
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	eventually(t, "shutting down", func() bool { return strings.Contains(p.log.String(), "shutting down") })
	eventually(t, "not ready", func() bool { status, _ := p.get(t, "admin", "/readyz"); return status == http.StatusServiceUnavailable })
	eventually(t, "the public listener closed", func() bool {
		c, err := net.Dial("tcp", p.addrs["http"])
		if err == nil {
			_ = c.Close()
		}
		return err != nil
	})
	time.Sleep(sameSignal)
	start := time.Now()
	if code := p.end(t, syscall.SIGTERM); code != exitFailed || time.Since(start) > 3*time.Second {
		t.Errorf("exit code %d after %s\n%s", code, time.Since(start), p.log)
	}
}

// TestSignalTwiceAtOnce: a signal that a wrapper doubles is still one wish to
// end in order.
func TestSignalTwiceAtOnce(t *testing.T) {
	p := startServe(t, nil, "--data", t.TempDir())
	if err := p.cmd.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	if code := p.end(t, syscall.SIGTERM); code != exitOK || strings.Contains(p.log.String(), "at once") {
		t.Errorf("exit code %d\n%s", code, p.log)
	}
}

func TestPortTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	data := filepath.Join(t.TempDir(), "data")
	out, err := command(t, nil, "serve", "--data", data, "--rtmp", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--http", l.Addr().String()).CombinedOutput()
	if err == nil || !regexp.MustCompile(`http\.listen: .*address already in use`).Match(out) {
		t.Errorf("%v: %s", err, out)
	}
	if _, err := os.Stat(data); !os.IsNotExist(err) {
		t.Error("a key was made that nobody was shown")
	}
}
