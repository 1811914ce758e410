package mpegts

import "encoding/binary"

// stream is one of the streams of packets in a transport stream.
type stream uint8

const (
	patStream stream = iota
	pmtStream
	videoStream
	audioStream
	metadataStream
	streamCount
)

// pids are the streams' PIDs, the same everywhere.
var pids = [streamCount]uint16{
	patStream:      0x0000,
	pmtStream:      0x1000,
	videoStream:    0x0100,
	audioStream:    0x0101,
	metadataStream: 0x0102,
}

const programNumber = 1

// Table ids (13818-1 table 2-31).
const (
	tablePAT = 0x00
	tablePMT = 0x02
)

// appendPAT appends the program association section: one program (2.4.4.3).
func appendPAT(dst []byte) []byte {
	start := len(dst)
	dst = appendSectionHeader(dst, tablePAT, 1, 0)
	dst = binary.BigEndian.AppendUint16(dst, programNumber)
	dst = binary.BigEndian.AppendUint16(dst, 0xe000|pids[pmtStream])
	return finishSection(dst, start)
}

// appendPMT appends the program map section (2.4.4.8).
func appendPMT(dst []byte, p *program, version byte) []byte {
	start := len(dst)
	dst = appendSectionHeader(dst, tablePMT, programNumber, version)
	dst = binary.BigEndian.AppendUint16(dst, 0xe000|pids[p.clockStream()])
	info := ""
	if p.metadata {
		info = id3Pointer
	}
	dst = appendDescriptors(dst, info)
	if p.video != nil {
		dst = appendElementaryStream(dst, streamTypeH264, videoStream, "")
	}
	if p.audio != nil {
		dst = appendElementaryStream(dst, p.format.streamType, audioStream, p.format.descriptors)
	}
	if p.metadata {
		dst = appendElementaryStream(dst, streamTypeID3, metadataStream, id3Metadata)
	}
	return finishSection(dst, start)
}

// appendElementaryStream appends one entry of a PMT.
func appendElementaryStream(dst []byte, streamType byte, st stream, descriptors string) []byte {
	dst = append(dst, streamType)
	dst = binary.BigEndian.AppendUint16(dst, 0xe000|pids[st])
	return appendDescriptors(dst, descriptors)
}

// appendDescriptors appends descriptors behind their length.
func appendDescriptors(dst []byte, descriptors string) []byte {
	dst = binary.BigEndian.AppendUint16(dst, 0xf000|uint16(len(descriptors)))
	return append(dst, descriptors...)
}

// appendSectionHeader appends what all sections begin with (2.4.4.10); the
// length is filled in by finishSection.
func appendSectionHeader(dst []byte, table byte, id uint16, version byte) []byte {
	const currentNext = 0x01
	dst = append(dst, table, 0xb0, 0)
	dst = binary.BigEndian.AppendUint16(dst, id)
	return append(dst, 0xc0|version<<1|currentNext, 0, 0) // section 0 of 0
}

// finishSection fills in the length of the section that begins at start and
// appends its CRC.
func finishSection(dst []byte, start int) []byte {
	const crcLen = 4
	dst[start+2] = byte(len(dst) - start - 3 + crcLen)
	return binary.BigEndian.AppendUint32(dst, crc32(dst[start:]))
}

// crc32 is the CRC of PSI sections (13818-1 annex A): not reflected, not
// inverted at the end. Two short sections a segment need no table.
func crc32(p []byte) uint32 {
	crc := ^uint32(0)
	for _, b := range p {
		crc ^= uint32(b) << 24
		for range 8 {
			msb := crc >> 31
			crc = crc<<1 ^ 0x04c11db7*msb
		}
	}
	return crc
}
