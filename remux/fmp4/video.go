package fmp4

import (
	"errors"
	"fmt"
	"math"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"headwater/remux/av"
)

// videoEntry returns the sample entry that tells a decoder what it is given.
// hvc1 and avc1 rather than hev1 and avc3: parameter sets are in the record
// (Apple's authoring rules, 1.10).
func videoEntry(t *av.Track) ([]byte, error) {
	if len(t.Record) == 0 {
		return nil, errors.New("no decoder configuration record")
	}
	switch t.Codec {
	case av.H264:
		return visualEntry("avc1", t, box("avcC", t.Record)) // 14496-15, 5.4
	case av.HEVC:
		return visualEntry("hvc1", t, box("hvcC", t.Record)) // 14496-15, 8.4
	case av.AV1:
		return visualEntry("av01", t, box("av1C", t.Record))
	case av.VP9:
		return visualEntry("vp09", t, fullBox("vpcC", 1, 0, t.Record))
	}
	return nil, errors.New("not a video codec")
}

// visualEntry is a VisualSampleEntry (14496-12, 12.1.3) with the codec's
// configuration box and, for pixels that are not square, pasp: a browser takes
// the shape of the picture from here and not from the parameter sets.
func visualEntry(name string, t *av.Track, config []byte) ([]byte, error) {
	if t.Width <= 0 || t.Height <= 0 || t.Width > math.MaxUint16 || t.Height > math.MaxUint16 {
		return nil, fmt.Errorf("picture size %d×%d", t.Width, t.Height)
	}
	var pasp []byte
	if h, v := pixelAspect(t); h != v {
		pasp = box("pasp", u32(h, v))
	}
	const resolution = 72 << 16 // dots an inch, always
	return box(name,
		u16(0, 0, 0, 1), // data_reference_index
		make([]byte, 16),
		u16(uint16(t.Width), uint16(t.Height)),
		u32(resolution, resolution, 0),
		u16(1), make([]byte, 32), // frame_count, compressorname
		u16(24, math.MaxUint16), // depth, pre_defined
		config, pasp), nil
}

// sampleAspects are the pixel shapes that parameter sets name by number
// (H.264 table E-1, H.265 table E.1).
var sampleAspects = [...][2]uint32{
	1: {1, 1}, {12, 11}, {10, 11}, {16, 11}, {40, 33}, {24, 11}, {20, 11}, {32, 11},
	{80, 33}, {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3}, {3, 2}, {2, 1},
}

// pixelAspect returns the width and height of one pixel as the parameter sets
// of t state it; 1 and 1 where they do not, or make no sense. A shape that would
// make the picture wider than a track header can say makes none.
func pixelAspect(t *av.Track) (h, v uint32) {
	idc, w16, h16 := sampleAspect(t)
	const extended = 255
	switch {
	case idc == extended:
		h, v = uint32(w16), uint32(h16)
	case int(idc) < len(sampleAspects):
		h, v = sampleAspects[idc][0], sampleAspects[idc][1]
	}
	if h == 0 || v == 0 || uint64(t.Width)*uint64(h)/uint64(v) > math.MaxUint16 {
		return 1, 1
	}
	return h, v
}

// sampleAspect returns aspect_ratio_idc, sar_width and sar_height from the first
// SPS that can be read; zeros if there is none.
func sampleAspect(t *av.Track) (idc uint8, width, height uint16) {
	for _, nal := range t.ParameterSets {
		switch {
		case t.Codec == av.H264 && len(nal) > 0 && h264.NALUType(nal[0]&0x1f) == h264.NALUTypeSPS:
			var sps h264.SPS
			if sps.Unmarshal(nal) == nil && sps.VUI != nil {
				return sps.VUI.AspectRatioIdc, sps.VUI.SarWidth, sps.VUI.SarHeight
			}
		case t.Codec == av.HEVC && len(nal) > 0 && h265.NALUType(nal[0]>>1&0x3f) == h265.NALUType_SPS_NUT:
			var sps h265.SPS
			if sps.Unmarshal(nal) == nil && sps.VUI != nil {
				return sps.VUI.AspectRatioIdc, sps.VUI.SarWidth, sps.VUI.SarHeight
			}
		}
	}
	return 0, 0, 0
}
