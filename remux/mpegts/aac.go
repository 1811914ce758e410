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
//   - A channel configuration that is written out as a program config element
//     must have the elements of configurations 1–6 in their order, as 5.1 with
//     speakers at the side does; it is then given that number. Players take no
//     other from ADTS.
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
	if r.read(1) == 1 {
		r.read(14) // coreCoderDelay
	}
	r.read(1) // extensionFlag
	switch {
	case r.err:
		return adts{}, errors.New("AudioSpecificConfig is cut")
	case object < 1 || object > aotLTP:
		return adts{}, fmt.Errorf("audio object type %d", object)
	case rate >= len(aacRates):
		return adts{}, errors.New("sampling rate has no index in ADTS")
	case short == 1:
		return adts{}, errors.New("frames of 960 samples")
	}
	if channels == 0 {
		channels = r.programConfig()
	}
	if channels < 1 || channels > 7 {
		return adts{}, errors.New("channel configuration has no number in ADTS")
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

// layout counts a channel configuration's elements by where they stand: bit
// strings of is_cpe with a leading 1, in front of the listener and elsewhere.
type layout struct{ front, rest, lfe int }

// layouts are the channel configurations 1–6 (14496-3 table 1.19). 7 is not among
// them: 7.1 that is written out differs from it in where the speakers are.
var layouts = []layout{
	1: {front: 0b10, rest: 1},
	2: {front: 0b11, rest: 1},
	3: {front: 0b101, rest: 1},
	4: {front: 0b101, rest: 0b10},
	5: {front: 0b101, rest: 0b11},
	6: {front: 0b101, rest: 0b11, lfe: 1},
}

// programConfig reads a program config element (14496-3 table 4.2) and returns
// the number of the channel configuration that is the same, or 0.
func (r *bitReader) programConfig() int {
	r.read(4 + 2 + 4) // element_instance_tag, object_type, sampling_frequency_index
	front, side, back := r.read(4), r.read(4), r.read(4)
	lfe, data, coupling := r.read(2), r.read(3), r.read(4)
	for _, mixdown := range [...]int{4, 4, 3} { // mono, stereo, matrix
		if r.read(1) == 1 {
			r.read(mixdown)
		}
	}
	l := layout{front: r.elements(front), rest: r.elements(side + back), lfe: lfe}
	r.read(4 * lfe)
	if r.err || data != 0 || coupling != 0 {
		return 0
	}
	return max(0, slices.Index(layouts, l))
}

// elements reads n channel elements: is_cpe and a tag each.
func (r *bitReader) elements(n int) int {
	v := 1
	for range n {
		v = v<<1 | r.read(1)
		r.read(4)
	}
	return v
}
