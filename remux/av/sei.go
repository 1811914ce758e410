package av

// recoveryPoint is the payload type of a recovery point message (H.264 table D-1).
const recoveryPoint = 6

// IsRecoveryPoint says whether one frame of H.264 is where a decoder can start where
// there is no IDR slice: it has a recovery point message (D.2.8). At the beginning of an
// open group of pictures, whose recovery_frame_cnt is 0, who starts there has that picture
// and all that are shown after it; those that are shown before it may need what came
// earlier, and some decoders fail at them. With intra refresh the count is how many
// pictures show parts alone at first.
func (t *Track) IsRecoveryPoint(data []byte) bool {
	if t.Codec != H264 {
		return false
	}
	for unit, err := range NALUnits(data, t.LengthSize) {
		if err != nil {
			return false
		}
		if unit[0]&31 == h264SEI && hasRecoveryPoint(unit[1:]) {
			return true
		}
	}
	return false
}

// hasRecoveryPoint looks for that message in supplemental enhancement information
// (H.264 7.3.2.3).
func hasRecoveryPoint(messages []byte) bool {
	r := rbsp{rest: messages}
	for len(r.rest) > 0 {
		typ, size := r.extended(), r.extended()
		if typ == recoveryPoint && size > 0 && len(r.rest) > 0 {
			return true
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
