package access

import (
	"net/netip"

	"headwater/origin/peer"
)

// addresses allow and deny; deny wins, and no allowed ones are all.
type addresses struct{ allow, deny []netip.Prefix }

func (a addresses) admit(addr netip.Addr) bool {
	return !peer.Among(a.deny, addr) && (len(a.allow) == 0 || peer.Among(a.allow, addr))
}

// loopback is what this machine calls itself.
var loopback = []netip.Prefix{
	netip.MustParsePrefix("127.0.0.0/8"),
	netip.MustParsePrefix("::1/128"),
}
