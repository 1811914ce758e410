package ingest

import (
	"net"
	"net/netip"
	"testing"
	"time"
)

func TestRateLimit(t *testing.T) {
	a, b := netip.MustParsePrefix("192.0.2.1/32"), netip.MustParsePrefix("192.0.2.2/32")
	r := rateLimit{rate: 20}
	start := time.Now()
	allowed := func(key netip.Prefix, tries int, over time.Duration, from time.Time) (n int) {
		for i := range tries {
			if r.allow(key, from.Add(time.Duration(i)*over/time.Duration(tries))) {
				n++
			}
		}
		return n
	}
	if n := allowed(a, 1000, 0, start); n != 50 {
		t.Errorf("%d at once, want the burst of 50", n)
	}
	if n := allowed(b, 10, 0, start); n != 10 {
		t.Errorf("another address gets %d of 10", n)
	}
	if n := allowed(a, 1000, 10*time.Second, start); n < 195 || n > 201 {
		t.Errorf("%d in ten seconds, want 200", n)
	}
	later := start.Add(time.Minute)
	if r.allow(b, later); len(r.taken) != 1 {
		t.Errorf("%d addresses are remembered", len(r.taken))
	}
	if n := allowed(a, 100, 0, later); n != 50 {
		t.Errorf("%d after a pause, want the burst again", n)
	}
	none := rateLimit{}
	for range 1000 {
		if !none.allow(a, start) || none.taken != nil {
			t.Fatal("no rate is a limit")
		}
	}
	slow := rateLimit{rate: 0.1}
	if !slow.allow(a, start) || slow.allow(a, start) || !slow.allow(a, start.Add(11*time.Second)) {
		t.Error("one in ten seconds")
	}
}

// TestConnectionRate refuses an address that connects too often, says so, and
// leaves others and loopback alone.
func TestConnectionRate(t *testing.T) {
	h := newHarness(t, func(c *Config) { c.MaxRatePerAddress = 2 })
	l := newFakeListener()
	done := make(chan error)
	go func() { done <- h.Serve(l) }()
	connect := func(from string) {
		client, server := net.Pipe()
		t.Cleanup(func() { _ = client.Close() })
		l.results <- fromConn{server, from}
	}
	for range 20 {
		connect("192.0.2.1:1")
		connect("127.0.0.1:1")
	}
	connect("192.0.2.2:1")
	for deadline := time.Now().Add(5 * time.Second); h.Stats().Accepted < 41; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("stats %+v", h.Stats())
		}
	}
	if st := h.Stats(); st.OverRate != 15 || st.Connections != 26 {
		t.Errorf("stats %+v", st)
	}
	if len(h.logged("connection refused", "reason=max_rate_per_address", "remote=192.0.2.1:1")) == 0 {
		t.Error("no word of it")
	}
	_ = h.Shutdown(t.Context())
	<-done
}
