package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"
)

// listen opens a TCP listener whose connections notice a peer that is gone
// within a minute.
func listen(ctx context.Context, address string) (*net.TCPListener, error) {
	lc := net.ListenConfig{KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4,
	}}
	l, err := lc.Listen(ctx, "tcp", address)
	if err != nil {
		return nil, fmt.Errorf("listen: %w", err)
	}
	return l.(*net.TCPListener), nil
}

// limitedListener closes connections above its caps at once. A connection
// counts until it is closed, hijacked or not.
type limitedListener struct {
	// fixed after newLimitedListener
	*net.TCPListener
	most, perAddress int // perAddress 0: no limit
	log              *slog.Logger

	mu      sync.Mutex
	open    int                  // guarded by mu
	byAddr  map[netip.Prefix]int // guarded by mu; holds addresses with an open connection only
	refused uint64               // guarded by mu; since the last log line
	logged  time.Time            // guarded by mu; when that was
}

// refusalLogEvery keeps a flood from filling the log.
const refusalLogEvery = 10 * time.Second

func newLimitedListener(l *net.TCPListener, most, perAddress int, log *slog.Logger) *limitedListener {
	return &limitedListener{TCPListener: l, most: most, perAddress: perAddress, log: log, byAddr: map[netip.Prefix]int{}}
}

// Accept returns the next connection that is within the caps.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptTCP()
		if err != nil {
			return nil, err
		}
		from := network(conn)
		if reason := l.take(from); reason != "" {
			l.refuse(conn, from, reason)
			continue
		}
		return &limitedConn{TCPConn: conn, release: sync.OnceFunc(func() { l.release(from) })}, nil
	}
}

// take counts a connection, or says why it must not be.
func (l *limitedListener) take(from netip.Prefix) (reason string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case l.open >= l.most:
		return "max_connections"
	case l.perAddress > 0 && !from.Addr().IsLoopback() && l.byAddr[from] >= l.perAddress:
		return "max_connections_per_address"
	}
	l.open++
	l.byAddr[from]++
	return ""
}

func (l *limitedListener) release(from netip.Prefix) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.open--
	if l.byAddr[from]--; l.byAddr[from] <= 0 {
		delete(l.byAddr, from)
	}
}

func (l *limitedListener) refuse(conn *net.TCPConn, from netip.Prefix, reason string) {
	defer func() { _ = conn.Close() }()
	l.mu.Lock()
	l.refused++
	n, now := l.refused, time.Now()
	due := now.Sub(l.logged) >= refusalLogEvery
	if due {
		l.refused, l.logged = 0, now
	}
	l.mu.Unlock()
	if due {
		l.log.Warn("connections refused", "reason", reason, "count", n, "last", from)
	}
}

// network returns what connections are counted by: an IPv4 address, or the /64
// of an IPv6 address, since one host has a whole one.
func network(conn *net.TCPConn) netip.Prefix {
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok { // the peer has left already
		return netip.Prefix{}
	}
	addr := a.AddrPort().Addr().Unmap().WithZone("")
	bits := addr.BitLen()
	if addr.Is6() && !addr.IsLoopback() {
		bits = 64
	}
	return netip.PrefixFrom(addr, bits).Masked()
}

// limitedConn gives its place back when it is closed. It embeds the concrete
// type, so that net.Buffers still finds writev behind it and io.Copy sendfile.
type limitedConn struct {
	*net.TCPConn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.TCPConn.Close()
}
