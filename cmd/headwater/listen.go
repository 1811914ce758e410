package main

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"headwater/cmd/headwater/proxied"
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

// connectionPool is the caps of one kind of connection, whichever listener they
// come in by.
type connectionPool struct {
	log *slog.Logger // fixed after newConnectionPool

	mu               sync.Mutex
	most, perAddress int // guarded by mu; perAddress 0: no limit

	open    int                  // guarded by mu
	byAddr  map[netip.Prefix]int // guarded by mu; holds addresses with an open connection only
	refused uint64               // guarded by mu; since the last log line
	logged  time.Time            // guarded by mu; when that was
}

// refusalLogEvery keeps a flood from filling the log.
const refusalLogEvery = 10 * time.Second

func newConnectionPool(most, perAddress int, log *slog.Logger) *connectionPool {
	return &connectionPool{most: most, perAddress: perAddress, log: log, byAddr: map[netip.Prefix]int{}}
}

// limitedListener closes connections above its pool's caps at once. A connection
// counts until it is closed, hijacked or not.
type limitedListener struct {
	*proxied.Listener
	pool *connectionPool
}

// Accept returns the next connection that is within the caps.
func (l *limitedListener) Accept() (net.Conn, error) {
	for {
		conn, err := l.AcceptConn()
		if err != nil {
			return nil, err
		}
		from := network(conn)
		if reason := l.pool.take(from); reason != "" {
			_ = conn.Close()
			l.pool.refuse(from, reason)
			continue
		}
		return &limitedConn{Conn: conn, release: sync.OnceFunc(func() { l.pool.release(from) })}, nil
	}
}

// setLimits changes the caps for connections to come.
func (p *connectionPool) setLimits(most, perAddress int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.most, p.perAddress = most, perAddress
}

// take counts a connection, or says why it must not be.
func (p *connectionPool) take(from netip.Prefix) (reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	switch {
	case p.open >= p.most:
		return "max_connections"
	case p.perAddress > 0 && !from.Addr().IsLoopback() && p.byAddr[from] >= p.perAddress:
		return "max_connections_per_address"
	}
	p.open++
	p.byAddr[from]++
	return ""
}

func (p *connectionPool) release(from netip.Prefix) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.open--
	if p.byAddr[from]--; p.byAddr[from] <= 0 {
		delete(p.byAddr, from)
	}
}

// await waits until all connections are closed, for the time that is given.
func (p *connectionPool) await(most time.Duration) {
	for end := time.Now().Add(most); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		p.mu.Lock()
		open := p.open
		p.mu.Unlock()
		if open == 0 {
			return
		}
	}
}

// refuse says now and then how many were.
func (p *connectionPool) refuse(from netip.Prefix, reason string) {
	p.mu.Lock()
	p.refused++
	n, now := p.refused, time.Now()
	due := now.Sub(p.logged) >= refusalLogEvery
	if due {
		p.refused, p.logged = 0, now
	}
	p.mu.Unlock()
	if due {
		p.log.Warn("connections refused", "reason", reason, "count", n, "last", from)
	}
}

// network returns what connections are counted by: an IPv4 address, or the /64
// of an IPv6 address, since one host has a whole one.
func network(conn net.Conn) netip.Prefix {
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

// limitedConn gives its place back when it is closed. What a TCP connection can
// do it can, writev and sendfile included.
type limitedConn struct {
	*proxied.Conn
	release func()
}

func (c *limitedConn) Close() error {
	defer c.release()
	return c.Conn.Close()
}
