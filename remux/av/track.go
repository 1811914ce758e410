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
	maxRecord     = 64 << 10 // bytes in a decoder configuration record
	minDimension  = 16       // pixels, width and height
	maxDimension  = 16384
	minSampleRate = 4000 // Hz
	maxSampleRate = 655350
	maxFrameRate  = 480 // above it the stated rate is the tick of a clock, not a rate of frames
)

// VideoTimescale is the Timescale of every video track.
const VideoTimescale = 90000

// NewVideoTrack builds a track from a decoder configuration record: avcC for
// H.264, hvcC for HEVC (ISO 14496-15), av1C for AV1, vpcC for VP9 (with or
// without the version and flags of its box).
//
// Record and ParameterSets of the track are slices of record, which the caller
// must not change any more. Header is left to the caller. Where the record does
// not state the picture's size (always for VP9, seldom for AV1) Width and Height
// are 0 until WithKeyFrame has seen a frame.
func NewVideoTrack(codec Codec, record []byte) (*Track, error) {
	t := &Track{Codec: codec, Timescale: VideoTimescale, Record: record}
	var err error
	switch {
	case len(record) > maxRecord:
		err = fmt.Errorf("%w: record of %d bytes", ErrMalformed, len(record))
	case codec == H264:
		err = t.readAVCC(record)
	case codec == HEVC:
		err = t.readHVCC(record)
	case codec == AV1:
		err = t.readAV1C(record)
	case codec == VP9:
		err = t.readVPCC(record)
	default:
		err = fmt.Errorf("%w video codec", ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("read %v record: %w", codec, err)
	}
	return t, nil
}

// NewAudioTrack builds a track from what stands in front of an audio stream:
// the AudioSpecificConfig for AAC (ISO 14496-3 1.6), the identification header
// for Opus (RFC 7845 5.1, "OpusHead"), STREAMINFO for FLAC with or without
// "fLaC" and block header (RFC 9639 8). MP3, AC-3 and E-AC-3 have no such thing:
// for them data is the first frame.
//
// Record is a slice of data, which the caller must not change any more: the
// AudioSpecificConfig, the whole OpusHead, the 34 bytes of STREAMINFO. It is nil
// for MP3. For AC-3 and E-AC-3 it is made here: the content of the dac3 or dec3
// box (ETSI TS 102 366 annex F). Header is left to the caller.
//
// HE-AAC runs on the clock of its core coder: Timescale and FrameSamples count
// core samples (24000 and 1024, say), as the AudioSpecificConfig in an esds box,
// ADTS headers and the coded frames themselves do, and SampleRate is what comes
// out after spectral band replication (48000). 1024/24000 and 2048/48000 are the
// same time, and so nothing depends on whether a stream signals SBR or hides it.
func NewAudioTrack(codec Codec, data []byte) (*Track, error) {
	t := &Track{Codec: codec}
	var err error
	switch codec {
	case AAC:
		err = t.readAudioSpecificConfig(data)
	case MP3:
		err = t.readMP3(data)
	case Opus:
		err = t.readOpusHead(data)
	case FLAC:
		err = t.readStreamInfo(data)
	case AC3:
		err = t.readAC3(data)
	case EAC3:
		err = t.readEAC3(data)
	default:
		err = fmt.Errorf("%w audio codec", ErrUnsupported)
	}
	if err != nil {
		return nil, fmt.Errorf("read %v header: %w", codec, err)
	}
	return t, nil
}

// WithKeyFrame completes a track whose record does not state the picture's size
// with the key frame data: it returns a copy that has Width and Height. A track
// that knows them already is returned as it is. In VP9 only key frames state the
// size: a track gives way to a copy whenever one has another.
func (t *Track) WithKeyFrame(data []byte) (*Track, error) {
	if t.Width != 0 && t.Codec != VP9 {
		return t, nil
	}
	c := *t
	var err error
	switch t.Codec {
	case AV1:
		err = c.readAV1KeyFrame(data)
	case VP9:
		err = c.readVP9KeyFrame(data)
	default:
		return t, nil
	}
	if err != nil {
		return nil, fmt.Errorf("read %v key frame: %w", t.Codec, err)
	}
	if c.Width == t.Width && c.Height == t.Height {
		return t, nil
	}
	return &c, nil
}

func (t *Track) setSize(width, height int64) error {
	if width < minDimension || width > maxDimension || height < minDimension || height > maxDimension {
		return fmt.Errorf("%w: picture of %d x %d", ErrMalformed, width, height)
	}
	t.Width, t.Height = int(width), int(height)
	return nil
}

// setFrameRate takes scale units a second and per units a frame, as stated.
func (t *Track) setFrameRate(scale, per uint64) {
	if per == 0 {
		return
	}
	if r := float64(scale) / float64(per); r <= maxFrameRate {
		t.FrameRate = r
	}
}

// setAudio fills in what every audio track has.
func (t *Track) setAudio(clock, rate, channels, frame int) error {
	if min(clock, rate) < minSampleRate || max(clock, rate) > maxSampleRate {
		return fmt.Errorf("%w: sampling rate of %d Hz", ErrMalformed, rate)
	}
	t.Timescale, t.SampleRate = int64(clock), rate
	t.Channels, t.FrameSamples = channels, frame
	return nil
}
