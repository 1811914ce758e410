//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"runtime"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// hammer asks one server for one path over and over, on many connections that are
// kept open, each of which asks again as soon as it has its answer. It is one thread
// that drops bodies inside the kernel: what it takes is little beside the server.
type hammer struct {
	epoll    int
	request  []byte
	clients  map[int32]*client
	answered int64
	bytes    int64 // of bodies
}

// client is one connection of a hammer.
type client struct {
	fd   int
	head []byte
	left int // bytes of the body that are still to come; -1: the head is
}

func newHammer(addr, path string, n int) (*hammer, error) {
	target, err := net.ResolveTCPAddr("tcp4", addr)
	if err != nil {
		return nil, err
	}
	to := &syscall.SockaddrInet4{Port: target.Port, Addr: [4]byte(target.IP.To4())}
	h := &hammer{
		request: []byte("GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\nUser-Agent: benchload\r\nAccept: */*\r\n\r\n"),
		clients: map[int32]*client{},
	}
	if h.epoll, err = syscall.EpollCreate1(0); err != nil {
		return nil, err
	}
	for range n {
		fd, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
		if err != nil {
			return h, err
		}
		h.clients[int32(fd)] = &client{fd: fd, left: -1}
		// Room for a whole segment, so that no server has to wait for the reader.
		_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_RCVBUF, 2<<20)
		if err := syscall.Connect(fd, to); err != nil {
			return h, err
		}
		if err := syscall.EpollCtl(h.epoll, syscall.EPOLL_CTL_ADD, fd, &syscall.EpollEvent{Events: syscall.EPOLLIN, Fd: int32(fd)}); err != nil {
			return h, err
		}
	}
	return h, nil
}

func (h *hammer) close() {
	for _, c := range h.clients {
		_ = syscall.Close(c.fd)
	}
	_ = syscall.Close(h.epoll)
}

// run asks until the time is over. Answers under way are read first.
func (h *hammer) run(length time.Duration) error {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for _, c := range h.clients {
		if _, err := syscall.Write(c.fd, h.request); err != nil {
			return err
		}
	}
	asking := len(h.clients)
	events := make([]syscall.EpollEvent, 256)
	for end := time.Now().Add(length); asking > 0; {
		n, err := syscall.EpollWait(h.epoll, events, 5000)
		if err != nil && !errors.Is(err, syscall.EINTR) {
			return err
		}
		if n == 0 {
			return errors.New("no answer for five seconds")
		}
		over := time.Now().After(end)
		for _, e := range events[:max(n, 0)] {
			c := h.clients[e.Fd]
			done, err := h.read(c)
			if err != nil {
				return err
			}
			if !done {
				continue
			}
			h.answered++
			if over {
				asking--
			} else if _, err := syscall.Write(c.fd, h.request); err != nil {
				return err
			}
		}
	}
	return nil
}

// read takes what has come and says whether that was the end of an answer.
func (h *hammer) read(c *client) (done bool, err error) {
	if c.left < 0 {
		var room [4096]byte
		n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, uintptr(c.fd), uintptr(unsafe.Pointer(&room[0])), uintptr(len(room)), syscall.MSG_DONTWAIT, 0, 0)
		if errno == syscall.EAGAIN {
			return false, nil
		}
		if errno != 0 || n == 0 {
			return false, fmt.Errorf("a connection ended: %d, %w", n, errno)
		}
		c.head = append(c.head, room[:n]...)
		i := bytes.Index(c.head, []byte("\r\n\r\n"))
		if i < 0 {
			return false, nil
		}
		length, err := bodyLength(c.head[:i+2])
		if err != nil {
			return false, err
		}
		h.bytes += int64(length)
		c.left = length - (len(c.head) - i - 4)
		c.head = c.head[:0]
	}
	if c.left > 0 {
		n, err := discard(c.fd)
		if errors.Is(err, syscall.EAGAIN) {
			return false, nil
		}
		if err != nil || n == 0 {
			return false, fmt.Errorf("a connection ended in a body: %w", err)
		}
		c.left -= n
	}
	if c.left > 0 {
		return false, nil
	}
	if c.left < 0 {
		return false, errors.New("more than was announced")
	}
	c.left = -1
	return true, nil
}

var lengthHeader = []byte("\r\nContent-Length: ")

// bodyLength reads an answer's head, which has to be one of 200 with a length.
func bodyLength(head []byte) (int, error) {
	i := bytes.Index(head, lengthHeader)
	if !bytes.HasPrefix(head, []byte("HTTP/1.1 200 ")) || i < 0 {
		return 0, fmt.Errorf("answered %.60q", head)
	}
	digits, _, _ := bytes.Cut(head[i+len(lengthHeader):], []byte("\r"))
	return strconv.Atoi(string(digits))
}

// hammerOnce is for profiles: hammer ADDRESS PATH SECONDS.
func hammerOnce(args []string) error {
	if len(args) != 3 {
		return errors.New("hammer ADDRESS PATH SECONDS")
	}
	seconds, err := strconv.Atoi(args[2])
	if err != nil {
		return err
	}
	h, err := newHammer(args[0], args[1], hlsConnections)
	if err != nil {
		return err
	}
	defer h.close()
	if err := h.run(time.Duration(seconds) * time.Second); err != nil {
		return err
	}
	fmt.Println(h.answered/int64(seconds), "requests a second")
	return nil
}
