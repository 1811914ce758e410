package conformance

import (
	"bytes"
	"errors"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
)

// NAL unit types of H.264 (7.4.1) and HEVC (7.4.2.2).
const (
	nalSlice, nalIDR, nalSPS, nalPPS, nalAUD = 1, 5, 7, 8, 9

	hevcBLA, hevcLastIRAP, hevcVPS, hevcSPS, hevcPPS, hevcAUD = 16, 23, 32, 33, 34, 35
)

func h264Type(nal []byte) byte { return nal[0] & 0x1f }
func hevcType(nal []byte) byte { return nal[0] >> 1 & 0x3f }

// byteStream splits an annex B access unit.
func byteStream(b []byte) (nals [][]byte) {
	for {
		i := bytes.Index(b, []byte{0, 0, 1})
		if i < 0 {
			return nals
		}
		b = b[i+3:]
		end := bytes.Index(b, []byte{0, 0, 1})
		nal := b
		if end >= 0 {
			nal = b[:end]
		}
		if nal = bytes.TrimRight(nal, "\x00"); len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
}

var errNAL = errors.New("NAL units do not fill the sample")

// lengthPrefixed splits a sample of ISO 14496-15.
func lengthPrefixed(b []byte, size int) (nals [][]byte, err error) {
	for len(b) > 0 {
		if len(b) < size {
			return nals, errNAL
		}
		n := 0
		for _, c := range b[:size] {
			n = n<<8 | int(c)
		}
		if b = b[size:]; n == 0 || n > len(b) {
			return nals, errNAL
		}
		nals, b = append(nals, b[:n]), b[n:]
	}
	return nals, nil
}

// picture is what an SPS says.
type picture struct {
	width, height int // after cropping
	rate          float64
	transfer      int // H.273 table 3; 2: not stated
}

func h264Picture(sps []byte) (p picture, err error) {
	var s h264.SPS
	if err := s.Unmarshal(sps); err != nil {
		return p, err
	}
	p = picture{s.Width(), s.Height(), s.FPS(), 2}
	if s.VUI != nil && s.VUI.ColourDescriptionPresentFlag {
		p.transfer = int(s.VUI.TransferCharacteristics)
	}
	return p, nil
}

func hevcPicture(sps []byte) (p picture, err error) {
	var s h265.SPS
	if err := s.Unmarshal(sps); err != nil {
		return p, err
	}
	p = picture{s.Width(), s.Height(), s.FPS(), 2}
	if s.VUI != nil && s.VUI.ColourDescriptionPresentFlag {
		p.transfer = int(s.VUI.TransferCharacteristics)
	}
	return p, nil
}

// av1Picture reads the sequence header of an av1C.
func av1Picture(av1C []byte) (p picture, err error) {
	obus, err := splitOBU(av1C[min(4, len(av1C)):])
	if err != nil || len(obus) == 0 {
		return p, errors.Join(errOBU, err)
	}
	var h av1.SequenceHeader
	if err := h.Unmarshal(append([]byte{obuSequenceHeader << 3}, obus[0].payload...)); err != nil {
		return p, err
	}
	return picture{width: h.Width(), height: h.Height(), transfer: int(h.ColorConfig.TransferCharacteristics)}, nil
}

// obu is one open bitstream unit of AV1 (5.3).
type obu struct {
	typ     byte
	payload []byte
}

const obuSequenceHeader, obuTemporalDelimiter, obuFrameHeader, obuFrame = 1, 2, 3, 6

var errOBU = errors.New("OBUs do not fill the sample")

// splitOBU splits a sample of the low overhead format.
func splitOBU(b []byte) (all []obu, err error) {
	for len(b) > 0 {
		o := obu{typ: b[0] >> 3 & 15}
		header := 1 + int(b[0]>>2&1)
		if len(b) < header {
			return all, errOBU
		}
		sized := b[0]&2 != 0
		if b = b[header:]; sized {
			n, used := leb128(b)
			if used == 0 || n > len(b)-used {
				return all, errOBU
			}
			o.payload, b = b[used:used+n], b[used+n:]
		} else {
			o.payload, b = b, nil
		}
		all = append(all, o)
	}
	return all, nil
}

func leb128(b []byte) (n, used int) {
	for i := 0; i < len(b) && i < 4; i++ {
		n |= int(b[i]&0x7f) << (7 * i)
		if b[i]&0x80 == 0 {
			return n, i + 1
		}
	}
	return 0, 0
}

// sync says whether a sample of a video track can be decoded by itself.
func (t *MP4Track) sync(sample []byte) (bool, error) {
	switch t.Entry {
	case "avc1", "avc3":
		nals, err := lengthPrefixed(sample, t.LengthSize)
		for _, n := range nals {
			if h264Type(n) == nalIDR {
				return true, err
			}
		}
		return false, err
	case "hvc1", "hev1":
		nals, err := lengthPrefixed(sample, t.LengthSize)
		for _, n := range nals {
			if typ := hevcType(n); hevcBLA <= typ && typ <= hevcLastIRAP {
				return true, err
			}
		}
		return false, err
	case "av01":
		obus, err := splitOBU(sample)
		sequence := false
		for _, o := range obus {
			sequence = sequence || o.typ == obuSequenceHeader
			// show_existing_frame, then two bits of frame_type: 0 is a key frame
			if (o.typ == obuFrame || o.typ == obuFrameHeader) && len(o.payload) > 0 {
				return o.payload[0]>>5 == 0 && sequence, err
			}
		}
		return false, err
	case "vp09": // uncompressed header: frame_marker 2, profile, show_existing_frame, frame_type
		return len(sample) > 0 && sample[0]>>6 == 2 && sample[0]&0x0c == 0, nil
	}
	return true, nil
}
