package flv

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"headwater/remux/av"
)

// What is wrong with a body. Every error of this package wraps one of them.
var (
	// ErrEmpty: nothing in it. Encoders send such messages now and then; drop them.
	ErrEmpty = errors.New("empty message")
	// ErrMalformed: it ends too early or contradicts itself.
	ErrMalformed = errors.New("malformed message")
	// ErrUnsupported: well-formed as far as one can tell, but with a codec or
	// packet type that this server does not know.
	ErrUnsupported = errors.New("unsupported")
)

// PacketType says what a packet is for.
type PacketType uint8

const (
	Frame         PacketType = iota + 1 // coded media
	SequenceStart                       // Data is the decoder configuration record
	SequenceEnd                         // the encoder has ended this sequence; no Data
	Metadata                            // Data is AMF0, "colorInfo" and its like; decoding does not need it
	Ignored                             // a command frame, a channel layout, an MPEG-2 TS descriptor: nothing to decode
	Multitrack                          // several tracks share the message: see Packet.Tracks
)

// Packet is what a message carries.
type Packet struct {
	Codec  av.Codec // 0 only in an Ignored packet and in a Multitrack one with a codec for each track
	Type   PacketType
	Key    bool          // the container calls it a key frame; true for audio frames
	Track  uint8         // the track's number in a multitrack message, else 0
	CTS    time.Duration // composition time offset, whole milliseconds, may be negative
	Offset time.Duration // what a ModEx header adds to the presentation time, below 1 ms
	Data   []byte        // a slice of the body: the coded payload, or the record for SequenceStart

	multi multitrack
}

// ParseVideo says what the body of a video message carries.
func ParseVideo(body []byte) (Packet, error) {
	if len(body) == 0 {
		return Packet{}, fmt.Errorf("video: %w", ErrEmpty)
	}
	var p Packet
	var err error
	if body[0]&0x80 != 0 {
		p, err = parseExVideo(body)
	} else {
		p, err = parseLegacyVideo(body)
	}
	if err != nil {
		return Packet{}, fmt.Errorf("video: %w", err)
	}
	return p, nil
}

// ParseAudio says what the body of an audio message carries.
func ParseAudio(body []byte) (Packet, error) {
	if len(body) == 0 {
		return Packet{}, fmt.Errorf("audio: %w", ErrEmpty)
	}
	var p Packet
	var err error
	if body[0]>>4 == legacyEx {
		p, err = parseExAudio(body)
	} else {
		p, err = parseLegacyAudio(body)
	}
	if err != nil {
		return Packet{}, fmt.Errorf("audio: %w", err)
	}
	return p, nil
}

// Packet types of Enhanced RTMP; the numbers of the video and the audio lists
// that mean the same are the same.
const (
	exSequenceStart      = 0
	exCodedFrames        = 1
	exSequenceEnd        = 2
	exCodedFramesX       = 3 // video
	exMetadata           = 4 // video
	exMultichannelConfig = 4 // audio
	exMPEG2TSStart       = 5 // video
	exAudioMultitrack    = 5
	exVideoMultitrack    = 6
	exModEx              = 7
)

const fourCCSize = 4

// fourCCs name the codecs of the enhanced form.
var fourCCs = [...]string{
	av.H264: "avc1", av.HEVC: "hvc1", av.AV1: "av01", av.VP9: "vp09",
	av.AAC: "mp4a", av.MP3: ".mp3", av.Opus: "Opus", av.FLAC: "fLaC", av.AC3: "ac-3", av.EAC3: "ec-3",
}

// FourCC returns the four characters that name a codec in the enhanced form.
func FourCC(c av.Codec) string { return fourCCs[c] }

// Enhanced reports whether the body of an audio or video message is in the
// enhanced form.
func Enhanced(typ uint8, body []byte) bool {
	switch {
	case len(body) == 0:
		return false
	case typ == TypeVideo:
		return body[0]&0x80 != 0
	}
	return body[0]>>4 == legacyEx
}

// videoFourCC and audioFourCC return 0 for a codec that is not known here.
func videoFourCC(b []byte) av.Codec { return findFourCC(b, av.H264, av.VP9) }
func audioFourCC(b []byte) av.Codec { return findFourCC(b, av.AAC, av.EAC3) }

func findFourCC(b []byte, first, last av.Codec) av.Codec {
	for c := first; c <= last; c++ {
		if string(b) == fourCCs[c] {
			return c
		}
	}
	return 0
}

// payload returns what is left of a message as its Data.
func payload(rest []byte) ([]byte, error) {
	if len(rest) == 0 {
		return nil, fmt.Errorf("%w: no payload behind the header", ErrEmpty)
	}
	return rest, nil
}

// milliseconds reads a signed 24-bit composition time offset.
func milliseconds(b []byte) time.Duration {
	v := int32(binary.BigEndian.Uint16(b))<<16 | int32(b[2])<<8
	return time.Duration(v>>8) * time.Millisecond
}
