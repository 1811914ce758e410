package fmp4

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"strings"
	"testing"

	"headwater/remux/av"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		panic(err)
	}
	return b
}

// Records as encoders send them: 320×180 at 25 frames a second, 48 kHz.
var (
	spsSquare = unhex("6764000cacd941419f9f011000000300100000030320f1429960")
	avcC      = unhex("0164000cffe1001a 6764000cacd941419f9f011000000300100000030320f1429960 01000468ef8fcbfdf8f800")

	hevcSPSWide = unhex("42010101600000030090000003000003003ca00a080c1f3e595952930bc11a020000030002000003003210") // pixels 16:11
	hvcC        = unhex("0101600000009000000000003cf000fcfdf8f800000f03 a000010018 40010c01ffff01600000030090000003000003003c959409" +
		"a10001002b 42010101600000030090000003000003003ca00a080c1f3e595952930bc11a020000030002000003003210 a200010006 4401c073c189")

	av1C     = unhex("81000c00 0a0b000000043cfecc02f80040")
	vpcC     = unhex("000b820202020000")
	aacLC    = unhex("119056e500")
	aac44100 = unhex("1210")
	opusHead = unhex("4f70757348656164 01 02 3801 80bb0000 0000 00")
	flacInfo = unhex("120012000002550004ff0bb800f00000bb80ba53abf56ced381f730b6f85c5f5e43d")
	dac3     = unhex("101140")
	dec3     = unhex("0600200400")
)

// track returns a track with a real record.
func track(codec av.Codec) *av.Track {
	video := func(record []byte, nals ...[]byte) *av.Track {
		return &av.Track{Codec: codec, Timescale: 90000, Record: record, Width: 320, Height: 180, LengthSize: 4, ParameterSets: nals}
	}
	audio := func(record []byte) *av.Track {
		return &av.Track{Codec: codec, Timescale: 48000, Record: record, SampleRate: 48000, Channels: 2}
	}
	switch codec {
	case av.H264:
		return video(avcC, spsSquare, unhex("68ef8fcb"))
	case av.HEVC:
		return video(hvcC, unhex("40010c01ffff01600000030090000003000003003c959409"), hevcSPSWide, unhex("4401c073c189"))
	case av.AV1:
		return video(av1C)
	case av.VP9:
		return video(vpcC)
	case av.AAC:
		return audio(aacLC)
	case av.MP3:
		return audio(nil)
	case av.Opus:
		return audio(opusHead)
	case av.FLAC:
		return audio(flacInfo)
	case av.AC3:
		return audio(dac3)
	case av.EAC3:
		return audio(dec3)
	}
	panic("no such codec")
}

// tracks returns a stream of the two codecs; 0 leaves a track out.
func tracks(video, audio av.Codec) *av.Config {
	c := &av.Config{}
	if video != 0 {
		c.Video = track(video)
	}
	if audio != 0 {
		c.Audio = track(audio)
	}
	return c
}

// TestInitEntries holds what a decoder is told against the bytes that other
// writers and the codecs' own mappings have for it.
func TestInitEntries(t *testing.T) {
	withRecord := func(codec av.Codec, record []byte) *av.Track {
		tr := track(codec)
		tr.Record = record
		return tr
	}
	for _, c := range []struct {
		name, entry, config string
		track               *av.Track
		want                []byte
	}{
		{"H.264", "avc1", "avcC", track(av.H264), avcC},
		{"HEVC", "hvc1", "hvcC", track(av.HEVC), hvcC},
		{"AV1", "av01", "av1C", track(av.AV1), av1C},
		{"VP9", "vp09", "vpcC", track(av.VP9), unhex("01000000 000b820202020000")},
		{"VP9 profile 1", "vp09", "vpcC", withRecord(av.VP9, unhex("010b820202020000")), unhex("01000000 010b820202020000")},
		{"AAC", "mp4a", "esds", track(av.AAC), unhex("00000000 0380808025 000000 0480808017 40150000000000000000000000 0580808005 119056e500 0680808001 02")},
		{"AAC, two bytes", "mp4a", "esds", withRecord(av.AAC, aac44100), unhex("00000000 0380808022 000000 0480808014 40150000000000000000000000 0580808002 1210 0680808001 02")},
		{"MP3", "mp4a", "esds", track(av.MP3), unhex("00000000 038080801b 000000 048080800d 6b150000000000000000000000 0680808001 02")},
		{"Opus", "Opus", "dOps", track(av.Opus), unhex("00 02 0138 0000bb80 0000 00")},
		{"Opus with gain", "Opus", "dOps", withRecord(av.Opus, append([]byte("OpusHead"), unhex("01 01 000f 44ac0000 00ff 00")...)), unhex("00 01 0f00 0000ac44 ff00 00")},
		{"Opus, six channels", "Opus", "dOps", withRecord(av.Opus, append([]byte("OpusHead"), unhex("01 06 3801 80bb0000 0000 01 04 02 000401020305")...)), unhex("00 06 0138 0000bb80 0000 01 04 02 000401020305")},
		{"FLAC", "fLaC", "dfLa", track(av.FLAC), append(unhex("00000000 80000022"), flacInfo...)},
		{"AC-3", "ac-3", "dac3", track(av.AC3), dac3},
		{"E-AC-3", "ec-3", "dec3", track(av.EAC3), dec3},
	} {
		t.Run(c.name, func(t *testing.T) {
			config := &av.Config{Audio: c.track}
			if c.track.Width > 0 {
				config = &av.Config{Video: c.track}
			}
			m := mustInit(t, config)
			got := m.tracks[0]
			if got.entry != c.entry || !bytes.Equal(got.box(c.config), c.want) {
				t.Errorf("%s with %s %x, want %s with %s %x", got.entry, names(got.config), got.box(c.config), c.entry, c.config, c.want)
			}
		})
	}
}

func mustInit(t *testing.T, c *av.Config) *movie {
	t.Helper()
	b, err := Init(c)
	if err != nil {
		t.Fatal(err)
	}
	again, _ := Init(c)
	if !bytes.Equal(b, again) {
		t.Fatal("the same Config gave other bytes")
	}
	m, err := check(b)
	if err != nil {
		t.Fatalf("%v\n%s", err, hex.Dump(b))
	}
	return m
}

func TestInitTracks(t *testing.T) {
	for _, c := range []struct {
		video, audio av.Codec
		want         string
	}{
		{av.H264, av.AAC, "1 avc1 90000, 2 mp4a 48000"},
		{av.HEVC, 0, "1 hvc1 90000"},
		{0, av.MP3, "2 mp4a 48000"},
	} {
		var got []string
		for _, tr := range mustInit(t, tracks(c.video, c.audio)).tracks {
			got = append(got, fmt.Sprintf("%d %s %d", tr.id, tr.entry, tr.timescale))
		}
		if s := strings.Join(got, ", "); s != c.want {
			t.Errorf("tracks %s, want %s", s, c.want)
		}
	}
}

func TestInitPictureShape(t *testing.T) {
	with := func(sps string) *av.Track {
		tr := track(av.H264)
		tr.ParameterSets = [][]byte{unhex(sps), unhex("68ef8fcb")}
		return tr
	}
	for _, c := range []struct {
		name  string
		track *av.Track
		pasp  string
		width uint32 // to show, 16.16
	}{
		{"square", track(av.H264), "", 320 << 16},
		{"4:3", with("6764000cacd941419f9f0e1000000300100000030320f1429960"), "0000000400000003", 320 << 16 * 4 / 3},
		{"HEVC 16:11", track(av.HEVC), "000000100000000b", 320 << 16 * 16 / 11},
		{"76:65 in numbers", with("6764000cacd941419f9f ff004c0041 1000000300100000030320f1429960"), "0000004c00000041", 320 << 16 * 76 / 65},
		{"65535:1", with("6764000cacd941419f9f ffffff0001 1000000300100000030320f1429960"), "", 320 << 16},
		{"0:4", with("6764000cacd941419f9f ff0000030004 1000000300100000030320f1429960"), "", 320 << 16},
		{"unreadable", with("6764000cac"), "", 320 << 16},
		{"AV1", track(av.AV1), "", 320 << 16},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := mustInit(t, &av.Config{Video: c.track}).tracks[0]
			if pasp := hex.EncodeToString(got.box("pasp")); pasp != c.pasp || got.displayWidth != c.width {
				t.Errorf("pasp %q and %d wide, want %q and %d", pasp, got.displayWidth, c.pasp, c.width)
			}
			if got.width() != 320 || got.height() != 180 {
				t.Errorf("size %d×%d", got.width(), got.height())
			}
		})
	}
}

func TestInitAudioFields(t *testing.T) {
	for _, c := range []struct {
		codec                av.Codec
		rate, channels       int
		wantRate, wantChanel int
		object               byte
	}{
		{av.AAC, 44100, 2, 44100, 2, 0x40},
		{av.AAC, 96000, 6, 48000, 6, 0x40},
		{av.AAC, 48000, 0, 48000, 2, 0x40},
		{av.MP3, 44100, 1, 44100, 1, 0x6b},
		{av.MP3, 32000, 2, 32000, 2, 0x6b},
		{av.MP3, 22050, 2, 22050, 2, 0x69},
		{av.FLAC, 192000, 2, 48000, 2, 0},
		{av.Opus, 16000, 1, 48000, 1, 0},
	} {
		tr := track(c.codec)
		tr.SampleRate, tr.Channels, tr.Timescale = c.rate, c.channels, int64(c.rate)
		got := mustInit(t, &av.Config{Audio: tr}).tracks[0]
		rate, channels := int(be.Uint32(got.fixed[24:])>>16), int(be.Uint16(got.fixed[16:]))
		if rate != c.wantRate || channels != c.wantChanel || int(got.timescale) != c.rate {
			t.Errorf("%v at %d Hz: entry has %d Hz, %d channels", c.codec, c.rate, rate, channels)
		}
		if esds := got.box("esds"); esds != nil && esds[17] != c.object {
			t.Errorf("%v at %d Hz: object type %#x, want %#x", c.codec, c.rate, esds[17], c.object)
		}
	}
}

func TestInitBrandOfAV1(t *testing.T) {
	b, err := Init(tracks(av.AV1, av.Opus))
	if err != nil || !bytes.HasPrefix(b[4:], []byte("ftypiso6\x00\x00\x00\x00iso6mp41av01")) {
		t.Errorf("begins with %q, error %v", b[:28], err)
	}
}

func TestInitErrors(t *testing.T) {
	change := func(codec av.Codec, f func(*av.Track)) *av.Config {
		c := tracks(av.H264, av.AAC)
		tr := track(codec)
		f(tr)
		if tr.Width > 0 || tr.Height > 0 {
			c.Video = tr
		} else {
			c.Audio = tr
		}
		return c
	}
	noRecord := func(tr *av.Track) { tr.Record = nil }
	cut := func(n int) func(*av.Track) { return func(tr *av.Track) { tr.Record = tr.Record[:n] } }
	for name, c := range map[string]*av.Config{
		"nil":                     nil,
		"no track":                {},
		"audio codec for video":   {Video: track(av.AAC)},
		"video codec for audio":   {Audio: track(av.H264)},
		"unknown codec":           change(av.H264, func(tr *av.Track) { tr.Codec = 0 }),
		"no avcC":                 change(av.H264, noRecord),
		"no vpcC":                 change(av.VP9, noRecord),
		"no AudioSpecificConfig":  change(av.AAC, noRecord),
		"no width":                change(av.H264, func(tr *av.Track) { tr.Width = 0 }),
		"too high":                change(av.H264, func(tr *av.Track) { tr.Height = 1 << 16 }),
		"other video clock":       change(av.H264, func(tr *av.Track) { tr.Timescale = 1000 }),
		"no audio clock":          change(av.AAC, func(tr *av.Track) { tr.Timescale = 0 }),
		"impossible clock":        change(av.AAC, func(tr *av.Track) { tr.Timescale = 1 << 32 }),
		"no sampling rate":        change(av.AAC, func(tr *av.Track) { tr.SampleRate = 0 }),
		"Opus without signature":  change(av.Opus, func(tr *av.Track) { tr.Record = tr.Record[8:] }),
		"Opus cut":                change(av.Opus, cut(18)),
		"Opus mapping cut":        change(av.Opus, func(tr *av.Track) { tr.Record = append(bytes.Clone(tr.Record[:18]), 1, 2, 0, 0) }),
		"FLAC cut":                change(av.FLAC, cut(33)),
		"AC-3 cut":                change(av.AC3, cut(2)),
		"E-AC-3 cut":              change(av.EAC3, cut(4)),
		"E-AC-3 without its box":  change(av.EAC3, noRecord),
		"FLAC without its record": change(av.FLAC, noRecord),
	} {
		if b, err := Init(c); err == nil || b != nil {
			t.Errorf("%s: %d bytes, error %v", name, len(b), err)
		}
	}
}
