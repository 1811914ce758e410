package rtmp

import (
	"bytes"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/binary"
	"time"
)

// handshakeSize is the length of C1, S1, C2 and S2 (RTMP 5.2).
const handshakeSize = 1536

const (
	rtmpVersion  = 3
	digestSize   = sha256.Size
	digestRandom = 728 // where a digest may begin within its half of C1
)

// Flash Player and Flash Media Server prove to each other that they know these
// strings. The 32 bytes behind them are part of the keys for answers only.
var (
	digestTail = []byte{
		0xf0, 0xee, 0xc2, 0x4a, 0x80, 0x68, 0xbe, 0xe8, 0x2e, 0x00, 0xd0, 0xd1, 0x02, 0x9e, 0x7e, 0x57,
		0x6e, 0xec, 0x5d, 0x2d, 0x29, 0x80, 0x6f, 0xab, 0x93, 0xb8, 0xe6, 0x36, 0xcf, 0xeb, 0x31, 0xae,
	}
	clientKey = []byte("Genuine Adobe Flash Player 001")
	serverKey = []byte("Genuine Adobe Flash Media Server 001")
)

// serverVersion stands in S1 where C1 asks for a digest; players look for one
// only in servers from version 3 on.
var serverVersion = [4]byte{4, 5, 0, 2}

// answerHandshake returns S0, S1 and S2 for a C1. A C1 that carries a digest is
// answered with digests, as players ask for that want to make sure whom they
// talk to; any other is echoed byte by byte, which is what librtmp compares.
func answerHandshake(c1 []byte, uptime time.Duration) []byte {
	out := make([]byte, 1+2*handshakeSize)
	out[0] = rtmpVersion
	s1, s2 := out[1:1+handshakeSize], out[1+handshakeSize:]
	binary.BigEndian.PutUint32(s1, uint32(uptime/time.Millisecond))
	_, _ = rand.Read(s1[8:]) // never fails
	base, ok := findDigest(c1)
	if !ok {
		copy(s2, c1)
		return out
	}
	copy(s1[4:], serverVersion[:])
	at := digestOffset(s1, base)
	copy(s1[at:], digest(serverKey, s1[:at], s1[at+digestSize:]))

	_, _ = rand.Read(s2)
	at = digestOffset(c1, base)
	key := digest(append(bytes.Clone(serverKey), digestTail...), c1[at:at+digestSize])
	tail := handshakeSize - digestSize
	copy(s2[tail:], digest(key, s2[:tail]))
	return out
}

// findDigest looks for a client's digest in both places where it may be, and
// returns the offset of the half of C1 that holds it.
func findDigest(c1 []byte) (base int, ok bool) {
	if binary.BigEndian.Uint32(c1[4:]) == 0 {
		return 0, false // a plain handshake (RTMP 5.2.3)
	}
	for _, base := range []int{8, 772} {
		at := digestOffset(c1, base)
		if hmac.Equal(c1[at:at+digestSize], digest(clientKey, c1[:at], c1[at+digestSize:])) {
			return base, true
		}
	}
	return 0, false
}

// digestOffset returns where the digest is in C1 or S1: the sum of the first
// four bytes of its half says it.
func digestOffset(b []byte, base int) int {
	sum := int(b[base]) + int(b[base+1]) + int(b[base+2]) + int(b[base+3])
	return base + 4 + sum%digestRandom
}

func digest(key []byte, parts ...[]byte) []byte {
	h := hmac.New(sha256.New, key)
	for _, p := range parts {
		h.Write(p)
	}
	return h.Sum(nil)
}
