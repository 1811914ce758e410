package ingest

import (
	"net"
	"testing"
	"time"
)

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
