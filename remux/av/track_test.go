package av

import (
	"bytes"
	"encoding/hex"
	"errors"
	"math"
	"slices"
	"strings"
	"testing"
)

func TestNewVideoTrack(t *testing.T) {
	for _, c := range videoRecords {
		record := unhex(t, c.record)
		got, err := NewVideoTrack(c.codec, record)
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		if got.Codec != c.codec || got.Timescale != 90000 || got.String != c.want.String ||
			got.Width != c.want.Width || got.Height != c.want.Height ||
			math.Abs(got.FrameRate-c.want.FrameRate) > 1e-9 || got.Transfer != c.want.Transfer ||
			got.LengthSize != c.want.LengthSize {
			t.Errorf("%s: %+v, want %+v", c.name, got, c.want)
		}
		if !bytes.HasSuffix(record, got.Record) || &record[len(record)-1] != &got.Record[len(got.Record)-1] {
			t.Errorf("%s: Record is not a slice of what was passed in", c.name)
		}
		var units []int
		for _, u := range got.ParameterSets {
			units = append(units, len(u))
		}
		if !slices.Equal(units, c.units) {
			t.Errorf("%s: parameter sets of %v bytes, want %v", c.name, units, c.units)
		}
	}
}

func TestNewAudioTrack(t *testing.T) {
	for _, c := range audioRecords {
		got, err := NewAudioTrack(c.codec, unhex(t, c.data))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
			continue
		}
		want := c.want
		want.Codec = c.codec
		if got.Codec != want.Codec || got.Timescale != want.Timescale || got.String != want.String ||
			got.SampleRate != want.SampleRate || got.Channels != want.Channels || got.FrameSamples != want.FrameSamples {
			t.Errorf("%s: %+v, want %+v", c.name, got, want)
		}
		record := c.record
		switch record {
		case "":
			record = c.data
		case "-":
			record = ""
		}
		if g := hex.EncodeToString(got.Record); g != record {
			t.Errorf("%s: record %s, want %s", c.name, g, record)
		}
	}
}

func TestVPCCWithoutBoxHeader(t *testing.T) {
	got, err := NewVideoTrack(VP9, unhex(t, "01000000 001f820202020000"))
	if err != nil || hex.EncodeToString(got.Record) != "001f820202020000" {
		t.Errorf("record %x, error %v", got.Record, err)
	}
}

// A track must not come from half a record: any cut is an error, or, for the
// records that end in lists and extensions that nobody needs, the same track.
func TestCutRecords(t *testing.T) {
	for _, c := range videoRecords {
		record := unhex(t, c.record)
		whole, err := NewVideoTrack(c.codec, record)
		if err != nil {
			t.Fatal(err)
		}
		for n := range record {
			got, err := NewVideoTrack(c.codec, record[:n])
			if err != nil {
				if !errors.Is(err, ErrMalformed) {
					t.Errorf("%s cut to %d bytes: %v", c.name, n, err)
				}
				continue
			}
			if got.String != whole.String || got.Width != whole.Width && got.Width != 0 {
				t.Errorf("%s cut to %d bytes: %+v", c.name, n, got)
			}
		}
	}
	for _, c := range audioRecords {
		data := unhex(t, c.data)
		for n := range data {
			if _, err := NewAudioTrack(c.codec, data[:n]); err != nil && !errors.Is(err, ErrMalformed) {
				t.Errorf("%s cut to %d bytes: %v", c.name, n, err)
			}
		}
	}
}

func TestRefusedRecords(t *testing.T) {
	const sps, pps = "0019 6742c01ed900a02ff97011000003000100000300320f162e48", "0005 68cb83cb20"
	for _, c := range []struct {
		name   string
		codec  Codec
		record string
		want   error
		says   string
	}{
		{"nothing", H264, "", ErrMalformed, "AVCDecoderConfigurationRecord"},
		{"version 0", H264, "0042c01eff e1" + sps + "01" + pps, ErrMalformed, "version"},
		{"Annex B", H264, "00000001 6742c01e", ErrMalformed, "AVCDecoderConfigurationRecord"},
		{"lengths of 3 bytes", H264, "0142c01efe e1" + sps + "01" + pps, ErrMalformed, "3 bytes"},
		{"no SPS", H264, "0142c01eff e0 01" + pps, ErrMalformed, "sequence parameter sets is empty"},
		{"no SPS, nothing behind", H264, "0142c01eff e0", ErrMalformed, "sequence parameter sets is empty"},
		{"no PPS", H264, "0142c01eff e1" + sps + "00", ErrMalformed, "picture parameter sets is empty"},
		{"no count of PPS", H264, "0142c01eff e1" + sps, ErrMalformed, "count"},
		{"SPS of no bytes", H264, "0142c01eff e1 0000 01" + pps, ErrMalformed, "0 bytes"},
		{"SPS too long", H264, "0142c01eff e1 ffff 67", ErrMalformed, "65535"},
		{"SPS and PPS exchanged", H264, "0142c01eff e1" + pps + "01" + sps, ErrMalformed, "NAL unit type 8"},
		{"SPS among the PPS", H264, "0142c01eff e1" + sps + "02" + pps + sps, ErrMalformed, "NAL unit type 7"},
		{"hvcC, lengths of 3 bytes", HEVC, "01016000000090000000000078f000fcfdf8f800000e00", ErrMalformed, "3 bytes"},
		{"hvcC without arrays", HEVC, "01016000000090000000000078f000fcfdf8f800000f00", ErrMalformed, "missing"},
		{"hvcC with 65535 units announced", HEVC, "01016000000090000000000078f000fcfdf8f800000f01a0ffff00024001", ErrMalformed, "65535 announced"},
		{"hvcC of version 2", HEVC, "02" + strings.Repeat("00", 40), ErrMalformed, "version"},
		{"hvcC with an SPS in the VPS array", HEVC, "01016000000090000000000078f000fcfdf8f800000f01a0000100024201", ErrMalformed, "NAL unit type 33"},
		{"av1C of version 0", AV1, "80050c00", ErrMalformed, "version 1"},
		{"av1C, OBU longer than the record", AV1, "81050c00 0aff7f 00", ErrMalformed, "OBU cut"},
		{"av1C, size without end", AV1, "81050c00 0affffffffffffffffff", ErrMalformed, "OBU cut"},
		{"av1C, profile 3", AV1, "81050c00 0a0b 6000002d4cffb3c02f8004", ErrUnsupported, "profile"},
		{"vpcC, 9 bits", VP9, "001f920202020000", ErrMalformed, "9 bits"},
		{"vpcC, profile 4", VP9, "041f820202020000", ErrMalformed, "profile 4"},
		{"an audio codec", AAC, "1190", ErrUnsupported, "video codec"},
		{"no codec", 0, "1190", ErrUnsupported, "video codec"},
	} {
		_, err := NewVideoTrack(c.codec, unhex(t, c.record))
		checkRefusal(t, c.name, err, c.want, c.says)
	}
	for _, codec := range []Codec{H264, HEVC, AV1, VP9} {
		_, err := NewVideoTrack(codec, append(unhex(t, "0142c01effe0"), make([]byte, maxRecord)...))
		checkRefusal(t, "64 KB and more", err, ErrMalformed, "bytes")
	}
}

func TestRefusedHeaders(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec Codec
		data  string
		want  error
		says  string
	}{
		{"nothing", AAC, "", ErrMalformed, "0 bytes"},
		{"one byte", AAC, "11", ErrMalformed, "1 bytes"},
		{"reserved rate", AAC, "1690", ErrMalformed, "0 Hz"},
		{"rate of 0 written out", AAC, "1780000010", ErrMalformed, "0 Hz"},
		{"reserved channels", AAC, "11c8", ErrUnsupported, "configuration 9"},
		{"channels in the frames", AAC, "1180 0000000000000000", ErrUnsupported, "configuration 0"},
		{"program config element cut", AAC, "118004c401", ErrMalformed, "5 bytes"},
		{"xHE-AAC", AAC, "f94640", ErrUnsupported, "object type 42"},
		{"AAC-ELD", AAC, "f8e43000", ErrUnsupported, "object type 39"},
		{"HE-AAC over ELD", AAC, "2b11fff8", ErrUnsupported, "object type"},
		{"MP3 without sync", MP3, "49443303", ErrMalformed, "no frame header"},
		{"MPEG audio layer II", MP3, "fffd9064", ErrUnsupported, "layer"},
		{"MP3, reserved version", MP3, "ffeb9064", ErrMalformed, "reserved"},
		{"MP3, reserved rate", MP3, "fffb9c64", ErrMalformed, "reserved"},
		{"Opus without signature", Opus, "0102380180bb0000000000", ErrMalformed, "identification"},
		{"Opus version 16", Opus, "4f707573486561641002380180bb0000000000", ErrMalformed, "version 1"},
		{"Opus without channels", Opus, "4f707573486561640100380180bb0000000000", ErrMalformed, "0 channels"},
		{"Opus, 3 channels in family 0", Opus, "4f707573486561640103380180bb0000000000", ErrMalformed, "3 channels"},
		{"Opus, mapping cut", Opus, "4f707573486561640106380180bb000000000104020004010203", ErrMalformed, "mapping"},
		{"FLAC, another block", FLAC, "664c6143 04000022" + strings.Repeat("00", 34), ErrMalformed, "STREAMINFO"},
		{"FLAC, blocks of 8 samples", FLAC, "00080008" + strings.Repeat("00", 30), ErrMalformed, "8 samples"},
		{"FLAC at 0 Hz", FLAC, "12001200" + strings.Repeat("00", 30), ErrMalformed, "0 Hz"},
		{"AC-3 without sync", AC3, "770bb50b1e40ebf8", ErrMalformed, "sync"},
		{"AC-3, reserved rate", AC3, "0b77b50bde40ebf8", ErrMalformed, "fscod"},
		{"AC-3 labelled E-AC-3", EAC3, "0b77b50b1e40ebf8", ErrMalformed, ""},
		{"E-AC-3 labelled AC-3", AC3, "0b77037f3f87c000", ErrMalformed, "frmsizecod"},
		{"E-AC-3, dependent substream first", EAC3, "0b77437f3f87c000", ErrMalformed, "begin"},
		{"a video codec", H264, "1190", ErrUnsupported, "audio codec"},
	} {
		_, err := NewAudioTrack(c.codec, unhex(t, c.data))
		checkRefusal(t, c.name, err, c.want, c.says)
	}
}

func checkRefusal(t *testing.T, name string, err, want error, says string) {
	t.Helper()
	if !errors.Is(err, want) || !strings.Contains(err.Error(), says) {
		t.Errorf("%s: error %v, want %v that says %q", name, err, want, says)
	}
}

func TestWithKeyFrame(t *testing.T) {
	for _, c := range []struct {
		name          string
		codec         Codec
		record, frame string
		width, height int
		transfer      uint8
	}{
		{"VP9", VP9, "001f820202020000", "82498342004ff02cf60638241c184a18", 1280, 720, 2},
		{"VP9 10 bit", VP9, "0215a20210020000", "924983420014080b4b031c120e0c2c08", 642, 362, 16},
		{"AV1", AV1, "81050c00", "1200 0a0b0000002d4cffb3cfbf9004 32020000", 1280, 720, 0},
	} {
		track, err := NewVideoTrack(c.codec, unhex(t, c.record))
		if err != nil {
			t.Fatal(err)
		}
		got, err := track.WithKeyFrame(unhex(t, c.frame))
		if err != nil || got == track || got.Width != c.width || got.Height != c.height || got.Transfer != c.transfer || !bytes.Equal(got.Record, track.Record) {
			t.Errorf("%s: %+v, error %v", c.name, got, err)
			continue
		}
		if track.Width != 0 {
			t.Errorf("%s: the track itself has changed", c.name)
		}
		if again, err := got.WithKeyFrame(unhex(t, c.frame)); again != got || err != nil {
			t.Errorf("%s: a complete track is not returned as it is: %v", c.name, err)
		}
		for _, frame := range []string{"", "00", "86004092", "8249834200", "82498342 0000f0000f", "1200"} {
			if _, err := track.WithKeyFrame(unhex(t, frame)); !errors.Is(err, ErrMalformed) {
				t.Errorf("%s: error %v from the frame %q", c.name, err, frame)
			}
		}
	}
}

// A VP9 stream may change its size at any key frame, under the same record.
func TestWithKeyFrameOfAnotherSize(t *testing.T) {
	track, err := NewVideoTrack(VP9, unhex(t, "001f820202020000"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		frame         string
		width, height int
	}{
		{"82498342004ff02cf60638241c184a18", 1280, 720},
		{"82498342 0005f003f6 0638241c18420005", 96, 64},
		{"82498342004ff02cf60638241c184a18", 1280, 720},
	} {
		next, err := track.WithKeyFrame(unhex(t, c.frame))
		if err != nil || next == track || next.Width != c.width || next.Height != c.height {
			t.Fatalf("%+v, error %v, want %d x %d", next, err, c.width, c.height)
		}
		track = next
	}
}

func TestSamples(t *testing.T) {
	opus := &Track{Codec: Opus, SampleRate: 48000, FrameSamples: 960}
	eac3 := &Track{Codec: EAC3, SampleRate: 48000, FrameSamples: 1536}
	for _, c := range []struct {
		name  string
		track *Track
		data  string
		want  int
	}{
		{"AAC", &Track{Codec: AAC, SampleRate: 48000, FrameSamples: 1024}, "2110", 1024},
		{"Opus, 20 ms", opus, "fc", 960},
		{"Opus, 2.5 ms", opus, "e4", 120},
		{"Opus, 60 ms", opus, "18", 2880},
		{"Opus, 2 of 20 ms", opus, "fd", 1920},
		{"Opus, 3 of 20 ms", opus, "ff03", 2880},
		{"Opus, none", opus, "", 960},
		{"Opus, code 3 cut", opus, "ff", 960},
		{"E-AC-3, 6 blocks", eac3, "0b77037f3f87c000", 1536},
		{"E-AC-3, 1 block twice", eac3, "0b7700030f87c000" + "0b7700030f87c000", 512},
		{"E-AC-3, 1 block and its dependent substream", eac3, "0b7700030f87c000" + "0b7740030f87c000", 256},
		{"E-AC-3, damaged", eac3, "00", 1536},
	} {
		if got := c.track.Samples(unhex(t, c.data)); got != c.want {
			t.Errorf("%s: %d samples, want %d", c.name, got, c.want)
		}
	}
}
