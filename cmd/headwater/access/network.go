package access

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
)

// Network is a range of addresses: 192.0.2.0/24, 2001:db8::/32, or one address.
type Network struct{ netip.Prefix }

// ParseNetwork reads an address or a network.
func ParseNetwork(s string) (Network, error) {
	if !strings.Contains(s, "/") {
		if addr, err := netip.ParseAddr(s); err == nil && addr.Zone() == "" {
			addr = addr.Unmap()
			return Network{netip.PrefixFrom(addr, addr.BitLen())}, nil
		}
	} else if p, err := netip.ParsePrefix(s); err == nil && !p.Addr().Is4In6() {
		return Network{p.Masked()}, nil
	}
	return Network{}, fmt.Errorf("%q is not an address or network such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32", s)
}

// UnmarshalText reads an address or a network.
func (n *Network) UnmarshalText(text []byte) (err error) {
	*n, err = ParseNetwork(string(text))
	return err
}

// addresses allow and deny; deny wins, and no allowed ones are all.
type addresses struct{ allow, deny []Network }

func (a addresses) admit(addr netip.Addr) bool {
	return !contains(a.deny, addr) && (len(a.allow) == 0 || contains(a.allow, addr))
}

// contains takes an address as plain returns it.
func contains(networks []Network, addr netip.Addr) bool {
	return slices.ContainsFunc(networks, func(n Network) bool { return n.Contains(addr) })
}

// plain returns an address in the form that networks are compared with.
func plain(a netip.AddrPort) netip.Addr { return a.Addr().Unmap().WithZone("") }

// loopback is what this machine calls itself.
var loopback = []Network{
	{netip.MustParsePrefix("127.0.0.0/8")},
	{netip.MustParsePrefix("::1/128")},
}
