package av

// recoveryPoint is the payload type of a recovery point message (H.264 table D-1).
const recoveryPoint = 6

// IsRecoveryPoint says whether one frame of H.264 is where a decoder can start nearly as
// well as at an IDR slice: it has a recovery point message with a recovery_frame_cnt of 0
// (D.2.8), as open groups of pictures begin with. Who starts there has that picture and
// all that are shown after it. Those that are shown before it may need what came earlier,
// and some decoders fail at them. Intra refresh has a count above 0: its first pictures
// show parts alone.
func (t *Track) IsRecoveryPoint(data []byte) bool {
	if t.Codec != H264 {
		return false
	}
	for unit, err := range NALUnits(data, t.LengthSize) {
		if err != nil {
			return false
		}
		if unit[0]&31 == h264SEI && recoversAtOnce(unit[1:]) {
			return true
		}
	}
	return false
}

// recoversAtOnce looks for that message in supplemental enhancement information
// (H.264 7.3.2.3).
func recoversAtOnce(messages []byte) bool {
	r := rbsp{rest: messages}
	for len(r.rest) > 0 {
		typ, size := r.extended(), r.extended()
		if typ == recoveryPoint && size > 0 {
			return r.next()&0x80 != 0 // ue(v) of 0 is the bit 1
		}
		for ; size > 0 && len(r.rest) > 0; size-- {
			r.next()
		}
	}
	return false
}

// rbsp reads a NAL unit without its emulation prevention bytes (H.264 7.4.1), and
// zeros behind its end.
type rbsp struct {
	rest  []byte
	zeros int // read last, in succession
}

func (r *rbsp) next() byte {
	if r.zeros >= 2 && len(r.rest) > 0 && r.rest[0] == 3 {
		r.rest, r.zeros = r.rest[1:], 0
	}
	if len(r.rest) == 0 {
		return 0
	}
	b := r.rest[0]
	r.rest = r.rest[1:]
	if r.zeros++; b != 0 {
		r.zeros = 0
	}
	return b
}

// extended reads the type or the size of a message: each byte of 255 goes on.
func (r *rbsp) extended() int {
	n := 0
	for {
		b := r.next()
		n += int(b)
		if b != 0xff {
			return n
		}
	}
}
