package av

import (
	"encoding/binary"
	"fmt"
	"math/bits"
	"slices"
	"strings"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// NAL unit types of HEVC (table 7-1) that matter here.
const (
	hevcFirstIRAP = 16 // BLA_W_LP
	hevcLastIRAP  = 21 // CRA_NUT
	hevcVPS       = 32
	hevcSPS       = 33
	hevcPPS       = 34
)

// maxSPS and maxPPS bound the lists of a record. An avcC cannot reach them.
const (
	maxSPS = 32
	maxPPS = 256
)

// hvccHeader is the length of a record up to and with the number of its arrays.
const hvccHeader = 23

// readHVCC reads an HEVCDecoderConfigurationRecord (ISO 14496-15 8.3.3). Version
// 0, of its drafts, is still written.
func (t *Track) readHVCC(b []byte) error {
	if len(b) < hvccHeader || b[0] > 1 {
		return fmt.Errorf("%w: no HEVCDecoderConfigurationRecord of version 1", ErrMalformed)
	}
	if err := t.setLengthSize(b[21]); err != nil {
		return err
	}
	var vps, sps, pps [][]byte
	rest := b[hvccHeader:]
	for range b[22] {
		if len(rest) < 3 {
			return fmt.Errorf("%w: arrays cut", ErrMalformed)
		}
		typ, count := rest[0]&63, int(binary.BigEndian.Uint16(rest[1:]))
		units, tail, err := cutUnits(rest[3:], count)
		if err != nil {
			return fmt.Errorf("array of NAL unit type %d: %w", typ, err)
		}
		for _, unit := range units {
			if unit[0]>>1&63 != typ {
				return fmt.Errorf("%w: NAL unit type %d in the array for %d", ErrMalformed, unit[0]>>1&63, typ)
			}
		}
		switch typ {
		case hevcVPS:
			vps = append(vps, units...)
		case hevcSPS:
			sps = append(sps, units...)
		case hevcPPS:
			pps = append(pps, units...)
		}
		rest = tail
	}
	switch {
	case len(vps) == 0 || len(sps) == 0 || len(pps) == 0:
		return fmt.Errorf("%w: parameter sets are missing: %d VPS, %d SPS, %d PPS", ErrMalformed, len(vps), len(sps), len(pps))
	case len(vps) > maxSPS || len(sps) > maxSPS || len(pps) > maxPPS:
		return fmt.Errorf("%w: too many parameter sets: %d VPS, %d SPS, %d PPS", ErrMalformed, len(vps), len(sps), len(pps))
	}
	t.ParameterSets = slices.Concat(vps, sps, pps)
	return t.readHEVCSPS(sps[0])
}

// readHEVCSPS takes size, frame rate and codec string from a sequence parameter
// set (H.265 7.3.2.2).
func (t *Track) readHEVCSPS(unit []byte) error {
	raw := h264.EmulationPreventionRemove(unit)
	if len(raw) < ptlStart+ptlGeneral {
		return fmt.Errorf("%w: sequence parameter set of %d bytes", ErrMalformed, len(raw))
	}
	t.String = hevcString(raw[ptlStart:])

	raw, err := dropSubLayers(raw)
	if err != nil {
		return err
	}
	var sps h265.SPS
	// The parser stops at long-term reference pictures listed in the SPS, and
	// at a VUI that is cut. By then it has everything but the frame rate.
	if err := sps.Unmarshal(escape(raw)); err != nil && sps.VUI == nil && !sps.LongTermRefPicsPresentFlag {
		return fmt.Errorf("%w sequence parameter set: %w", ErrMalformed, err)
	}
	if v := sps.VUI; v != nil {
		t.Transfer = v.TransferCharacteristics
		if v.TimingInfo != nil {
			t.setFrameRate(uint64(v.TimingInfo.TimeScale), uint64(v.TimingInfo.NumUnitsInTick))
		}
	}
	return t.setSize(hevcSize(&sps))
}

// hevcSize returns the picture's size inside the conformance window (7.4.3.2.1).
func hevcSize(s *h265.SPS) (width, height int64) {
	width, height = int64(s.PicWidthInLumaSamples), int64(s.PicHeightInLumaSamples)
	if w := s.ConformanceWindow; w != nil {
		x, y := int64(1), int64(1)
		if s.ChromaFormatIdc == 1 || s.ChromaFormatIdc == 2 {
			x = 2
		}
		if s.ChromaFormatIdc == 1 {
			y = 2
		}
		width -= x * (int64(w.LeftOffset) + int64(w.RightOffset))
		height -= y * (int64(w.TopOffset) + int64(w.BottomOffset))
	}
	return width, height
}

// Where profile_tier_level stands in an unescaped sequence parameter set: behind
// the NAL unit header and one byte with, among others, sps_max_sub_layers_minus1.
const (
	ptlStart    = 3
	ptlGeneral  = 12 // bytes of its general part
	ptlSubFlags = 2  // bytes of the sub-layers' flags, there if they are more than one
)

// hevcString makes the codec string of ISO 14496-15 annex E.3 from a general
// profile_tier_level.
func hevcString(ptl []byte) string {
	var s strings.Builder
	s.WriteString("hvc1.")
	if space := ptl[0] >> 6; space != 0 {
		s.WriteByte('A' + space - 1)
	}
	tier := byte('L')
	if ptl[0]>>5&1 == 1 {
		tier = 'H'
	}
	compatible := bits.Reverse32(binary.BigEndian.Uint32(ptl[1:]))
	fmt.Fprintf(&s, "%d.%X.%c%d", ptl[0]&31, compatible, tier, ptl[11])
	constraints := ptl[5:11]
	for len(constraints) > 0 && constraints[len(constraints)-1] == 0 {
		constraints = constraints[:len(constraints)-1]
	}
	for _, c := range constraints {
		fmt.Fprintf(&s, ".%X", c)
	}
	return s.String()
}

// dropSubLayers returns an unescaped sequence parameter set without the profiles
// and levels of its temporal sub-layers (7.3.3). They are whole bytes, broadcast
// encoders write them, and the SPS parser does not take them.
func dropSubLayers(raw []byte) ([]byte, error) {
	subLayers := int(raw[2] >> 1 & 7) // sps_max_sub_layers_minus1
	flagsAt := ptlStart + ptlGeneral
	end := flagsAt + ptlSubFlags
	if subLayers == 0 {
		return raw, nil
	}
	if len(raw) < end {
		return nil, fmt.Errorf("%w: sub-layers cut", ErrMalformed)
	}
	flags := binary.BigEndian.Uint16(raw[flagsAt:])
	size := 0
	for i := range subLayers {
		if flags&(1<<(15-2*i)) != 0 {
			size += 11 // profile
		}
		if flags&(1<<(14-2*i)) != 0 {
			size++ // level
		}
	}
	if size > len(raw)-end {
		return nil, fmt.Errorf("%w: sub-layers cut", ErrMalformed)
	}
	return slices.Concat(raw[:flagsAt], []byte{0, 0}, raw[end+size:]), nil
}

// escape puts emulation prevention bytes into an unescaped NAL unit (7.3.1.1).
func escape(raw []byte) []byte {
	unit := make([]byte, 0, len(raw)+len(raw)/2)
	zeros := 0
	for _, b := range raw {
		if zeros == 2 && b <= 3 {
			unit = append(unit, 3)
			zeros = 0
		}
		unit = append(unit, b)
		if b == 0 {
			zeros++
		} else {
			zeros = 0
		}
	}
	return unit
}
