package av

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

func TestH264Size(t *testing.T) {
	crop := &h264.SPS_FrameCropping{LeftOffset: 1, RightOffset: 2, TopOffset: 3, BottomOffset: 4}
	for _, c := range []struct {
		name          string
		sps           h264.SPS
		width, height int64
	}{
		{"4:2:0", h264.SPS{ChromaFormatIdc: 1, FrameMbsOnlyFlag: true}, 160 - 6, 96 - 14},
		{"4:2:0 interlaced", h264.SPS{ChromaFormatIdc: 1}, 160 - 6, 192 - 28},
		{"4:2:2", h264.SPS{ChromaFormatIdc: 2, FrameMbsOnlyFlag: true}, 160 - 6, 96 - 7},
		{"4:4:4", h264.SPS{ChromaFormatIdc: 3, FrameMbsOnlyFlag: true}, 160 - 3, 96 - 7},
		{"separate planes", h264.SPS{ChromaFormatIdc: 3, SeparateColourPlaneFlag: true, FrameMbsOnlyFlag: true}, 160 - 3, 96 - 7},
		{"monochrome", h264.SPS{FrameMbsOnlyFlag: true}, 160 - 3, 96 - 7},
		{"monochrome interlaced", h264.SPS{}, 160 - 3, 192 - 14},
	} {
		c.sps.PicWidthInMbsMinus1, c.sps.PicHeightInMapUnitsMinus1, c.sps.FrameCropping = 9, 5, crop
		if w, h := h264Size(&c.sps); w != c.width || h != c.height {
			t.Errorf("%s: %d x %d, want %d x %d", c.name, w, h, c.width, c.height)
		}
	}
	absurd := h264.SPS{ChromaFormatIdc: 1, PicWidthInMbsMinus1: 1<<32 - 1, PicHeightInMapUnitsMinus1: 1<<32 - 1,
		FrameCropping: &h264.SPS_FrameCropping{LeftOffset: 1<<32 - 1, RightOffset: 1<<32 - 1}}
	if w, h := h264Size(&absurd); w > 1<<36 || h < 1<<36 {
		t.Errorf("absurd numbers overflow: %d x %d", w, h)
	}
}

func TestSetSize(t *testing.T) {
	for _, c := range []struct {
		width, height int64
		ok            bool
	}{
		{16, 16, true}, {16384, 16384, true}, {15, 16, false}, {16, 15, false},
		{16385, 16, false}, {16, 16385, false}, {-1, 100, false}, {100, 0, false},
	} {
		var track Track
		if err := track.setSize(c.width, c.height); (err == nil) != c.ok || err != nil && !errors.Is(err, ErrMalformed) {
			t.Errorf("%d x %d: %v", c.width, c.height, err)
		}
	}
}

// avcC puts units into a record.
func avcC(sps, pps []byte) []byte {
	return bytes.Join([][]byte{{1, 0, 0, 0, 0xff, 0xe1, 0, byte(len(sps))}, sps, {1, 0, byte(len(pps))}, pps}, nil)
}

// An SPS that ends inside its VUI costs the frame rate and nothing more; one that
// ends before it is none.
func TestH264CutVUI(t *testing.T) {
	whole, err := NewVideoTrack(H264, unhex(t, videoRecords[1].record))
	if err != nil {
		t.Fatal(err)
	}
	sps, pps := whole.ParameterSets[0], whole.ParameterSets[1]
	const vuiFrom, timingTo = 10, 21 // in these bytes
	for n := range sps {
		got, err := NewVideoTrack(H264, avcC(sps[:n], pps))
		switch {
		case n < vuiFrom:
			if !errors.Is(err, ErrMalformed) {
				t.Errorf("cut to %d bytes: %v", n, err)
			}
		case err != nil:
			t.Errorf("cut to %d bytes: %v", n, err)
		case got.Width != 1280 || got.Height != 720 || got.String != "avc1.64001f" || n < timingTo && got.FrameRate != 0 || n > timingTo && got.FrameRate != 30:
			t.Errorf("cut to %d bytes: %+v", n, got)
		}
	}
}
