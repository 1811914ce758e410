package mpegts

import (
	"bytes"
	"strings"
	"testing"

	"headwater/remux/av"
)

func TestADTS(t *testing.T) {
	tests := []struct {
		name, config string
		frame        int
		want         string // header, or what the error says
	}{
		{"LC 48 kHz stereo", "1190", 100, "fff14c800d7ffc"},
		{"LC 44.1 kHz stereo", "1210", 0, "fff1508000fffc"},
		{"LC 44.1 kHz mono", "1208", 1, "fff15040011ffc"},
		{"LC 48 kHz 5.1", "11b0", 100, "fff14d800d7ffc"},
		{"LC 48 kHz 7.1", "11b8", 100, "fff14dc00d7ffc"},
		{"LC 8 kHz", "1588", 100, "fff16c400d7ffc"},
		{"Main 48 kHz", "0990", 100, "fff10c800d7ffc"},
		{"LTP 48 kHz", "2190", 100, "fff1cc800d7ffc"},
		{"the longest frame", "1190", 8184, "fff14c83fffffc"},
		{"LC with trailing SBR", "139056e5a0", 100, "fff15c800d7ffc"}, // core at 22.05 kHz
		{"HE-AAC 22.05 to 44.1 kHz", "2b920800", 100, "fff15c800d7ffc"},
		{"HE-AAC v2 22.05 to 44.1 kHz", "eb8a0800", 100, "fff15c400d7ffc"},
		{"rate 48000 written out", "17805dc010", 100, "fff14c800d7ffc"},
		{"rate 48001 written out", "17805dc090", 100, "sampling rate"},
		{"reserved rate", "1690", 100, "sampling rate"},
		{"960 samples", "1194", 100, "960"},
		{"xHE-AAC", "f9464000", 100, "object type 42"},
		{"ELD", "f8e85000", 100, "object type 39"},
		{"scalable", "3190", 100, "object type 6"},
		{"channel configuration 11", "11d8", 100, "channel configuration 11"},
		{"empty", "", 100, "cut"},
		{"one byte", "11", 100, "cut"},
		// FFmpeg's encoder for 5.1 with speakers at the side.
		{"program config element", "118004c844002000c40d4c61766335392e33372e31303056e500", 100, "channel configuration 0"},
	}
	for _, test := range tests {
		h, err := newADTS(unhex(t, test.config))
		if err != nil {
			if !strings.Contains(err.Error(), test.want) {
				t.Errorf("%s: %v", test.name, err)
			}
			continue
		}
		if got := h.header(test.frame); !strings.HasPrefix(test.want, "ff") || !bytes.Equal(got[:], unhex(t, test.want)) {
			t.Errorf("%s: % x, want %s", test.name, got, test.want)
		}
	}
}

func TestSupports(t *testing.T) {
	track := func(codec av.Codec) *av.Track { return &av.Track{Codec: codec, Timescale: 48000, LengthSize: 4} }
	sized := func(n int) *av.Track { return &av.Track{Codec: av.H264, LengthSize: n} }
	tests := []struct {
		name   string
		config *av.Config
		want   string // "" if it is supported, else part of the reason
	}{
		{"H.264 and AAC", &av.Config{Video: videoTrack(), Audio: aacTrack(44100)}, ""},
		{"H.264", &av.Config{Video: videoTrack()}, ""},
		{"AAC", &av.Config{Audio: aacTrack(48000)}, ""},
		{"MP3", &av.Config{Audio: track(av.MP3)}, ""},
		{"AC-3", &av.Config{Audio: track(av.AC3)}, ""},
		{"E-AC-3", &av.Config{Audio: track(av.EAC3)}, ""},
		{"no config", nil, "no tracks"},
		{"no tracks", &av.Config{}, "no tracks"},
		{"HEVC", &av.Config{Video: track(av.HEVC)}, "HEVC goes into fMP4"},
		{"AV1", &av.Config{Video: track(av.AV1)}, "AV1 video"},
		{"VP9", &av.Config{Video: track(av.VP9)}, "VP9 video"},
		{"Opus", &av.Config{Video: videoTrack(), Audio: track(av.Opus)}, "Opus audio"},
		{"FLAC", &av.Config{Audio: track(av.FLAC)}, "FLAC audio"},
		{"crossed", &av.Config{Video: track(av.AAC)}, "AAC video"},
		{"AAC without a record", &av.Config{Audio: track(av.AAC)}, "ADTS"},
		{"no timescale", &av.Config{Audio: &av.Track{Codec: av.MP3}}, "timescale 0"},
		{"length 0", &av.Config{Video: sized(0)}, "0 bytes"},
		{"length 3", &av.Config{Video: sized(3)}, "3 bytes"},
	}
	for _, test := range tests {
		err := Supports(test.config)
		if test.want == "" && err != nil || test.want != "" && (err == nil || !strings.Contains(err.Error(), test.want)) {
			t.Errorf("%s: %v, want %q", test.name, err, test.want)
		}
	}
}
