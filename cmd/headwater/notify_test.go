package main

import (
	"net"
	"path/filepath"
	"regexp"
	"strconv"
	"syscall"
	"testing"
	"time"
)

// TestNotify: a service manager is told of start, reload, hand-over and end, over a
// socket with a path and over one without.
func TestNotify(t *testing.T) {
	t.Parallel()
	for _, name := range []string{filepath.Join(t.TempDir(), "notify"), "@headwater-" + strconv.FormatInt(time.Now().UnixNano(), 36)} {
		socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: name, Net: "unixgram"})
		if err != nil {
			t.Fatal(err)
		}
		defer func() { _ = socket.Close() }()
		told := func(want string) []string {
			t.Helper()
			if err := socket.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
				t.Fatal(err)
			}
			b := make([]byte, 4096)
			n, err := socket.Read(b)
			if err != nil {
				t.Fatalf("instead of %s: %v", want, err)
			}
			m := regexp.MustCompile(`^` + want + `$`).FindStringSubmatch(string(b[:n]))
			if m == nil {
				t.Fatalf("told %q instead of %s", b[:n], want)
			}
			return m
		}
		p := startServe(t, []string{"NOTIFY_SOCKET=" + name}, "--data", t.TempDir())
		endSuccessors(t, p)
		told("READY=1")
		if err := p.cmd.Process.Signal(syscall.SIGHUP); err != nil {
			t.Fatal(err)
		}
		told(`RELOADING=1\nMONOTONIC_USEC=[1-9]\d*`)
		told("READY=1")
		if err := p.cmd.Process.Signal(syscall.SIGUSR2); err != nil {
			t.Fatal(err)
		}
		next, err := strconv.Atoi(told(`MAINPID=(\d+)`)[1])
		if err != nil || next == p.cmd.Process.Pid {
			t.Fatalf("the main process is %d, %v; it was %d", next, err, p.cmd.Process.Pid)
		}
		if err := syscall.Kill(next, syscall.SIGTERM); err != nil {
			t.Fatal(err)
		}
		told("STOPPING=1")
		if code := p.wait(t); code != exitOK {
			t.Errorf("exit code %d\n%s", code, p.log)
		}
	}
}
