package mpegts

import (
	"errors"
	"fmt"
	"slices"
)

const (
	adtsLen = 7
	// maxADTSFrame is the longest frame whose length, header included, fits into
	// the 13 bits it has.
	maxADTSFrame = 1<<13 - 1 - adtsLen
)

// aacRates are the sampling rates by samplingFrequencyIndex (14496-3 table 1.18).
var aacRates = []uint32{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// Audio object types (14496-3 table 1.17).
const (
	aotLTP    = 4 // the last that the two bits in ADTS can say: Main, LC, SSR, LTP
	aotSBR    = 5
	aotPS     = 29
	aotEscape = 31
)

// adts is the header in front of each AAC frame, but for the frame's length
// (14496-3 table 1.A.5 ff.).
type adts [adtsLen]byte

// newADTS makes the header from an AudioSpecificConfig (14496-3 1.6.2.1):
//
//   - HE-AAC is signalled implicitly, as its AAC-LC core: object type and
//     sampling rate are the core's, and the decoder finds SBR and PS by itself.
//   - A rate that is written out must be one of those that have an index.
//   - Channels must be those of configurations 1–7. Where they are written out as
//     a program config element (configuration 0) the ADTS form would need it in
//     the frames, and browsers take no such stream.
//   - Frames of 960 samples cannot be signalled.
//
// What it refuses can be carried in fMP4.
func newADTS(config []byte) (adts, error) {
	r := bitReader{data: config}
	object := r.objectType()
	rate := r.rateIndex()
	channels := r.read(4)
	if object == aotSBR || object == aotPS {
		r.rateIndex()
		object = r.objectType()
	}
	short := r.read(1) // frameLengthFlag
	switch {
	case r.err:
		return adts{}, errors.New("AudioSpecificConfig is cut")
	case object < 1 || object > aotLTP:
		return adts{}, fmt.Errorf("audio object type %d", object)
	case rate >= len(aacRates):
		return adts{}, errors.New("sampling rate has no index in ADTS")
	case short == 1:
		return adts{}, errors.New("frames of 960 samples")
	case channels < 1 || channels > 7:
		return adts{}, fmt.Errorf("channel configuration %d", channels)
	}
	return adts{
		0xff, 0xf1, // syncword, MPEG-4, layer 0, no CRC
		byte(object-1)<<6 | byte(rate)<<2 | byte(channels>>2),
		byte(channels&3) << 6,
		0, 0x1f, 0xfc, // buffer fullness 0x7ff: variable bit rate; one raw data block
	}, nil
}

// header returns the header of a frame with that many bytes, 8184 at most.
func (h adts) header(frame int) adts {
	n := frame + adtsLen
	h[3] |= byte(n >> 11)
	h[4] = byte(n >> 3)
	h[5] |= byte(n << 5)
	return h
}

// bitReader reads numbers of up to 24 bits. Behind the end there are zeros, and
// err is set.
type bitReader struct {
	data []byte
	pos  int // in bits
	err  bool
}

func (r *bitReader) read(n int) (v int) {
	for range n {
		v <<= 1
		if r.pos>>3 < len(r.data) {
			v |= int(r.data[r.pos>>3]>>(7-r.pos&7)) & 1
		} else {
			r.err = true
		}
		r.pos++
	}
	return v
}

func (r *bitReader) objectType() int {
	if t := r.read(5); t != aotEscape {
		return t
	}
	return 32 + r.read(6)
}

// rateIndex reads a sampling rate and returns its index, len(aacRates) or more if
// it has none.
func (r *bitReader) rateIndex() int {
	const explicit = 15
	i := r.read(4)
	if i != explicit {
		return i
	}
	if i = slices.Index(aacRates, uint32(r.read(24))); i < 0 {
		return explicit
	}
	return i
}
