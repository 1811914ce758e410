package av

import (
	"bytes"
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"testing"
)

func TestNALUnits(t *testing.T) {
	for _, c := range []struct {
		name string
		data string
		size int
		want []string
		err  bool
	}{
		{"two", "00000002 6588 00000001 06", 4, []string{"6588", "06"}, false},
		{"lengths of 2", "0002 6588 0001 06", 2, []string{"6588", "06"}, false},
		{"lengths of 1", "02 6588 01 06", 1, []string{"6588", "06"}, false},
		{"zero lengths are skipped", "00000000 00000001 65 00000000", 4, []string{"65"}, false},
		{"nothing", "", 4, nil, false},
		{"length cut", "00000001 65 000000", 4, []string{"65"}, true},
		{"unit cut", "00000001 65 00000002 06", 4, []string{"65"}, true},
		{"length of 2^32-1", "ffffffff 65", 4, nil, true},
	} {
		data := unhex(t, c.data)
		var got []string
		var failed error
		for unit, err := range NALUnits(data, c.size) {
			if failed != nil {
				t.Errorf("%s: more behind an error", c.name)
			}
			if err != nil {
				failed = err
				continue
			}
			got = append(got, hex.EncodeToString(unit))
			if cap(unit) != len(unit) {
				t.Errorf("%s: a unit has room to grow into the next", c.name)
			}
		}
		if !slices.Equal(got, c.want) || (failed != nil) != c.err || failed != nil && !errors.Is(failed, ErrMalformed) {
			t.Errorf("%s: %v, error %v", c.name, got, failed)
		}
	}
}

func TestNALUnitsBound(t *testing.T) {
	count := func(n int) (units int, failed error) {
		for _, err := range NALUnits(bytes.Repeat([]byte{0, 1, 9}, n), 2) {
			if err != nil {
				return units, err
			}
			units++
		}
		return units, nil
	}
	if n, err := count(1024); n != 1024 || err != nil {
		t.Errorf("1024 units: %d, %v", n, err)
	}
	if n, err := count(1025); n != 1024 || !errors.Is(err, ErrMalformed) {
		t.Errorf("1025 units: %d, %v", n, err)
	}
}

func TestHasKeyNALUnit(t *testing.T) {
	avc := &Track{Codec: H264, LengthSize: 4}
	hevc := &Track{Codec: HEVC, LengthSize: 4}
	for _, c := range []struct {
		name  string
		track *Track
		data  string
		want  bool
		err   bool
	}{
		{"IDR behind SEI", avc, "00000001 06 00000002 6588", true, false},
		{"IDR of nal_ref_idc 1", avc, "00000001 25", true, false},
		{"another slice", avc, "00000001 41", false, false},
		{"parameter sets alone", avc, "00000001 67 00000001 68", false, false},
		{"IDR in front of a cut unit", avc, "00000001 65 00000009 41", false, true},
		{"nothing", avc, "", false, false},
		{"BLA_W_LP", hevc, "00000002 2001", true, false},
		{"IDR_W_RADL", hevc, "00000002 2601", true, false},
		{"IDR_N_LP behind parameter sets", hevc, "00000002 4001 00000002 4201 00000002 2801", true, false},
		{"CRA", hevc, "00000002 2a01", true, false},
		{"reserved IRAP", hevc, "00000002 2c01", false, false},
		{"RASL_R", hevc, "00000002 1201", false, false},
		{"TRAIL_R", hevc, "00000002 0201", false, false},
		{"AV1 has none", &Track{Codec: AV1}, "1200", true, false},
	} {
		got, err := c.track.HasKeyNALUnit(unhex(t, c.data))
		if got != c.want || (err != nil) != c.err {
			t.Errorf("%s: %v, %v", c.name, got, err)
		}
	}
}

func TestIsRecoveryPoint(t *testing.T) {
	avc := &Track{Codec: H264, LengthSize: 4}
	for _, c := range []struct {
		name  string
		track *Track
		data  string
		want  bool
	}{
		{"recovery point of x264", avc, "00000005 06 06 01 c4 80 00000002 619a", true},
		{"recovery point behind other messages", avc, "0000000f 06 00 02 aabb 04 03 00000300 06 01 c4 80", true},
		{"recovery point behind a long message", avc, "00000107 06 05 ff00 " + strings.Repeat("ff", 255) + " 06 01 84 80", true},
		{"recovery after three pictures", avc, "00000005 06 06 01 24 80 00000002 619a", true},
		{"recovery point that is cut", avc, "00000003 06 06 01", false},
		{"recovery point of no bytes", avc, "00000003 06 06 00", false},
		{"message longer than its unit", avc, "00000006 06 05 09 06 01 c4", false},
		{"nothing but 255", avc, "00000004 06 ffffff", false},
		{"IDR", avc, "00000001 65", false},
		{"cut", avc, "00000009 06 06 01 c4 80", false},
		{"HEVC", &Track{Codec: HEVC, LengthSize: 4}, "00000005 06 06 01 c4 80", false},
		{"AV1", &Track{Codec: AV1}, "1200", false},
	} {
		if got := c.track.IsRecoveryPoint(unhex(t, c.data)); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
		if key, err := avc.HasKeyNALUnit(unhex(t, c.data)); err == nil && key && c.want {
			t.Errorf("%s: a key frame as well", c.name)
		}
	}
}

// A frame as x264 makes it for 1080p: a handful of units in 50 KB.
func bigFrame() []byte {
	var frame []byte
	for _, n := range []int{6, 700, 25000, 25000} {
		frame = append(frame, 0, 0, byte(n>>8), byte(n), 0x65)
		frame = append(frame, make([]byte, n-1)...)
	}
	return frame
}

func TestWalkingDoesNotAllocate(t *testing.T) {
	track, frame := &Track{Codec: H264, LengthSize: 4}, bigFrame()
	if n := testing.AllocsPerRun(100, func() {
		if key, err := track.HasKeyNALUnit(frame); !key || err != nil {
			t.Error(key, err)
		}
	}); n != 0 {
		t.Errorf("HasKeyNALUnit: %v allocations", n)
	}
	if n := testing.AllocsPerRun(100, func() {
		units := 0
		for range NALUnits(frame, 4) {
			units++
		}
		if units != 4 {
			t.Error(units)
		}
	}); n != 0 {
		t.Errorf("NALUnits: %v allocations", n)
	}
	opus, packet := &Track{Codec: Opus, SampleRate: 48000, FrameSamples: 960}, []byte{0xfc, 0}
	if n := testing.AllocsPerRun(100, func() { opus.Samples(packet) }); n != 0 {
		t.Errorf("Samples: %v allocations", n)
	}
}

func BenchmarkHasKeyNALUnit(b *testing.B) {
	track, frame := &Track{Codec: H264, LengthSize: 4}, bigFrame()
	b.ReportAllocs()
	for b.Loop() {
		_, _ = track.HasKeyNALUnit(frame)
	}
}
