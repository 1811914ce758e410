package fmp4

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"

	"headwater/remux/av"
)

// audioEntry returns the sample entry that tells a decoder what it is given.
func audioEntry(t *av.Track) ([]byte, error) {
	if t.SampleRate <= 0 {
		return nil, fmt.Errorf("sampling rate %d", t.SampleRate)
	}
	switch t.Codec {
	case av.AAC:
		if len(t.Record) == 0 {
			return nil, errors.New("no AudioSpecificConfig")
		}
		return soundEntry("mp4a", t, esds(objectAAC, t.Record)), nil
	case av.MP3:
		object := uint8(objectMPEG1Audio)
		if t.SampleRate < 32000 { // the lowest of MPEG-1
			object = objectMPEG2Audio
		}
		return soundEntry("mp4a", t, esds(object, nil)), nil
	case av.Opus:
		dOps, err := dOps(t.Record)
		return soundEntry("Opus", t, dOps), err
	case av.FLAC:
		dfLa, err := dfLa(t.Record)
		return soundEntry("fLaC", t, dfLa), err
	case av.AC3: // ETSI TS 102 366, annex F
		if len(t.Record) < 3 {
			return nil, errors.New("no AC3SpecificBox")
		}
		return soundEntry("ac-3", t, box("dac3", t.Record)), nil
	case av.EAC3:
		if len(t.Record) < 5 {
			return nil, errors.New("no EC3SpecificBox")
		}
		return soundEntry("ec-3", t, box("dec3", t.Record)), nil
	}
	return nil, errors.New("not an audio codec")
}

// soundEntry is an AudioSampleEntry (14496-12, 12.2.3) with the codec's
// configuration box. Its sampling rate is a 16-bit field; a higher one is halved
// until it fits, and decoders read the true one from the configuration.
func soundEntry(name string, t *av.Track, config []byte) []byte {
	rate := t.SampleRate
	if t.Codec == av.Opus {
		rate = 48000 // whatever was encoded (Opus in ISOBMFF, 4.3.1)
	}
	for rate > math.MaxUint16 {
		rate /= 2
	}
	channels := uint16(2) // the field's default
	if 0 < t.Channels && t.Channels <= 255 {
		channels = uint16(t.Channels)
	}
	const sampleSize = 16
	return box(name,
		u16(0, 0, 0, 1), // data_reference_index
		u32(0, 0),
		u16(channels, sampleSize, 0, 0),
		u32(uint32(rate)<<16),
		config)
}

// Object type indications (MP4 registration authority).
const (
	objectAAC        = 0x40 // MPEG-4 audio
	objectMPEG2Audio = 0x69 // 13818-3, layer III at half rates
	objectMPEG1Audio = 0x6B // 11172-3
)

// esds describes MPEG audio (14496-14, 5.6): config is the
// DecoderSpecificInfo, nil where the frames describe themselves. Bit rates of 0
// leave them open.
func esds(object uint8, config []byte) []byte {
	const audioStream = 5<<2 | 1 // streamType, reserved bit
	var specific []byte
	if config != nil {
		specific = descriptor(5, config)
	}
	decoder := descriptor(4, []byte{object, audioStream, 0, 0, 0}, u32(0, 0), specific)
	return fullBox("esds", 0, 0, descriptor(3, u16(0), []byte{0}, decoder, descriptor(6, []byte{2})))
}

// descriptor returns an MPEG-4 descriptor (14496-1, 8.3.3), its length always
// in four bytes.
func descriptor(tag uint8, body ...[]byte) []byte {
	b := bytes.Join(body, nil)
	n := len(b)
	return append([]byte{tag, byte(n>>21) | 0x80, byte(n>>14) | 0x80, byte(n>>7) | 0x80, byte(n) & 0x7f}, b...)
}

// dOps turns an OpusHead, the identification header of RFC 7845 section 5.1,
// into an OpusSpecificBox: the same fields without the signature, big endian
// and with a version of 0 (Opus in ISOBMFF, 4.3.2).
func dOps(head []byte) ([]byte, error) {
	head, ok := bytes.CutPrefix(head, []byte("OpusHead"))
	if !ok || len(head) < 11 {
		return nil, errors.New("no OpusHead")
	}
	le := binary.LittleEndian
	channels, family := head[1], head[10]
	var mapping []byte
	if family != 0 {
		if len(head)-11 < 2+int(channels) {
			return nil, errors.New("OpusHead ends in its channel mapping")
		}
		mapping = head[11 : 13+int(channels)]
	}
	return box("dOps",
		[]byte{0, channels},
		u16(le.Uint16(head[2:])), // PreSkip
		u32(le.Uint32(head[4:])), // InputSampleRate
		u16(le.Uint16(head[8:])), // OutputGain
		[]byte{family}, mapping), nil
}

// dfLa returns a FLACSpecificBox with the STREAMINFO block alone (FLAC in
// ISOBMFF, 3.3.2), which is what a decoder needs.
func dfLa(info []byte) ([]byte, error) {
	const size = 34
	if len(info) != size {
		return nil, errors.New("no STREAMINFO")
	}
	const lastBlock = 0x80
	return fullBox("dfLa", 0, 0, []byte{lastBlock, 0, 0, size}, info), nil
}
