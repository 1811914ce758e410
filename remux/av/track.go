package av

import (
	"errors"
	"fmt"
)

// What is wrong with a record or a frame. Errors of this package wrap one of them.
var (
	// ErrMalformed: cut, contradictory, or beyond the limits below.
	ErrMalformed = errors.New("malformed")
	// ErrUnsupported: valid, but of a kind that is not remuxed here.
	ErrUnsupported = errors.New("unsupported")
)

// Limits on what a publisher may state. Nothing real comes near them.
const (
	maxRecord    = 64 << 10 // bytes in a decoder configuration record
	minDimension = 16       // pixels, width and height
	maxDimension = 16384
)

// NewVideoTrack builds a track from a decoder configuration record: avcC for
// H.264, hvcC for HEVC, av1C for AV1, vpcC for VP9 (with or without its box's
// version and flags).
//
// Record and ParameterSets of the track are slices of record, which the caller
// must not change any more. Header is left to the caller. Where the record does
// not state the picture's size (always for VP9, seldom for AV1) Width and Height
// are 0 until WithKeyFrame has seen a frame.
func NewVideoTrack(codec Codec, record []byte) (*Track, error) {
	return nil, fmt.Errorf("%v: %w", codec, ErrUnsupported)
}

// NewAudioTrack builds a track from what stands in front of an audio stream:
// the AudioSpecificConfig for AAC, the identification header ("OpusHead", RFC
// 7845 5.1) for Opus, "fLaC" and STREAMINFO for FLAC. MP3, AC-3 and E-AC-3 have
// no such thing: data is the first frame.
//
// Record is a slice of data, which the caller must not change any more, except
// that it is nil for MP3 and, for AC-3 and E-AC-3, a new slice with the content
// of the dac3 or dec3 box. Header is left to the caller.
func NewAudioTrack(codec Codec, data []byte) (*Track, error) {
	return nil, fmt.Errorf("%v: %w", codec, ErrUnsupported)
}

// WithKeyFrame returns t if it knows the picture's size, and else a copy that has
// it from the key frame data.
func (t *Track) WithKeyFrame(data []byte) (*Track, error) {
	return t, nil
}
