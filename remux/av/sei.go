package av

import "github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"

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
		if unit[0]&31 == h264SEI && hasRecoveryPoint(unit) {
			return true
		}
	}
	return false
}

// hasRecoveryPoint looks for that message in a NAL unit of supplemental enhancement
// information (H.264 7.3.2.3).
func hasRecoveryPoint(unit []byte) bool {
	for rest := h264.EmulationPreventionRemove(unit)[1:]; len(rest) > 0; {
		var typ, size int
		typ, rest = extended(rest)
		size, rest = extended(rest)
		if typ == recoveryPoint && size > 0 && len(rest) > 0 {
			return true
		}
		rest = rest[min(size, len(rest)):]
	}
	return false
}

// extended reads the type or the size of a message: each byte of 255 goes on.
func extended(b []byte) (n int, rest []byte) {
	for i, v := range b {
		n += int(v)
		if v != 0xff {
			return n, b[i+1:]
		}
	}
	return n, nil
}
