package http1

import (
	"errors"
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Patience is how long a client may take to read size bytes: ten seconds, and a second
// more for each 64 KiB.
func Patience(size int) time.Duration {
	return 10*time.Second + time.Duration(size/(64<<10))*time.Second
}

// sending is what is being written to a connection.
type sending struct {
	try    func(fd uintptr) bool // attempt, as package syscall wants it
	conn   *conn
	bufs   [2][]byte // head and body; nil once they are sent
	iov    [2]syscall.Iovec
	msg    syscall.Msghdr
	file   int // body, if size is not 0
	offset int64
	size   int
	by     time.Time
	armed  bool // the deadline is set
	err    error
}

// send writes head and body.
func (c *conn) send(head, body []byte, by time.Time) error {
	s := &c.sending
	s.bufs = [2][]byte{head, body}
	s.size = 0
	return s.run(c, len(body), by)
}

// sendFile writes head and the first size bytes of f.
func (c *conn) sendFile(head []byte, f *os.File, size int, by time.Time) error {
	s := &c.sending
	s.bufs = [2][]byte{head, nil}
	s.file, s.offset, s.size = int(f.Fd()), 0, size
	defer runtime.KeepAlive(f)
	return s.run(c, size, by)
}

func (s *sending) run(c *conn, size int, by time.Time) error {
	if by.IsZero() {
		by = time.Now().Add(Patience(size)) // the handler has set none
	}
	s.conn, s.by, s.armed, s.err = c, by, false, nil
	err := c.raw.Write(s.try)
	if err == nil {
		err = s.err
	}
	if s.armed {
		_ = c.SetWriteDeadline(time.Time{})
	}
	s.bufs, s.iov = [2][]byte{}, [2]syscall.Iovec{}
	return err
}

// attempt writes what the socket takes and reports whether there is nothing left to
// be tried. The calls never wait, for the socket is non-blocking, so the scheduler
// need not hear of short ones.
func (s *sending) attempt(fd uintptr) bool {
	for {
		n, errno := s.write(fd)
		switch errno {
		case 0:
			if s.advance(n) {
				return true
			}
		case syscall.EINTR:
		case syscall.EAGAIN:
			if !s.armed {
				s.armed = true
				_ = s.conn.SetWriteDeadline(s.by)
			}
			return false
		default:
			s.err = os.NewSyscallError("write", errno)
			return true
		}
	}
}

func (s *sending) write(fd uintptr) (n int, errno syscall.Errno) {
	head, body := s.bufs[0], s.bufs[1]
	if len(head)+len(body) == 0 {
		n, err := unix.Sendfile(int(fd), s.file, &s.offset, s.size)
		if err != nil {
			errno, _ = errors.AsType[syscall.Errno](err)
			return 0, errno
		}
		if n == 0 {
			return 0, syscall.EIO // the file is shorter
		}
		return n, 0
	}
	for i, b := range s.bufs {
		s.iov[i].Base = unsafe.SliceData(b)
		s.iov[i].SetLen(len(b))
	}
	s.msg.Iov, s.msg.Iovlen = &s.iov[0], uint64(len(s.iov))
	flags := syscall.MSG_NOSIGNAL
	if s.size > 0 {
		flags |= unix.MSG_MORE
	}
	r, _, errno := syscall.RawSyscall(syscall.SYS_SENDMSG, fd, uintptr(unsafe.Pointer(&s.msg)), uintptr(flags))
	return int(r), errno
}

// advance takes n bytes off what is to be sent and reports whether that was all.
func (s *sending) advance(n int) bool {
	if len(s.bufs[0])+len(s.bufs[1]) == 0 {
		s.size -= n
		return s.size == 0
	}
	for i, b := range s.bufs {
		taken := min(n, len(b))
		s.bufs[i] = b[taken:]
		n -= taken
	}
	return len(s.bufs[0])+len(s.bufs[1]) == 0 && s.size == 0
}
