package rtmp

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"
)

// clientHello returns a C1, with a digest in the half that begins at base, or
// without if base is 0.
func clientHello(base int) []byte {
	c1 := make([]byte, handshakeSize)
	for i := range c1 {
		c1[i] = byte(i * 7)
	}
	binary.BigEndian.PutUint32(c1, 1234)
	if base == 0 {
		copy(c1[4:], []byte{0, 0, 0, 0})
		return c1
	}
	copy(c1[4:], []byte{9, 0, 124, 2})
	at := digestOffset(c1, base)
	copy(c1[at:], digest(clientKey, c1[:at], c1[at+digestSize:]))
	return c1
}

func TestPlainHandshake(t *testing.T) {
	c1 := clientHello(0)
	out := answerHandshake(c1, 5*time.Second)
	if len(out) != 1+2*handshakeSize || out[0] != 3 {
		t.Fatalf("%d bytes, version %d", len(out), out[0])
	}
	s1, s2 := out[1:1+handshakeSize], out[1+handshakeSize:]
	if uptime := binary.BigEndian.Uint32(s1); uptime != 5000 {
		t.Errorf("time %d", uptime)
	}
	if !bytes.Equal(s1[4:8], make([]byte, 4)) {
		t.Errorf("S1 has version % x: it would be taken for one with a digest", s1[4:8])
	}
	if !bytes.Equal(s2, c1) {
		t.Error("S2 does not echo C1")
	}
	if bytes.Equal(s1[8:], answerHandshake(c1, 0)[9:1+handshakeSize]) {
		t.Error("S1 is not random")
	}
}

// TestDigestHandshake checks the answer as a player does.
func TestDigestHandshake(t *testing.T) {
	for _, base := range []int{8, 772} {
		c1 := clientHello(base)
		out := answerHandshake(c1, 0)
		s1, s2 := out[1:1+handshakeSize], out[1+handshakeSize:]
		if s1[4] < 3 {
			t.Errorf("version % x is one without digests", s1[4:8])
		}
		at := digestOffset(s1, base)
		if !bytes.Equal(s1[at:at+digestSize], digest(serverKey, s1[:at], s1[at+digestSize:])) {
			t.Errorf("scheme %d: S1's digest is wrong", base)
		}
		at = digestOffset(c1, base)
		whole := append(append([]byte{}, serverKey...), digestTail...)
		if len(whole) != 68 {
			t.Fatalf("the server's key has %d bytes", len(whole))
		}
		key := digest(whole, c1[at:at+digestSize])
		tail := handshakeSize - digestSize
		if !bytes.Equal(s2[tail:], digest(key, s2[:tail])) {
			t.Errorf("scheme %d: S2's digest is wrong", base)
		}
	}
}

// TestBrokenDigestIsPlain keeps encoders working that set a version in C1 and
// have no digest.
func TestBrokenDigestIsPlain(t *testing.T) {
	for _, base := range []int{8, 772} {
		c1 := clientHello(base)
		c1[digestOffset(c1, base)] ^= 1
		if out := answerHandshake(c1, 0); !bytes.Equal(out[1+handshakeSize:], c1) {
			t.Error("S2 does not echo C1")
		}
	}
}

// TestDigestStaysInside tries every place that C1 can name.
func TestDigestStaysInside(t *testing.T) {
	c1 := make([]byte, handshakeSize)
	c1[4] = 1
	for _, base := range []int{8, 772} {
		for sum := range 4 * 255 {
			for i := range 4 {
				c1[base+i] = byte(min(255, max(0, sum-255*i)))
			}
			at := digestOffset(c1, base)
			if at < base+4 || at+digestSize > handshakeSize || base == 8 && at+digestSize > 772 {
				t.Fatalf("sum %d: the digest is at %d", sum, at)
			}
		}
	}
	answerHandshake(bytes.Repeat([]byte{255}, handshakeSize), 0)
}

// FuzzHandshake answers whatever C1 there may be.
func FuzzHandshake(f *testing.F) {
	for _, base := range []int{0, 8, 772} {
		f.Add(clientHello(base))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c1 := make([]byte, handshakeSize)
		copy(c1, b)
		out := answerHandshake(c1, time.Second)
		if len(out) != 1+2*handshakeSize || out[0] != rtmpVersion {
			t.Fatalf("%d bytes", len(out))
		}
		if _, ok := findDigest(c1); !ok && !bytes.Equal(out[1+handshakeSize:], c1) {
			t.Fatal("a plain C1 is not echoed")
		}
	})
}
