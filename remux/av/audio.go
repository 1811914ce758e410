package av

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
)

// Opus decodes to 48 kHz whatever went in (RFC 7845 5.1).
const (
	opusRate  = 48000
	opusFrame = 960 // 20 ms, what encoders send unless told otherwise; Samples tells
)

// readOpusHead reads an identification header (RFC 7845 5.1).
func (t *Track) readOpusHead(b []byte) error {
	if len(b) < 19 || !bytes.HasPrefix(b, []byte("OpusHead")) || b[8]&0xf0 != 0 {
		return fmt.Errorf("%w: no identification header of version 1", ErrMalformed)
	}
	channels, family := int(b[9]), b[18]
	if channels == 0 || family == 0 && channels > 2 {
		return fmt.Errorf("%w: %d channels in mapping family %d", ErrMalformed, channels, family)
	}
	if family != 0 && len(b) < 21+channels {
		return fmt.Errorf("%w: channel mapping cut", ErrMalformed)
	}
	t.Record = b
	t.String = "Opus"
	return t.setAudio(opusRate, opusRate, channels, opusFrame)
}

// streamInfoSize is the length of FLAC's STREAMINFO (RFC 9639 8.2).
const streamInfoSize = 34

// readStreamInfo reads STREAMINFO, which stands behind "fLaC" and a block header
// as in a file, behind the block header, or alone: encoders send all three.
func (t *Track) readStreamInfo(b []byte) error {
	b = bytes.TrimPrefix(b, []byte("fLaC"))
	if len(b) >= 4+streamInfoSize && b[0]&0x7f == 0 && b[1] == 0 && b[2] == 0 && b[3] == streamInfoSize {
		b = b[4 : 4+streamInfoSize]
	}
	if len(b) != streamInfoSize {
		return fmt.Errorf("%w: no STREAMINFO", ErrMalformed)
	}
	frame := int(binary.BigEndian.Uint16(b[2:])) // the maximum, which is every block's size but the last
	if frame < 16 {
		return fmt.Errorf("%w: blocks of %d samples", ErrMalformed, frame)
	}
	v := binary.BigEndian.Uint32(b[10:])
	rate, channels := int(v>>12), int(v>>9&7)+1
	t.Record = b[:streamInfoSize:streamInfoSize]
	t.String = "fLaC"
	return t.setAudio(rate, rate, channels, frame)
}

// MPEG audio sampling rates of MPEG-1 (ISO 11172-3 2.4.2.3); MPEG-2 halves them,
// MPEG-2.5 quarters them.
var mp3Rates = [3]int{44100, 48000, 32000}

// readMP3 reads the header of an MPEG audio layer III frame.
func (t *Track) readMP3(b []byte) error {
	if len(b) < 4 || b[0] != 0xff || b[1]&0xe0 != 0xe0 {
		return fmt.Errorf("%w: no frame header", ErrMalformed)
	}
	version, layer, index := b[1]>>3&3, b[1]>>1&3, b[2]>>2&3
	if layer != 1 {
		return fmt.Errorf("%w MPEG audio layer code %d", ErrUnsupported, layer)
	}
	if version == 1 || index == 3 {
		return fmt.Errorf("%w: reserved version or sampling rate", ErrMalformed)
	}
	rate, frame, channels := mp3Rates[index], 576, 2
	switch version {
	case 3: // MPEG-1
		frame = 1152
	case 2:
		rate /= 2
	case 0:
		rate /= 4
	}
	if b[3]>>6 == 3 {
		channels = 1
	}
	t.String = "mp4a.40.34"
	return t.setAudio(rate, rate, channels, frame)
}

// Samples returns how long the coded audio payload data lasts, in samples on the
// Timescale clock, where the payload itself says so (Opus, E-AC-3), and else
// FrameSamples.
func (t *Track) Samples(data []byte) int {
	n := 0
	switch t.Codec {
	case Opus:
		n = int(opus.PacketDuration2(data))
	case EAC3:
		n = eac3Samples(data)
	}
	if n <= 0 || n > t.SampleRate {
		return t.FrameSamples
	}
	return n
}
