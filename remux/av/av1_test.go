package av

import "testing"

// av1Sequence writes a sequence header with every optional part of its beginning
// (AV1 5.5.1), as hardware encoders do; FFmpeg's trace_headers reads it the same.
func av1Sequence(points int, timing, decoderModel, displayDelay bool) []byte {
	flag := func(b bool) uint64 {
		if b {
			return 1
		}
		return 0
	}
	b := &bitString{}
	b.put(3, 0).put(1, 0).put(1, 0) // seq_profile, still_picture, reduced_still_picture_header
	b.put(1, flag(timing))
	if timing {
		b.put(32, 1001).put(32, 60000).put(1, 1).put(3, 0b010) // 2 ticks a picture
		b.put(1, flag(decoderModel))
		if decoderModel {
			b.put(5, 9).put(32, 1).put(5, 9).put(5, 9) // delays of 10 bits
		}
	}
	b.put(1, flag(displayDelay))
	b.put(5, uint64(points-1))
	for i := range points {
		b.put(12, 0).put(5, uint64(9-i)) // idc, level
		if 9-i > 7 {
			b.put(1, 1) // tier
		}
		if decoderModel {
			b.put(1, 1).put(10, 100).put(10, 200).put(1, 0)
		}
		if displayDelay {
			b.put(1, 1).put(4, 3)
		}
	}
	b.put(4, 10).put(4, 10).put(11, 1919).put(11, 1079)
	b.put(1, 1).put(4, 3).put(3, 2)                      // frame ids
	b.put(3, 7).put(4, 15).put(1, 1).put(2, 3)           // tools, order hint
	b.put(1, 0).put(1, 1).put(1, 0).put(1, 0)            // screen content 1, integer mv 0
	b.put(3, 6).put(3, 7)                                // order hint bits, superres …
	b.put(1, 1).put(1, 0).put(1, 1)                      // 10 bit, colour, described
	b.put(8, 9).put(8, 18).put(8, 9).put(1, 0).put(2, 0) // BT.2020, HLG
	b.put(1, 0).put(1, 0).put(1, 1)                      // film grain, trailing bit
	return b.bytes()
}

func TestAV1HeaderOptions(t *testing.T) {
	for _, points := range []int{1, 3} {
		for mask := range 8 {
			timing, model, delay := mask&1 != 0, mask&2 != 0, mask&4 != 0
			if model && !timing {
				continue
			}
			unit := av1Sequence(points, timing, model, delay)
			record := append([]byte{0x81, 0x09, 0xcc, 0, 0x0a, byte(len(unit))}, unit...)
			got, err := NewVideoTrack(AV1, record)
			if err != nil {
				t.Errorf("%d points, timing %v, model %v, delay %v: %v", points, timing, model, delay, err)
				continue
			}
			rate := 0.0
			if timing {
				rate = 60000.0 / 1001 / 2
			}
			if got.Width != 1920 || got.Height != 1080 || got.String != "av01.0.09H.10" || got.Transfer != 18 || got.FrameRate != rate {
				t.Errorf("%d points, timing %v, model %v, delay %v: %+v", points, timing, model, delay, got)
			}
		}
	}
}

func TestFindSequenceHeader(t *testing.T) {
	for _, c := range []struct{ name, data, want string }{
		{"behind a temporal delimiter", "1200 0a02aabb 3200", "aabb"},
		{"with an extension", "0e 00 02 aabb", "aabb"},
		{"without a size", "08 aabb", "aabb"},
		{"size in more bytes than needed", "0a 828000 aabb", "aabb"},
		{"none", "1200 3201ff", ""},
		{"nothing", "", ""},
	} {
		got, err := findSequenceHeader(unhex(t, c.data))
		if err != nil || string(got) != string(unhex(t, c.want)) {
			t.Errorf("%s: %x, error %v, want %s", c.name, got, err, c.want)
		}
	}
	for _, data := range []string{"0a", "0a05aabb", "0e", "0a80", "1205"} {
		_, err := findSequenceHeader(unhex(t, data))
		checkRefusal(t, data, err, ErrMalformed, "cut")
	}
}
