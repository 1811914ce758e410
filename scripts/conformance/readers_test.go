package conformance

import (
	"bytes"
	"encoding/binary"
	"slices"
	"testing"
)

// tsTables is PAT and PMT with H.264 on PID 256 and ADTS on 257, as ffmpeg 5.1
// writes them with -mpegts_flags resend_headers, its stuffing left out.
var tsTables = slices.Concat(
	tsPacket(0, 0x40, 0x10, []byte{0, 0, 0xb0, 0x0d, 0, 1, 0xc1, 0, 0, 0, 1, 0xf0, 0, 0x2a, 0xb1, 0x04, 0xb2}),
	tsPacket(4096, 0x40, 0x10, []byte{0, 2, 0xb0, 0x17, 0, 1, 0xc1, 0, 0, 0xe1, 0, 0xf0, 0, 0x1b, 0xe1, 0, 0xf0, 0, 0x0f, 0xe1, 1, 0xf0, 0, 0x2f, 0x44, 0xb9, 0x9b}),
)

func tsPacket(pid int, flags, control byte, payload []byte) []byte {
	p := []byte{0x47, flags | byte(pid>>8), byte(pid), control}
	p = append(p, payload...)
	return append(p, bytes.Repeat([]byte{0xff}, packetSize-len(p))...)
}

func TestReadTS(t *testing.T) {
	// an adaptation field with PCR 63000 and random_access_indicator, then a PES
	// packet of no announced length with PTS 132000 and DTS 126000
	picture := []byte{183 - 25, 0x50, 0, 0, 0x7b, 0x0c, 0x7e, 0}
	picture = append(picture, bytes.Repeat([]byte{0xff}, 183-25-7)...)
	picture = append(picture, 0, 0, 1, 0xe0, 0, 0, 0x80, 0xc0, 10, 0x31, 0, 9, 7, 0x41, 0x11, 0, 7, 0xd8, 0x61, 0, 0, 1, 9, 0xf0, 0x99)
	b := slices.Concat(tsTables, tsPacket(256, 0x40, 0x30, picture))
	ts := ReadTS(b)
	if len(ts.Problems) > 0 {
		t.Fatal(ts.Problems)
	}
	if ts.Programs != 1 || ts.PMTPID != 4096 || ts.PCRPID != 256 || ts.Streams[256] != typeH264 || ts.Streams[257] != typeADTS {
		t.Errorf("tables: %+v", ts)
	}
	if p := ts.Packets[2]; p.PCR != 63000*300 || !p.RandomAccess {
		t.Errorf("packet %+v", p)
	}
	if len(ts.PES) != 1 || ts.PES[0].PTS != 132000 || ts.PES[0].DTS != 126000 || !bytes.Equal(ts.PES[0].Payload, []byte{0, 0, 1, 9, 0xf0, 0x99}) {
		t.Errorf("PES %+v", ts.PES[0])
	}
	for _, test := range []struct {
		at   int
		flip byte
		rule string
	}{
		{2 * packetSize, 1, "ts.packets"},                     // sync byte
		{2*packetSize + 1, 0x80, "ts.packets"},                // transport_error_indicator
		{2*packetSize + 4, 0x40, "ts.packets"},                // adaptation_field_length
		{packetSize + 4 + 10, 1, "ts.tables"},                 // in the PMT
		{2*packetSize + 1, 0x40, "ts.straddle"},               // payload_unit_start_indicator
		{2*packetSize + 2, 0x20, "ts.tables"},                 // PID
		{2*packetSize + 4 + 183 - 25 + 1 + 2, 1, "ts.pes"},    // start code
		{2*packetSize + 4 + 183 - 25 + 1 + 7, 0x80, "ts.pes"}, // PTS_DTS_flags
		{2*packetSize + 4 + 183 - 25 + 1 + 8, 0xf0, "ts.pes"}, // PES_header_data_length
	} {
		damaged := bytes.Clone(b)
		damaged[test.at] ^= test.flip
		if ts := ReadTS(damaged); !slices.ContainsFunc(ts.Problems, func(p Problem) bool { return p.Rule == test.rule }) {
			t.Errorf("byte %d: %v, want %s", test.at, ts.Problems, test.rule)
		}
	}
}

func TestSince(t *testing.T) {
	const wrap = 1 << 33
	for _, test := range [][3]int64{{10, 3, 7}, {3, 10, -7}, {5, wrap - 5, 10}, {wrap - 5, 5, -10}, {0, 0, 0}} {
		if got := since(test[0], test[1]); got != test[2] {
			t.Errorf("%d since %d: %d", test[0], test[1], got)
		}
	}
	b := make([]byte, 5)
	for _, at := range []int64{0, 1, 126000, wrap - 1, 1<<32 + 12345} {
		if setTimestamp(b, at); timestamp(b) != at {
			t.Errorf("%d is read as %d", at, timestamp(b))
		}
	}
}

func mp4Box(typ string, parts ...[]byte) []byte {
	body := slices.Concat(parts...)
	return slices.Concat(binary.BigEndian.AppendUint32(nil, uint32(8+len(body))), []byte(typ), body)
}

// goodFragment has a video run of two samples and one of sound.
func goodFragment() []byte {
	moof := func(at int) []byte {
		off := func(n int) []byte { return binary.BigEndian.AppendUint32(nil, uint32(at+8+n)) }
		return mp4Box("moof",
			mp4Box("mfhd", []byte{0, 0, 0, 0, 0, 0, 0, 7}),
			mp4Box("traf",
				mp4Box("tfhd", []byte{0, 2, 0, 0x28, 0, 0, 0, 1, 0, 0, 0x0b, 0xb8, 0, 1, 0, 0}),
				mp4Box("tfdt", []byte{1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x17, 0x70}),
				mp4Box("trun", []byte{1, 0, 0x0a, 0x05, 0, 0, 0, 2}, off(0), []byte{2, 0, 0, 0},
					[]byte{0, 0, 0, 3, 0, 0, 0x17, 0x70}, []byte{0, 0, 0, 2, 0xff, 0xff, 0xf4, 0x48})),
			mp4Box("traf",
				mp4Box("tfhd", []byte{0, 2, 0, 0x38, 0, 0, 0, 2, 0, 0, 4, 0, 0, 0, 0, 1, 2, 0, 0, 0}),
				mp4Box("tfdt", []byte{0, 0, 0, 0, 0, 0, 0, 100}),
				mp4Box("trun", []byte{0, 0, 0, 1, 0, 0, 0, 1}, off(5))))
	}
	return append(moof(len(moof(0))), mp4Box("mdat", []byte{1, 2, 3, 4, 5, 6})...)
}

func TestReadMP4(t *testing.T) {
	b := goodFragment()
	m := ReadMP4(b)
	if len(m.Problems) > 0 || len(m.Fragments) != 1 || len(m.Fragments[0].Runs) != 2 {
		t.Fatalf("%+v", m)
	}
	f := m.Fragments[0]
	v, a := f.Runs[0], f.Runs[1]
	if f.Sequence != 7 || v.Time != 6000 || v.End() != 12000 || !v.BaseIsMoof || a.Time != 100 || a.End() != 1124 {
		t.Errorf("%+v, %+v", v, a)
	}
	if s := v.Samples[0]; !s.Sync() || s.Composition != 6000 || !bytes.Equal(s.Data, []byte{1, 2, 3}) {
		t.Errorf("%+v", s)
	}
	if s := v.Samples[1]; s.Sync() || s.Composition != -3000 || !bytes.Equal(s.Data, []byte{4, 5}) {
		t.Errorf("%+v", s)
	}
	if !bytes.Equal(a.Samples[0].Data, []byte{6}) || !a.Samples[0].Sync() {
		t.Errorf("%+v", a.Samples[0])
	}
	at := len(b)
	shiftedBack := bytes.Clone(b)
	copy(shiftedBack[v.TimeAt:], []byte{0, 0, 0, 0, 0, 0, 0, 9})
	if got := ReadMP4(shiftedBack).Fragments[0].Runs[0].Time; got != 9 {
		t.Errorf("TimeAt is not where the time stands: %d", got)
	}
	for _, cut := range []int{at - 1, at - 6, at - 14, 30, 7, 0} {
		if m := ReadMP4(b[:cut]); len(m.Problems) == 0 {
			t.Errorf("%d of %d bytes pass", cut, at)
		}
	}
}

func TestReadInit(t *testing.T) {
	full := func(n int) []byte { return make([]byte, n) }
	b := slices.Concat(mp4Box("ftyp", []byte("iso6\x00\x00\x00\x00iso6mp41")),
		mp4Box("moov", mp4Box("mvhd", full(100)),
			mp4Box("trak", mp4Box("tkhd", []byte{0, 0, 0, 3}, full(8), []byte{0, 0, 0, 1}, full(68)),
				mp4Box("mdia", mp4Box("mdhd", full(12), []byte{0, 1, 0x5f, 0x90}, full(8)), mp4Box("hdlr", full(8), []byte("vide"), full(13)),
					mp4Box("minf", mp4Box("stbl", mp4Box("stts", full(8)), mp4Box("stsz", full(12)),
						mp4Box("stsd", []byte{0, 0, 0, 0, 0, 0, 0, 1}, mp4Box("avc1", full(24), []byte{1, 64, 0, 180}, full(50), mp4Box("avcC", []byte{1, 100, 0, 31, 0xff, 0xe0, 0}))))))),
			mp4Box("mvex", mp4Box("trex", full(4), []byte{0, 0, 0, 1}, full(16)))))
	i := ReadInit(b)
	if len(i.Problems) > 0 || len(i.Tracks) != 1 || !slices.Equal(i.Brands, []string{"iso6", "iso6", "mp41"}) || !i.Extends[1] {
		t.Fatalf("%+v", i)
	}
	v := i.Track("vide")
	if v == nil || v.ID != 1 || v.Timescale != 90000 || v.Entry != "avc1" || v.Width != 320 || v.Height != 180 || v.LengthSize != 4 || v.Samples != 0 {
		t.Errorf("%+v", v)
	}
}

func TestReadADTS(t *testing.T) {
	frame := []byte{0xff, 0xf1, 0x50, 0x80, 1, 0x3f, 0xfc, 1, 2} // AAC LC, 44.1 kHz, stereo, 9 bytes
	a, n, err := readADTS(slices.Concat(frame, frame))
	if err != nil || n != 2 || a != (adts{2, 44100, 2}) {
		t.Errorf("%v, %d frames, %v", a, n, err)
	}
	if _, _, err := readADTS(frame[:8]); err == nil {
		t.Error("a frame that is cut short passes")
	}
}

// FuzzReaders: whatever a server sends, the readers return.
func FuzzReaders(f *testing.F) {
	f.Add([]byte(goodMedia))
	f.Add(tsTables)
	f.Add(goodFragment())
	f.Fuzz(func(t *testing.T, b []byte) {
		ParseMedia(b)
		ParseMultivariant(b)
		ReadTS(b)
		ReadMP4(b)
		ReadInit(b)
		_, _, _ = readADTS(b)
		_, _, _ = readAMF(b)
		for _, entry := range []string{"avc1", "hvc1", "av01", "mp4a", "Opus", "vp09"} {
			track := &MP4Track{Entry: entry, Boxes: map[string][]byte{"avcC": b, "hvcC": b, "av1C": b, "esds": b, "dOps": b}, LengthSize: 4}
			_, _ = track.sync(b)
			_ = track.complete()
			_, _, _ = track.codec()
		}
	})
}
