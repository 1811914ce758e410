package av

import (
	"fmt"
	"iter"
)

// maxNALUnits bounds the NAL units of one frame.
const maxNALUnits = 1024

// NALUnits yields the NAL units of one frame's length-prefixed data, without
// their lengths. Units of zero length are skipped. A unit that is cut, or more
// than 1024 of them, is an error, and the last thing yielded. lengthSize is the
// track's LengthSize. The units are slices of data.
func NALUnits(data []byte, lengthSize int) iter.Seq2[[]byte, error] {
	return func(yield func([]byte, error) bool) {
		count := 0
		for rest := data; len(rest) > 0; {
			if len(rest) < lengthSize {
				yield(nil, fmt.Errorf("read NAL unit: %w: length cut", ErrMalformed))
				return
			}
			var n uint64
			for _, b := range rest[:lengthSize] {
				n = n<<8 | uint64(b)
			}
			rest = rest[lengthSize:]
			if n > uint64(len(rest)) {
				yield(nil, fmt.Errorf("read NAL unit: %w: %d bytes announced, %d left", ErrMalformed, n, len(rest)))
				return
			}
			if n == 0 {
				continue
			}
			if count++; count > maxNALUnits {
				yield(nil, fmt.Errorf("read NAL unit: %w: more than %d in a frame", ErrMalformed, maxNALUnits))
				return
			}
			if !yield(rest[:n:n], nil) {
				return
			}
			rest = rest[n:]
		}
	}
}

// HasKeyNALUnit says whether one frame of t holds a picture that a decoder can
// start at: an IDR slice in H.264 (nal_unit_type 5), an IRAP slice in HEVC
// (16–21). All of the frame is walked, so that an error, which means that the
// frame is damaged, does not depend on where the slice stands. For codecs without
// NAL units it is true: the container's word has to do.
func (t *Track) HasKeyNALUnit(data []byte) (bool, error) {
	if t.LengthSize == 0 {
		return true, nil
	}
	key := false
	for unit, err := range NALUnits(data, t.LengthSize) {
		if err != nil {
			return false, err
		}
		if t.isKeyNALUnit(unit[0]) {
			key = true
		}
	}
	return key, nil
}

func (t *Track) isKeyNALUnit(first byte) bool {
	if t.Codec == H264 {
		return first&31 == h264IDR
	}
	typ := first >> 1 & 63
	return typ >= hevcFirstIRAP && typ <= hevcLastIRAP
}
