package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
	"syscall"

	"headwater/cmd/headwater/handover"
)

// A service manager may open listeners and hand them over, so that nobody is refused
// while the server is restarted: connections wait in them. systemd calls it socket
// activation (sd_listen_fds(3)): LISTEN_PID says for whom, LISTEN_FDS how many, from
// descriptor 3 on, and LISTEN_FDNAMES what they are called, as FileDescriptorName= of
// the socket unit has it. Here the names are rtmp, rtmps, http, https and admin. One
// that is handed over takes the place of the address of the configuration. A process
// that this one takes over from hands its listeners over in the same way.

// firstInherited is SD_LISTEN_FDS_START.
const firstInherited = 3

// inherited are listeners that were handed over, by name.
type inherited map[string]*net.TCPListener

// inheritListeners returns what this process was handed. getenv is os.Getenv.
func inheritListeners(getenv func(string) string) (inherited, error) {
	if pid := getenv("LISTEN_PID"); pid != strconv.Itoa(os.Getpid()) && !handover.Passed(getenv) {
		return nil, nil // there are none, or they are another's
	}
	n, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || n < 0 || n > 64 {
		return nil, fmt.Errorf("LISTEN_FDS: %q is no number of listeners", getenv("LISTEN_FDS"))
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	all := inherited{}
	for i := range n {
		fd := firstInherited + i
		syscall.CloseOnExec(fd)
		name := ""
		if i < len(names) {
			name = names[i]
		}
		l, err := inherit(fd, name)
		if err == nil && all[name] != nil {
			err = errors.New("there are two of that name")
		}
		if err != nil {
			all.close()
			return nil, fmt.Errorf("listener %q (descriptor %d): %w", name, fd, err)
		}
		all[name] = l
	}
	return all, nil
}

func inherit(fd int, name string) (*net.TCPListener, error) {
	switch name {
	case "rtmp", "rtmps", "http", "https", "admin":
	default:
		return nil, errors.New("the name is none of rtmp, rtmps, http, https and admin: set FileDescriptorName=")
	}
	f := os.NewFile(uintptr(fd), name)
	if f == nil {
		return nil, errors.New("there is no such descriptor")
	}
	defer func() { _ = f.Close() }() // FileListener has made a copy
	l, err := net.FileListener(f)
	if err != nil {
		return nil, err
	}
	tcp, ok := l.(*net.TCPListener)
	if !ok {
		_ = l.Close()
		return nil, fmt.Errorf("it is a %s and not a TCP listener", l.Addr().Network())
	}
	return tcp, nil
}

// take returns the listener of that name, nil if there is none, and keeps it no more.
func (in inherited) take(name string) *net.TCPListener {
	l := in[name]
	delete(in, name)
	return l
}

// leftover complains about listeners that the configuration has no use for.
func (in inherited) leftover() error {
	for name := range in {
		return fmt.Errorf("a listener %q was handed over, and %s.listen is not set", name, name)
	}
	return nil
}

func (in inherited) close() {
	for _, l := range in {
		_ = l.Close()
	}
}
