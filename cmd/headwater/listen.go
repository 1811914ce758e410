package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"

	"headwater/cmd/headwater/metrics"
	"headwater/cmd/headwater/proxied"
	"headwater/ingest/rate"
	"headwater/origin/peer"
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

	failed atomic.Uint64 // times that no connection could be accepted

	mu     sync.Mutex
	limits poolLimits // guarded by mu
	rates  rate.Limit // guarded by mu

	open    int                  // guarded by mu
	byAddr  map[netip.Prefix]int // guarded by mu; holds addresses with an open connection only
	turned  map[string]uint64    // guarded by mu; refused so far, by reason
	refused uint64               // guarded by mu; since the last log line
	logged  time.Time            // guarded by mu; when that was
}

// poolLimits are caps. Loopback has none but most, nor have the addresses of unlimited.
type poolLimits struct {
	most       int
	perAddress int // of one address; 0: no limit
	perSecond  int // new ones of one address, after a burst; 0: no limit
	unlimited  []netip.Prefix
}

// refusalLogEvery keeps a flood from filling the log.
const refusalLogEvery = 10 * time.Second

func newConnectionPool(limits poolLimits, log *slog.Logger) *connectionPool {
	p := &connectionPool{log: log, byAddr: map[netip.Prefix]int{}, turned: map[string]uint64{}}
	p.setLimits(limits)
	return p
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
			if !errors.Is(err, net.ErrClosed) {
				l.pool.failed.Add(1)
			}
			return nil, err
		}
		addr := peer.Of(conn)
		from := peer.Network(addr)
		if reason := l.pool.take(addr, time.Now()); reason != "" {
			_ = conn.Close()
			l.pool.refuse(from, reason)
			continue
		}
		boundKernel(conn.TCP())
		return &limitedConn{Conn: conn, release: sync.OnceFunc(func() { l.pool.release(from) })}, nil
	}
}

// setLimits changes the caps for connections to come.
func (p *connectionPool) setLimits(limits poolLimits) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.limits = limits
	if most := float64(limits.perSecond); most != p.rates.PerSecond {
		p.rates = rate.Limit{PerSecond: most}
	}
}

// take counts a connection that comes now, or says why it must not be.
func (p *connectionPool) take(addr netip.Addr, now time.Time) (reason string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	from, limited := peer.Network(addr), !addr.IsLoopback() && !peer.Among(p.limits.unlimited, addr)
	switch {
	case p.open >= p.limits.most:
		return "max_connections"
	case limited && p.limits.perAddress > 0 && p.byAddr[from] >= p.limits.perAddress:
		return "max_connections_per_address"
	case limited && !p.rates.Allow(from, now):
		return "max_rate_per_address"
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
	p.turned[reason]++
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

// stats returns how many connections are open and how many were refused, by reason.
func (p *connectionPool) stats() metrics.Connections {
	p.mu.Lock()
	defer p.mu.Unlock()
	return metrics.Connections{Open: p.open, Refused: maps.Clone(p.turned), Failed: p.failed.Load()}
}

const (
	// unsent bounds what the kernel keeps of bytes that it may not send yet. What is on
	// its way is apart, so a fast line far away is as fast as it can be; what a client
	// costs that never reads is this, and not the megabytes that a buffer may grow to.
	unsent = 256 << 10
	// unacknowledged is how long a peer may acknowledge nothing of what it was sent, or
	// be ready for nothing. It holds behind the end of a connection too, when nobody is
	// left to look at the clock.
	unacknowledged = 30 * time.Second
)

// boundKernel bounds what a connection costs outside the process.
func boundKernel(conn *net.TCPConn) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return // it is closed
	}
	_ = raw.Control(func(fd uintptr) { // it does without
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
		_ = unix.SetsockoptInt(int(fd), unix.IPPROTO_TCP, unix.TCP_USER_TIMEOUT, int(unacknowledged/time.Millisecond))
	})
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
