//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"slices"
	"sync/atomic"
	"syscall"
	"unsafe"
)

// audience is a number of HTTP viewers in one epoll loop. Their bytes are
// counted and dropped inside the kernel.
type audience struct {
	epoll   int
	viewers []viewer
	byFD    map[int32]*viewer
	stop    atomic.Bool
	done    chan struct{}
	err     error        // of the loop; read it after done
	bytes   atomic.Int64 // of all viewers
	started atomic.Int64 // viewers that were answered 200
	ended   atomic.Int64 // viewers that the server left
}

type viewer struct {
	fd      int
	started bool
	bytes   atomic.Int64
}

// watch opens n connections to addr and asks each for path.
func watch(addr, path string, n int) (*audience, error) {
	a := &audience{viewers: make([]viewer, n), byFD: map[int32]*viewer{}, done: make(chan struct{})}
	target, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	to := &syscall.SockaddrInet4{Port: target.Port, Addr: [4]byte(target.IP.To4())}
	if a.epoll, err = syscall.EpollCreate1(0); err != nil {
		return nil, err
	}
	request := []byte("GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: benchload\r\n\r\n")
	for i := range a.viewers {
		if err := a.connect(&a.viewers[i], to, request); err != nil {
			return nil, fmt.Errorf("viewer %d: %w", i, err)
		}
	}
	go func() {
		defer close(a.done)
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		a.err = a.loop()
	}()
	return a, nil
}

func (a *audience) connect(v *viewer, to syscall.Sockaddr, request []byte) error {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return err
	}
	v.fd = fd
	if err := syscall.Connect(fd, to); err != nil {
		return err
	}
	if _, err := syscall.Write(fd, request); err != nil {
		return err
	}
	if err := syscall.SetNonblock(fd, true); err != nil {
		return err
	}
	a.byFD[int32(fd)] = v
	return syscall.EpollCtl(a.epoll, syscall.EPOLL_CTL_ADD, fd,
		&syscall.EpollEvent{Events: syscall.EPOLLIN | syscall.EPOLLRDHUP, Fd: int32(fd)})
}

func (a *audience) loop() error {
	events := make([]syscall.EpollEvent, 1024)
	head := make([]byte, 4096)
	for !a.stop.Load() {
		n, err := syscall.EpollWait(a.epoll, events, 100)
		if errors.Is(err, syscall.EINTR) {
			continue
		}
		if err != nil {
			return err
		}
		for _, e := range events[:n] {
			if err := a.read(a.byFD[e.Fd], head); err != nil {
				return err
			}
		}
	}
	return nil
}

func (a *audience) read(v *viewer, head []byte) error {
	if v.started {
		n, err := discard(v.fd)
		if err == nil {
			v.bytes.Add(int64(n))
			a.bytes.Add(int64(n))
		}
		return a.check(v, n, err)
	}
	n, err := syscall.Read(v.fd, head)
	if n > 0 {
		if !bytes.HasPrefix(head[:n], []byte("HTTP/1.1 200 ")) {
			return fmt.Errorf("a viewer is answered %.40q", head[:n])
		}
		v.started = true
		a.started.Add(1)
	}
	return a.check(v, n, err)
}

// check forgets a viewer whose connection has ended.
func (a *audience) check(v *viewer, n int, err error) error {
	if n > 0 || errors.Is(err, syscall.EAGAIN) || errors.Is(err, syscall.EINTR) {
		return nil
	}
	a.ended.Add(1)
	return syscall.EpollCtl(a.epoll, syscall.EPOLL_CTL_DEL, v.fd, nil)
}

// discard drops what a socket holds, up to 4 MiB, without copying it: on TCP
// MSG_TRUNC means that nobody wants the bytes (tcp(7)).
func discard(fd int) (int, error) {
	const most = 4 << 20
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(fd), uintptr(unsafe.Pointer(nil)), most,
		syscall.MSG_TRUNC|syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), nil
}

// close ends the loop and all connections.
func (a *audience) close() error {
	a.stop.Store(true)
	<-a.done
	for i := range a.viewers {
		_ = syscall.Close(a.viewers[i].fd)
	}
	_ = syscall.Close(a.epoll)
	return a.err
}

// counts returns each viewer's bytes so far.
func (a *audience) counts() []int64 {
	all := make([]int64, len(a.viewers))
	for i := range a.viewers {
		all[i] = a.viewers[i].bytes.Load()
	}
	return all
}

// slowest returns the least and the middle of the viewers' gains between two
// counts.
func slowest(before, after []int64) (least, middle int64) {
	gains := make([]int64, len(after))
	for i := range after {
		gains[i] = after[i] - before[i]
	}
	slices.Sort(gains)
	return gains[0], gains[len(gains)/2]
}
