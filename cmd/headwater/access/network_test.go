package access

import (
	"net/netip"
	"testing"

	"headwater/origin/peer"
)

func networks(t testing.TB, list ...string) []netip.Prefix {
	t.Helper()
	var all []netip.Prefix
	for _, s := range list {
		n, err := peer.ParseNetwork(s)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

func TestAddressesAdmit(t *testing.T) {
	studio := networks(t, "192.0.2.0/24", "2001:db8::/32", "198.51.100.7")
	tests := []struct {
		allow, deny []netip.Prefix
		addr        string
		want        bool
	}{
		{nil, nil, "203.0.113.1", true},
		{studio, nil, "192.0.2.9", true},
		{studio, nil, "::ffff:192.0.2.9", true},
		{studio, nil, "198.51.100.7", true},
		{studio, nil, "198.51.100.8", false},
		{studio, nil, "2001:db8::1", true},
		{studio, nil, "2001:db9::1", false},
		{studio, networks(t, "192.0.2.9"), "192.0.2.9", false}, // deny wins
		{studio, networks(t, "192.0.2.9"), "192.0.2.8", true},
		{nil, networks(t, "0.0.0.0/0"), "203.0.113.1", false},
		{nil, networks(t, "0.0.0.0/0"), "2001:db8::1", true},
		{nil, networks(t, "fe80::/10"), "fe80::1%eth0", false},
	}
	for _, tt := range tests {
		addr := peer.Plain(netip.MustParseAddr(tt.addr))
		if got := (addresses{tt.allow, tt.deny}).admit(addr); got != tt.want {
			t.Errorf("allow %v, deny %v: %s: %v", tt.allow, tt.deny, tt.addr, got)
		}
	}
}

// TestCheckAddress: a name that an attacker controls must not lead to what a
// cloud tells its machines.
func TestCheckAddress(t *testing.T) {
	tests := []struct {
		address string
		host    string // in the URL
		ok      bool
	}{
		{"203.0.113.1:80", "hooks.example", true},
		{"127.0.0.1:80", "localhost", true},
		{"10.0.0.1:80", "hooks.internal", true},
		{"169.254.169.254:80", "hooks.example", false},
		{"169.254.169.254:80", "169.254.169.254", true},
		{"169.254.1.1:80", "169.254.169.254", false},
		{"[::ffff:169.254.169.254]:80", "hooks.example", false},
		{"[fe80::1%eth0]:80", "hooks.example", false},
		{"[fd00:ec2::254]:80", "hooks.example", false},
		{"100.100.100.200:80", "hooks.example", false},
		{"168.63.129.16:80", "hooks.example", false},
		{"224.0.0.1:80", "hooks.example", false},
		{"nonsense", "nonsense", false},
	}
	for _, tt := range tests {
		if err := checkAddress(tt.address, []string{tt.host}); (err == nil) != tt.ok {
			t.Errorf("%s for %s: %v", tt.address, tt.host, err)
		}
	}
}
