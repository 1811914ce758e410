package flv

import (
	"fmt"

	"headwater/remux/av"
)

// Frame types in the upper bits of a video body's first byte (E.4.3.1).
const (
	frameKey          = 1
	frameInter        = 2
	frameGeneratedKey = 4 // made by a server
	frameCommand      = 5
)

// Codec ids of the legacy form. 12 never was in a specification; encoders and
// servers in wide use agreed on it before hvc1.
const (
	legacyH264   = 7
	legacyHEVC   = 12
	legacyMP3    = 2
	legacyEx     = 9 // audio: an enhanced header follows
	legacyAAC    = 10
	legacyMP3At8 = 14 // MP3 at 8 kHz
)

// AVCPacketType and AACPacketType (E.4.2.1, E.4.3.1).
const (
	legacySequenceStart = 0
	legacyRaw           = 1
	legacySequenceEnd   = 2
)

func parseLegacyVideo(body []byte) (Packet, error) {
	frame := body[0] >> 4
	if frame == frameCommand {
		return Packet{Type: Ignored}, nil
	}
	p := Packet{Key: frame == frameKey || frame == frameGeneratedKey}
	switch id := body[0] & 15; id {
	case legacyH264:
		p.Codec = av.H264
	case legacyHEVC:
		p.Codec = av.HEVC
	default:
		return p, fmt.Errorf("%w codec id %d", ErrUnsupported, id)
	}
	if len(body) >= 2 && body[1] == legacySequenceEnd {
		p.Type = SequenceEnd // the composition time behind it means nothing and may be missing
		return p, nil
	}
	if len(body) < 5 {
		return p, fmt.Errorf("%w: header of %d bytes, not 5", ErrMalformed, len(body))
	}
	switch body[1] {
	case legacySequenceStart:
		p.Type = SequenceStart
	case legacyRaw:
		p.Type = Frame
		p.CTS = milliseconds(body[2:5])
	default:
		return p, fmt.Errorf("%w packet type %d", ErrUnsupported, body[1])
	}
	var err error
	p.Data, err = payload(body[5:])
	return p, err
}

func parseLegacyAudio(body []byte) (Packet, error) {
	p := Packet{Type: Frame, Key: true}
	n := 1
	switch id := body[0] >> 4; id {
	case legacyMP3, legacyMP3At8:
		p.Codec = av.MP3
	case legacyAAC:
		p.Codec = av.AAC
		if len(body) < 2 {
			return p, fmt.Errorf("%w: AAC without a packet type", ErrMalformed)
		}
		if p.Type = legacyAACType(body[1]); p.Type == 0 {
			return p, fmt.Errorf("%w AAC packet type %d", ErrUnsupported, body[1])
		}
		n = 2
	default:
		return p, fmt.Errorf("%w sound format %d", ErrUnsupported, id)
	}
	var err error
	p.Data, err = payload(body[n:])
	return p, err
}

func legacyAACType(b byte) PacketType {
	switch b {
	case legacySequenceStart:
		return SequenceStart
	case legacyRaw:
		return Frame
	}
	return 0
}
