package ingest

import (
	"io"
	"net"
	"testing"
	"time"
)

// TestSetLimits: a new limit is for those who come; who is there stays.
func TestSetLimits(t *testing.T) {
	h := newHarness(t, nil)
	first := h.encoder(t, "live", "x")
	h.stream(t)
	h.SetLimits(Config{MaxConnections: 1, Takeover: true})
	conn, err := net.Dial("tcp", h.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("one above the limit: %v", err)
	}
	if st := h.Stats(); st.OverLimit != 1 || st.Publishers != 1 {
		t.Errorf("%+v", st)
	}
	h.SetLimits(Config{MaxConnections: 2})
	h.encoder(t, "live", "y")
	first.frames(3)
}
