package main

import (
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// manager is the service manager, which is told what state the server is in
// (sd_notify(3)). "" is none.
type manager struct {
	socket string // a path, or a name in the abstract namespace behind @
	log    *slog.Logger
}

// findManager returns the service manager that the environment names.
func findManager(log *slog.Logger) manager { return manager{os.Getenv("NOTIFY_SOCKET"), log} }

func (m manager) ready()    { m.tell("READY=1") }
func (m manager) stopping() { m.tell("STOPPING=1") }

// reloading says that the configuration is being read; ready has to follow. The time is
// what Type=notify-reload asks for.
func (m manager) reloading() {
	var now unix.Timespec
	_ = unix.ClockGettime(unix.CLOCK_MONOTONIC, &now) // the clock is always there
	m.tell(fmt.Sprintf("RELOADING=1\nMONOTONIC_USEC=%d", time.Duration(now.Nano()).Microseconds()))
}

// mainProcess says that another process is the service from now on.
func (m manager) mainProcess(pid int) { m.tell(fmt.Sprintf("MAINPID=%d", pid)) }

func (m manager) tell(state string) {
	if m.socket == "" {
		return
	}
	conn, err := net.Dial("unixgram", m.socket)
	if err == nil {
		_, err = io.WriteString(conn, state)
		_ = conn.Close()
	}
	if err != nil {
		m.log.Warn("service manager not told", "state", state, "error", err)
	}
}
