package av

import (
	"bytes"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"
)

// vpccSize is the length of a VPCodecConfigurationRecord without
// initialisation data, which VP9 has none of.
const vpccSize = 8

// readVPCC reads a VPCodecConfigurationRecord (VP9 in ISOBMFF). Writers disagree
// whether the version and flags of the vpcC box belong to it; Record is without.
func (t *Track) readVPCC(b []byte) error {
	if bytes.HasPrefix(b, []byte{1, 0, 0, 0}) && len(b) >= 4+vpccSize {
		b = b[4:]
	}
	if len(b) < vpccSize {
		return fmt.Errorf("%w: %d bytes", ErrMalformed, len(b))
	}
	t.Record = b[:vpccSize:vpccSize]
	profile, level, depth := b[0], b[1], b[2]>>4
	if profile > 3 || depth != 8 && depth != 10 && depth != 12 {
		return fmt.Errorf("%w: profile %d with %d bits", ErrMalformed, profile, depth)
	}
	t.Transfer = b[4]
	// An encoder that cannot tell the level writes 0, which is none; 10 is the lowest.
	t.String = fmt.Sprintf("vp09.%02d.%02d.%02d", profile, max(level, 10), depth)
	return nil
}

// readVP9KeyFrame takes the size from a frame's uncompressed header.
func (t *Track) readVP9KeyFrame(data []byte) error {
	var h vp9.Header
	if err := h.Unmarshal(data); err != nil {
		return fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if h.FrameSize == nil {
		return fmt.Errorf("%w: not a key frame", ErrMalformed)
	}
	return t.setSize(int64(h.Width()), int64(h.Height()))
}
