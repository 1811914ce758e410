package mpegts

import "encoding/binary"

// Stream ids (13818-1 table 2-22).
const (
	streamIDVideo   = 0xe0
	streamIDAudio   = 0xc0
	streamIDPrivate = 0xbd // private_stream_1: AC-3 and E-AC-3 (ATSC A/52 annex A)
)

const (
	pesHeaderLen    = 14 // with PTS
	pesTimestampLen = 5
	// maxPESPayload is what fits behind a header with PTS when the length is
	// said, as it has to be for audio.
	maxPESPayload = 0xffff - (pesHeaderLen - 6)
)

// timestampMask cuts PTS, DTS and PCR to their 33 bits.
const timestampMask = 1<<33 - 1

// pes is what stands in the header of a PES packet.
type pes struct {
	streamID byte
	payload  int   // bytes that follow the header
	pts, dts int64 // 90 kHz, any number of bits; dts is only written where it differs
}

func (p *pes) headerLen() int {
	if p.pts == p.dts {
		return pesHeaderLen
	}
	return pesHeaderLen + pesTimestampLen
}

// appendHeader appends the header (2.4.3.6). The length is 0, for "until the next
// begins", where it does not fit into 16 bits: only video may do that.
func (p *pes) appendHeader(dst []byte) []byte {
	const (
		prefix    = 9    // the bytes up to and including PES_header_data_length
		alignment = 0x84 // '10' and data_alignment_indicator: a frame begins here
		ptsOnly   = 0x80
		ptsAndDTS = 0xc0
	)
	length := p.headerLen() - 6 + p.payload
	if length > 0xffff {
		length = 0
	}
	flags := byte(ptsOnly)
	if p.pts != p.dts {
		flags = ptsAndDTS
	}
	dst = append(dst, 0, 0, 1, p.streamID)
	dst = binary.BigEndian.AppendUint16(dst, uint16(length))
	dst = append(dst, alignment, flags, byte(p.headerLen()-prefix))
	dst = appendTimestamp(dst, flags>>6, p.pts)
	if p.pts != p.dts {
		dst = appendTimestamp(dst, 1, p.dts)
	}
	return dst
}

// appendTimestamp appends a PTS or DTS: 4 bits of prefix, then 33 bits in groups
// of 3, 15 and 15 with a marker bit behind each.
func appendTimestamp(dst []byte, prefix byte, t int64) []byte {
	t &= timestampMask
	return append(dst,
		prefix<<4|byte(t>>29)&0x0e|1,
		byte(t>>22), byte(t>>14)|1,
		byte(t>>7), byte(t<<1)|1)
}
