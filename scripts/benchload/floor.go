//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"syscall"
	"time"
)

// listenLoopback listens on a free port of 127.0.0.1 and says so in the server's
// own words.
func listenLoopback(proto string) (int, error) {
	fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	if err := syscall.Bind(fd, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		return 0, err
	}
	if err := syscall.Listen(fd, 4096); err != nil {
		return 0, err
	}
	name, err := syscall.Getsockname(fd)
	if err != nil {
		return 0, err
	}
	port := name.(*syscall.SockaddrInet4).Port
	fmt.Fprintf(os.Stderr, "level=INFO msg=listening addr=127.0.0.1:%d proto=%s\n", port, proto)
	return fd, nil
}

// floorIngest takes in publishers with one thread: it answers what a publisher
// waits for, by the count of bytes, and drops all the rest unread.
func floorIngest() error {
	runtime.LockOSThread()
	raiseDescriptors()
	listener, err := listenLoopback("rtmp")
	if err != nil {
		return err
	}
	epoll, err := syscall.EpollCreate1(0)
	if err != nil {
		return err
	}
	add := func(fd int) error {
		return syscall.EpollCtl(epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)})
	}
	if err := add(listener); err != nil {
		return err
	}
	peers := map[int32]*floorPeer{}
	events, buf := make([]syscall.EpollEvent, 256), make([]byte, 64<<10)
	for {
		n, err := syscall.EpollWait(epoll, events, -1)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		for _, e := range events[:max(n, 0)] {
			if int(e.Fd) == listener {
				if fd, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC); err == nil {
					peers[int32(fd)] = &floorPeer{}
					if err := add(fd); err != nil {
						return err
					}
				}
				continue
			}
			if k, _ := syscall.Read(int(e.Fd), buf); k <= 0 || !peers[e.Fd].answer(int(e.Fd), buf[:k]) {
				_ = syscall.Close(int(e.Fd))
				delete(peers, e.Fd)
			}
		}
	}
}

// floorPeer is how far a publisher has come.
type floorPeer struct {
	got  []byte // until it publishes
	step int
}

// answer says to a publisher what it waits for. It returns false when the
// connection cannot go on.
func (p *floorPeer) answer(fd int, b []byte) bool {
	if p.step == 3 {
		return true
	}
	p.got = append(p.got, b...)
	var reply []byte
	switch {
	case p.step == 0 && len(p.got) >= 1537:
		reply = make([]byte, 1+1536+1536)
		reply[0] = 3
	case p.step == 1 && bytes.Contains(p.got, []byte("createStream")):
		reply = appendMessage(nil, 3, typeCommand, 0, 0, command("_result", 4, amfNull, amfNumber(1)))
	case p.step == 2 && bytes.Contains(p.got, amfString("publish")):
		reply = appendMessage(nil, 5, typeCommand, 1, 0, command("onStatus", 0, amfNull,
			amfObject("level", "status", "code", "NetStream.Publish.Start")))
	default:
		return true
	}
	if p.step++; p.step == 3 {
		p.got = nil
	}
	_, err := syscall.Write(fd, reply)
	return err == nil
}

// floorFanout writes the same bytes to every viewer from one thread, at a
// steady pace. Its arguments are the milliseconds between two writes and the
// bits a second of each viewer.
func floorFanout(args []string) error {
	if len(args) != 2 {
		return errors.New("floor-fanout MILLISECONDS BITS_PER_SECOND")
	}
	ms, err := strconv.Atoi(args[0])
	if err != nil {
		return err
	}
	rate, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	runtime.LockOSThread()
	raiseDescriptors()
	listener, err := listenLoopback("http")
	if err != nil {
		return err
	}
	var viewers []int
	block, request := make([]byte, rate/8*ms/1000), make([]byte, 4096)
	gather := time.Duration(ms) * time.Millisecond
	for due := time.Now(); ; due = due.Add(gather) {
		for {
			fd, _, err := syscall.Accept4(listener, syscall.SOCK_NONBLOCK|syscall.SOCK_CLOEXEC)
			if err != nil {
				break
			}
			time.Sleep(50 * time.Microsecond) // the request is on its way
			_, _ = syscall.Read(fd, request)
			if _, err := syscall.Write(fd, []byte("HTTP/1.1 200 OK\r\n\r\n")); err == nil {
				viewers = append(viewers, fd)
			}
		}
		for _, fd := range viewers {
			_, _ = syscall.Write(fd, block) // a viewer whose socket is full misses a block
		}
		time.Sleep(time.Until(due))
	}
}
