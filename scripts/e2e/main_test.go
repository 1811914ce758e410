//go:build e2e

package e2e

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
	sourceDir    string // where encoded sources live for this run
)

// parallel is how many tests run at once. Nearly all of a test's time is spent
// waiting for a source to be pushed in real time, so it does not follow the
// number of processors.
const parallel = "6"

func TestMain(m *testing.M) {
	flag.Parse()
	if f := flag.Lookup("test.parallel"); f != nil && !isSet("test.parallel") {
		if err := f.Value.Set(parallel); err != nil {
			fail(err)
		}
	}
	dir, err := os.MkdirTemp("", "headwater-e2e-")
	if err != nil {
		fail(err)
	}
	sourceDir = dir
	serverBinary, err = buildServer(dir)
	if err != nil {
		fail(err)
	}
	code := m.Run()
	if err := os.RemoveAll(dir); err != nil {
		fmt.Fprintln(os.Stderr, "e2e:", err)
	}
	os.Exit(code)
}

// buildServer builds the command as it ships: static, without cgo.
func buildServer(dir string) (string, error) {
	if path := os.Getenv("E2E_BINARY"); path != "" {
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

func isSet(name string) bool {
	found := false
	flag.Visit(func(f *flag.Flag) { found = found || f.Name == name })
	return found
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, "e2e:", err)
	os.Exit(1)
}
