package traffic

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"headwater/origin/peer"
)

// client returns who is behind the proxies that a request came through. ok is false
// where it came from no trusted proxy, or none says anything that can be believed.
//
// Each proxy adds at the end whom it was asked by: from there on it is read
// backwards over all trusted ones, and what stands in front of the first that is not
// was written by anybody. Proxies have two headers for it and pass on the one that
// they do not know: where both are there they have to say the same.
func (t *Traffic) client(r *http.Request) (addr netip.Addr, ok bool) {
	trusted := *t.trusted.Load()
	if len(trusted) == 0 {
		return addr, false
	}
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !peer.Among(trusted, peer.Plain(from.Addr())) {
		return addr, false
	}
	plain, hasPlain := lastUntrusted(forwardedFor(r.Header.Values("X-Forwarded-For")), trusted)
	standard, hasStandard := lastUntrusted(forwarded(r.Header.Values("Forwarded")), trusted)
	switch {
	case hasPlain && hasStandard && plain != standard:
		return addr, false
	case hasPlain:
		return plain, true
	}
	return standard, hasStandard
}

// lastUntrusted returns the last address that is no proxy's; the first of all where
// all are. It stops at what is no address.
func lastUntrusted(hops []string, trusted []netip.Prefix) (addr netip.Addr, ok bool) {
	for _, hop := range slices.Backward(hops) {
		a, err := parseHop(hop)
		if err != nil {
			break
		}
		if addr, ok = a, true; !peer.Among(trusted, a) {
			break
		}
	}
	return addr, ok
}

// parseHop reads an address with or without brackets and port.
func parseHop(s string) (netip.Addr, error) {
	if host, _, err := net.SplitHostPort(s); err == nil {
		s = host
	}
	a, err := netip.ParseAddr(strings.Trim(s, "[]"))
	return peer.Plain(a), err
}

// maxHops bounds what is read of a header.
const maxHops = 32

func forwardedFor(values []string) (hops []string) {
	for _, v := range values {
		for hop := range strings.SplitSeq(v, ",") {
			hops = append(hops, strings.TrimSpace(hop))
		}
	}
	return hops[max(0, len(hops)-maxHops):]
}

// forwarded reads the for parameters of Forwarded (RFC 7239, 4). An element without
// one hides who asked.
func forwarded(values []string) (hops []string) {
	for _, v := range values {
		for element := range strings.SplitSeq(v, ",") {
			hop := "unknown"
			for pair := range strings.SplitSeq(element, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
				if strings.EqualFold(name, "for") {
					hop = strings.Trim(value, `"`)
				}
			}
			hops = append(hops, hop)
		}
	}
	return hops[max(0, len(hops)-maxHops):]
}
