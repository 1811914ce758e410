//go:build e2e

package conformance

import (
	"bufio"
	"bytes"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// server is one running process of the binary under test.
type server struct {
	rtmp, http string // host:port
	data       string
	env        []string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended

	mu  sync.Mutex
	log bytes.Buffer
}

// startServer runs the binary on free ports with a data folder of its own, and
// ends it with the test. env is NAME=VALUE without the prefix HEADWATER_.
func startServer(t *testing.T, env ...string) *server {
	t.Helper()
	return runServer(t, t.TempDir(), "127.0.0.1:0", env)
}

// again starts another process that takes over from s, which has to be dead: the
// same data, the same public address.
func (s *server) again(t *testing.T) *server {
	t.Helper()
	return runServer(t, s.data, s.http, s.env)
}

func runServer(t *testing.T, data, http string, env []string) *server {
	t.Helper()
	s := &server{data: data, env: env, done: make(chan struct{})}
	s.cmd = exec.Command(serverBinary, "serve", "--rtmp", "127.0.0.1:0", "--http", http,
		"--admin", "127.0.0.1:0", "--data", data, "--log-format", "text")
	s.cmd.Env = os.Environ()
	for _, e := range env {
		s.cmd.Env = append(s.cmd.Env, "HEADWATER_"+e)
	}
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start the server: %v", err)
	}
	w.Close()
	ready := make(chan struct{})
	go s.readLog(r, ready)
	t.Cleanup(func() {
		s.kill()
		if t.Failed() && !t.Skipped() {
			t.Logf("server log:\n%s", s.tail(600))
		}
	})
	select {
	case <-ready:
	case <-s.done:
		t.Fatalf("the server ended before it listened:\n%s", s.tail(8000))
	case <-time.After(20 * time.Second):
		t.Fatalf("the server did not say where it listens:\n%s", s.tail(8000))
	}
	return s
}

// readLog keeps the log and takes the addresses from it.
func (s *server) readLog(r io.ReadCloser, ready chan struct{}) {
	defer close(s.done)
	defer func() { _ = s.cmd.Wait() }()
	defer r.Close()
	known := false
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		line := lines.Text()
		s.mu.Lock()
		s.log.WriteString(line + "\n")
		s.mu.Unlock()
		if known || !strings.Contains(line, "msg=listening") {
			continue
		}
		switch attr(line, "proto") {
		case "rtmp":
			s.rtmp = attr(line, "addr")
		case "http":
			s.http = attr(line, "addr")
		}
		if s.rtmp != "" && s.http != "" {
			known = true
			close(ready)
		}
	}
}

// attr returns key's value in a line of slog's text format.
func attr(line, key string) string {
	_, rest, _ := strings.Cut(line, " "+key+"=")
	value, _, _ := strings.Cut(rest, " ")
	return strings.Trim(value, `"`)
}

// kill ends the process with SIGKILL and waits for its end.
func (s *server) kill() {
	_ = s.cmd.Process.Kill() // it may have ended
	<-s.done
}

func (s *server) tail(n int) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	text := s.log.String()
	return text[max(0, len(text)-n):]
}
