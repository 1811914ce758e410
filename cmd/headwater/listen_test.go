package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"headwater/cmd/headwater/proxied"
	"headwater/origin/peer"
	"headwater/scripts/lib/rig"
)

func TestLimitedListener(t *testing.T) {
	var log rig.Log
	l := testListener(t, 2, 0, &log)
	first, second := accepted(t, l), accepted(t, l)

	// The third is closed at once, and the log says so once.
	for range 2 {
		refused, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		go func() {
			if c, err := l.Accept(); err == nil {
				_ = c.Close()
			}
		}()
		if !closedByPeer(t, refused) {
			t.Error("a connection above the cap stayed open")
		}
		_ = refused.Close()
	}
	if n := strings.Count(log.String(), "max_connections"); n != 1 {
		t.Errorf("%d lines about refusals, want one: %s", n, log.String())
	}

	// Closing twice gives one place back.
	_ = first.Close()
	_ = first.Close()
	if l.pool.open != 1 {
		t.Errorf("%d open after one of two was closed", l.pool.open)
	}
	_ = second.Close()
	if l.pool.open != 0 || len(l.pool.byAddr) != 0 {
		t.Errorf("%d open, %v left", l.pool.open, l.pool.byAddr)
	}
}

func TestPerAddressCap(t *testing.T) {
	limits := poolLimits{most: 100, perAddress: 2, unlimited: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24"), netip.MustParsePrefix("2001:db8:0:1::7/128")}}
	l, now := newConnectionPool(limits, slog.New(slog.DiscardHandler)), time.Now()
	take := func(addr string) string { return l.take(netip.MustParseAddr(addr), now) }
	for i := range 5 {
		for _, free := range []string{"127.0.0.1", "198.51.100.9", "2001:db8:0:1::7"} {
			if reason := take(free); reason != "" {
				t.Errorf("%s refused at %d: %s", free, i, reason)
			}
		}
	}
	got := []string{take("192.0.2.1"), take("192.0.2.1"), take("192.0.2.1"), take("2001:db8::1"), take("2001:db8::2"), take("2001:db8::3"), take("2001:db8:0:1::8")}
	const over = "max_connections_per_address" // of the last, for its network has five
	if want := []string{"", "", over, "", "", over, over}; !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
	l.release(netip.MustParsePrefix("192.0.2.1/32"))
	if reason := take("192.0.2.1"); reason != "" {
		t.Errorf("a place given back was not found: %s", reason)
	}
}

// TestPerAddressRate: so many a second and a burst, which others, loopback and those
// without limits have nothing to do with; another rate begins anew.
func TestPerAddressRate(t *testing.T) {
	limits := poolLimits{most: 1000, perSecond: 4, unlimited: []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}}
	p, now := newConnectionPool(limits, slog.New(slog.DiscardHandler)), time.Now()
	let := func(addr string) (n int) {
		for range 50 {
			switch reason := p.take(netip.MustParseAddr(addr), now); reason {
			case "":
				n++
			case "max_rate_per_address":
			default:
				t.Fatal(reason)
			}
		}
		return n
	}
	for _, tt := range []struct {
		addr  string
		after time.Duration
		want  int
	}{
		{"192.0.2.1", 0, 10}, {"192.0.2.1", 0, 0}, {"192.0.2.2", 0, 10}, {"127.0.0.1", 0, 50}, {"198.51.100.1", 0, 50},
		{"192.0.2.1", time.Second, 4}, {"192.0.2.1", time.Minute, 10},
	} {
		now = now.Add(tt.after)
		if n := let(tt.addr); n != tt.want {
			t.Errorf("%s after %s: %d, want %d", tt.addr, tt.after, n, tt.want)
		}
	}
	limits.perSecond = 8
	p.setLimits(limits)
	if n := let("192.0.2.1"); n != 20 {
		t.Errorf("%d within a new rate, want 20", n)
	}
	limits.unlimited = nil
	p.setLimits(limits)
	if n := let("198.51.100.1"); n != 20 {
		t.Errorf("%d of an address that has a limit now, want 20", n)
	}
}

// TestLimitedConnKeepsWritev: net.Buffers must not fall back to one Write for
// each buffer.
func TestLimitedConnKeepsWritev(t *testing.T) {
	l := testListener(t, 1, 0, io.Discard)
	server := accepted(t, l)
	counted := &countingConn{limitedConn: server.(*limitedConn)}
	buffers := net.Buffers{[]byte("a"), []byte("b"), []byte("c")}
	if n, err := buffers.WriteTo(counted); err != nil || n != 3 || counted.writes != 0 {
		t.Errorf("%d bytes in %d calls of Write, %v; want 3 bytes by writev", n, counted.writes, err)
	}
}

type countingConn struct {
	*limitedConn
	writes int
}

func (c *countingConn) Write(p []byte) (int, error) {
	c.writes++
	return c.limitedConn.Write(p)
}

func testListener(t *testing.T, most, perAddress int, log io.Writer) *limitedListener {
	t.Helper()
	l, err := listen(t.Context(), "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	logger := slog.New(slog.NewTextHandler(log, nil))
	return &limitedListener{proxied.New(l, nil, logger), newConnectionPool(poolLimits{most: most, perAddress: perAddress}, logger)}
}

// accepted dials and returns the server's end.
func accepted(t *testing.T, l net.Listener) net.Conn {
	t.Helper()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	server, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = client.Close(); _ = server.Close() })
	return server
}

func closedByPeer(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(5 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, err := c.Read(make([]byte, 1))
	return err != nil && !errors.Is(err, os.ErrDeadlineExceeded)
}

// TestKernelKeepsLittle: a client that never reads holds a bounded part of the kernel's
// memory, though the buffers of a fast connection would grow to megabytes.
func TestKernelKeepsLittle(t *testing.T) {
	l := testListener(t, 1, 0, io.Discard)
	server := accepted(t, l)
	if err := server.SetWriteDeadline(time.Now().Add(300 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	n, err := server.Write(make([]byte, 64<<20))
	if !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatal(err)
	}
	var info *unix.TCPInfo
	raw, err := server.(*limitedConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	_ = raw.Control(func(fd uintptr) { info, err = unix.GetsockoptTCPInfo(int(fd), unix.IPPROTO_TCP, unix.TCP_INFO) })
	if err != nil {
		t.Fatal(err)
	}
	if kept := uint64(n) - info.Bytes_acked; kept > 2*unsent {
		t.Errorf("of %d bytes %d are in the kernel", n, kept)
	}
}

// TestRefusedIsCounted by the limit.
func TestRefusedIsCounted(t *testing.T) {
	p, now := newConnectionPool(poolLimits{most: 1}, slog.New(slog.DiscardHandler)), time.Now()
	addr := netip.MustParseAddr("192.0.2.1")
	if reason := p.take(addr, now); reason != "" {
		t.Fatal(reason)
	}
	for range 3 {
		p.refuse(peer.Network(addr), p.take(addr, now))
	}
	if s := p.stats(); s.Open != 1 || s.Refused["max_connections"] != 3 {
		t.Errorf("%+v", s)
	}
}

// TestDeadPeersAreNoticed though nothing is sent to them, and though they acknowledge
// nothing of what was.
func TestDeadPeersAreNoticed(t *testing.T) {
	server := accepted(t, testListener(t, 1, 0, io.Discard))
	raw, err := server.(*limitedConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	for option, want := range map[int]int{
		unix.TCP_KEEPIDLE: 15, unix.TCP_KEEPINTVL: 15, unix.TCP_KEEPCNT: 4, unix.TCP_USER_TIMEOUT: 30_000,
	} {
		_ = raw.Control(func(fd uintptr) {
			if got, err := unix.GetsockoptInt(int(fd), unix.IPPROTO_TCP, option); err != nil || got != want {
				t.Errorf("option %d is %d, want %d; %v", option, got, want, err)
			}
		})
	}
}
