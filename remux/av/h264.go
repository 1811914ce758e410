package av

import (
	"encoding/binary"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// NAL unit types of H.264 (table 7-1) that matter here.
const (
	h264IDR = 5
	h264SEI = 6
	h264SPS = 7
	h264PPS = 8
)

// readAVCC reads an AVCDecoderConfigurationRecord (ISO 14496-15 5.3.3). What
// follows the picture parameter sets only repeats what the first SPS says.
func (t *Track) readAVCC(b []byte) error {
	if len(b) < 6 || b[0] != 1 {
		return fmt.Errorf("%w: no AVCDecoderConfigurationRecord of version 1", ErrMalformed)
	}
	if err := t.setLengthSize(b[4]); err != nil {
		return err
	}
	sps, rest, err := cutUnits(b[6:], int(b[5]&31))
	if err != nil {
		return fmt.Errorf("sequence parameter sets: %w", err)
	}
	if len(sps) == 0 {
		return fmt.Errorf("%w: the list of sequence parameter sets is empty", ErrMalformed)
	}
	if len(rest) < 1 {
		return fmt.Errorf("%w: no count of picture parameter sets", ErrMalformed)
	}
	pps, _, err := cutUnits(rest[1:], int(rest[0]))
	if err != nil {
		return fmt.Errorf("picture parameter sets: %w", err)
	}
	if len(pps) == 0 {
		return fmt.Errorf("%w: the list of picture parameter sets is empty", ErrMalformed)
	}
	t.ParameterSets = append(sps, pps...)
	for i, unit := range t.ParameterSets {
		want := byte(h264SPS)
		if i >= len(sps) {
			want = h264PPS
		}
		if unit[0]&31 != want {
			return fmt.Errorf("%w: NAL unit type %d in place of %d", ErrMalformed, unit[0]&31, want)
		}
	}
	return t.readH264SPS(sps[0])
}

// readH264SPS takes size, frame rate and codec string from a sequence parameter
// set: what the decoder goes by, not the copy in front of it.
func (t *Track) readH264SPS(unit []byte) error {
	var sps h264.SPS
	// Some encoders cut the VUI short at the end. Decoders live with that, and so
	// an error that came after everything else had been read costs the frame rate.
	if err := sps.Unmarshal(unit); err != nil && sps.VUI == nil {
		return fmt.Errorf("%w sequence parameter set: %w", ErrMalformed, err)
	}
	if v := sps.VUI; v != nil {
		t.Transfer = v.TransferCharacteristics
		if v.TimingInfo != nil {
			t.setFrameRate(uint64(v.TimingInfo.TimeScale), 2*uint64(v.TimingInfo.NumUnitsInTick))
		}
	}
	t.String = fmt.Sprintf("avc1.%02x%02x%02x", unit[1], unit[2], unit[3])
	return t.setSize(h264Size(&sps))
}

// h264Size returns the picture's size after cropping (7.4.2.1.1).
func h264Size(s *h264.SPS) (width, height int64) {
	fields := int64(2)
	if s.FrameMbsOnlyFlag {
		fields = 1
	}
	width = 16 * (int64(s.PicWidthInMbsMinus1) + 1)
	height = 16 * fields * (int64(s.PicHeightInMapUnitsMinus1) + 1)
	if c := s.FrameCropping; c != nil {
		x, y := int64(1), fields
		if !s.SeparateColourPlaneFlag {
			if s.ChromaFormatIdc == 1 || s.ChromaFormatIdc == 2 {
				x = 2
			}
			if s.ChromaFormatIdc == 1 {
				y *= 2
			}
		}
		width -= x * (int64(c.LeftOffset) + int64(c.RightOffset))
		height -= y * (int64(c.TopOffset) + int64(c.BottomOffset))
	}
	return width, height
}

// setLengthSize takes lengthSizeMinusOne from the lowest bits of b.
func (t *Track) setLengthSize(b byte) error {
	t.LengthSize = int(b&3) + 1
	if t.LengthSize == 3 {
		return fmt.Errorf("%w: NAL unit lengths of 3 bytes", ErrMalformed)
	}
	return nil
}

// cutUnits cuts n NAL units off b, each behind a 16-bit length, and returns
// them and the rest.
func cutUnits(b []byte, n int) (units [][]byte, rest []byte, err error) {
	for i := range n {
		if len(b) < 2 {
			return nil, nil, fmt.Errorf("%w: %d announced, %d there", ErrMalformed, n, i)
		}
		size := int(binary.BigEndian.Uint16(b))
		b = b[2:]
		if size == 0 || size > len(b) {
			return nil, nil, fmt.Errorf("%w: number %d has %d bytes, %d are left", ErrMalformed, i, size, len(b))
		}
		units = append(units, b[:size:size])
		b = b[size:]
	}
	return units, b, nil
}
