package proxied

import (
	"bytes"
	"encoding/hex"
	"io"
	"strings"
	"testing"
	"testing/iotest"
)

// unhex reads bytes as they stand in a specification.
func unhex(s string) string {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return string(b)
}

const (
	signature = "0d0a0d0a000d0a515549540a"
	v4        = "c0000201 c6336402 1f90 078f" // 192.0.2.1:8080 to 198.51.100.2:1935
	v6        = "20010db8000000000000000000000001 20010db8000000000000000000000002 1f90 078f"
)

var headers = []struct {
	name   string
	text   string
	client string // "": the proxy itself
}{
	{"1, IPv4", "PROXY TCP4 192.0.2.1 198.51.100.2 8080 1935\r\n", "192.0.2.1:8080"},
	{"1, IPv6", "PROXY TCP6 2001:db8::1 2001:db8::2 8080 1935\r\n", "[2001:db8::1]:8080"},
	{"1, IPv4 in IPv6", "PROXY TCP6 ::ffff:192.0.2.1 ::ffff:198.51.100.2 8080 1935\r\n", "192.0.2.1:8080"},
	{"1, unknown", "PROXY UNKNOWN\r\n", ""},
	{"1, unknown with addresses", "PROXY UNKNOWN ffff:f:f:f:f:f:f:f ffff:f:f:f:f:f:f:f 65535 65535\r\n", ""},
	{"2, IPv4", unhex(signature + "21 11 000c" + v4), "192.0.2.1:8080"},
	{"2, IPv6", unhex(signature + "21 21 0024" + v6), "[2001:db8::1]:8080"},
	{"2, with more behind it", unhex(signature + "21 11 0013" + v4 + "04 0004 00000000"), "192.0.2.1:8080"},
	{"2, with 4 KB behind it", unhex(signature+"21 11 1000"+v4+"04 0ff1") + strings.Repeat("x", 4096-15), "192.0.2.1:8080"},
	{"2, local", unhex(signature + "20 00 0000"), ""},
	{"2, local with an address", unhex(signature + "20 11 000c" + v4), ""},
	{"2, a Unix socket", unhex(signature+"21 31 00d8") + strings.Repeat("\x00", 216), ""},
}

// TestReadHeader: what is behind a header is left for others, however the bytes
// come.
func TestReadHeader(t *testing.T) {
	for _, h := range headers {
		for _, r := range []io.Reader{strings.NewReader(h.text + "rest"), iotest.OneByteReader(strings.NewReader(h.text + "rest"))} {
			client, ok, err := readHeader(r)
			got := ""
			if ok {
				got = client.String()
			}
			if err != nil || got != h.client {
				t.Errorf("%s: %q, %v", h.name, got, err)
				continue
			}
			if rest, _ := io.ReadAll(r); string(rest) != "rest" {
				t.Errorf("%s: leaves %q", h.name, rest)
			}
		}
		for n := range len(h.text) {
			if n > 20 && n < len(h.text)-20 {
				continue
			}
			if _, _, err := readHeader(strings.NewReader(h.text[:n])); err == nil {
				t.Errorf("%s: cut after %d bytes it is taken", h.name, n)
			}
		}
	}
}

func TestBadHeaders(t *testing.T) {
	for name, text := range map[string]string{
		"RTMP":                   "\x03" + strings.Repeat("\x00", 1536),
		"HTTP":                   "GET / HTTP/1.1\r\n\r\n",
		"POST":                   "POST / HTTP/1.1\r\n\r\n",
		"TLS":                    unhex("16 0301 0200 01"),
		"an endless line":        "PROXY " + strings.Repeat("x", 1000),
		"no address":             "PROXY TCP4\r\n",
		"no return":              "PROXY TCP4 192.0.2.1 198.51.100.2 8080 1935\n",
		"a name":                 "PROXY TCP4 host 198.51.100.2 8080 1935\r\n",
		"the wrong family":       "PROXY TCP4 2001:db8::1 2001:db8::2 8080 1935\r\n",
		"a port too large":       "PROXY TCP4 192.0.2.1 198.51.100.2 65536 1935\r\n",
		"UDP":                    "PROXY UDP4 192.0.2.1 198.51.100.2 8080 1935\r\n",
		"another signature":      unhex("0d0a0d0a000d0a515549540b 21 11 000c" + v4),
		"version 3":              unhex(signature + "31 11 000c" + v4),
		"an unknown command":     unhex(signature + "22 11 000c" + v4),
		"an address cut":         unhex(signature + "21 11 000b" + v4),
		"64 KB behind it":        unhex(signature+"21 11 ffff"+v4) + strings.Repeat("x", 1<<16),
		"no family but an order": unhex(signature + "21 00 0000"),
	} {
		r := &countingReader{r: strings.NewReader(text)}
		if client, ok, err := readHeader(r); err == nil {
			t.Errorf("%s is taken, %v, %v", name, client, ok)
		}
		if r.n > fixedBinary+longestBinary {
			t.Errorf("%s: %d bytes read", name, r.n)
		}
	}
}

type countingReader struct {
	r io.Reader
	n int
}

func (c *countingReader) Read(p []byte) (int, error) {
	n, err := c.r.Read(p)
	c.n += n
	return n, err
}

type panicReader struct{}

func (panicReader) Read([]byte) (int, error) { panic("a fault of ours") }

// TestReadHeaderSurvives: a fault refuses a connection, and does not end the server.
func TestReadHeaderSurvives(t *testing.T) {
	if _, ok, err := readHeader(panicReader{}); ok || err == nil {
		t.Errorf("got %v, %v", ok, err)
	}
}

func FuzzReadHeader(f *testing.F) {
	for _, h := range headers {
		f.Add([]byte(h.text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r := bytes.NewReader(b)
		client, ok, err := readHeader(r)
		if read := len(b) - r.Len(); read > fixedBinary+longestBinary {
			t.Fatalf("%d bytes read", read)
		}
		if ok && (err != nil || !client.Addr().IsValid() || client.Addr().Is4In6()) {
			t.Fatalf("got %v, %v", client, err)
		}
	})
}
