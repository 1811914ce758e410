package peer

import (
	"net/netip"
	"testing"
)

func TestParseNetwork(t *testing.T) {
	for text, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "192.0.2.77/24": "192.0.2.0/24", "::1": "::1/128", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8::5/32": "2001:db8::/32",
		"": "", "x": "", "192.0.2.1/33": "", "192.0.2": "", "fe80::1%eth0": "", "localhost": "", "::ffff:192.0.2.0/120": "", "1.2.3.4/-1": "",
	} {
		n, err := ParseNetwork(text)
		if want == "" && err == nil || want != "" && n.String() != want {
			t.Errorf("%q: %v, %v", text, n, err)
		}
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1/32", "::ffff:192.0.2.1": "192.0.2.1/32", "2001:db8:1:2:3::4": "2001:db8:1:2::/64",
		"fe80::1%eth0": "fe80::/64", "::1": "::1/128", "127.0.0.1": "127.0.0.1/32",
	} {
		if got := Network(Plain(netip.MustParseAddr(addr))); got.String() != want {
			t.Errorf("%s is counted as %v, want %s", addr, got, want)
		}
	}
	if got := Network(netip.Addr{}); got.IsValid() {
		t.Errorf("nobody is counted as %v", got)
	}
}
