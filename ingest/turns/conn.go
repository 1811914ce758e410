package turns

import (
	"io"
	"math"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"
)

const (
	// lowWater is how many bytes have to have come before the kernel reports them to
	// the runtime's poller, which nobody waits in. It is about what a receive buffer
	// holds at first.
	lowWater = 64 << 10
	// roomSize is how much is read of a connection in one turn. Who sends more is read
	// by its own goroutine until that has caught up.
	roomSize = 128 << 10
	// headroom is free in front of that, for what a Taker has left over.
	headroom = 64
)

// Conn is a connection that can be read in turns. It embeds the concrete type, so
// that net.Buffers still finds writev behind it.
type Conn struct {
	*net.TCPConn

	// Wanted, if it is set, returns when what comes is wanted: at full multiples of a time
	// since the beginning of Unix time, as it comes (0) or never (math.MaxInt64). Turns
	// without which it is there in time are left out. It is called by the goroutine that
	// reads, at each turn, and is to be set before there are any.
	Wanted func() time.Duration

	// fixed after Wrap
	outer net.Conn // what TCPConn came in
	clock *Clock
	raw   syscall.RawConn
	back  chan struct{} // it no longer waits

	round   atomic.Pointer[round] // nil: it takes no turns
	due     atomic.Int64          // the deadline of reading, on the clock
	closing atomic.Bool

	// owned by the goroutine that reads; by the round's, while it waits
	empty bool  // the socket was, when it was read last
	pace  pace  // of Read
	got   int   // by Read, since it waited last
	err   error // of the round's read

	// of the read that is under way; a closure for each would be garbage
	read  func(fd uintptr) bool
	into  []byte
	n     int
	errno syscall.Errno
}

// Taker is who knows what a connection's bytes mean.
//
// Turn gets what a turn has brought, room[at:]. It may write to what is in front of
// that, 64 bytes, and may not wait: all the others do. It returns whether that was all
// there is to do until the next turn; if not, Await returns.
type Taker = interface {
	Turn(room []byte, at int, now time.Time) bool
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
	t := &Conn{TCPConn: tcp, outer: conn, clock: c, raw: raw, back: make(chan struct{}, 1)}
	t.read = t.readFrom
	t.due.Store(math.MaxInt64)
	return t
}

// RemoteAddr returns the address of the peer.
func (c *Conn) RemoteAddr() net.Addr { return c.outer.RemoteAddr() }

// Close closes the connection. Who waits for a turn notices at the next one, and
// Close waits for that.
func (c *Conn) Close() error {
	c.closing.Store(true)
	c.hurry()
	return c.outer.Close()
}

// SetDeadline is that of net.Conn.
func (c *Conn) SetDeadline(t time.Time) error {
	c.setDue(t)
	return c.TCPConn.SetDeadline(t)
}

// SetReadDeadline is that of net.Conn.
func (c *Conn) SetReadDeadline(t time.Time) error {
	c.setDue(t)
	return c.TCPConn.SetReadDeadline(t)
}

func (c *Conn) setDue(t time.Time) {
	due := time.Duration(math.MaxInt64)
	if !t.IsZero() {
		due = t.Sub(c.clock.start)
	}
	c.due.Store(int64(due))
	if due <= time.Since(c.clock.start) {
		c.hurry()
	}
}

// hurry has deadlines be looked at in the next turn.
func (c *Conn) hurry() {
	if r := c.round.Load(); r != nil {
		r.late.Store(true)
		r.signal()
	}
}

// TakeTurns has Read wait for turns from now on, or no longer. It is for the
// goroutine that reads.
func (c *Conn) TakeTurns(on bool) {
	r := c.round.Load()
	if on == (r != nil) {
		return
	}
	c.empty = false
	low := 1
	if on {
		c.round.Store(c.clock.seat())
		low = lowWater
	} else {
		r.leave()
		c.round.Store(nil)
	}
	_ = c.raw.Control(func(fd uintptr) { // without it reading costs more, and works
		_ = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT, low)
	})
}

// Await has what comes read and handed to t at each turn, on a goroutine that is not
// the caller's, and returns when t says so, when there was more than one turn can
// take, or when a deadline is over. It returns an error of reading, and does not wait
// if the connection takes no turns or more may be there to be read now: then Read.
func (c *Conn) Await(t Taker) (waited bool, err error) {
	r := c.round.Load()
	if r == nil || !c.empty || c.late(time.Now()) {
		return false, nil
	}
	err = c.raw.Control(func(fd uintptr) { // the descriptor is nobody else's meanwhile
		c.wait(r, waiter{conn: c, fd: fd, taker: t})
		waited = true
	})
	if err == nil {
		c.err, err = nil, c.err
	}
	return waited, err
}

func (c *Conn) wait(r *round, w waiter) {
	r.join(w)
	<-c.back
}

// turn is what happens to a connection that waits. It returns whether it goes on
// waiting.
func (w *waiter) turn(room []byte, now time.Time) bool {
	if w.taker == nil {
		return false
	}
	n, errno := receive(w.fd, room[headroom:])
	switch {
	case errno == syscall.EAGAIN || errno == syscall.EINTR:
		w.pace.skip(0, w.conn)
		return !w.conn.late(now)
	case errno != 0 || n == 0:
		w.conn.err = w.conn.failed(errno)
		return false
	}
	if n == roomSize {
		w.conn.empty = false
	}
	if !w.taker.Turn(room[:headroom+n], headroom, now) || n == roomSize {
		return false
	}
	w.pace.skip(n, w.conn)
	return true
}

// late reports whether a deadline is over; then Read says so.
func (c *Conn) late(now time.Time) bool {
	late := c.closing.Load() || int64(now.Sub(c.clock.start)) >= c.due.Load()
	if late {
		c.empty = false
	}
	return late
}

// Read reads what is there. If there is nothing it waits: for a turn, if it is to
// take them, which is also when it notices a deadline, Close and the peer's end.
func (c *Conn) Read(p []byte) (int, error) {
	r := c.round.Load()
	if r == nil || len(p) == 0 {
		return c.TCPConn.Read(p)
	}
	for {
		if c.empty {
			c.pace.skip(c.got, c)
			c.got = 0
			c.wait(r, waiter{conn: c, due: c.pace.next(r.turn())})
		}
		n, err := c.try(p)
		c.empty = n < len(p)
		c.got += n
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
	case c.errno != 0 || c.n == 0:
		return 0, c.failed(c.errno)
	}
	return c.n, nil
}

// readFrom is one read.
func (c *Conn) readFrom(fd uintptr) bool {
	c.n, c.errno = receive(fd, c.into)
	return true
}

// failed is the error of a read that has brought nothing.
func (c *Conn) failed(errno syscall.Errno) error {
	if errno == 0 {
		return io.EOF
	}
	return &net.OpError{Op: "read", Net: "tcp", Source: c.LocalAddr(), Addr: c.RemoteAddr(), Err: os.NewSyscallError("read", errno)}
}

// receive is one read of a socket that is non-blocking: it never waits, so the
// scheduler need not hear of it.
func receive(fd uintptr, p []byte) (int, syscall.Errno) {
	// This is read(2) without the way there through the file.
	n, _, errno := syscall.RawSyscall6(syscall.SYS_RECVFROM, fd, uintptr(unsafe.Pointer(unsafe.SliceData(p))), uintptr(len(p)), syscall.MSG_DONTWAIT, 0, 0)
	if errno != 0 {
		return 0, errno
	}
	return int(n), 0
}
