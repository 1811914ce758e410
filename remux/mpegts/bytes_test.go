package mpegts

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"headwater/remux/av"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestCRC32(t *testing.T) {
	tests := []struct {
		data string
		want uint32
	}{
		{"", 0xffffffff},
		{"123456789", 0x0376e6e7}, // the check value of CRC-32/MPEG-2
		{"\x00\xb0\x0d\x00\x01\xc1\x00\x00\x00\x01\xf0\x00", 0x2ab104b2},
	}
	for _, test := range tests {
		if got := crc32([]byte(test.data)); got != test.want {
			t.Errorf("%x: %#x, want %#x", test.data, got, test.want)
		}
	}
}

// The sections are those of FFmpeg's muxer for the same streams with
// -tables_version set to ours.
func TestSections(t *testing.T) {
	if got, want := appendPAT(nil), unhex(t, "00b00d0001c100000001f0002ab104b2"); !bytes.Equal(got, want) {
		t.Errorf("PAT % x, want % x", got, want)
	}
	both := &av.Config{Video: videoTrack(), Audio: aacTrack(48000)}
	tests := []struct {
		name   string
		config *av.Config
		want   string
	}{
		{"H.264 and AAC", both, "02b017 0001c30000 e100f000 1be100f000 0fe101f000 00e2db21"},
		{"H.264", &av.Config{Video: videoTrack()}, "02b012 0001c10000 e100f000 1be100f000 15bd4d56"},
		{"AAC", &av.Config{Audio: aacTrack(48000)}, "02b012 0001d30000 e101f000 0fe101f000"},
		{"MP3, MPEG-1", &av.Config{Audio: audioTrack(av.MP3, 32000, 1152)}, "02b012 0001d50000 e101f000 03e101f000"},
		{"MP3, MPEG-2", &av.Config{Audio: audioTrack(av.MP3, 24000, 576)}, "02b012 0001d70000 e101f000 04e101f000"},
		{"AC-3", &av.Config{Audio: audioTrack(av.AC3, 48000, 1536)}, "02b018 0001d90000 e101f000 81e101f006 050441432d33"},
		{"E-AC-3", &av.Config{Audio: audioTrack(av.EAC3, 48000, 1536)}, "02b018 0001db0000 e101f000 87e101f006 050445414333"},
	}
	for _, test := range tests {
		p, err := newProgram(test.config)
		if err != nil {
			t.Fatalf("%s: %v", test.name, err)
		}
		got, want := appendPMT(nil, &p, p.version()), unhex(t, test.want)
		if !bytes.HasPrefix(got, want) || len(got) > len(want)+4 || crc32(got) != 0 {
			t.Errorf("%s: PMT % x, want % x", test.name, got, want)
		}
	}
}

// The section with a stream of metadata, and how little of a packet it fills.
func TestTimedSection(t *testing.T) {
	p, err := newProgram(&av.Config{Video: videoTrack(), Audio: audioTrack(av.EAC3, 48000, 1536)})
	if err != nil {
		t.Fatal(err)
	}
	p.metadata = true
	want := unhex(t, "02b042 0001eb0000 e100f011 250fffff49443320ff4944332000"+"1f0001"+
		"1be100f000 87e101f006050445414333 15e102f00f 260dffff49443320ff49443320000f")
	got := appendPMT(nil, &p, p.version())
	if !bytes.HasPrefix(got, want) || len(got) != len(want)+4 || crc32(got) != 0 {
		t.Errorf("PMT % x, want % x", got, want)
	}
}

// Each PMT has a version of its own.
func TestVersions(t *testing.T) {
	seen := map[byte]bool{}
	for _, video := range []*av.Track{nil, videoTrack()} {
		for _, audio := range []*av.Track{
			nil, aacTrack(48000), audioTrack(av.MP3, 44100, 1152), audioTrack(av.MP3, 22050, 576),
			audioTrack(av.AC3, 48000, 1536), audioTrack(av.EAC3, 48000, 1536),
		} {
			p, err := newProgram(&av.Config{Video: video, Audio: audio})
			if video == nil && audio == nil {
				continue
			}
			for _, p.metadata = range []bool{false, true} {
				if v := p.version(); err != nil || seen[v] || v > 31 {
					t.Errorf("%v %v: version %d, seen %v, %v", video, audio, v, seen[v], err)
				}
				seen[p.version()] = true
			}
		}
	}
}

func TestPCR(t *testing.T) {
	tests := []struct {
		base int64
		want string
	}{
		{0, "000000007e00"},
		{1, "00000000fe00"},
		{63000, "00007b0c7e00"}, // as FFmpeg writes 0.7 s
		{1<<33 - 1, "fffffffffe00"},
	}
	for _, test := range tests {
		if got := appendPCR(nil, test.base); !bytes.Equal(got, unhex(t, test.want)) {
			t.Errorf("%d: % x, want %s", test.base, got, test.want)
		}
	}
}

func TestPESHeader(t *testing.T) {
	tests := []struct {
		name string
		pes  pes
		want string
	}{
		{"PTS", pes{0xc0, 100, 126000, 126000}, "000001c0 006c 848005 210007d861"},
		{"PTS and DTS", pes{0xe0, 100, 133200, 126000}, "000001e0 0071 84c00a 31000910a1 110007d861"},
		{"0", pes{0xe0, 0, 0, 0}, "000001e0 0008 848005 2100010001"},
		{"all bits", pes{0xe0, 0, 1<<33 - 1, 1<<33 - 1}, "000001e0 0008 848005 2fffffffff"},
		{"wrapped", pes{0xe0, 0, 1<<33 + 1, 1 << 33}, "000001e0 000d 84c00a 3100010003 1100010001"},
		{"below 0", pes{0xe0, 0, -1, -1}, "000001e0 0008 848005 2fffffffff"},
		{"longest", pes{0xc0, 65527, 0, 0}, "000001c0 ffff 848005 2100010001"},
		{"too long", pes{0xe0, 65528, 0, 0}, "000001e0 0000 848005 2100010001"},
	}
	for _, test := range tests {
		got := test.pes.appendHeader(nil)
		if !bytes.Equal(got, unhex(t, test.want)) || len(got) != test.pes.headerLen() {
			t.Errorf("%s: % x, want %s", test.name, got, test.want)
		}
	}
}

func TestPackets(t *testing.T) {
	ff := func(n int) string { return strings.Repeat("ff", n) }
	aa := func(n int) string { return strings.Repeat("aa", n) }
	tests := []struct {
		name   string
		size   int
		pcr    int64
		random bool
		extra  int
		want   []string
	}{
		{"full", 184, noPCR, false, 0, []string{"4741001e" + aa(184)}},
		{"one byte short", 183, noPCR, false, 0, []string{"4741003e 00" + aa(183)}},
		{"two bytes short", 182, noPCR, false, 0, []string{"4741003e 0100" + aa(182)}},
		{"one byte over", 185, noPCR, false, 0, []string{"4741001e" + aa(184), "4701003f b600" + ff(181) + aa(1)}},
		{"random access", 182, noPCR, true, 0, []string{"4741003e 0140" + aa(182)}},
		{"PCR", 176, 63000, false, 0, []string{"4741003e 0710 00007b0c7e00" + aa(176)}},
		{"PCR, random access, short", 170, 63000, true, 0, []string{"4741003e 0d50 00007b0c7e00" + ff(6) + aa(170)}},
		{"PCR, over", 177, 63000, false, 0, []string{"4741003e 0710 00007b0c7e00" + aa(176), "4701003f b600" + ff(181) + aa(1)}},
		{"spread", 184, noPCR, false, 1, []string{"4741003e 00" + aa(183), "4701003f b600" + ff(181) + aa(1)}},
		{"spread with room", 170, 63000, true, 1, []string{"4741003e 0e50 00007b0c7e00" + ff(7) + aa(169), "4701003f b600" + ff(181) + aa(1)}},
	}
	for _, test := range tests {
		w := packetWriter{}
		w.counters[videoStream] = 14
		w.spread[videoStream] = spread{unit: 1, extra: test.extra}
		w.begin(videoStream, test.size, test.pcr, test.random)
		w.write(bytes.Repeat([]byte{0xaa}, test.size))
		if want := unhex(t, strings.Join(test.want, "")); !bytes.Equal(w.dst, want) || w.packets != len(want)/188 {
			t.Errorf("%s: % x, want % x", test.name, w.dst, want)
		}
	}
}

// However long the longest PES packet is and whatever else there is, the stream
// has a multiple of 16 packets, each with a payload, and none more than that
// takes; the header is in one piece where that can be.
func TestPlan(t *testing.T) {
	for size := 16; size < 3200; size++ {
		for others := range 16 {
			put := func(w *packetWriter, size int, pcr int64) (first int) {
				w.begin(videoStream, size, pcr, pcr != noPCR)
				if !w.dry {
					w.write(make([]byte, 1))
					first = 1 + w.room
					w.write(make([]byte, size-1))
				}
				return first
			}
			write := func(w *packetWriter) (first int) {
				for i := range others + 1 {
					if i == others/2 {
						first = put(w, size, 0)
					} else {
						put(w, 16, noPCR)
					}
				}
				return first
			}
			measure := packetWriter{dry: true}
			write(&measure)
			w := measure.planned(nil)
			room := cap(w.dst)
			first := write(&w)
			least := others + (size+8+183)/184
			if w.packets%16 != 0 || w.packets-least > 15 || len(w.dst) != w.packets*188 || cap(w.dst) != room {
				t.Fatalf("%d bytes and %d others: %d packets, %d bytes of %d", size, others, w.packets, len(w.dst), room)
			}
			if first < min(19, size-15) && size > 16 {
				t.Fatalf("%d bytes and %d others: %d of them in the first packet", size, others, first)
			}
		}
	}
}

func TestClockPacket(t *testing.T) {
	w := packetWriter{}
	w.clock(audioStream, 63000)
	want := unhex(t, "4701012f b710 00007b0c7e00"+strings.Repeat("ff", 176))
	if !bytes.Equal(w.dst, want) {
		t.Errorf("% x, want % x", w.dst, want)
	}
}

func TestTicks(t *testing.T) {
	tests := []struct{ t, timescale, want int64 }{
		{0, 48000, 0},
		{1024, 48000, 1920},
		{1024, 44100, 2090}, // 2089.80
		{2048, 44100, 4180}, // 4179.59
		{-1024, 48000, -1920},
		{-1, 44100, -2},
		{48000 << 40, 48000, 90000 << 40},
		{1_000_000, 1_000_000_000, 90},
		{-1_000_000, 1_000_000_000, -90},
		{41_708_333, 1_000_000_000, 3754},
	}
	for _, test := range tests {
		if got := ticks(test.t, test.timescale); got != test.want {
			t.Errorf("ticks(%d, %d) = %d, want %d", test.t, test.timescale, got, test.want)
		}
	}
}
