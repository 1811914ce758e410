package turns

import (
	"io"
	"net"
	"os"
	"syscall"
	"unsafe"
)

// lowWater is how many bytes have to have come before the kernel reports them to
// the runtime's poller, which nobody waits in. It is about what a receive buffer
// holds at first.
const lowWater = 64 << 10

// Conn is a connection that can be read in turns. It embeds the concrete type, so
// that net.Buffers still finds writev behind it.
type Conn struct {
	*net.TCPConn

	// fixed after Wrap
	outer net.Conn // what TCPConn came in
	clock *Clock
	raw   syscall.RawConn

	// owned by the goroutine that reads
	taking bool // turns
	empty  bool // the socket was, when it was read last

	// of the read that is under way; a closure for each would be garbage
	read  func(fd uintptr) bool
	into  []byte
	n     int
	errno syscall.Errno
}

// Wrap returns conn as one that can be read in turns, or nil if it is no TCP
// connection. What wraps one says so with a method TCP, and has read nothing ahead.
func (c *Clock) Wrap(conn net.Conn) *Conn {
	tcp, ok := conn.(*net.TCPConn)
	if w, wraps := conn.(interface{ TCP() *net.TCPConn }); wraps {
		tcp, ok = w.TCP(), true
	}
	if !ok {
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	t := &Conn{TCPConn: tcp, outer: conn, clock: c, raw: raw}
	t.read = t.readFrom
	return t
}

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.outer.RemoteAddr() }

// Close closes the connection. A Read that waits returns at the next turn.
func (c *Conn) Close() error { return c.outer.Close() }

// TakeTurns has Read wait for turns from now on, or no longer. It is for the
// goroutine that reads.
func (c *Conn) TakeTurns(on bool) {
	c.taking, c.empty = on, false
	low := 1
	if on {
		low = lowWater
	}
	_ = c.raw.Control(func(fd uintptr) { // without it reading costs more, and works
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, low)
	})
}

// Read reads what is there. If there is nothing it waits: for a turn, if it is to
// take them, which is also when it notices a deadline, Close and the peer's end.
func (c *Conn) Read(p []byte) (int, error) {
	if !c.taking || len(p) == 0 {
		return c.TCPConn.Read(p)
	}
	for {
		if c.empty {
			c.clock.wait()
		}
		n, err := c.try(p)
		c.empty = n < len(p)
		if n > 0 || err != nil {
			return n, err
		}
	}
}

// try reads without waiting; 0 and no error say that nothing is there.
func (c *Conn) try(p []byte) (int, error) {
	c.into, c.n, c.errno = p, 0, 0
	err := c.raw.Read(c.read)
	c.into = nil
	switch {
	case err != nil: // the deadline is over, or the connection closed
		return 0, err
	case c.errno == syscall.EAGAIN || c.errno == syscall.EINTR:
		return 0, nil
	case c.errno != 0:
		return 0, &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", c.errno)}
	case c.n == 0:
		return 0, io.EOF
	}
	return c.n, nil
}

// readFrom is one read. The socket is non-blocking: the call never waits, so the
// scheduler need not hear of it.
func (c *Conn) readFrom(fd uintptr) bool {
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd, uintptr(unsafe.Pointer(unsafe.SliceData(c.into))), uintptr(len(c.into)))
	if c.errno = errno; errno == 0 {
		c.n = int(n)
	}
	return true
}
