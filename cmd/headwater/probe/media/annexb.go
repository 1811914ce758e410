package media

import (
	"bytes"
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"

	"headwater/remux/av"
)

// annexB reads the beginning of a picture in byte-stream format: what its parameter
// sets say, or else what was known, and whether a decoder can start at it.
func annexB(codec string, b []byte, told Track) (t Track, key bool) {
	t = told
	t.Codec = codec
	for len(b) > 0 {
		at := bytes.Index(b, []byte{0, 0, 1})
		if at < 0 {
			return t, key
		}
		b = b[at+3:]
		unit := b
		if end := bytes.Index(b, []byte{0, 0, 1}); end >= 0 {
			unit = bytes.TrimRight(b[:end], "\x00")
		}
		if len(unit) < 2 {
			continue
		}
		if codec == "H.264" {
			switch unit[0] & 31 {
			case 5:
				key = true
			case 7:
				t.setH264(unit)
			}
			continue
		}
		switch typ := unit[0] >> 1 & 63; {
		case typ >= 16 && typ <= 21:
			key = true
		case typ == 33:
			t.setHEVC(unit)
		}
	}
	return t, key
}

func (t *Track) setH264(unit []byte) {
	var sps h264.SPS
	if len(unit) < 4 || sps.Unmarshal(unit) != nil {
		return
	}
	t.Width, t.Height, t.FrameRate = sps.Width(), sps.Height(), rate(sps.FPS())
	t.Tag = fmt.Sprintf("avc1.%02x%02x%02x", unit[1], unit[2], unit[3])
}

func (t *Track) setHEVC(unit []byte) {
	var sps h265.SPS
	if sps.Unmarshal(unit) != nil {
		return
	}
	t.Width, t.Height, t.FrameRate = sps.Width(), sps.Height(), rate(sps.FPS())
}

// rate takes nothing that is the tick of a clock rather than a rate of pictures.
func rate(f float64) float64 {
	if f > 0 && f <= 480 {
		return f
	}
	return 0
}

// sound reads the header of a frame of audio, or returns what was known.
func sound(typ byte, b []byte, told Track) Track {
	_, name := kindOf(typ)
	t := told
	t.Codec = name
	switch typ {
	case 0x0f:
		if len(b) < 7 || b[0] != 0xff || b[1]&0xf6 != 0xf0 {
			return t
		}
		rates := [...]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}
		index, channels := int(b[2]>>2&15), int(b[2]&1)<<2|int(b[3]>>6)
		if index >= len(rates) {
			return t
		}
		t.SampleRate = rates[index]
		if t.Channels = channels; channels == 7 {
			t.Channels = 8
		}
		t.Tag = fmt.Sprintf("mp4a.40.%d", mpeg4audio.ObjectType(b[2]>>6+1))
	case 0x03, 0x04, 0x81, 0x87:
		codec := map[byte]av.Codec{0x03: av.MP3, 0x04: av.MP3, 0x81: av.AC3, 0x87: av.EAC3}[typ]
		if a, err := av.NewAudioTrack(codec, bytes.Clone(b)); err == nil {
			return trackOf(a)
		}
	}
	return t
}
