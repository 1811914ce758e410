package av

// bitReader reads bits, the most significant first. Reading past the end gives
// zeros and sets cut, which is looked at once, when all has been read.
type bitReader struct {
	data []byte
	pos  int // in bits
	cut  bool
}

func (r *bitReader) left() int { return 8*len(r.data) - r.pos }

// bits reads n bits, at most 32.
func (r *bitReader) bits(n int) uint32 {
	if n > r.left() {
		r.pos, r.cut = 8*len(r.data), true
		return 0
	}
	var v uint64
	for range n {
		v = v<<1 | uint64(r.data[r.pos>>3]>>(7-r.pos&7)&1)
		r.pos++
	}
	return uint32(v)
}

func (r *bitReader) flag() bool { return r.bits(1) == 1 }

func (r *bitReader) skip(n int) {
	if n > r.left() {
		r.pos, r.cut = 8*len(r.data), true
		return
	}
	r.pos += n
}

// align moves to the next byte.
func (r *bitReader) align() { r.pos = (r.pos + 7) &^ 7 }

// uvlc reads AV1's variable length code (AV1 4.10.3).
func (r *bitReader) uvlc() uint32 {
	zeros := 0
	for !r.cut && !r.flag() {
		zeros++
	}
	if zeros >= 32 {
		return 1<<32 - 1
	}
	return r.bits(zeros) + 1<<zeros - 1
}
