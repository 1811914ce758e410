//go:build e2e

package conformance

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
)

var (
	serverBinary string // the server under test
	workDir      string // of this run
)

// long makes streams long enough for everything that takes minutes.
var long = os.Getenv("CONFORMANCE_LONG") != ""

// parallel is how many tests run at once: nearly all of their time is spent
// waiting for media to pass.
const parallel = "20"

func TestMain(m *testing.M) {
	flag.Parse()
	set := false
	flag.Visit(func(f *flag.Flag) { set = set || f.Name == "test.parallel" })
	if f := flag.Lookup("test.parallel"); f != nil && !set {
		if err := f.Value.Set(parallel); err != nil {
			fail(err)
		}
	}
	dir, err := os.MkdirTemp("", "headwater-conformance-")
	if err != nil {
		fail(err)
	}
	workDir = dir
	if serverBinary, err = buildServer(dir); err != nil {
		fail(err)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "conformance:", err)
	}
	os.Exit(code)
}

// buildServer builds the command as it ships: static, without cgo.
func buildServer(dir string) (string, error) {
	if path := os.Getenv("CONFORMANCE_BINARY"); path != "" {
		return filepath.Abs(path)
	}
	path := filepath.Join(dir, "headwater")
	cmd := exec.Command("go", "build", "-o", path, "headwater/cmd/headwater")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("build the server: %w\n%s", err, out)
	}
	return path, nil
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "conformance:", err)
	os.Exit(1)
}
