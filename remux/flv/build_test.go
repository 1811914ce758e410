package flv

import (
	"bytes"
	"encoding/hex"
	"testing"

	"headwater/remux/av"
)

// A packet that came in a multitrack message must read the same from the tag made
// for it alone.
func TestTagReadsBack(t *testing.T) {
	for codec := av.H264; codec <= av.EAC3; codec++ {
		for _, typ := range []PacketType{SequenceStart, Frame, SequenceEnd} {
			p := Packet{Codec: codec, Type: typ, Key: true, Track: 3, Offset: 5, Data: []byte{1, 2, 3}}
			parse := ParseAudio
			if codec <= av.VP9 {
				parse = ParseVideo
				p.Key = typ != Frame
			}
			if typ == SequenceEnd {
				p.Data = nil
			}
			if typ == Frame && (codec == av.H264 || codec == av.HEVC) {
				p.CTS = -40 * ms
			}
			switch {
			case (codec == av.AAC || codec == av.MP3) && typ == SequenceEnd:
				if tag := p.Tag(); tag != nil {
					t.Errorf("%v has an end: % x", codec, tag)
				}
				continue
			case (codec == av.MP3 || codec == av.AC3 || codec == av.EAC3) && typ == SequenceStart:
				continue // the parser yields none
			}
			tag := p.Tag()
			got, err := parse(Body(tag))
			if err != nil {
				t.Errorf("%v, type %d: %v from % x", codec, typ, err, Body(tag))
				continue
			}
			if got.Codec != p.Codec || got.Type != p.Type || got.Key != p.Key || got.CTS != p.CTS || got.Track != 0 || got.Offset != 0 || !bytes.Equal(got.Data, p.Data) {
				t.Errorf("%v, type %d: %+v, want %+v", codec, typ, got, p)
			}
		}
	}
}

func TestTagForm(t *testing.T) {
	for want, p := range map[string]Packet{
		"1701000021" + "aa":       {Codec: av.H264, Type: Frame, Key: true, CTS: 33 * ms, Data: []byte{0xaa}},
		"1700000000" + "aa":       {Codec: av.H264, Type: SequenceStart, Key: true, Data: []byte{0xaa}},
		"af01" + "aa":             {Codec: av.AAC, Type: Frame, Key: true, Data: []byte{0xaa}},
		"a168766331ffffff" + "aa": {Codec: av.HEVC, Type: Frame, CTS: -ms, Data: []byte{0xaa}},
		"914f707573" + "aa":       {Codec: av.Opus, Type: Frame, Key: true, Data: []byte{0xaa}},
	} {
		if got := hex.EncodeToString(Body(p.Tag())); got != want {
			t.Errorf("%s, want %s", got, want)
		}
	}
	for _, typ := range []PacketType{Ignored, Metadata, Multitrack} {
		if tag := (Packet{Codec: av.HEVC, Type: typ}).Tag(); tag != nil {
			t.Errorf("type %d has a tag: % x", typ, tag)
		}
	}
}
