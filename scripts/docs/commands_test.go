//go:build e2e

package docs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

const (
	patience    = time.Minute // with one block, on a busy machine
	filmSeconds = "20"        // longer than a page takes
)

var binary, film string // made once

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "headwater-docs-")
	if err != nil {
		panic(err)
	}
	code := 1
	if err := prepare(dir); err != nil {
		fmt.Fprintln(os.Stderr, "docs:", err)
	} else {
		code = m.Run()
	}
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

// prepare builds the server and makes the film that pages publish.
func prepare(dir string) error {
	binary, film = filepath.Join(dir, "bin", "headwater"), filepath.Join(dir, "film.mp4")
	build := exec.Command("go", "build", "-o", binary, "headwater/cmd/headwater")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	encode := exec.Command("ffmpeg", "-v", "error", "-nostdin",
		"-f", "lavfi", "-i", "testsrc2=s=320x180:r=30", "-f", "lavfi", "-i", "sine=r=48000", "-t", filmSeconds,
		"-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-g", "60", "-c:a", "aac", film)
	for _, c := range []*exec.Cmd{build, encode} {
		if out, err := c.CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", c.Path, err, out)
		}
	}
	return nil
}

func TestCommands(t *testing.T) {
	commands := 0
	for _, name := range pages(t) {
		page, err := Parse(read(t, name))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if len(page.Blocks) == 0 {
			continue
		}
		commands += len(page.Blocks)
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			newRun(t, name, page).all(page)
		})
	}
	if commands < 20 {
		t.Errorf("the pages have %d blocks to run only", commands)
	}
}

// run is a page whose blocks are being run.
type run struct {
	t      *testing.T
	dir    string // where they are run
	env    []string
	ports  ports
	coming []expected
}

// expected is what comes of something that goes on.
type expected struct {
	url   string          // answers 200 then
	ended <-chan struct{} // closed if it has ended
}

func newRun(t *testing.T, name string, page Page) *run {
	work := t.TempDir()
	r := &run{t: t, dir: work, ports: freePorts(t)}
	r.env = append(os.Environ(), r.ports.env(t, work)...)
	// Without cgo as in prepare, so that a build finds in the cache what that one made.
	r.env = append(r.env, "CGO_ENABLED=0", "PATH="+filepath.Dir(binary)+":"+os.Getenv("PATH"))
	if name == "README.md" {
		r.inRoot()
	} else if err := os.Symlink(film, filepath.Join(work, "film.mp4")); err != nil {
		t.Fatal(err)
	}
	if page.Server {
		r.start("headwater serve")
	}
	if page.Stream {
		r.start("ffmpeg -v error -re -stream_loop -1 -i " + film + " -c copy -f flv rtmp://localhost/live/demo")
		r.await()
		r.finish(Block{Code: "until [ $(curl -s http://localhost:8080/live/demo/fmp4/index.m3u8 | grep -c EXTINF) -ge 2 ]; do sleep 0.2; done"})
	}
	return r
}

// inRoot has the blocks run where the sources are, and what they build removed.
func (r *run) inRoot() {
	r.dir = root
	built := filepath.Join(root, "headwater")
	if _, err := os.Stat(built); errors.Is(err, os.ErrNotExist) {
		r.t.Cleanup(func() { _ = os.Remove(built) })
	}
}

func (r *run) all(page Page) {
	for _, b := range page.Blocks {
		switch {
		case b.Kind == "yaml":
			r.check(b)
		case b.Background:
			r.t.Logf("line %d", b.Line)
			r.start(b.Code)
		default:
			r.await()
			r.finish(b)
		}
	}
	r.await()
}

// check has a configuration file checked.
func (r *run) check(b Block) {
	file := filepath.Join(r.t.TempDir(), "headwater.yaml")
	if err := os.WriteFile(file, []byte(b.Code), 0o600); err != nil {
		r.t.Fatal(err)
	}
	if out, err := exec.Command(binary, "config", "check", file).CombinedOutput(); err != nil {
		r.t.Errorf("line %d: %v\n%s", b.Line, err, out)
	}
}

// command returns bash with a block's code.
func (r *run) command(ctx context.Context, code string) *exec.Cmd {
	c := exec.CommandContext(ctx, "bash", "-euo", "pipefail", "-c", r.ports.replace(code))
	c.Dir, c.Env, c.WaitDelay = r.dir, r.env, time.Second
	c.Cancel = func() error { killTree(c.Process.Pid); return nil }
	return c
}

// killTree ends a process and what it has started. They stay in the process group of
// the test, so that nothing outlives scripts/test, however that ends.
func killTree(pid int) {
	children, _ := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	_ = syscall.Kill(pid, syscall.SIGKILL)
	for _, child := range strings.Fields(string(children)) {
		if n, err := strconv.Atoi(child); err == nil {
			killTree(n)
		}
	}
}

// finish runs a block to its end.
func (r *run) finish(b Block) {
	ctx, cancel := context.WithTimeout(r.t.Context(), patience)
	defer cancel()
	began := time.Now()
	out, err := r.command(ctx, b.Code).CombinedOutput()
	if err != nil {
		r.t.Fatalf("line %d: %v\n%s%s", b.Line, err, b.Code, out)
	}
	r.t.Logf("line %d: %s", b.Line, time.Since(began).Round(time.Millisecond))
	if line := Missing(b.Output, r.ports.restore(string(out))); line != "" {
		r.t.Errorf("line %d: it does not print %q, or not there:\n%s", b.Line, line, out)
	}
}

var published = regexp.MustCompile(`rtmps?://localhost[:0-9]*/([\w.~-]+/[\w.~-]+)`)

// start runs something that goes on. A server is waited for; await waits for what is
// published, as several streams take no longer to come than one.
func (r *run) start(code string) {
	r.t.Helper()
	log := &rig.Log{}
	c := r.command(context.WithoutCancel(r.t.Context()), code)
	c.Stdout, c.Stderr = log, log
	if err := c.Start(); err != nil {
		r.t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { defer close(ended); _ = c.Wait() }()
	r.t.Cleanup(func() {
		select {
		case <-ended: // its number may be another's by now
		default:
			killTree(c.Process.Pid)
			<-ended
		}
		if r.t.Failed() {
			r.t.Logf("%s\n%s", code, log)
		}
	})
	served, published := strings.Contains(code, "headwater serve"), published.FindAllStringSubmatch(code, -1)
	if !served && len(published) == 0 {
		r.t.Fatalf("nothing is known to come of\n%s", code)
	}
	for _, m := range published {
		r.coming = append(r.coming, expected{"http://127.0.0.1:" + r.ports.http + "/" + m[1] + ".m3u8", ended})
	}
	if served {
		r.there(expected{"http://127.0.0.1:" + r.ports.admin + "/readyz", ended})
	}
}

// await waits for all that was begun to be published.
func (r *run) await() {
	for _, e := range r.coming {
		r.there(e)
	}
	r.coming = nil
}

// there waits for an address to answer.
func (r *run) there(e expected) {
	client := http.Client{Timeout: patience}
	for deadline := time.Now().Add(patience); ; time.Sleep(50 * time.Millisecond) {
		a, err := client.Get(e.url)
		if err == nil {
			_, _ = io.Copy(io.Discard, a.Body)
			_ = a.Body.Close()
			if a.StatusCode == http.StatusOK {
				return
			}
		}
		select {
		case <-e.ended:
			r.t.Fatalf("it has ended before %s was there", e.url)
		default:
		}
		if time.Now().After(deadline) {
			r.t.Fatalf("%s is not there after %s", e.url, patience)
		}
	}
}
