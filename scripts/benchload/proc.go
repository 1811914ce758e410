//go:build linux

package main

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"time"
	"unsafe"
)

// process is a server under load.
type process struct {
	cmd        *exec.Cmd
	rtmp, http string        // where it listens; "" if it does not say
	done       chan struct{} // closed when it has ended
}

var (
	listening  = regexp.MustCompile(` msg="?listening"?( |$)`)
	whichProto = regexp.MustCompile(` proto="?(\w+)"?`)
	whichAddr  = regexp.MustCompile(` addr="?([^" ]+)"?`)
)

// startProcess starts a server and waits until it has said where it listens for
// each of protos.
func startProcess(path string, args []string, protos ...string) (*process, error) {
	return startProcessOn(0, path, args, protos...)
}

// startProcessOn is startProcess on some processors alone.
func startProcessOn(on processors, path string, args []string, protos ...string) (*process, error) {
	p := &process{cmd: exec.Command(path, args...), done: make(chan struct{})}
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	p.cmd.Stdout, p.cmd.Stderr = w, w
	if err := on.run(p.cmd.Start); err != nil {
		return nil, err
	}
	_ = w.Close()
	addrs := make(chan [2]string, 16)
	go func() {
		defer close(p.done)
		lines := bufio.NewScanner(r)
		for lines.Scan() {
			proto, addr := whichProto.FindStringSubmatch(lines.Text()), whichAddr.FindStringSubmatch(lines.Text())
			if listening.MatchString(lines.Text()) && proto != nil && addr != nil {
				addrs <- [2]string{proto[1], addr[1]}
			}
		}
		_ = p.cmd.Wait()
	}()
	timeout := time.After(15 * time.Second)
	for len(protos) > 0 {
		select {
		case a := <-addrs:
			switch a[0] {
			case "rtmp":
				p.rtmp = a[1]
			case "http":
				p.http = a[1]
			}
			if a[0] == protos[0] {
				protos = protos[1:]
			}
		case <-p.done:
			return nil, fmt.Errorf("%s ended before it listened", path)
		case <-timeout:
			p.stop()
			return nil, fmt.Errorf("%s does not say where it listens", path)
		}
	}
	return p, nil
}

func (p *process) stop() {
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		_ = p.cmd.Process.Kill()
		<-p.done
	}
}

// cpu is the time that all threads of the process have spent on a processor, in user
// and in kernel mode: its CPU clock (clock_getcpuclockid(3)). /proc/PID/stat has the same
// in hundredths of a second, which is too coarse for a few publishers.
func (p *process) cpu() (time.Duration, error) {
	const scheduled = 2 // CPUCLOCK_SCHED
	clock := ^p.cmd.Process.Pid<<3 | scheduled
	var t syscall.Timespec
	if _, _, errno := syscall.Syscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0); errno != 0 {
		return 0, fmt.Errorf("CPU clock of process %d: %w", p.cmd.Process.Pid, errno)
	}
	return time.Duration(t.Nano()), nil
}

// resident is the process's memory in RAM, in bytes.
func (p *process) resident() (int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "VmRSS:" {
			kb, err := strconv.ParseInt(f[1], 10, 64)
			return kb << 10, err
		}
	}
	return 0, errors.New("no VmRSS in /proc/PID/status")
}

// raiseDescriptors allows this process as many open files as it may have.
func raiseDescriptors() {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) == nil {
		limit.Cur = limit.Max
		_ = syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit)
	}
}

// sockets is how many the process has open.
func (p *process) sockets() (n int, err error) {
	dir := fmt.Sprintf("/proc/%d/fd", p.cmd.Process.Pid)
	files, err := os.ReadDir(dir)
	for _, f := range files {
		if to, err := os.Readlink(dir + "/" + f.Name()); err == nil && strings.HasPrefix(to, "socket:") {
			n++
		}
	}
	return n, err
}
