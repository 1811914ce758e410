package av

import (
	"strings"
	"testing"
)

// bitString writes fields, the most significant bit first, and pads with zeros.
type bitString struct{ s strings.Builder }

func (b *bitString) put(n int, v uint64) *bitString {
	for i := n - 1; i >= 0; i-- {
		b.s.WriteByte('0' + byte(v>>i&1))
	}
	return b
}

func (b *bitString) bytes() []byte { return fromBits(b.s.String()) }

// toBits and fromBits turn bytes into a string of 0 and 1, so that a test can
// cut and insert.
func toBits(data []byte) string {
	var b bitString
	for _, v := range data {
		b.put(8, uint64(v))
	}
	return b.s.String()
}

func fromBits(s string) []byte {
	data := make([]byte, (len(s)+7)/8)
	for i := range len(s) {
		data[i/8] |= (s[i] & 1) << (7 - i%8)
	}
	return data
}

func TestBitReader(t *testing.T) {
	r := &bitReader{data: []byte{0b1010_0101, 0xff, 0x00, 0x12, 0x34, 0x56, 0x78, 0b0001_0110}}
	if a, b, c := r.bits(1), r.bits(3), r.bits(6); a != 1 || b != 2 || c != 0b010111 {
		t.Errorf("bits: %b %b %b", a, b, c)
	}
	r.align()
	if r.pos != 16 || r.left() != 48 {
		t.Errorf("at %d, %d left", r.pos, r.left())
	}
	r.align()
	r.skip(8)
	if v := r.bits(32); v != 0x12345678 {
		t.Errorf("32 bits: %#x", v)
	}
	if v := r.uvlc(); v != 0b1011-1 || r.cut {
		t.Errorf("uvlc: %d, cut %v", v, r.cut)
	}
	if v := r.bits(2); v != 0 || !r.cut || r.left() != 0 {
		t.Errorf("behind the end: %d, cut %v, %d left", v, r.cut, r.left())
	}
	r = &bitReader{data: make([]byte, 100)}
	if v := r.uvlc(); v != 1<<32-1 || !r.cut {
		t.Errorf("uvlc of zeros alone: %d, cut %v", v, r.cut)
	}
	r = &bitReader{data: make([]byte, 1)}
	if r.skip(9); !r.cut || r.left() != 0 {
		t.Errorf("skip behind the end: cut %v, %d left", r.cut, r.left())
	}
}
