package main

import (
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"headwater/cmd/headwater/proxied"
)

func TestLimitedListener(t *testing.T) {
	var log lockedBuffer
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
	l := newConnectionPool(100, 2, slog.New(slog.DiscardHandler))
	local, far, other := netip.MustParsePrefix("127.0.0.1/32"), netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("2001:db8::/64")
	for i := range 5 {
		if reason := l.take(local); reason != "" {
			t.Errorf("loopback refused at %d: %s", i, reason)
		}
	}
	got := []string{l.take(far), l.take(far), l.take(far), l.take(other)}
	if got[0] != "" || got[1] != "" || got[2] != "max_connections_per_address" || got[3] != "" {
		t.Errorf("got %q", got)
	}
	l.release(far)
	if reason := l.take(far); reason != "" {
		t.Errorf("a place given back was not found: %s", reason)
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
	return &limitedListener{proxied.New(l, nil, logger), newConnectionPool(most, perAddress, logger)}
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
	p := newConnectionPool(1, 0, slog.New(slog.DiscardHandler))
	from := netip.MustParsePrefix("192.0.2.1/32")
	if reason := p.take(from); reason != "" {
		t.Fatal(reason)
	}
	for range 3 {
		p.refuse(from, p.take(from))
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
