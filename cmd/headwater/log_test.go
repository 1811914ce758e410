package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/cmd/headwater/config"
	"headwater/scripts/lib/rig"
)

// stuckWriter takes nothing until it is let go.
type stuckWriter struct {
	rig.Log
	release chan struct{}
}

func (w *stuckWriter) Write(b []byte) (int, error) {
	<-w.release
	return w.Log.Write(b)
}

// TestLogDoesNotWait: what does not fit is left out, and that is said.
func TestLogDoesNotWait(t *testing.T) {
	w := &stuckWriter{release: make(chan struct{})}
	log, _, flush := openLog(w, config.Log{Format: "json", Level: "info"})
	began := time.Now()
	for i := range 2 * maxLogLines {
		log.Info("line", "n", i)
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("logging took %v", d)
	}
	close(w.release)
	eventually(t, "said what is missing", func() bool { return strings.Contains(w.String(), `"msg":"log lines left out`) })
	log.Info("the last")
	flush()
	text := w.String()
	if n := strings.Count(text, "\n"); n < maxLogLines || n > 2*maxLogLines || !strings.Contains(text, `"n":0}`) || !strings.HasSuffix(text, "\"msg\":\"the last\"}\n") {
		t.Errorf("%d lines, the last %s", n, text[strings.LastIndex(strings.TrimSpace(text), "\n")+1:])
	}
}

// TestLogThatHangsAtTheEnd keeps nobody.
func TestLogThatHangsAtTheEnd(t *testing.T) {
	t.Parallel()
	w := &stuckWriter{release: make(chan struct{})}
	defer close(w.release)
	log, _, flush := openLog(w, config.Log{Format: "text", Level: "info"})
	log.Info("line")
	began := time.Now()
	flush()
	if d := time.Since(began); d > 3*logTime {
		t.Errorf("flush took %v", d)
	}
}

// TestNobodyReadsTheLog stops reading a server's standard error, and then closes it:
// who publishes and plays does not notice, new ones come in, and the end is in order.
func TestNobodyReadsTheLog(t *testing.T) {
	t.Parallel()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = r.Close() }()
	p := &process{log: &rig.Log{}, addrs: map[string]string{}}
	p.cmd = command(t, []string{"HEADWATER_PUBLISH_WITHOUT_SECRET_FROM=127.0.0.0/8"},
		"serve", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0", "--admin", "127.0.0.1:0", "--log-format", "json", "--log-level", "debug", "--data", t.TempDir())
	p.cmd.Stderr = w
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = p.cmd.Wait() }()
	t.Cleanup(func() { _ = p.cmd.Process.Kill(); <-ended })
	_ = w.Close()
	for lines := bufio.NewScanner(r); p.addrs["admin"] == "" && lines.Scan(); {
		var line struct{ Msg, Addr, Proto string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			p.addrs[line.Proto] = line.Addr
		}
	}
	const setPipeSize = 1031 // F_SETPIPE_SZ
	if _, _, no := syscall.Syscall(syscall.SYS_FCNTL, r.Fd(), setPipeSize, 4096); no != 0 {
		t.Skip(no)
	}
	_, v := published(t, p)
	comeAndGo := func() {
		for range 40 { // each is a line
			c := dialRaw(t, p, "http")
			c.ask("GET /live/x.flv HTTP/1.1\r\nHost: h\r\n\r\n")
			if b, err := c.r.Peek(12); err != nil || !bytes.HasSuffix(b, []byte("200")) {
				t.Fatalf("a viewer gets %q, %v", b, err)
			}
			_ = c.Close()
		}
	}
	comeAndGo()
	time.Sleep(2 * time.Second) // they are missed by now
	v.goesOn(t)
	second, err := startEncoder(t, p, "y", 1000)
	if err != nil {
		t.Fatal(err)
	}
	if _, status := startViewer(t, p, "y"); status != http.StatusOK {
		t.Errorf("a viewer gets %d", status)
	}
	_ = r.Close() // from now on there is an error
	comeAndGo()
	v.goesOn(t)
	v.complete(t)
	second.stop()
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case <-ended:
		if code := p.cmd.ProcessState.ExitCode(); code != exitOK {
			t.Errorf("exit code %d", code)
		}
	case <-time.After(15 * time.Second):
		t.Error("it does not end")
	}
}
