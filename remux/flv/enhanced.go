package flv

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"time"

	"headwater/remux/av"
)

// parseExVideo reads an ExVideoTagHeader (Enhanced RTMP v2, "Enhanced Video").
func parseExVideo(body []byte) (Packet, error) {
	frame := body[0] >> 4 & 7
	typ, offset, rest, err := modEx(body)
	if err != nil {
		return Packet{}, err
	}
	p := Packet{Offset: offset, Key: frame == frameKey || frame == frameGeneratedKey}
	if frame == frameCommand && typ != exMetadata {
		p.Type = Ignored
		return p, nil
	}
	if typ == exVideoMultitrack {
		return p, p.startMultitrack(rest, false)
	}
	if p.Codec, rest, err = cutFourCC(rest, videoFourCC); err != nil {
		return p, err
	}
	return p, p.setVideo(typ, rest)
}

// parseExAudio reads an ExAudioTagHeader (Enhanced RTMP v2, "Enhanced Audio").
func parseExAudio(body []byte) (Packet, error) {
	typ, offset, rest, err := modEx(body)
	if err != nil {
		return Packet{}, err
	}
	p := Packet{Offset: offset, Key: true}
	if typ == exAudioMultitrack {
		return p, p.startMultitrack(rest, true)
	}
	if p.Codec, rest, err = cutFourCC(rest, audioFourCC); err != nil {
		return p, err
	}
	return p, p.setAudio(typ, rest)
}

// setVideo fills in what stands behind the FourCC of one video track.
func (p *Packet) setVideo(typ byte, rest []byte) (err error) {
	switch typ {
	case exSequenceStart:
		p.Type = SequenceStart
	case exCodedFrames:
		p.Type = Frame
		if p.Codec == av.H264 || p.Codec == av.HEVC {
			if len(rest) < 3 {
				return fmt.Errorf("%w: composition time cut", ErrMalformed)
			}
			p.CTS, rest = milliseconds(rest), rest[3:]
		}
	case exCodedFramesX:
		p.Type = Frame
	case exSequenceEnd:
		p.Type = SequenceEnd
		return nil
	case exMetadata:
		p.Type = Metadata
	case exMPEG2TSStart:
		p.Type, p.Data = Ignored, rest
		return nil
	default:
		return fmt.Errorf("%w packet type %d", ErrUnsupported, typ)
	}
	if p.Type == Frame && p.Codec == av.AV1 {
		rest = bytes.TrimPrefix(rest, temporalDelimiter)
	}
	p.Data, err = payload(rest)
	return err
}

// temporalDelimiter is the OBU in front of each AV1 temporal unit, which FFmpeg
// leaves in. A message is one unit anyway, and samples in ISOBMFF go without it
// (AV1 in ISOBMFF 2.4).
var temporalDelimiter = []byte{0x12, 0}

// setAudio fills in what stands behind the FourCC of one audio track.
func (p *Packet) setAudio(typ byte, rest []byte) (err error) {
	switch typ {
	case exSequenceStart:
		if p.Codec == av.MP3 || p.Codec == av.AC3 || p.Codec == av.EAC3 {
			p.Type, p.Data = Ignored, rest // FFmpeg announces these too, with nothing behind
			return nil
		}
		if p.Codec == av.Opus && bytes.HasPrefix(rest, []byte("OpusTags")) {
			p.Type, p.Data = Ignored, rest // the second header of RFC 7845: nothing that decoding needs
			return nil
		}
		p.Type = SequenceStart
	case exCodedFrames:
		p.Type = Frame
	case exSequenceEnd:
		p.Type = SequenceEnd
		return nil
	case exMultichannelConfig:
		p.Type, p.Data = Ignored, rest
		return nil
	default:
		return fmt.Errorf("%w packet type %d", ErrUnsupported, typ)
	}
	p.Data, err = payload(rest)
	return err
}

// modEx returns the packet type of an enhanced body, the nanosecond offset that
// ModEx headers in front of it may carry, and what follows them.
func modEx(body []byte) (typ byte, offset time.Duration, rest []byte, err error) {
	typ, rest = body[0]&15, body[1:]
	for typ == exModEx {
		if len(rest) < 1 {
			return 0, 0, nil, fmt.Errorf("%w: ModEx cut", ErrMalformed)
		}
		n := int(rest[0]) + 1
		rest = rest[1:]
		if n == 256 {
			if len(rest) < 2 {
				return 0, 0, nil, fmt.Errorf("%w: ModEx cut", ErrMalformed)
			}
			n = int(binary.BigEndian.Uint16(rest)) + 1
			rest = rest[2:]
		}
		if n >= len(rest) {
			return 0, 0, nil, fmt.Errorf("%w: ModEx of %d bytes in %d", ErrMalformed, n, len(rest))
		}
		data, next := rest[:n], rest[n]
		if next>>4 == 0 && n >= 3 { // TimestampOffsetNano
			nanos := time.Duration(data[0])<<16 | time.Duration(data[1])<<8 | time.Duration(data[2])
			offset = min(nanos, time.Millisecond-1)
		}
		typ, rest = next&15, rest[n+1:]
	}
	return typ, offset, rest, nil
}

// cutFourCC returns the codec named by the first four bytes of b and the rest.
func cutFourCC(b []byte, codec func([]byte) av.Codec) (av.Codec, []byte, error) {
	if len(b) < fourCCSize {
		return 0, nil, fmt.Errorf("%w: FourCC cut", ErrMalformed)
	}
	c := codec(b[:fourCCSize])
	if c == 0 {
		return 0, nil, fmt.Errorf("%w codec %q", ErrUnsupported, b[:fourCCSize])
	}
	return c, b[fourCCSize:], nil
}
