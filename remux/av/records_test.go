package av

import (
	"encoding/hex"
	"strings"
	"testing"
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

// videoRecord is a decoder configuration record as FFmpeg 5.1 has muxed it, and
// what ffprobe says of the file it came from. Codec strings of H.264 and AV1 are
// those of FFmpeg's DASH muxer.
type videoRecord struct {
	name   string
	codec  Codec
	record string
	want   Track // Width, Height, FrameRate, Transfer, LengthSize, String
	units  []int // lengths of the parameter sets
}

var videoRecords = []videoRecord{
	{"x264 1080p29.97 baseline", H264, "0142c028ffe100176742c028da01e0089f97011000003e90000ea600f1832a01000468ce0fc8",
		Track{Width: 1920, Height: 1080, FrameRate: 30000.0 / 1001, LengthSize: 4, String: "avc1.42c028"}, []int{23, 4}},
	{"x264 720p30 high", H264, "0164001fffe1001a6764001facd9405005bb0110000003001000000303c0f183196001000468ef8fcbfdf8f800",
		Track{Width: 1280, Height: 720, FrameRate: 30, LengthSize: 4, String: "avc1.64001f"}, []int{26, 4}},
	{"x264 360p25 baseline", H264, "0142c01effe100196742c01ed900a02ff97011000003000100000300320f162e4801000568cb83cb20",
		Track{Width: 640, Height: 360, FrameRate: 25, LengthSize: 4, String: "avc1.42c01e"}, []int{25, 5}},
	{"x264 4:4:4, cropped on all sides", H264, "01f4002affe1001a67f4002a91968078022796370110000003001000000780f1832a01000568ce0f1920fff8f800",
		Track{Width: 1916, Height: 1076, FrameRate: 60, LengthSize: 4, String: "avc1.f4002a"}, []int{26, 5}},
	{"x264 full range, cropped", H264, "0164002affe1001a6764002af2d00f0044f71780b640000003004000001903c60ca801000468ce0fc8fcf8f800",
		Track{Width: 1918, Height: 1078, FrameRate: 50, LengthSize: 4, String: "avc1.64002a"}, []int{26, 4}},
	{"x264 4:2:2 10 bit interlaced with HRD", H264, "017a001fffe10024677a001fb6ce80b420fc76022000000300200000078c08001e848003d09498401f162ea001000468de0fc8fefafa00",
		Track{Width: 720, Height: 486, FrameRate: 30, LengthSize: 4, String: "avc1.7a001f"}, []int{36, 4}},
	{"x264 2160p60 PQ", H264, "016e0034ffe1001e676e0034a6cb401e0021f602d4244025000003000100000300780f1832a001000468ce0fc8fdfafa00",
		Track{Width: 3840, Height: 2160, FrameRate: 60, Transfer: 16, LengthSize: 4, String: "avc1.6e0034"}, []int{30, 4}},
	{"x264 on a millisecond clock", H264, "0142c02affe100166742c02ada0507ec044000000300400001f403c60ca801000468ce0fc8",
		Track{Width: 320, Height: 240, LengthSize: 4, String: "avc1.42c02a"}, []int{22, 4}}, // ffprobe: 1000/1, which is the clock

	{"x265 1080p29.97", HEVC, "01016000000090000000000078f000fcfdf8f800000f03a00001001840010c01ffff016000000300900000030000030078959409a10001002a420101016000000300900000030000030078a003c0801107cb965654a4c2f01680800001f480003a9804a2000100064401c073c189",
		Track{Width: 1920, Height: 1080, FrameRate: 30000.0 / 1001, LengthSize: 4, String: "hvc1.1.6.L120.90"}, []int{24, 42, 6}},
	{"x265 720p25 10 bit HLG, high tier", HEVC, "01222000000090000000000099f000fcfdfafa00000f03a00001001840010c01ffff222000000300900000030000030099959409a10001002e420101222000000300900000030000030099a00280802d136595952930bc05a84890482000000300200000030321a2000100064401c073c189",
		Track{Width: 1280, Height: 720, FrameRate: 25, Transfer: 18, LengthSize: 4, String: "hvc1.2.4.H153.90"}, []int{24, 46, 6}},
	{"x265 4:2:2 10 bit, cropped, two temporal layers", HEVC, "0104080000009d08000000005af000fcfefafa00001303a00001001b40010c02ffff0408000003009d0800000300005a00009598acc048a10001002e4201020408000003009d0800000300005a0000b005120171c93b659598acd249caf0168080000003008000001904a2000100074401c172b46240",
		Track{Width: 642, Height: 362, FrameRate: 50, LengthSize: 4, String: "hvc1.4.10.L90.9D.8"}, []int{27, 46, 7}},
	{"x265 4:4:4 intra with HRD and SEI", HEVC, "0104080000009e28000000003ff000fcfff8f800000f04a00001001740010c01ffff0408000003009e2800000300003fba0240a1000100344201010408000003009e2800000300003f9000a0402e3e272dd25261780b40400000030040000006580321978007a10001e84880a2000100084401c0731830189027000100064e0181010f80",
		Track{Width: 640, Height: 360, FrameRate: 25, LengthSize: 4, String: "hvc1.4.10.L63.9E.28"}, []int{23, 52, 8}},

	{"SVT-AV1 720p", AV1, "81050c000a0b0000002d4cffb3c02f8004",
		Track{Width: 1280, Height: 720, Transfer: 0, String: "av01.0.05M.08"}, nil},
	{"SVT-AV1 720p30 with timing", AV1, "81050c000a140400000004000000f28000016a67fd9e017c0020",
		Track{Width: 1280, Height: 720, FrameRate: 30, String: "av01.0.05M.08"}, nil},
	{"libaom 10 bit PQ", AV1, "81014c000a0e0000000cc5036936be5424402410",
		Track{Width: 642, Height: 362, Transfer: 16, String: "av01.0.01M.10"}, nil},
	{"libaom 4:4:4", AV1, "812100000a0b2000000cc4ff6736be4080",
		Track{Width: 640, Height: 360, String: "av01.1.01M.08"}, nil},
	{"rav1e, level 31", AV1, "811f0c000a0e000000fa627fb38842a204040428",
		Track{Width: 640, Height: 360, Transfer: 2, String: "av01.0.31M.08"}, nil},
	{"av1C without sequence header", AV1, "81050c00", Track{String: "av01.0.05M.08"}, nil},
	{"av1C without sequence header, 12 bit, high tier", AV1, "8148e000", Track{String: "av01.2.08H.12"}, nil},

	{"libvpx as in a vpcC box", VP9, "01000000 001f820202020000",
		Track{Transfer: 2, String: "vp09.00.31.08"}, nil},
	{"libvpx 10 bit PQ", VP9, "0215a20210020000",
		Track{Transfer: 16, String: "vp09.02.21.10"}, nil},
	{"level not known", VP9, "0000820202020000",
		Track{Transfer: 2, String: "vp09.00.10.08"}, nil},
}

// audioRecord is what stands in front of an audio stream, likewise.
type audioRecord struct {
	name   string
	codec  Codec
	data   string
	want   Track  // Timescale, SampleRate, Channels, FrameSamples, String
	record string // "": data itself; "-": none
}

func audio(s string, clock int64, rate, channels, frame int) Track {
	return Track{Timescale: clock, SampleRate: rate, Channels: channels, FrameSamples: frame, String: s}
}

var audioRecords = []audioRecord{
	{"AAC-LC stereo", AAC, "119056e500", audio("mp4a.40.2", 48000, 48000, 2, 1024), ""},
	{"AAC-LC mono, two bytes", AAC, "1208", audio("mp4a.40.2", 44100, 44100, 1, 1024), ""},
	{"AAC-LC 5.1", AAC, "11b056e500", audio("mp4a.40.2", 48000, 48000, 6, 1024), ""},
	{"AAC-LC 7.1", AAC, "11b856e500", audio("mp4a.40.2", 48000, 48000, 8, 1024), ""},
	{"AAC-LC 2.1 by program config element", AAC, "118004c4010020000d4c61766335392e33372e31303056e500", audio("mp4a.40.2", 48000, 48000, 3, 1024), ""},
	{"AAC Main", AAC, "098856e500", audio("mp4a.40.1", 48000, 48000, 1, 1024), ""},
	{"AAC-LTP", AAC, "218856e500", audio("mp4a.40.4", 48000, 48000, 1, 1024), ""},
	{"AAC-LC at 24 kHz, SBR not signalled", AAC, "1310", audio("mp4a.40.2", 24000, 24000, 2, 1024), ""},
	{"SBR present flag 0", AAC, "139056e500", audio("mp4a.40.2", 22050, 22050, 2, 1024), ""},
	{"HE-AAC, hierarchical", AAC, "2b118800", audio("mp4a.40.5", 24000, 48000, 2, 1024), ""},
	{"HE-AAC, hierarchical 22.05", AAC, "2b920800", audio("mp4a.40.5", 22050, 44100, 2, 1024), ""},
	{"HE-AAC, backward compatible", AAC, "131056e598", audio("mp4a.40.5", 24000, 48000, 2, 1024), ""},
	{"HE-AAC, backward compatible 22.05", AAC, "139056e5a0", audio("mp4a.40.5", 22050, 44100, 2, 1024), ""},
	{"HE-AACv2, hierarchical", AAC, "eb098800", audio("mp4a.40.29", 24000, 48000, 2, 1024), ""},
	{"HE-AACv2, hierarchical 22.05", AAC, "eb8a0800", audio("mp4a.40.29", 22050, 44100, 2, 1024), ""},
	{"HE-AACv2, backward compatible", AAC, "130856e59d4880", audio("mp4a.40.29", 24000, 48000, 2, 1024), ""},
	{"HE-AAC, PS flag 0", AAC, "130856e59d4800", audio("mp4a.40.5", 24000, 48000, 1, 1024), ""},
	{"AAC-LC, rate written out", AAC, "17802ee010", audio("mp4a.40.2", 24000, 24000, 2, 1024), ""},
	{"AAC-LC, frames of 960", AAC, "1194", audio("mp4a.40.2", 48000, 48000, 2, 960), ""},

	{"LAME 44.1", MP3, "fffb90640000026b", audio("mp4a.40.34", 44100, 44100, 2, 1152), "-"},
	{"LAME 22.05 mono", MP3, "fff340c400133062", audio("mp4a.40.34", 22050, 22050, 1, 576), "-"},
	{"LAME 11.025 mono (MPEG-2.5)", MP3, "ffe320c400125002", audio("mp4a.40.34", 11025, 11025, 1, 576), "-"},

	{"libopus stereo", Opus, "4f707573486561640102380180bb0000000000", audio("Opus", 48000, 48000, 2, 960), ""},
	{"libopus 5.1", Opus, "4f707573486561640106380180bb00000000010402000401020305", audio("Opus", 48000, 48000, 6, 960), ""},

	{"FLAC 44.1 as a file begins", FLAC, "664c6143 00000022 1200120000046d0005080ac442f0000033ae36567c6137e8d578c431ed191fd85ff5",
		audio("fLaC", 44100, 44100, 2, 4608), "1200120000046d0005080ac442f0000033ae36567c6137e8d578c431ed191fd85ff5"},
	{"FLAC 96 mono behind a block header", FLAC, "80000022 2000200000049c0008941770017000007080a60464d9430a1a0eee6bc12a3622deb0",
		audio("fLaC", 96000, 96000, 1, 8192), "2000200000049c0008941770017000007080a60464d9430a1a0eee6bc12a3622deb0"},
	{"FLAC, STREAMINFO alone", FLAC, "2000200000049c0008941770017000007080a60464d9430a1a0eee6bc12a3622deb0",
		audio("fLaC", 96000, 96000, 1, 8192), ""},

	// The records are those of the dac3 and dec3 boxes that FFmpeg has made from
	// the same frames.
	{"AC-3 5.1", AC3, "0b77b50b1e40ebf8403eff99ff0841fc", audio("ac-3", 48000, 48000, 6, 1536), "103de0"},
	{"AC-3 5.1 at 44.1", AC3, "0b770dce5e40ebf8403eff9dffc2107f", audio("ac-3", 44100, 44100, 6, 1536), "503de0"},
	{"AC-3 stereo", AC3, "0b77fe95144043e106f46370c0c0c218", audio("ac-3", 48000, 48000, 2, 1536), "101140"},
	{"E-AC-3 5.1", EAC3, "0b77037f3f87c00020f8200002002004", audio("ec-3", 48000, 48000, 6, 1536), "0e00200f00"},
	{"E-AC-3 stereo", EAC3, "0b77017f3487c0002084210838008c06", audio("ec-3", 48000, 48000, 2, 1536), "0600200400"},
}
