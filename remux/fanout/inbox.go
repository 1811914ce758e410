package fanout

import "encoding/binary"

// inbox reads what a WebSocket client says (RFC 6455, 5.2), as it comes in pieces.
// Only its control frames are of interest; all else is passed over.
type inbox struct {
	header  [14]byte
	have    int // bytes of header
	size    int // of the header, as far as it is known
	left    uint64
	payload [maxControl]byte
	got     int // bytes of payload, of a control frame
}

// read takes bytes in, and calls control for each control frame that ends in them.
// It reports false where they cannot be from a WebSocket client, or where control
// does; nothing further is read then.
func (in *inbox) read(b []byte, control func(op byte, payload []byte) bool) bool {
	for len(b) > 0 {
		if in.left == 0 {
			in.header[in.have] = b[0]
			in.have++
			b = b[1:]
			if !in.known() {
				continue
			}
			if !in.open() {
				return false
			}
		}
		n := min(uint64(len(b)), in.left)
		if in.op()&0x8 != 0 {
			in.got += copy(in.payload[in.got:], b[:n])
		}
		b = b[n:]
		if in.left -= n; in.left > 0 {
			continue
		}
		if in.op()&0x8 != 0 && !control(in.op(), in.unmasked()) {
			return false
		}
		in.have, in.got = 0, 0
	}
	return true
}

func (in *inbox) op() byte { return in.header[0] & 0x0f }

// known says that the header is complete.
func (in *inbox) known() bool {
	if in.have < 2 {
		return false
	}
	in.size = 2 + 4 // with the mask
	if in.header[1]&maskBit == 0 {
		in.size = 2 // that is enough to refuse it
		return true
	}
	switch in.header[1] &^ maskBit {
	case 126:
		in.size += 2
	case 127:
		in.size += 8
	}
	return in.have == in.size
}

// open begins a frame's payload. A client has to mask it, and to keep control frames
// short and whole (5.1, 5.5).
func (in *inbox) open() bool {
	switch n := in.header[1] &^ maskBit; n {
	case 126:
		in.left = uint64(binary.BigEndian.Uint16(in.header[2:]))
	case 127:
		in.left = binary.BigEndian.Uint64(in.header[2:])
	default:
		in.left = uint64(n)
	}
	control := in.op()&0x8 != 0
	return in.header[1]&maskBit != 0 && in.left < 1<<63 &&
		(!control || in.left <= maxControl && in.header[0]&finalBit != 0)
}

func (in *inbox) unmasked() []byte {
	mask := in.header[in.size-4 : in.size]
	p := in.payload[:in.got]
	for i := range p {
		p[i] ^= mask[i&3]
	}
	return p
}

// maxAnswers bounds the answers to pings that wait for their turn.
const maxAnswers = 4 << 10

// replies is what a client's control frames have asked for.
type replies struct {
	answers []byte // what goes between two blocks: a WebSocket's control frames, or what was said
	leaving bool   // the client has sent a Close frame
}

// control answers a control frame. It reports false where nothing of interest can follow.
func (r *replies) control(op byte, payload []byte) bool {
	switch op {
	case opPing:
		if len(r.answers) < maxAnswers {
			r.answers = appendControl(r.answers, opPong, payload)
		}
	case opClose:
		r.leaving = true
	}
	return op != opClose
}
