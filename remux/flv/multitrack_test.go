package flv

import (
	"encoding/hex"
	"errors"
	"testing"
	"time"

	"headwater/remux/av"
)

func TestMultitrack(t *testing.T) {
	type track struct {
		track byte
		codec av.Codec
		typ   PacketType
		cts   time.Duration
		data  string
		err   error
	}
	for _, c := range []struct {
		name  string
		body  string
		audio bool
		key   bool
		want  []track
	}{
		{name: "one track", key: true, body: "96 01 61766331 02 000021 65",
			want: []track{{2, av.H264, Frame, 33 * ms, "65", nil}}},
		{name: "one track, header", key: true, body: "96 00 76703039 01 0a00",
			want: []track{{1, av.VP9, SequenceStart, 0, "0a00", nil}}},
		{name: "many tracks", key: true, body: "96 11 68766331" + "00 000005 000001 2601" + "01 000004 fffffe 28",
			want: []track{{0, av.HEVC, Frame, ms, "2601", nil}, {1, av.HEVC, Frame, -2 * ms, "28", nil}}},
		{name: "many codecs", body: "a6 21" + "61766331 00 000004 000000 41" + "61763031 01 000002 3201",
			want: []track{{0, av.H264, Frame, 0, "41", nil}, {1, av.AV1, Frame, 0, "3201", nil}}},
		{name: "an unknown codec in the middle", body: "a6 23" + "61766331 00 000001 41" + "76703038 01 000002 ffff" + "68766331 02 000001 02",
			want: []track{{0, av.H264, Frame, 0, "41", nil}, {track: 1, err: ErrUnsupported}, {2, av.HEVC, Frame, 0, "02", nil}}},
		{name: "an empty track in the middle", body: "a6 13 68766331" + "00 000001 02" + "01 000000" + "02 000001 04",
			want: []track{{0, av.HEVC, Frame, 0, "02", nil}, {track: 1, err: ErrEmpty}, {2, av.HEVC, Frame, 0, "04", nil}}},
		{name: "a track's offset cut", body: "a6 11 68766331" + "00 000002 0000" + "01 000004 000000 04",
			want: []track{{track: 0, err: ErrMalformed}, {1, av.HEVC, Frame, 0, "04", nil}}},
		{name: "size beyond the message", body: "a6 13 68766331" + "00 000001 02" + "01 000003 0000",
			want: []track{{0, av.HEVC, Frame, 0, "02", nil}, {err: ErrMalformed}}},
		{name: "size cut", body: "a6 13 68766331" + "00 000001 02" + "01 0000",
			want: []track{{0, av.HEVC, Frame, 0, "02", nil}, {err: ErrMalformed}}},
		{name: "FourCC cut", body: "a6 23 687663", want: []track{{err: ErrMalformed}}},
		{name: "number missing", body: "a6 23 68766331", want: []track{{err: ErrMalformed}}},
		{name: "multitrack inside", body: "a6 16 68766331 00 000001 02", want: []track{{track: 0, err: ErrUnsupported}}},
		{name: "audio", audio: true, key: true, body: "95 21" + "6d703461 00 000002 2110" + "4f707573 03 000001 fc",
			want: []track{{0, av.AAC, Frame, 0, "2110", nil}, {3, av.Opus, Frame, 0, "fc", nil}}},
		{name: "audio header of one track", audio: true, key: true, body: "95 00 6d703461 01 1190",
			want: []track{{1, av.AAC, SequenceStart, 0, "1190", nil}}},
		{name: "not multitrack", key: true, body: "17 01 000000 65", want: []track{{0, av.H264, Frame, 0, "65", nil}}},
	} {
		parse := ParseVideo
		if c.audio {
			parse = ParseAudio
		}
		p, err := parse(unhex(t, c.body))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		var n int
		for got, err := range p.Tracks() {
			if n == len(c.want) {
				t.Fatalf("%s: more than %d tracks", c.name, n)
			}
			want := c.want[n]
			n++
			if !errors.Is(err, want.err) || want.err == nil && err != nil {
				t.Errorf("%s: track %d: error %v, want %v", c.name, got.Track, err, want.err)
			}
			wantKey := c.key && want.err == nil
			if got.Track != want.track || got.Codec != want.codec || got.Type != want.typ || got.CTS != want.cts || got.Key != wantKey || hex.EncodeToString(got.Data) != want.data {
				t.Errorf("%s: track %+v, want %+v", c.name, got, want)
			}
		}
		if n != len(c.want) {
			t.Errorf("%s: %d tracks, want %d", c.name, n, len(c.want))
		}
	}
}

func TestMultitrackHeader(t *testing.T) {
	for body, want := range map[string]error{
		"96":                ErrMalformed,
		"96 01 6876":        ErrMalformed,
		"96 01 68766331":    ErrEmpty,
		"96 21":             ErrEmpty,
		"96 31 00":          ErrUnsupported,
		"96 01 76703038 00": ErrUnsupported,
	} {
		if _, err := ParseVideo(unhex(t, body)); !errors.Is(err, want) {
			t.Errorf("%s: error %v, want %v", body, err, want)
		}
	}
}

func TestMultitrackKeepsOffsetAndStops(t *testing.T) {
	p, err := ParseVideo(unhex(t, "a7 02 0001f4 06 13 68766331"+"00 000001 02"+"01 000001 04"))
	if err != nil || p.Type != Multitrack {
		t.Fatalf("type %d, error %v", p.Type, err)
	}
	for got, err := range p.Tracks() {
		if err != nil || got.Offset != 500 {
			t.Errorf("offset %v, error %v", got.Offset, err)
		}
		break // must not go on
	}
}
