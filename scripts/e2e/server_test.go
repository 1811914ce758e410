//go:build e2e

package e2e

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// server is one running process of the binary under test.
type server struct {
	rtmp, http, admin string // host:port
	data              string

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	log  *lockedBuffer
}

// startServer runs the binary on free ports with a data directory of its own
// and ends it with the test. Extra arguments follow the flags.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	return startServerIn(t, t.TempDir(), nil, args...)
}

// startServerIn is startServer with the data directory and more environment
// given.
func startServerIn(t *testing.T, data string, env []string, args ...string) *server {
	t.Helper()
	all := append([]string{"serve", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0",
		"--admin", "127.0.0.1:0", "--data", data, "--log-format", "text"}, args...)
	s := &server{data: data, cmd: exec.Command(serverBinary, all...), done: make(chan struct{}), log: &lockedBuffer{}}
	s.cmd.Env = append(os.Environ(), env...)
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
		s.kill(syscall.SIGKILL)
		if t.Failed() {
			t.Logf("server log:\n%s", s.log.tail(8000))
		}
	})
	select {
	case <-ready:
	case <-s.done:
		t.Fatalf("the server ended before it listened:\n%s", s.log.tail(8000))
	case <-time.After(20 * time.Second):
		t.Fatalf("the server did not say where it listens:\n%s", s.log.tail(8000))
	}
	return s
}

var listening = regexp.MustCompile(`msg="?listening"? .*`)

// readLog keeps the log and takes the addresses from it. ready is closed when
// all three are known.
func (s *server) readLog(r io.ReadCloser, ready chan struct{}) {
	defer close(s.done)
	defer func() { _ = s.cmd.Wait() }()
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	known := false
	for lines.Scan() {
		line := lines.Text()
		s.log.WriteString(line + "\n")
		if known || !listening.MatchString(line) {
			continue
		}
		switch addr := attr(line, "addr"); attr(line, "proto") {
		case "rtmp":
			s.rtmp = loopback(addr)
		case "http":
			s.http = loopback(addr)
		case "admin":
			s.admin = loopback(addr)
		}
		if s.rtmp != "" && s.http != "" && s.admin != "" {
			known = true
			close(ready)
		}
	}
}

// kill ends the process by its own id and waits for it.
func (s *server) kill(sig syscall.Signal) {
	select {
	case <-s.done:
		return
	default:
	}
	_ = s.cmd.Process.Signal(sig)
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}

func (s *server) publishURL(name string) string { return "rtmp://" + s.rtmp + "/live/" + name }
func (s *server) url(path string) string        { return "http://" + s.http + path }

// attr returns key's value in a line of slog's text format.
func attr(line, key string) string {
	_, rest, ok := strings.Cut(line, " "+key+"=")
	if !ok {
		return ""
	}
	value, _, _ := strings.Cut(rest, " ")
	return strings.Trim(value, `"`)
}

// loopback turns an address of all interfaces into one that can be dialled.
func loopback(addr string) string {
	host, port, err := net.SplitHostPort(addr)
	if err != nil {
		return addr
	}
	if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
		host = "127.0.0.1"
	}
	return net.JoinHostPort(host, port)
}

// lockedBuffer is a log that one goroutine writes and another reads.
type lockedBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *lockedBuffer) WriteString(s string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.buf.WriteString(s)
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *lockedBuffer) tail(n int) string {
	s := b.String()
	if len(s) > n {
		return fmt.Sprintf("… %s", s[len(s)-n:])
	}
	return s
}

func (b *lockedBuffer) Len() int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Len()
}
