package rig

import (
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"syscall"
	"testing"
)

// VLC returns a command that plays url, shows it to nobody, and reads commands of VLC's
// own from its standard input.
func VLC(t testing.TB, url string) *exec.Cmd {
	t.Helper()
	home, err := os.MkdirTemp("", "headwater-vlc-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(home) })
	cmd := exec.Command("vlc", "-I", "rc", "--rc-fake-tty", "--no-dbus", "--no-color", "-v",
		"--vout", "dummy", "--aout", "dummy", url)
	cmd.Env = append(os.Environ(), "HOME="+home)
	if os.Geteuid() == 0 { // VLC refuses root
		const nobody = 65534
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
		if err := os.Chown(home, nobody, nobody); err != nil {
			t.Fatal(err)
		}
	}
	return cmd
}

// VLCStats are the numbers with which VLC answers "stats", the newest of each.
type VLCStats map[string]int

var vlcStat = regexp.MustCompile(`(?m)^\| ([a-z ]+?) *: +(\d+)`)

// ReadVLCStats finds them in what VLC said.
func ReadVLCStats(said string) VLCStats {
	s := VLCStats{}
	for _, m := range vlcStat.FindAllStringSubmatch(said, -1) {
		s[m[1]], _ = strconv.Atoi(m[2])
	}
	return s
}

// Check fails the test unless nothing was damaged or missing, and least pictures and
// buffers of sound, where it has them, were decoded and shown.
func (s VLCStats) Check(t testing.TB, pictures, sound bool, least int) {
	t.Helper()
	for _, key := range []string{"demux corrupted", "discontinuities"} {
		if n, ok := s[key]; !ok || n != 0 {
			t.Errorf("VLC: %s: %d", key, n)
		}
	}
	for key, wanted := range map[string]bool{"video decoded": pictures, "frames displayed": pictures, "audio decoded": sound, "buffers played": sound} {
		if wanted && s[key] < least {
			t.Errorf("VLC: %s: %d", key, s[key])
		}
	}
}
