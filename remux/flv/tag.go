// Package flv holds the framing that FLV files, HTTP-FLV and RTMP share: a
// media message is one tag, and one tag is one buffer that goes to every viewer
// as it is. The RTMP reader makes the buffer when it learns a message's length
// (NewTag), reads the message into its middle (Body), and Seal turns it into an
// FLV tag in place.
//
// ParseVideo and ParseAudio read the first bytes of a body, in the legacy form
// of the FLV specification 10.1 (annex E) and in the enhanced form of Enhanced
// RTMP v1 and v2, and say what it carries. They neither copy nor allocate.
package flv

import "encoding/binary"

const (
	HeaderSize  = 11        // bytes in front of a tag's body
	TrailerSize = 4         // bytes behind it: PreviousTagSize
	MaxBody     = 1<<24 - 1 // the longest body a tag's 24-bit DataSize can state
)

// Tag types, which are RTMP's message types too (FLV 10.1, E.4.1).
const (
	TypeAudio  = 8
	TypeVideo  = 9
	TypeScript = 18
)

// NewTag allocates a tag whose body is n bytes long. The caller fills Body and
// then calls Seal. n is at least 0 and at most MaxBody.
func NewTag(n int) []byte { return make([]byte, HeaderSize+n+TrailerSize) }

// Body returns the part of a tag between its header and its trailer, with no
// room to grow. tag was made by NewTag, or is nil, as the sequence header of a
// codec that has none: then so is its body.
func Body(tag []byte) []byte {
	if tag == nil {
		return nil
	}
	end := len(tag) - TrailerSize
	return tag[HeaderSize:end:end]
}

// Seal writes a tag's header and trailer around its body: type, length, the
// 32-bit timestamp in milliseconds (24 bits, then the upper 8) and stream id 0;
// behind the body PreviousTagSize. It may be called again to stamp a tag anew,
// but never once the tag has been published.
func Seal(tag []byte, typ uint8, timestamp uint32) {
	size := len(tag) - TrailerSize
	binary.BigEndian.PutUint32(tag, uint32(typ)<<24|uint32(size-HeaderSize)&MaxBody)
	binary.BigEndian.PutUint32(tag[4:], timestamp<<8|timestamp>>24)
	tag[8], tag[9], tag[10] = 0, 0, 0
	binary.BigEndian.PutUint32(tag[size:], uint32(size))
}

// FileHeader returns the 13 bytes that an FLV stream begins with: the file
// header, which says what kinds of tags follow, and PreviousTagSize0.
func FileHeader(video, audio bool) []byte {
	h := []byte{'F', 'L', 'V', 1, 0, 0, 0, 0, 9, 0, 0, 0, 0}
	if video {
		h[4] |= 1
	}
	if audio {
		h[4] |= 4
	}
	return h
}
