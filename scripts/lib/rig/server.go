package rig

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// WithServer builds the server as it ships, in a folder that is gone afterwards, and
// runs the tests of a package: parallel of them at once where the command line does not
// say. The variable of the environment that is named built has another binary tested. It
// returns what TestMain exits with.
func WithServer(m *testing.M, built, parallel string, begin func(binary, dir string)) int {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if !set {
		if err := flag.Set("test.parallel", parallel); err != nil {
			return fail(err)
		}
	}
	dir, err := os.MkdirTemp("", "headwater-tests-")
	if err != nil {
		return fail(err)
	}
	defer func() { _ = os.RemoveAll(dir) }()
	binary, err := build(dir, os.Getenv(built))
	if err != nil {
		return fail(err)
	}
	begin(binary, dir)
	return m.Run()
}

func fail(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// build builds the command without cgo, unless there is another.
func build(dir, other string) (string, error) {
	if other != "" {
		return filepath.Abs(other)
	}
	path := filepath.Join(dir, "headwater")
	cmd := exec.Command("go", "build", "-o", path, "headwater/cmd/headwater")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return path, nil
}

// Server is a running server on addresses of this machine.
type Server struct {
	RTMP, HTTP, Admin string // host:port
	Data              string // its folder
	Log               Log

	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
}

// Serve starts a server, which has a folder for its data, ports that are free, and more
// of an environment and arguments: the last of each kind counts. It ends with the test.
func Serve(t testing.TB, binary, data string, env []string, args ...string) *Server {
	t.Helper()
	all := append([]string{"serve", "--rtmp", "127.0.0.1:0", "--http", "127.0.0.1:0",
		"--admin", "127.0.0.1:0", "--data", data, "--log-format", "text"}, args...)
	s := &Server{Data: data, cmd: exec.Command(binary, all...), done: make(chan struct{})}
	s.cmd.Env = append(os.Environ(), env...)
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	s.cmd.Stdout, s.cmd.Stderr = w, w
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("start the server: %v", err)
	}
	_ = w.Close()
	ready := make(chan struct{})
	go s.readLog(r, sync.OnceFunc(func() { close(ready) }))
	t.Cleanup(func() {
		s.End(os.Kill)
		if t.Failed() && !t.Skipped() {
			t.Logf("server log:\n%s", s.Log.Tail(8000))
		}
	})
	select {
	case <-ready:
	case <-s.done:
		t.Fatalf("the server ended before it listened:\n%s", s.Log.Tail(8000))
	case <-time.After(20 * time.Second):
		t.Fatalf("the server did not say where it listens:\n%s", s.Log.Tail(8000))
	}
	return s
}

// readLog keeps the log, and takes the first address of each kind from it.
func (s *Server) readLog(r io.ReadCloser, ready func()) {
	defer close(s.done)
	defer func() { _ = s.cmd.Wait() }()
	defer func() { _ = r.Close() }()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	addrs := map[string]*string{"rtmp": &s.RTMP, "http": &s.HTTP, "admin": &s.Admin}
	for lines.Scan() {
		line := lines.Text()
		_, _ = io.WriteString(&s.Log, line+"\n")
		if len(addrs) == 0 || !strings.Contains(line, "msg=listening") {
			continue
		}
		proto := attr(line, "proto")
		if addr := addrs[proto]; addr != nil {
			*addr = attr(line, "addr")
			delete(addrs, proto)
		}
		if len(addrs) == 0 {
			ready()
		}
	}
}

// attr returns key's value in a line of slog's text format.
func attr(line, key string) string {
	_, rest, _ := strings.Cut(line, " "+key+"=")
	value, _, _ := strings.Cut(rest, " ")
	return strings.Trim(value, `"`)
}

// End sends the process a signal and waits for its end; who does not heed it is killed.
func (s *Server) End(sig os.Signal) {
	_ = s.cmd.Process.Signal(sig) // it may have ended
	select {
	case <-s.done:
	case <-time.After(20 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.done
	}
}
