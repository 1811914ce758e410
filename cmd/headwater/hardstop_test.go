package main

import (
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"headwater/scripts/lib/rig"
)

// TestHardStop: what hangs has the grace period and lastWrites, and not a moment more
// because the end was begun with twice.
func TestHardStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const grace = 10 * time.Second
		var log rig.Log
		code := make(chan int, 2)
		h := newHardStop(func() time.Duration { return grace }, slog.New(slog.NewTextHandler(&log, nil)))
		h.exit = func(c int) { code <- c }
		start := time.Now()
		h.begin()
		time.Sleep(grace)
		h.at(stateWritten)
		h.begin()
		if got := <-code; got != exitFailed {
			t.Errorf("exit code %d", got)
		}
		if d := time.Since(start); d < grace+lastWrites || d > 20*time.Second {
			t.Errorf("it ended after %s", d)
		}
		time.Sleep(time.Minute)
		if len(code) > 0 || strings.Count(log.String(), stateWritten) != 1 {
			t.Errorf("it ended more than once:\n%s", log.String())
		}
	})
}

// TestEndHangs: a reload that reads from what never answers keeps the process from its
// end, and is left behind.
func TestEndHangs(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "headwater.yaml")
	if err := os.WriteFile(path, []byte("shutdown: {grace: 0s}\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	p := startServe(t, nil, "--data", t.TempDir(), "--config", path)
	eventually(t, "a banner", func() bool { return strings.Contains(p.stdout.String(), "Administer") })
	if err := errors.Join(os.Remove(path), syscall.Mkfifo(path, 0o600)); err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	var writer *os.File
	eventually(t, "somebody who reads the configuration", func() (ok bool) {
		var err error
		writer, err = os.OpenFile(path, os.O_WRONLY|syscall.O_NONBLOCK, 0)
		return err == nil
	})
	defer func() { _ = writer.Close() }()
	start := time.Now()
	code := p.end(t, syscall.SIGTERM)
	if d := time.Since(start); code != exitFailed || d < lastWrites || d > lastWrites+5*time.Second {
		t.Errorf("exit code %d after %s\n%s", code, d, p.log)
	}
	if !strings.Contains(p.log.String(), "ending at once: the end hangs") || !strings.Contains(p.log.String(), "a reload that is under way") {
		t.Errorf("the log does not say why:\n%s", p.log)
	}
}
