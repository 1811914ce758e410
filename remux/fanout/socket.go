package fanout

import (
	"io"
	"net"
	"syscall"
	"unsafe"
)

// sendBuffer is what the kernel may hold of a viewer's bytes; it doubles the number
// for its own needs, and may know a lower limit. It is enough for 8 Mbit/s to a
// viewer 200 ms away, and bounds what one costs who does not read.
const sendBuffer = 256 << 10

// descriptor returns the number of a connection's socket, if it is nothing but that.
func descriptor(conn net.Conn) (fd int, ok bool) {
	c, ok := conn.(syscall.Conn)
	if !ok {
		return 0, false
	}
	raw, err := c.SyscallConn()
	if err != nil {
		return 0, false
	}
	err = raw.Control(func(p uintptr) { fd = int(p) })
	return fd, err == nil
}

func boundSendBuffer(fd int) {
	_ = syscall.SetsockoptInt(fd, syscall.SOL_SOCKET, syscall.SO_SNDBUF, sendBuffer) // it does without
}

// boundSendBufferUnder is boundSendBuffer for a connection that wraps others, such as
// TLS.
func boundSendBufferUnder(conn net.Conn) {
	for {
		w, ok := conn.(interface{ NetConn() net.Conn })
		if !ok {
			break
		}
		conn = w.NetConn()
	}
	if b, ok := conn.(interface{ SetWriteBuffer(bytes int) error }); ok {
		_ = b.SetWriteBuffer(sendBuffer) // it does without
	}
}

// The calls below never wait, because the sockets are non-blocking, so the scheduler
// need not hear of them; and they go past the locks of package net, for a loop alone
// uses and closes its connections. A full socket takes 0 bytes, which is no error.

func write(fd int, b []byte) (int, error) {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return result(n, errno)
}

// write writes many pieces at once, and says whether all was written.
func (l *loop) write(fd int, bufs net.Buffers) (n int, whole bool, err error) {
	l.iovecs = l.iovecs[:0]
	size := 0
	for _, b := range bufs {
		v := syscall.Iovec{Base: unsafe.SliceData(b)}
		v.SetLen(len(b))
		l.iovecs = append(l.iovecs, v)
		size += len(b)
	}
	r, _, errno := syscall.RawSyscall(syscall.SYS_WRITEV, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(l.iovecs))), uintptr(len(l.iovecs)))
	clear(l.iovecs)
	n, err = result(r, errno)
	return n, n == size, err
}

// read fails with io.EOF when the peer has ended its side.
func read(fd int, b []byte) (int, error) {
	r, _, errno := syscall.RawSyscall(syscall.SYS_READ, uintptr(fd), uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	n, err := result(r, errno)
	if err == nil && n == 0 && errno == 0 {
		return 0, io.EOF
	}
	return n, err
}

func result(n uintptr, errno syscall.Errno) (int, error) {
	switch errno {
	case 0:
		return int(n), nil
	case syscall.EAGAIN, syscall.EINTR:
		return 0, nil
	}
	return 0, errno
}
