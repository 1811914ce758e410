package mpegts

import (
	"encoding/binary"
	"time"

	"headwater/remux/av"
)

// Parameter sets of a real encoder: x264, 128×72, High profile.
var (
	testSPS = []byte{0x67, 0x64, 0x00, 0x0a, 0xac, 0xd9, 0x42, 0x04, 0xfa, 0x10, 0x00, 0x00, 0x03, 0x00, 0x10, 0x00, 0x00, 0x03, 0x03, 0x20, 0xf1, 0x22, 0x59, 0x60}
	testPPS = []byte{0x68, 0xeb, 0xe3, 0xcb, 0x22, 0xc0}
)

func videoTrack() *av.Track {
	return &av.Track{Codec: av.H264, Timescale: 90000, LengthSize: 4, ParameterSets: [][]byte{testSPS, testPPS}}
}

// aacTrack is AAC-LC in stereo at 48000 or 44100 Hz.
func aacTrack(rate int) *av.Track {
	record := []byte{0x11, 0x90}
	if rate == 44100 {
		record = []byte{0x12, 0x10}
	}
	return &av.Track{Codec: av.AAC, Timescale: int64(rate), SampleRate: rate, Channels: 2, FrameSamples: 1024, Record: record}
}

func audioTrack(codec av.Codec, rate, frame int) *av.Track {
	return &av.Track{Codec: codec, Timescale: int64(rate), SampleRate: rate, Channels: 2, FrameSamples: frame}
}

// nals joins NAL units with 4-byte lengths.
func nals(units ...[]byte) []byte { return nalsSized(4, units...) }

func nalsSized(lengthSize int, units ...[]byte) []byte {
	var b []byte
	for _, u := range units {
		length := binary.BigEndian.AppendUint32(nil, uint32(len(u)))
		b = append(append(b, length[4-lengthSize:]...), u...)
	}
	return b
}

// slice is a NAL unit of that type and size that holds no start code.
func slice(header byte, size int) []byte {
	b := make([]byte, size)
	for i := range b {
		b[i] = byte(i%251) + 4
	}
	b[0] = header
	return b
}

// videoSample is one slice of that size, IDR if key is set, at a time on 90 kHz.
func videoSample(c *av.Config, at int64, key bool, size int) av.Frame {
	header := byte(0x41)
	if key {
		header = 0x65
	}
	return rawSample(c, av.Video, at, key, nals(slice(header, size)))
}

func audioSample(c *av.Config, at int64, size int) av.Frame {
	return rawSample(c, av.Audio, at, true, slice(0x21, size))
}

func rawSample(c *av.Config, kind av.Kind, at int64, key bool, data []byte) av.Frame {
	scale := int64(90000)
	if kind == av.Audio {
		scale = c.Audio.Timescale
	}
	dts := time.Duration(at/scale)*time.Second + time.Duration(at%scale)*time.Second/time.Duration(scale)
	return av.Frame{Kind: kind, Key: key, DTS: dts, Config: c, Data: data, Time: at}
}
