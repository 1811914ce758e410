package ingest

import (
	"net"
	"syscall"
	"time"

	"headwater/ingest/turns"
)

// userTimeout is how long the kernel keeps trying to get something across to a
// peer that does not acknowledge it.
const userTimeout = 20 * time.Second

// tcpUserTimeout is TCP_USER_TIMEOUT of Linux; package syscall lacks it.
const tcpUserTimeout = 18

// watchPeer has the kernel find peers that are gone without a word. It looks into
// connections that wrap others, such as TLS.
func watchPeer(conn net.Conn) {
	if t, ok := conn.(interface{ NetConn() net.Conn }); ok {
		conn = t.NetConn()
	}
	if c, ok := conn.(interface {
		SetKeepAliveConfig(net.KeepAliveConfig) error
	}); ok {
		_ = c.SetKeepAliveConfig(net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4})
	}
	c, ok := conn.(syscall.Conn)
	if !ok {
		return
	}
	if raw, err := c.SyscallConn(); err == nil {
		_ = raw.Control(func(fd uintptr) {
			_ = syscall.SetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpUserTimeout, int(userTimeout.Milliseconds()))
		})
	}
}

// inTurns makes conn one that can be read in turns, if it can be and c is not nil.
func inTurns(conn net.Conn, c *turns.Clock) (net.Conn, *turns.Conn) {
	if t, ok := conn.(*tlsConn); ok {
		return t, t.turns
	}
	if c == nil {
		return conn, nil
	}
	t := c.Wrap(conn)
	if t == nil {
		return conn, nil
	}
	return t, t
}
