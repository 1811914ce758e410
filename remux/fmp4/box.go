// Package fmp4 writes fragmented MP4 (ISO/IEC 14496-12) for HLS: one
// initialization section for a Config and one fragment, a moof and its mdat,
// for each part. A segment is the byte concatenation of its parts, and the
// initialization section followed by any run of consecutive fragments is a
// playable file.
//
// Timed metadata is ID3 tags in event messages, which need no track and cost
// nothing where there are none.
//
// Video and audio share one file, so no CMAF brand is claimed. There is no edit
// list: presentation times are decode times plus signed composition offsets,
// and both start where the stream's clock starts. Everything is a pure function
// of its arguments; the same samples give the same bytes on any machine.
package fmp4

import "encoding/binary"

var be = binary.BigEndian

// The boxes of the initialization section are few and made once, so that they
// are put together from the inside out. Fragments are written in place.

// box returns a box of the given four-character type (14496-12, 4.2).
func box(name string, body ...[]byte) []byte {
	size := 8
	for _, b := range body {
		size += len(b)
	}
	dst := appendBox(make([]byte, 0, size), size, name)
	for _, b := range body {
		dst = append(dst, b...)
	}
	return dst
}

// fullBox returns a box that begins with a version and 24 bits of flags.
func fullBox(name string, version uint8, flags uint32, body ...[]byte) []byte {
	return box(name, append([][]byte{u32(uint32(version)<<24 | flags)}, body...)...)
}

func u16(values ...uint16) []byte {
	var b []byte
	for _, v := range values {
		b = be.AppendUint16(b, v)
	}
	return b
}

func u32(values ...uint32) []byte {
	var b []byte
	for _, v := range values {
		b = be.AppendUint32(b, v)
	}
	return b
}

// appendBox appends the header of a box that is size bytes long with it.
func appendBox(dst []byte, size int, name string) []byte {
	return append(be.AppendUint32(dst, uint32(size)), name...)
}

// appendFullBox appends the header of a full box that is size bytes long with
// it: 12 bytes.
func appendFullBox(dst []byte, size int, name string, version uint8, flags uint32) []byte {
	return be.AppendUint32(appendBox(dst, size, name), uint32(version)<<24|flags)
}
