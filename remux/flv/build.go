package flv

import (
	"time"

	"headwater/remux/av"
)

// Tag makes a new tag, not yet sealed, that carries p alone and no track number:
// what a track of a multitrack message needs to become a stream that every player
// takes. H.264, AAC and MP3 get the legacy form, the others the enhanced one. The
// Offset is left out. p is a Frame, a SequenceStart or a SequenceEnd; for any
// other packet, and for the end of AAC and MP3, which the legacy form cannot say,
// Tag returns nil.
func (p Packet) Tag() []byte {
	switch p.Type {
	case Frame, SequenceStart:
	case SequenceEnd:
		if p.Codec == av.AAC || p.Codec == av.MP3 {
			return nil
		}
	default:
		return nil
	}
	header := p.header(make([]byte, 0, 8))
	tag := NewTag(len(header) + len(p.Data))
	copy(Body(tag)[copy(Body(tag), header):], p.Data)
	return tag
}

// header appends what stands in front of Data to b.
func (p Packet) header(b []byte) []byte {
	var typ byte // the numbers are the same in both forms
	switch p.Type {
	case SequenceStart:
		typ = exSequenceStart
	case Frame:
		typ = exCodedFrames
	case SequenceEnd:
		typ = exSequenceEnd
	}
	frame := byte(frameInter << 4)
	if p.Key {
		frame = frameKey << 4
	}
	offset := p.CTS / time.Millisecond
	cts := []byte{byte(offset >> 16), byte(offset >> 8), byte(offset)}
	const soundFlags = 15 // 44 kHz, 16 bit, stereo: what AAC has to say (E.4.2.1), and MP3 frames know better
	switch p.Codec {
	case av.H264:
		return append(append(b, frame|legacyH264, typ), cts...)
	case av.AAC:
		return append(b, legacyAAC<<4|soundFlags, typ)
	case av.MP3:
		return append(b, legacyMP3<<4|soundFlags)
	case av.HEVC:
		b = append(append(b, 0x80|frame|typ), fourCCs[p.Codec]...)
		if p.Type == Frame {
			b = append(b, cts...)
		}
		return b
	case av.AV1, av.VP9:
		return append(append(b, 0x80|frame|typ), fourCCs[p.Codec]...)
	default:
		return append(append(b, legacyEx<<4|typ), fourCCs[p.Codec]...)
	}
}
