package media

import (
	"bytes"
	"encoding/binary"
	"fmt"

	"headwater/remux/av"
)

// moov reads an initialization section; its tracks take the place of those before.
func (m *MP4) moov(b []byte) error {
	m.tracks = nil
	children(b, func(typ string, body []byte) {
		if typ == "trak" && len(m.tracks) < mp4Tracks {
			m.trak(body)
		}
	})
	children(child(b, "mvex"), func(typ string, body []byte) {
		f := fields{b: body}
		f.u32()
		id := f.u32()
		f.u32()
		duration, size, flags := f.u32(), f.u32(), f.u32()
		for _, t := range m.tracks {
			if typ == "trex" && t.id == id && !f.bad {
				t.duration, t.size, t.flags = duration, size, flags
			}
		}
	})
	for _, t := range m.tracks {
		if t.kind != 0 {
			return nil
		}
	}
	return fmt.Errorf("read initialization section: %w: %w", ErrFormat, errNoTrack)
}

func (m *MP4) trak(b []byte) {
	t := &mp4Track{}
	id, ok := behindTimes(child(b, "tkhd"))
	timescale, also := behindTimes(child(b, "mdia", "mdhd"))
	t.id, t.timescale = id, int64(timescale)
	if !ok || !also || timescale == 0 {
		m.Malformed++
		return
	}
	m.tracks = append(m.tracks, t)
	stsd := child(b, "mdia", "minf", "stbl", "stsd")
	if len(stsd) < 8 {
		m.Malformed++
		return
	}
	first := true
	children(stsd[8:], func(typ string, body []byte) {
		if first {
			m.entry(t, typ, body)
		}
		first = false
	})
}

// behindTimes returns the number that stands behind the times of creation and
// modification, of 32 or 64 bits.
func behindTimes(b []byte) (v uint32, ok bool) {
	f := fields{b: b}
	times := 8
	if f.u32()>>24 == 1 {
		times = 16
	}
	f.skip(times, true)
	v = f.u32()
	return v, !f.bad
}

// sampleEntries are those that are known, and the box that holds their record.
var sampleEntries = map[string]struct {
	codec  av.Codec
	record string
}{
	"avc1": {av.H264, "avcC"}, "avc3": {av.H264, "avcC"}, "hvc1": {av.HEVC, "hvcC"}, "hev1": {av.HEVC, "hvcC"},
	"av01": {av.AV1, "av1C"}, "vp09": {av.VP9, "vpcC"},
	"mp4a": {av.AAC, "esds"}, "Opus": {av.Opus, "dOps"}, "fLaC": {av.FLAC, "dfLa"},
	"ac-3": {av.AC3, "dac3"}, "ec-3": {av.EAC3, "dec3"}, ".mp3": {av.MP3, ""},
}

const (
	visualEntry = 78 // bytes in front of a visual sample entry's boxes (12.1.3)
	audioEntry  = 28 // and of an audio one's (12.2.3)
)

func (m *MP4) entry(t *mp4Track, typ string, b []byte) {
	e, known := sampleEntries[typ]
	switch {
	case typ == "encv" || typ == "enca":
		m.Encrypted++
		t.track.Codec = "encrypted"
		if t.kind = av.Video; typ == "enca" {
			t.kind = av.Audio
		}
		return
	case !known:
		m.Unknown++
		return
	}
	t.track.Codec = e.codec.String()
	if e.codec < av.AAC {
		t.kind = av.Video
		m.visual(t, e.codec, e.record, b)
		return
	}
	t.kind = av.Audio
	m.audible(t, e.codec, e.record, b)
}

func (m *MP4) visual(t *mp4Track, codec av.Codec, record string, b []byte) {
	if len(b) < visualEntry {
		m.Malformed++
		return
	}
	if v, err := av.NewVideoTrack(codec, bytes.Clone(child(b[visualEntry:], record))); err == nil {
		t.track = trackOf(v)
	} else {
		m.Malformed++
	}
	if t.track.Width == 0 {
		t.track.Width, t.track.Height = int(binary.BigEndian.Uint16(b[24:])), int(binary.BigEndian.Uint16(b[26:]))
	}
}

func (m *MP4) audible(t *mp4Track, codec av.Codec, record string, b []byte) {
	if len(b) < audioEntry {
		m.Malformed++
		return
	}
	t.track.Channels = int(binary.BigEndian.Uint16(b[16:]))
	t.track.SampleRate = int(binary.BigEndian.Uint32(b[24:]) >> 16)
	if codec != av.AAC {
		return
	}
	if a, err := av.NewAudioTrack(av.AAC, bytes.Clone(decoderSpecific(child(b[audioEntry:], record)))); err == nil {
		t.track = trackOf(a)
	}
}

// decoderSpecific returns the DecoderSpecificInfo in the content of an esds box
// (ISO 14496-1, 7.2.6); nil if there is none.
func decoderSpecific(b []byte) []byte {
	if len(b) < 4 {
		return nil
	}
	b = b[4:]
	for len(b) > 2 {
		tag, n, i := b[0], 0, 1
		for ; i < min(len(b), 5); i++ {
			n = n<<7 | int(b[i]&0x7f)
			if b[i]&0x80 == 0 {
				i++
				break
			}
		}
		b = b[i:]
		skip := n
		switch tag {
		case 3:
			if len(b) < 3 {
				return nil
			}
			skip = 3
			if b[2]&0x80 != 0 {
				skip += 2
			}
		case 4:
			skip = 13
		case 5:
			return b[:min(n, len(b))]
		}
		if skip > len(b) {
			return nil
		}
		b = b[skip:]
	}
	return nil
}
