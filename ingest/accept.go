package ingest

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"syscall"
	"time"
)

// backoff is how long to wait after Accept has failed: 5 ms, then twice as
// long each time, up to a second.
type backoff struct{ d time.Duration }

func (b *backoff) reset() { b.d = 0 }

func (b *backoff) next() time.Duration {
	return min(max(5*time.Millisecond, 2*b.d), time.Second)
}

// sleep waits and returns whether ctx is still alive.
func (b *backoff) sleep(ctx context.Context) bool {
	b.d = b.next()
	t := time.NewTimer(b.d)
	defer t.Stop()
	select {
	case <-t.C:
		return true
	case <-ctx.Done():
		return false
	}
}

// temporary reports whether Accept may succeed later: the machine is short of
// something, or the peer left before it was its turn.
func temporary(err error) bool {
	for _, e := range []error{
		syscall.EMFILE, syscall.ENFILE, syscall.ENOBUFS, syscall.ENOMEM,
		syscall.ECONNABORTED, syscall.ECONNRESET, syscall.EINTR, syscall.EPROTO,
	} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}

// addrPort returns the address of a peer; the zero value if it has none.
func addrPort(a net.Addr) netip.AddrPort {
	if t, ok := a.(*net.TCPAddr); ok {
		p := t.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// addressKey returns what connections are counted by: an IPv4 address, or an
// IPv6 network, since one host has a whole one. counted is false for loopback,
// where proxies and tests live.
func addressKey(a netip.Addr) (key netip.Prefix, counted bool) {
	bits := a.BitLen()
	if a.Is6() {
		bits = 64
	}
	key, err := a.Prefix(bits)
	return key, err == nil && !a.IsLoopback()
}
