//go:build linux

package main

import (
	"fmt"
	"net"
	"runtime"
	"syscall"
	"time"
)

// playCost is what RTMP players of one stream cost, here and with nginx.
type playCost struct {
	Players  int     `json:"players"`
	Mbps     float64 `json:"mbps"`
	CPUPerGB float64 `json:"cpu_seconds_per_gb"`
	Left     int64   `json:"players_lost"`
}

// measurePlay has n players play one stream over RTMP.
func measurePlay(s *process, file *replay, n int, length time.Duration) (cost playCost, err error) {
	crowd, err := file.start(s.rtmp, 1, 0)
	if err != nil {
		return cost, err
	}
	defer crowd.stop()
	time.Sleep(3 * time.Second)
	a := &audience{viewers: make([]viewer, n), byFD: map[int32]*viewer{}, done: make(chan struct{})}
	if a.epoll, err = syscall.EpollCreate1(0); err != nil {
		return cost, err
	}
	for i := range a.viewers {
		if err := a.join(&a.viewers[i], s.rtmp); err != nil {
			return cost, fmt.Errorf("player %d: %w", i, err)
		}
	}
	go func() {
		defer close(a.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		a.err = a.loop()
	}()
	time.Sleep(2 * time.Second)
	from := a.bytes.Load()
	cpu, elapsed, err := s.spend(length)
	bytes := a.bytes.Load() - from
	if err2 := a.close(); err == nil {
		err = err2
	}
	if bytes == 0 && err == nil {
		err = fmt.Errorf("nothing came")
	}
	return playCost{n, float64(bytes) * 8 / 1e6 / elapsed.Seconds(), cpu.Seconds() / (float64(bytes) / 1e9), a.ended.Load()}, err
}

// join adds an RTMP player. What it says to the server ends with its play command.
func (a *audience) join(v *viewer, addr string) error {
	p, err := play(addr, "live", "s0")
	if err != nil {
		return err
	}
	defer func() { _ = p.conn.Close() }()
	file, err := p.conn.(*net.TCPConn).File()
	if err != nil {
		return err
	}
	defer func() { _ = file.Close() }()
	if v.fd, err = syscall.Dup(int(file.Fd())); err != nil {
		return err
	}
	v.started = true
	a.started.Add(1)
	if err := syscall.SetNonblock(v.fd, true); err != nil {
		return err
	}
	a.byFD[int32(v.fd)] = v
	return syscall.EpollCtl(a.epoll, syscall.EPOLL_CTL_ADD, v.fd,
		&syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(v.fd)})
}
