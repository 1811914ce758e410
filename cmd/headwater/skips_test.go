package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"
	"time"
)

// TestSkipsAreListed: the API says how often a viewer of HTTP-FLV was too slow.
func TestSkipsAreListed(t *testing.T) {
	t.Parallel()
	p := openServe(t, "HEADWATER_STREAM_MAX_LAG=1s")
	if _, err := startEncoder(t, p, "x", 60_000); err != nil { // 12 Mbit/s
		t.Fatal(err)
	}
	eventually(t, "a stream", func() bool {
		res, err := http.Head("http://" + p.addrs["http"] + "/live/x.flv")
		if err != nil {
			t.Fatal(err)
		}
		_ = res.Body.Close()
		return res.StatusCode == http.StatusOK
	})
	conn, err := net.Dial("tcp", p.addrs["http"])
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = conn.Close() }()
	if err := conn.(*net.TCPConn).SetReadBuffer(64 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := fmt.Fprintf(conn, "GET /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	skips := func() *int {
		_, text := p.get(t, "admin", "/api/v1/viewers")
		var all struct{ Viewers []struct{ Skips *int } }
		if err := json.Unmarshal([]byte(text), &all); err != nil {
			t.Fatal(err)
		}
		if len(all.Viewers) != 1 {
			return nil
		}
		return all.Viewers[0].Skips
	}
	eventually(t, "a viewer that was never skipped", func() bool { n := skips(); return n != nil && *n == 0 })
	time.Sleep(4 * time.Second) // it takes nothing: that is how it falls behind
	var read atomic.Int64
	go func() {
		for b := make([]byte, 64<<10); ; {
			n, err := conn.Read(b)
			if read.Add(int64(n)); err == io.EOF || err != nil {
				return
			}
		}
	}()
	eventually(t, "a viewer that was skipped ahead", func() bool { n := skips(); return n != nil && *n == 1 })
	if n := skips(); n == nil || *n != 1 || read.Load() == 0 {
		t.Errorf("skips %v after %d bytes", n, read.Load())
	}
}
