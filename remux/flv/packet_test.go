package flv

import (
	"bytes"
	"encoding/csv"
	"encoding/hex"
	"errors"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
)

// unhex reads hexadecimal digits with spaces between.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// The CSV files next to the FLV files are what ffprobe 5.1 says of them: kind,
// pts, dts, size, flags.
func TestParseFilesLikeFFprobe(t *testing.T) {
	for name, codecs := range map[string][2]av.Codec{"h264_aac": {av.H264, av.AAC}, "mp3": {0, av.MP3}} {
		text, err := os.ReadFile("testdata/" + name + ".csv")
		if err != nil {
			t.Fatal(err)
		}
		want, err := csv.NewReader(bytes.NewReader(text)).ReadAll()
		if err != nil {
			t.Fatal(err)
		}
		_, tags := readTags(t, name+".flv")
		starts, ends := 0, 0
		for i, tag := range tags {
			var p Packet
			kind, codec := "video", codecs[0]
			switch tag[0] {
			case TypeVideo:
				p, err = ParseVideo(Body(tag))
			case TypeAudio:
				kind, codec = "audio", codecs[1]
				p, err = ParseAudio(Body(tag))
			default:
				continue
			}
			if err != nil || p.Codec != codec {
				t.Fatalf("%s tag %d: codec %v, error %v", name, i, p.Codec, err)
			}
			switch p.Type {
			case SequenceStart:
				starts++
				continue
			case SequenceEnd:
				ends++
				continue
			case Frame:
			default:
				t.Fatalf("%s tag %d: type %d", name, i, p.Type)
			}
			if len(want) == 0 {
				t.Fatalf("%s: more packets than ffprobe has found", name)
			}
			dts := int(tag[4])<<16 | int(tag[5])<<8 | int(tag[6])
			flags := "__"
			if p.Key {
				flags = "K_"
			}
			got := []string{kind, strconv.Itoa(dts + int(p.CTS/time.Millisecond)), strconv.Itoa(dts), strconv.Itoa(len(p.Data)), flags}
			if g, w := strings.Join(got, ","), strings.Join(want[0], ","); g != w {
				t.Errorf("%s tag %d: %s, ffprobe says %s", name, i, g, w)
			}
			want = want[1:]
		}
		if len(want) != 0 {
			t.Errorf("%s: %d packets of ffprobe's were not found", name, len(want))
		}
		if wantStarts, wantEnds := map[string]int{"h264_aac": 2}[name], map[string]int{"h264_aac": 1}[name]; starts != wantStarts || ends != wantEnds {
			t.Errorf("%s: %d sequence starts and %d ends, want %d and %d", name, starts, ends, wantStarts, wantEnds)
		}
	}
}

type parseCase struct {
	name string
	body string
	want Packet // Data is compared with data
	data string // hex
	err  error
}

func (c parseCase) run(t *testing.T, parse func([]byte) (Packet, error)) {
	t.Helper()
	p, err := parse(unhex(t, c.body))
	if !errors.Is(err, c.err) || c.err == nil && err != nil {
		t.Errorf("%s: error %v, want %v", c.name, err, c.err)
		return
	}
	if err != nil {
		if p.Type != 0 || p.Data != nil {
			t.Errorf("%s: a packet %+v next to the error %v", c.name, p, err)
		}
		return
	}
	if p.Codec != c.want.Codec || p.Type != c.want.Type || p.Key != c.want.Key || p.CTS != c.want.CTS || p.Offset != c.want.Offset || p.Track != c.want.Track {
		t.Errorf("%s: %+v, want %+v", c.name, p, c.want)
	}
	if got, want := hex.EncodeToString(p.Data), strings.ReplaceAll(c.data, " ", ""); got != want {
		t.Errorf("%s: data %s, want %s", c.name, got, want)
	}
}

const ms = time.Millisecond

func TestParseVideo(t *testing.T) {
	for _, c := range []parseCase{
		// Legacy.
		{name: "AVC header", body: "17 00 000000 0164001f", want: Packet{Codec: av.H264, Type: SequenceStart, Key: true}, data: "0164001f"},
		{name: "AVC key", body: "17 01 000000 00000001 65", want: Packet{Codec: av.H264, Type: Frame, Key: true}, data: "0000000165"},
		{name: "AVC inter, late", body: "27 01 000043 00000001 41", want: Packet{Codec: av.H264, Type: Frame, CTS: 67 * ms}, data: "0000000141"},
		{name: "AVC negative offset", body: "27 01 ffffde 00000001 41", want: Packet{Codec: av.H264, Type: Frame, CTS: -34 * ms}, data: "0000000141"},
		{name: "AVC least offset", body: "27 01 800000 41", want: Packet{Codec: av.H264, Type: Frame, CTS: -8388608 * ms}, data: "41"},
		{name: "AVC greatest offset", body: "27 01 7fffff 41", want: Packet{Codec: av.H264, Type: Frame, CTS: 8388607 * ms}, data: "41"},
		{name: "AVC disposable", body: "37 01 000000 41", want: Packet{Codec: av.H264, Type: Frame}, data: "41"},
		{name: "AVC generated key", body: "47 01 000000 65", want: Packet{Codec: av.H264, Type: Frame, Key: true}, data: "65"},
		{name: "AVC end", body: "17 02 000000", want: Packet{Codec: av.H264, Type: SequenceEnd, Key: true}},
		{name: "AVC end, short", body: "17 02", want: Packet{Codec: av.H264, Type: SequenceEnd, Key: true}},
		{name: "HEVC as id 12", body: "1c 01 000010 00000002 2601", want: Packet{Codec: av.HEVC, Type: Frame, Key: true, CTS: 16 * ms}, data: "000000022601"},
		{name: "HEVC header as id 12", body: "1c 00 000000 01", want: Packet{Codec: av.HEVC, Type: SequenceStart, Key: true}, data: "01"},
		{name: "command", body: "57 00", want: Packet{Type: Ignored}},
		{name: "command of an unknown codec", body: "52 01", want: Packet{Type: Ignored}},
		{name: "AVC frame without payload", body: "17 01 000000", err: ErrEmpty},
		{name: "AVC header without record", body: "17 00 000000", err: ErrEmpty},
		{name: "AVC cut", body: "17 01 0000", err: ErrMalformed},
		{name: "AVC, one byte", body: "17", err: ErrMalformed},
		{name: "AVC packet type", body: "17 03 000000 00", err: ErrUnsupported},
		{name: "Sorenson", body: "12 00 000000 00", err: ErrUnsupported},
		{name: "VP6", body: "24 00 000000 00", err: ErrUnsupported},
		{name: "nothing", body: "", err: ErrEmpty},

		// Enhanced.
		{name: "hvc1 header", body: "90 68766331 0101", want: Packet{Codec: av.HEVC, Type: SequenceStart, Key: true}, data: "0101"},
		{name: "hvc1 frames", body: "91 68766331 000021 00000002 2601", want: Packet{Codec: av.HEVC, Type: Frame, Key: true, CTS: 33 * ms}, data: "000000022601"},
		{name: "hvc1 frames, negative", body: "a1 68766331 fffff6 00000002 0201", want: Packet{Codec: av.HEVC, Type: Frame, CTS: -10 * ms}, data: "000000020201"},
		{name: "hvc1 frames X", body: "a3 68766331 00000002 0201", want: Packet{Codec: av.HEVC, Type: Frame}, data: "000000020201"},
		{name: "hvc1 end", body: "92 68766331", want: Packet{Codec: av.HEVC, Type: SequenceEnd, Key: true}},
		{name: "avc1 frames", body: "a1 61766331 000001 41", want: Packet{Codec: av.H264, Type: Frame, CTS: ms}, data: "41"},
		{name: "avc1 header", body: "90 61766331 01640000", want: Packet{Codec: av.H264, Type: SequenceStart, Key: true}, data: "01640000"},
		{name: "av01 frames have no offset", body: "91 61763031 0a0b00", want: Packet{Codec: av.AV1, Type: Frame, Key: true}, data: "0a0b00"},
		{name: "av01 frames behind a temporal delimiter", body: "a1 61763031 1200 320100", want: Packet{Codec: av.AV1, Type: Frame}, data: "320100"},
		{name: "av01 temporal delimiter alone", body: "a1 61763031 1200", err: ErrEmpty},
		{name: "av01 as MPEG-2 TS descriptor", body: "95 61763031 80", want: Packet{Codec: av.AV1, Type: Ignored, Key: true}, data: "80"},
		{name: "vp09 header", body: "90 76703039 01000000", want: Packet{Codec: av.VP9, Type: SequenceStart, Key: true}, data: "01000000"},
		{name: "vp09 frames", body: "a1 76703039 86", want: Packet{Codec: av.VP9, Type: Frame}, data: "86"},
		{name: "metadata", body: "d4 68766331 02 0009 636f6c6f72496e666f", want: Packet{Codec: av.HEVC, Type: Metadata}, data: "020009636f6c6f72496e666f"},
		{name: "command, enhanced", body: "d1 00", want: Packet{Type: Ignored}},
		{name: "ModEx, nanoseconds", body: "97 02 0c3500 01 68766331 000000 26", want: Packet{Codec: av.HEVC, Type: Frame, Key: true, Offset: 800 * time.Microsecond}, data: "26"},
		{name: "ModEx, unknown and then nanoseconds", body: "a7 00 ff 17 03 000001ff 01 76703039 86", want: Packet{Codec: av.VP9, Type: Frame, Offset: 1}, data: "86"},
		{name: "ModEx, nanoseconds beyond a millisecond", body: "97 02 ffffff 01 76703039 86", want: Packet{Codec: av.VP9, Type: Frame, Key: true, Offset: ms - 1}, data: "86"},
		{name: "ModEx, nanoseconds too short", body: "97 01 ffff 01 76703039 86", want: Packet{Codec: av.VP9, Type: Frame, Key: true}, data: "86"},
		{name: "ModEx, 16-bit size", body: "97 ff 0102" + strings.Repeat("aa", 0x103) + "11 76703039 86", want: Packet{Codec: av.VP9, Type: Frame, Key: true}, data: "86"},
		{name: "ModEx without size", body: "97", err: ErrMalformed},
		{name: "ModEx without 16-bit size", body: "97 ff 01", err: ErrMalformed},
		{name: "ModEx cut", body: "97 02 0c35", err: ErrMalformed},
		{name: "ModEx without next type", body: "97 02 0c3500", err: ErrMalformed},
		{name: "FourCC cut", body: "91 687663", err: ErrMalformed},
		{name: "offset cut", body: "91 68766331 0000", err: ErrMalformed},
		{name: "frames without payload", body: "91 68766331 000000", err: ErrEmpty},
		{name: "header without record", body: "90 61763031", err: ErrEmpty},
		{name: "vp08", body: "91 76703038 86", err: ErrUnsupported},
		{name: "unknown packet type", body: "9c 68766331 00", err: ErrUnsupported},
	} {
		c.run(t, ParseVideo)
	}
}

func TestParseAudio(t *testing.T) {
	for _, c := range []parseCase{
		{name: "AAC header", body: "af 00 1190", want: Packet{Codec: av.AAC, Type: SequenceStart, Key: true}, data: "1190"},
		{name: "AAC frame", body: "af 01 2110", want: Packet{Codec: av.AAC, Type: Frame, Key: true}, data: "2110"},
		{name: "MP3", body: "2f fffb9064", want: Packet{Codec: av.MP3, Type: Frame, Key: true}, data: "fffb9064"},
		{name: "MP3 at 8 kHz", body: "e2 ffe328c4", want: Packet{Codec: av.MP3, Type: Frame, Key: true}, data: "ffe328c4"},
		{name: "AAC, one byte", body: "af", err: ErrMalformed},
		{name: "AAC, two bytes", body: "af 01", err: ErrEmpty},
		{name: "AAC packet type", body: "af 02 00", err: ErrUnsupported},
		{name: "MP3, one byte", body: "2f", err: ErrEmpty},
		{name: "Speex", body: "b2 00", err: ErrUnsupported},
		{name: "G.711", body: "70 00", err: ErrUnsupported},
		{name: "nothing", body: "", err: ErrEmpty},

		{name: "Opus header", body: "90 4f707573 4f70757348656164", want: Packet{Codec: av.Opus, Type: SequenceStart, Key: true}, data: "4f70757348656164"},
		{name: "Opus comment header", body: "90 4f707573 4f707573546167730000", want: Packet{Codec: av.Opus, Type: Ignored, Key: true}, data: "4f707573546167730000"},
		{name: "Opus", body: "91 4f707573 fc", want: Packet{Codec: av.Opus, Type: Frame, Key: true}, data: "fc"},
		{name: "Opus end", body: "92 4f707573", want: Packet{Codec: av.Opus, Type: SequenceEnd, Key: true}},
		{name: "Opus channels", body: "94 4f707573 01 02 00000003", want: Packet{Codec: av.Opus, Type: Ignored, Key: true}, data: "010200000003"},
		{name: "FLAC", body: "91 664c6143 fff8", want: Packet{Codec: av.FLAC, Type: Frame, Key: true}, data: "fff8"},
		{name: "AC-3", body: "91 61632d33 0b77", want: Packet{Codec: av.AC3, Type: Frame, Key: true}, data: "0b77"},
		{name: "AC-3 announced", body: "90 61632d33", want: Packet{Codec: av.AC3, Type: Ignored, Key: true}},
		{name: "E-AC-3", body: "91 65632d33 0b77", want: Packet{Codec: av.EAC3, Type: Frame, Key: true}, data: "0b77"},
		{name: "E-AC-3 announced", body: "90 65632d33", want: Packet{Codec: av.EAC3, Type: Ignored, Key: true}},
		{name: "MP3, enhanced", body: "91 2e6d7033 fffb", want: Packet{Codec: av.MP3, Type: Frame, Key: true}, data: "fffb"},
		{name: "AAC, enhanced", body: "90 6d703461 1190", want: Packet{Codec: av.AAC, Type: SequenceStart, Key: true}, data: "1190"},
		{name: "ModEx", body: "97 02 000064 01 6d703461 21", want: Packet{Codec: av.AAC, Type: Frame, Key: true, Offset: 100}, data: "21"},
		{name: "unknown codec", body: "91 76726273 00", err: ErrUnsupported},
		{name: "unknown packet type", body: "93 4f707573 00", err: ErrUnsupported},
		{name: "FourCC cut", body: "91 4f7075", err: ErrMalformed},
		{name: "header alone", body: "91", err: ErrMalformed},
		{name: "Opus without payload", body: "91 4f707573", err: ErrEmpty},
	} {
		c.run(t, ParseAudio)
	}
}

// Every message that goes through a session is parsed once: it must cost nothing.
func TestParseDoesNotAllocate(t *testing.T) {
	for name, run := range hotPaths(t) {
		if n := testing.AllocsPerRun(100, run); n != 0 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}

func hotPaths(t testing.TB) map[string]func() {
	paths := map[string]func(){}
	add := func(name, body string, parse func([]byte) (Packet, error)) {
		b := append(unhex(t, body), make([]byte, 10000)...)
		paths[name] = func() {
			if p, err := parse(b); err != nil || p.Type != Frame {
				t.Errorf("%s: type %d, error %v", name, p.Type, err)
			}
		}
	}
	add("legacy video", "27 01 000043", ParseVideo)
	add("enhanced video", "a1 68766331 000021", ParseVideo)
	add("video with ModEx", "a7 02 0c3500 01 68766331 000000", ParseVideo)
	add("legacy audio", "af 01", ParseAudio)
	add("enhanced audio", "91 4f707573", ParseAudio)
	return paths
}

func BenchmarkParse(b *testing.B) {
	for name, run := range hotPaths(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				run()
			}
		})
	}
}
