package av

import (
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/eac3"
)

const (
	ac3Frame  = 1536 // samples: 6 blocks of 256
	ac3Block  = 256
	eac3BSID  = 16
	dependent = 1 // strmtyp of a dependent substream
)

// readAC3 reads the first syncframe (ETSI TS 102 366 4.3) and makes the content
// of a dac3 box (F.4).
func (t *Track) readAC3(b []byte) error {
	var sync ac3.SyncInfo
	if err := sync.Unmarshal(b); err != nil {
		return fmt.Errorf("%w syncframe: %w", ErrMalformed, err)
	}
	var info ac3.BSI
	if err := info.Unmarshal(b[5:]); err != nil {
		return fmt.Errorf("%w syncframe: %w", ErrMalformed, err)
	}
	// fscod 2, bsid 5, bsmod 3, acmod 3, lfeon 1, bit_rate_code 5, reserved 5 bits.
	v := uint32(sync.Fscod)<<22 | uint32(info.Bsid)<<17 | uint32(info.Bsmod)<<14 |
		uint32(info.Acmod)<<11 | bit(info.LfeOn)<<10 | uint32(sync.Frmsizecod>>1)<<5
	t.Record = []byte{byte(v >> 16), byte(v >> 8), byte(v)}
	t.String = "ac-3"
	return t.setAudio(sync.SampleRate(), sync.SampleRate(), info.ChannelCount(), ac3Frame)
}

// readEAC3 reads the first independent substream's syncframe (E.1.2) and makes
// the content of a dec3 box (F.6). Dependent substreams, which add channels
// beyond 5.1, stay in the frames, where decoders find them; the record does not
// announce them.
func (t *Track) readEAC3(b []byte) error {
	var sync eac3.SyncInfo
	if err := sync.Unmarshal(b); err != nil {
		return fmt.Errorf("%w syncframe: %w", ErrMalformed, err)
	}
	if sync.Strmtyp == dependent || sync.SampleRate() == 0 {
		return fmt.Errorf("%w: a stream cannot begin with this syncframe", ErrMalformed)
	}
	samples := ac3Block * sync.NumBlocks()
	kbits := uint64(sync.FrameSize()*8*sync.SampleRate()/samples) / 1000
	// data_rate 13, num_ind_sub 3, fscod 2, bsid 5, reserved 1, asvc 1, bsmod 3,
	// acmod 3, lfeon 1, reserved 3, num_dep_sub 4, reserved 1 bits.
	v := kbits&0x1fff<<27 | uint64(sync.Fscod)<<22 | eac3BSID<<17 |
		uint64(sync.Acmod)<<9 | uint64(bit(sync.Lfeon))<<8
	t.Record = []byte{byte(v >> 32), byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)}
	t.String = "ec-3"
	return t.setAudio(sync.SampleRate(), sync.SampleRate(), sync.ChannelCount(), max(samples, eac3Samples(b)))
}

// eac3Samples adds up the blocks of the first independent substream in a message:
// a frame of fewer than 6 blocks comes in company.
func eac3Samples(b []byte) int {
	samples := 0
	for len(b) > 0 {
		var sync eac3.SyncInfo
		if err := sync.Unmarshal(b); err != nil {
			break
		}
		if sync.Strmtyp != dependent && sync.Substreamid == 0 {
			samples += ac3Block * sync.NumBlocks()
		}
		b = b[min(sync.FrameSize(), len(b)):]
	}
	return samples
}

func bit(set bool) uint32 {
	if set {
		return 1
	}
	return 0
}
