package main

import (
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// Frames of HTTP/2 (RFC 9113, 6).
const (
	h2Data         = 0x0
	h2Headers      = 0x1
	h2Reset        = 0x3
	h2Settings     = 0x4
	h2Ping         = 0x6
	h2GoAway       = 0x7
	h2Window       = 0x8
	h2Continuation = 0x9

	h2EndStream  = 0x1
	h2EndHeaders = 0x4
)

// h2Conn speaks HTTP/2 as no client does.
type h2Conn struct {
	net.Conn
	counts [256]atomic.Int64 // frames that came, by type
	closed chan struct{}     // when the server has closed the connection
}

func dialH2(t *testing.T, p *process) *h2Conn {
	t.Helper()
	c, err := tls.Dial("tcp", p.addrs["https"], &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
	if err != nil {
		t.Fatal(err)
	}
	if c.ConnectionState().NegotiatedProtocol != "h2" {
		t.Fatal("no HTTP/2")
	}
	h := &h2Conn{Conn: c, closed: make(chan struct{})}
	t.Cleanup(func() { _ = c.Close(); <-h.closed })
	go h.read()
	_ = c.SetWriteDeadline(time.Now().Add(20 * time.Second))
	if _, err := io.WriteString(c, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	h.send(h2Settings, 0, 0, nil)
	return h
}

func (h *h2Conn) read() {
	defer close(h.closed)
	var head [9]byte
	for {
		if _, err := io.ReadFull(h, head[:]); err != nil {
			return
		}
		h.counts[head[3]].Add(1)
		if _, err := io.CopyN(io.Discard, h, int64(head[0])<<16|int64(head[1])<<8|int64(head[2])); err != nil {
			return
		}
	}
}

// frame is one as it is sent.
func frame(kind, flags byte, stream uint32, payload []byte) []byte {
	b := binary.BigEndian.AppendUint32(nil, uint32(len(payload))<<8|uint32(kind))
	b = append(b, flags)
	return append(binary.BigEndian.AppendUint32(b, stream), payload...)
}

// send reports whether the server still takes what is sent.
func (h *h2Conn) send(kind, flags byte, stream uint32, payload []byte) bool {
	_, err := h.Write(frame(kind, flags, stream, payload))
	return err == nil
}

// h2Get is the header block of a GET, without compression (RFC 7541, 6.2.2).
func h2Get(path string) []byte {
	return append([]byte{0x82, 0x87, 0x01, 1, 'h', 0x04, byte(len(path))}, path...)
}

// TestHTTP2Floods: what a client may send without an end is ended, costs little, and
// delays nobody.
func TestHTTP2Floods(t *testing.T) {
	t.Parallel()
	p := tlsServe(t)
	_, v := published(t, p)
	var list string
	eventually(t, "a playlist", func() bool {
		_, list = p.get(t, "http", "/live/x/fmp4/index.m3u8")
		return strings.Contains(list, "#EXTINF")
	})
	blocking := func() []byte {
		_, list := p.get(t, "http", "/live/x/fmp4/index.m3u8")
		return h2Get(fmt.Sprintf("/live/x/fmp4/index.m3u8?_HLS_msn=%d", lastListed(list)+2))
	}
	before := p.atRest(t)
	for name, flood := range h2Floods(t, blocking) {
		h := dialH2(t, p)
		ended := make(chan struct{})
		go func() { defer close(ended); flood(h) }()
		client := insecure(true)
		for range 5 {
			began := time.Now()
			res, err := client.Get("https://" + p.addrs["https"] + "/live/x.m3u8")
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			_ = res.Body.Close()
			if d := time.Since(began); res.StatusCode != http.StatusOK || d > 3*time.Second {
				t.Errorf("%s: somebody else gets %d after %v", name, res.StatusCode, d)
			}
		}
		select {
		case <-ended:
		case <-time.After(20 * time.Second):
			t.Errorf("%s goes on", name)
		}
		p.checkMemory(t, before, 64<<20)
		_ = h.Close()
		p.nobodyWaits(t, name)
	}
	p.settles(t, before, 64<<20)
	v.goesOn(t)
	v.complete(t)
}

// h2Floods are what a client may send without an end. blocking returns a request for what
// is not there yet.
func h2Floods(t *testing.T, blocking func() []byte) map[string]func(h *h2Conn) {
	return map[string]func(h *h2Conn){
		"rapid reset": func(h *h2Conn) {
			get, cancel := blocking(), []byte{0, 0, 0, 8}
			for i := range uint32(20_000) {
				if !h.send(h2Headers, h2EndStream|h2EndHeaders, 2*i+1, get) || !h.send(h2Reset, 0, 2*i+1, cancel) {
					return
				}
			}
		},
		"header without an end": func(h *h2Conn) {
			h.send(h2Headers, h2EndStream, 1, h2Get("/"))
			field := append([]byte{0x00, 1, 'x', 0x7f, 0x81, 0x7e}, make([]byte, 16_000)...)
			for range 20_000 {
				if !h.send(h2Continuation, 0, 1, field) {
					return
				}
			}
			t.Error("header without an end: 320 MB are taken")
		},
		"empty continuations": func(h *h2Conn) {
			h.send(h2Headers, h2EndStream, 1, h2Get("/"))
			for range 200_000 {
				if !h.send(h2Continuation, 0, 1, nil) {
					return
				}
			}
		},
		"pings": func(h *h2Conn) {
			for range 50_000 {
				if !h.send(h2Ping, 0, 0, make([]byte, 8)) {
					return
				}
			}
		},
		"settings": func(h *h2Conn) {
			for range 50_000 {
				if !h.send(h2Settings, 0, 0, []byte{0, 4, 0, 0, 0xff, 0xff}) {
					return
				}
			}
		},
		"no window": func(h *h2Conn) {
			h.send(h2Settings, 0, 0, []byte{0, 4, 0, 0, 0, 0})
			get := h2Get("/live/x/fmp4/index.m3u8")
			for i := range uint32(5_000) {
				if !h.send(h2Headers, h2EndStream|h2EndHeaders, 2*i+1, get) {
					return
				}
			}
		},
		"bodies": func(h *h2Conn) {
			get := h2Get("/live/x.m3u8")
			for i := range uint32(2_000) {
				if !h.send(h2Headers, h2EndHeaders, 2*i+1, get) || !h.send(h2Data, 0, 2*i+1, make([]byte, 1000)) {
					return
				}
			}
		},
		"window beyond its bound": func(h *h2Conn) {
			for range 3 {
				h.send(h2Window, 0, 0, []byte{0x7f, 0xff, 0xff, 0xff})
			}
		},
	}
}

// nobodyWaits checks that requests whose clients have gone wait no longer, long before what
// they waited for, two segments ahead, can have come.
func (p *process) nobodyWaits(t *testing.T, name string) {
	t.Helper()
	began := time.Now()
	for p.metric(t, "headwater_http_requests_blocked") != 0 {
		if time.Since(began) > 1500*time.Millisecond {
			t.Errorf("%s: requests wait for nobody", name)
			return
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// TestHTTP2Streams: of 300 requests at once no more than 100 are taken.
func TestHTTP2Streams(t *testing.T) {
	t.Parallel()
	p := tlsServe(t)
	_, _ = published(t, p)
	var list string
	eventually(t, "a playlist", func() bool {
		_, list = p.get(t, "http", "/live/x/fmp4/index.m3u8")
		return strings.Contains(list, "#EXTINF")
	})
	h := dialH2(t, p)
	get := h2Get(fmt.Sprintf("/live/x/fmp4/index.m3u8?_HLS_msn=%d", lastListed(list)+1))
	var all []byte
	for i := range uint32(300) {
		all = append(all, frame(h2Headers, h2EndStream|h2EndHeaders, 2*i+1, get)...)
	}
	if _, err := h.Write(all); err != nil {
		t.Fatal(err)
	}
	eventually(t, "the others refused", func() bool { return h.counts[h2Reset].Load() >= 100 || h.counts[h2GoAway].Load() > 0 })
	if n := p.metric(t, "headwater_http_requests_blocked"); n > 100 {
		t.Errorf("%v wait", n)
	}
}
