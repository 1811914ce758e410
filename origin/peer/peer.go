// Package peer says who is at the other end of a connection, and whether that is among
// networks. Addresses are compared in one form only: without a zone, and an IPv4 address
// never as IPv6.
package peer

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
)

// Plain returns an address in the form that networks are compared with.
func Plain(a netip.Addr) netip.Addr { return a.Unmap().WithZone("") }

// Of returns the plain address of who is at the other end; the zero value where nobody
// is any more.
func Of(conn net.Conn) netip.Addr {
	a, ok := conn.RemoteAddr().(*net.TCPAddr)
	if !ok {
		return netip.Addr{}
	}
	return Plain(a.AddrPort().Addr())
}

// Among reports whether one of networks has a plain address.
func Among(networks []netip.Prefix, a netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n netip.Prefix) bool { return n.Contains(a) })
}

// Network returns what a plain address is counted by: an IPv4 address itself, or the /64
// of an IPv6 address, since one host has a whole one.
func Network(a netip.Addr) netip.Prefix {
	bits := a.BitLen()
	if a.Is6() && !a.IsLoopback() {
		bits = 64
	}
	return netip.PrefixFrom(a, bits).Masked()
}

// ParseNetwork reads a network, or an address, which is a network of one.
func ParseNetwork(s string) (netip.Prefix, error) {
	if !strings.Contains(s, "/") {
		if a, err := netip.ParseAddr(s); err == nil && a.Zone() == "" {
			a = a.Unmap()
			return netip.PrefixFrom(a, a.BitLen()), nil
		}
	} else if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
		return p.Masked(), nil
	}
	return netip.Prefix{}, fmt.Errorf("%q is not an address or network such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32", s)
}
