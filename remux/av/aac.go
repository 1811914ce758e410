package av

import "fmt"

// Audio object types (ISO 14496-3 table 1.17).
const (
	aotMain = 1
	aotLC   = 2
	aotLTP  = 4
	aotSBR  = 5
	aotPS   = 29
)

// Marks of what a backward compatible AudioSpecificConfig has behind its end
// (1.6.2.1, syncExtensionType).
const (
	syncSBR = 0x2b7
	syncPS  = 0x548
)

var aacRates = [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// aacChannels maps channelConfiguration to a number of channels; 0 where it is
// reserved, or stated in a program config element.
var aacChannels = [16]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8, 14: 8}

// readAudioSpecificConfig reads an AudioSpecificConfig (ISO 14496-3 1.6.2.1).
//
// The three ways to signal HE-AAC come out alike: object type 5 or 29 in front
// (hierarchical), a mark behind the end (backward compatible), each explicit and
// so "mp4a.40.5" or "mp4a.40.29"; and not at all (implicit), which cannot be told
// from AAC-LC here and is called that, as players expect.
func (t *Track) readAudioSpecificConfig(b []byte) error {
	r := &bitReader{data: b}
	core := audioObjectType(r)
	rate := aacRate(r)
	layout := r.bits(4)
	profile, out := core, rate
	if core == aotSBR || core == aotPS {
		out = aacRate(r)
		core = audioObjectType(r)
	}
	if r.cut {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	if core < aotMain || core > aotLTP {
		return fmt.Errorf("%w audio object type %d", ErrUnsupported, core)
	}
	channels, frame := aacChannels[layout], 1024
	if r.flag() { // frameLengthFlag
		frame = 960
	}
	if r.flag() { // dependsOnCoreCoder
		r.skip(14)
	}
	extension := r.flag()
	if layout == 0 {
		channels = programChannels(r)
	}
	if extension {
		r.skip(1) // extensionFlag3
	}
	if r.cut {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	if channels == 0 {
		return fmt.Errorf("%w: channel configuration %d does not state the channels", ErrUnsupported, layout)
	}
	if profile == core {
		profile, out = backwardCompatible(r, core, rate)
	}
	if profile == aotPS && channels == 1 {
		channels = 2
	}
	t.Record = b
	t.String = fmt.Sprintf("mp4a.40.%d", profile)
	return t.setAudio(rate, out, channels, frame)
}

// backwardCompatible reads what may follow a GASpecificConfig and returns the
// object type and output rate it announces, else those of the core.
func backwardCompatible(r *bitReader, core, rate int) (profile, out int) {
	if r.left() < 16 || r.bits(11) != syncSBR || audioObjectType(r) != aotSBR || !r.flag() {
		return core, rate
	}
	out = aacRate(r)
	if r.cut || out == 0 {
		return core, rate
	}
	if r.left() >= 12 && r.bits(11) == syncPS && r.flag() {
		return aotPS, out
	}
	return aotSBR, out
}

func audioObjectType(r *bitReader) int {
	t := r.bits(5)
	if t == 31 {
		t = 32 + r.bits(6)
	}
	return int(t)
}

// aacRate reads a sampling frequency, 0 if it is a reserved one.
func aacRate(r *bitReader) int {
	i := r.bits(4)
	if i == 15 {
		return int(r.bits(24))
	}
	if int(i) < len(aacRates) {
		return aacRates[i]
	}
	return 0
}

// programChannels reads a program_config_element (4.4.1.1) to its end and counts
// its channels.
func programChannels(r *bitReader) int {
	r.skip(4 + 2 + 4) // instance tag, object type, sampling frequency
	pairs := r.bits(4) + r.bits(4) + r.bits(4)
	lfe, data, coupling := r.bits(2), r.bits(3), r.bits(4)
	for _, n := range [...]int{4, 4, 3} { // mono, stereo, matrix mixdown
		if r.flag() {
			r.skip(n)
		}
	}
	channels := lfe
	for range pairs {
		channels += 1 + r.bits(1)
		r.skip(4)
	}
	r.skip(4*int(lfe) + 4*int(data) + 5*int(coupling))
	r.align()
	r.skip(8 * int(r.bits(8))) // comment
	return int(channels)
}
