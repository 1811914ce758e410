package av

import "fmt"

// obuSequenceHeader is the obu_type that matters here (AV1 6.2.2).
const obuSequenceHeader = 1

// readAV1C reads an AV1CodecConfigurationRecord (AV1 in ISOBMFF 2.3). Its four
// bytes repeat what the sequence header behind them says; where a writer has left
// that out they have to do until the first key frame.
func (t *Track) readAV1C(b []byte) error {
	if len(b) < 4 || b[0] != 0x81 {
		return fmt.Errorf("%w: no AV1CodecConfigurationRecord of version 1", ErrMalformed)
	}
	h := av1Header{profile: b[1] >> 5, level: b[1] & 31, highTier: b[2]&0x80 != 0, depth: 8}
	if b[2]&0x40 != 0 {
		h.depth = 10
		if b[2]&0x20 != 0 {
			h.depth = 12
		}
	}
	unit, err := findSequenceHeader(b[4:])
	if err != nil {
		return err
	}
	if unit == nil {
		t.String = h.codec()
		return nil
	}
	return t.readAV1Header(unit)
}

// readAV1KeyFrame looks for the sequence header in a temporal unit.
func (t *Track) readAV1KeyFrame(data []byte) error {
	unit, err := findSequenceHeader(data)
	if err != nil {
		return err
	}
	if unit == nil {
		return fmt.Errorf("%w: no sequence header", ErrMalformed)
	}
	return t.readAV1Header(unit)
}

func (t *Track) readAV1Header(unit []byte) error {
	h, err := parseAV1Header(unit)
	if err != nil {
		return err
	}
	t.String = h.codec()
	t.Transfer = h.transfer
	t.setFrameRate(uint64(h.timeScale), uint64(h.unitsInTick)*(uint64(h.ticksPerPictureMinus1)+1))
	return t.setSize(h.width, h.height)
}

// findSequenceHeader returns the payload of the first sequence header OBU in b,
// or nil if there is none (AV1 5.3).
func findSequenceHeader(b []byte) ([]byte, error) {
	for len(b) > 0 {
		typ, extension, sized := b[0]>>3&15, b[0]&4 != 0, b[0]&2 != 0
		b = b[1:]
		if extension {
			if len(b) == 0 {
				return nil, fmt.Errorf("%w: OBU header cut", ErrMalformed)
			}
			b = b[1:]
		}
		size := uint64(len(b))
		if sized {
			n, value := leb128(b)
			if n == 0 || value > uint64(len(b)-n) {
				return nil, fmt.Errorf("%w: OBU cut", ErrMalformed)
			}
			b, size = b[n:], value
		}
		if typ == obuSequenceHeader {
			return b[:size], nil
		}
		b = b[size:]
	}
	return nil, nil
}

// leb128 reads a number of at most 8 bytes (AV1 4.10.5) and returns how many it
// took; 0 if it is cut.
func leb128(b []byte) (n int, value uint64) {
	for i := range min(8, len(b)) {
		value |= uint64(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return i + 1, value
		}
	}
	return 0, 0
}

// av1Header is what this package wants of a sequence header.
type av1Header struct {
	profile, level, depth uint8
	highTier              bool
	width, height         int64
	transfer              uint8

	timeScale, unitsInTick, ticksPerPictureMinus1 uint32
}

// codec makes the codec string (AV1 in ISOBMFF 5).
func (h *av1Header) codec() string {
	tier := 'M'
	if h.highTier {
		tier = 'H'
	}
	return fmt.Sprintf("av01.%d.%02d%c.%02d", h.profile, h.level, tier, h.depth)
}

// parseAV1Header reads a sequence_header_obu (AV1 5.5.1) as far as its
// color_config. It is written out here because hardware encoders send the timing,
// decoder model and display delay fields that general parsers refuse.
func parseAV1Header(unit []byte) (*av1Header, error) {
	r := &bitReader{data: unit}
	h := &av1Header{}
	h.profile = uint8(r.bits(3))
	r.flag() // still_picture
	reduced := r.flag()
	if reduced {
		h.level = uint8(r.bits(5))
	} else {
		h.readOperatingPoints(r)
	}
	w, v := int(r.bits(4))+1, int(r.bits(4))+1
	h.width, h.height = int64(r.bits(w))+1, int64(r.bits(v))+1
	skipAV1Tools(r, reduced)
	h.readColor(r)
	if r.cut {
		return nil, fmt.Errorf("%w: sequence header cut", ErrMalformed)
	}
	if h.profile > 2 {
		return nil, fmt.Errorf("%w: AV1 profile %d", ErrUnsupported, h.profile)
	}
	return h, nil
}

// readOperatingPoints reads from timing_info_present_flag up to the end of the
// operating points and keeps the level and tier of the first, which is the whole
// stream's.
func (h *av1Header) readOperatingPoints(r *bitReader) {
	decoderModel, delayBits := false, 0
	if r.flag() { // timing_info_present_flag
		unitsInTick, timeScale := r.bits(32), r.bits(32)
		if r.flag() { // equal_picture_interval
			h.unitsInTick, h.timeScale = unitsInTick, timeScale
			h.ticksPerPictureMinus1 = r.uvlc()
		}
		if decoderModel = r.flag(); decoderModel {
			delayBits = int(r.bits(5)) + 1
			r.skip(32 + 5 + 5)
		}
	}
	displayDelay := r.flag()
	for i := range r.bits(5) + 1 {
		r.skip(12) // operating_point_idc
		level, highTier := uint8(r.bits(5)), false
		if level > 7 {
			highTier = r.flag()
		}
		if i == 0 {
			h.level, h.highTier = level, highTier
		}
		if decoderModel && r.flag() {
			r.skip(2*delayBits + 1)
		}
		if displayDelay && r.flag() {
			r.skip(4)
		}
	}
}

// skipAV1Tools reads from frame_id_numbers_present_flag to enable_restoration.
func skipAV1Tools(r *bitReader, reduced bool) {
	if !reduced && r.flag() { // frame_id_numbers_present_flag
		r.skip(4 + 3)
	}
	r.skip(3) // use_128x128_superblock, enable_filter_intra, enable_intra_edge_filter
	if !reduced {
		r.skip(4) // interintra, masked, warped, dual filter
		orderHint := r.flag()
		if orderHint {
			r.skip(2)
		}
		screenContent := true // SELECT_SCREEN_CONTENT_TOOLS is not 0
		if !r.flag() {        // seq_choose_screen_content_tools
			screenContent = r.flag()
		}
		if screenContent && !r.flag() { // seq_choose_integer_mv
			r.skip(1)
		}
		if orderHint {
			r.skip(3)
		}
	}
	r.skip(3) // superres, cdef, restoration
}

// readColor reads the beginning of color_config (AV1 5.5.2).
func (h *av1Header) readColor(r *bitReader) {
	h.depth = 8
	if r.flag() { // high_bitdepth
		h.depth = 10
		if h.profile == 2 && r.flag() {
			h.depth = 12
		}
	}
	if h.profile != 1 {
		r.flag() // mono_chrome
	}
	if r.flag() { // color_description_present_flag
		r.skip(8)
		h.transfer = uint8(r.bits(8))
		r.skip(8)
	}
}
