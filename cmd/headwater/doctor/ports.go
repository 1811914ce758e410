package doctor

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"headwater/origin/checkup"
)

// own is what this program is called in a list of processes.
const own = "headwater"

func (e *exam) ports(ctx context.Context) {
	taken := map[string]string{}
	for _, l := range e.listeners() {
		_, port, err := net.SplitHostPort(l.address)
		if err != nil {
			continue // the configuration says so
		}
		if other := taken[port]; other != "" && port != "0" {
			e.say("port.twice", checkup.Problem, fmt.Sprintf("%s and %s have the same port, %s.", other, l.key, port), "Give one of them another.")
			continue
		}
		taken[port] = l.key
		e.port(ctx, l, port)
	}
}

func (e *exam) port(ctx context.Context, l listener, port string) {
	err := e.Listen(ctx, l.address)
	switch {
	case err == nil:
		e.say("port.free", checkup.OK, fmt.Sprintf("%s: %s is free.", l.key, l.address), "")
	case errors.Is(err, syscall.EADDRINUSE):
		e.held(l, port)
	case errors.Is(err, syscall.EACCES):
		e.say("port.privilege", checkup.Problem, fmt.Sprintf("%s: %s needs a privilege.", l.key, l.address),
			"Ports below 1024 need one: AmbientCapabilities=CAP_NET_BIND_SERVICE in the systemd unit, or sysctl -w net.ipv4.ip_unprivileged_port_start="+port+", or another port.")
	case errors.Is(err, syscall.EADDRNOTAVAIL):
		e.say("port.address", checkup.Problem, fmt.Sprintf("%s: no interface has the address of %s.", l.key, l.address), "ip address lists those there are; :"+port+" listens on all.")
	default:
		e.say("port.unusable", checkup.Problem, fmt.Sprintf("%s: cannot listen on %s: %v.", l.key, l.address, err), "")
	}
}

// held says who has a port.
func (e *exam) held(l listener, port string) {
	n, _ := strconv.ParseUint(port, 10, 16)
	pid, name := e.holder(uint16(n))
	switch {
	case name == own:
		e.say("port.own", checkup.OK, fmt.Sprintf("%s: a Headwater that runs has %s (process %d).", l.key, l.address, pid), "")
	case name != "":
		e.say("port.taken", checkup.Problem, fmt.Sprintf("%s: %s is taken by %s (process %d).", l.key, l.address, name, pid), "Stop it, or set "+l.key+" to another port.")
	default:
		e.say("port.taken", checkup.Problem, fmt.Sprintf("%s: %s is taken, by a process that cannot be seen from here.", l.key, l.address), fmt.Sprintf("sudo ss -ltnp 'sport = :%s' shows by which. Stop it, or set %s to another port.", port, l.key))
	}
}

// holder returns the process that listens on a port; "" where it cannot be told,
// which is so for processes of others.
func (e *exam) holder(port uint16) (pid int, name string) {
	inodes := map[string]bool{}
	for _, table := range []string{"proc/net/tcp", "proc/net/tcp6"} {
		for line := range strings.Lines(e.read(table)) {
			const listening = "0A"
			f := strings.Fields(line)
			if len(f) < 10 || f[3] != listening {
				continue
			}
			_, hex, _ := strings.Cut(f[1], ":")
			if n, err := strconv.ParseUint(hex, 16, 16); err == nil && uint16(n) == port {
				inodes["socket:["+f[9]+"]"] = true
			}
		}
	}
	if len(inodes) == 0 {
		return 0, ""
	}
	processes, err := os.ReadDir(filepath.Join(e.root(), "proc"))
	if err != nil {
		return 0, ""
	}
	for _, p := range processes {
		if pid, err = strconv.Atoi(p.Name()); err == nil && e.holds(pid, inodes) {
			return pid, e.read(fmt.Sprintf("proc/%d/comm", pid))
		}
	}
	return 0, ""
}

func (e *exam) holds(pid int, inodes map[string]bool) bool {
	dir := filepath.Join(e.root(), "proc", strconv.Itoa(pid), "fd")
	files, err := os.ReadDir(dir)
	if err != nil {
		return false
	}
	for _, f := range files {
		if target, err := os.Readlink(filepath.Join(dir, f.Name())); err == nil && inodes[target] {
			return true
		}
	}
	return false
}

// fewDescriptors is a limit under which a busy origin runs dry.
const fewDescriptors = 4096

func (e *exam) descriptors() {
	const raise = "LimitNOFILE=65536 in the systemd unit; --ulimit nofile=65536 for Docker; ulimit -n 65536 in the shell that starts it."
	rtmp, http, err := e.Caps(&e.cfg)
	switch {
	case err != nil:
		e.say("descriptors.short", checkup.Problem, err.Error()+".", raise)
	case e.Descriptors < fewDescriptors:
		e.say("descriptors.few", checkup.Warning, fmt.Sprintf("%d file descriptors leave room for %d publishers and %d viewers.", e.Descriptors, rtmp, http), raise)
	default:
		e.say("descriptors.enough", checkup.OK, fmt.Sprintf("%d file descriptors: room for %d connections of publishers and %d of viewers.", e.Descriptors, rtmp, http), "")
	}
}
