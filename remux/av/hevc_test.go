package av

import (
	"bytes"
	"slices"
	"strings"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
)

// hvcC puts units into a record, each in an array of its own.
func hvcC(units ...[]byte) []byte {
	record := append(make([]byte, hvccHeader-2), 3, byte(len(units)))
	record[0] = 1
	for _, u := range units {
		record = append(record, u[0]>>1&63, 0, 1, byte(len(u)>>8), byte(len(u)))
		record = append(record, u...)
	}
	return record
}

// withSPS builds the track of a record whose SPS edit has changed, unescaped.
func withSPS(t *testing.T, record string, edit func(raw []byte) []byte) *Track {
	t.Helper()
	whole, err := NewVideoTrack(HEVC, unhex(t, record))
	if err != nil {
		t.Fatal(err)
	}
	sps := escape(edit(h264.EmulationPreventionRemove(whole.ParameterSets[1])))
	got, err := NewVideoTrack(HEVC, hvcC(whole.ParameterSets[0], sps, whole.ParameterSets[2]))
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func hevcRecord(t *testing.T, name string) videoRecord {
	t.Helper()
	i := slices.IndexFunc(videoRecords, func(r videoRecord) bool { return r.codec == HEVC && strings.HasPrefix(r.name, name) })
	if i < 0 {
		t.Fatalf("no record %q", name)
	}
	return videoRecords[i]
}

func TestHEVCSubLayerProfiles(t *testing.T) {
	two := hevcRecord(t, "x265 4:2:2")
	profile, level := bytes.Repeat([]byte{0}, 11), []byte{60}
	for _, c := range []struct {
		name   string
		flags  byte
		insert [][]byte
	}{
		{"profile and level", 0b11 << 6, [][]byte{profile, level}},
		{"profile", 0b10 << 6, [][]byte{profile}},
		{"level", 0b01 << 6, [][]byte{level}},
		{"neither", 0, nil},
	} {
		got := withSPS(t, two.record, func(raw []byte) []byte {
			at := ptlStart + ptlGeneral
			return slices.Concat(raw[:at], []byte{c.flags, 0}, slices.Concat(c.insert...), raw[at+ptlSubFlags:])
		})
		if got.Width != two.want.Width || got.Height != two.want.Height || got.FrameRate != two.want.FrameRate || got.String != two.want.String {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
}

// Long-term reference pictures in the SPS cost the frame rate and nothing more.
func TestHEVCLongTermPictures(t *testing.T) {
	rec := hevcRecord(t, "x265 1080p")
	got := withSPS(t, rec.record, func(raw []byte) []byte {
		const flagAt = 215 // long_term_ref_pics_present_flag, as FFmpeg's trace_headers says
		b := toBits(raw)
		if b[flagAt] != '0' {
			t.Fatal("the flag is set already")
		}
		// One picture: num_long_term_ref_pics_sps, lt_ref_pic_poc_lsb_sps, used_by_curr_pic_lt_sps_flag.
		return fromBits(b[:flagAt] + "1" + "010" + "00000001" + "1" + b[flagAt+1:])
	})
	if got.Width != 1920 || got.Height != 1080 || got.FrameRate != 0 || got.String != rec.want.String {
		t.Errorf("%+v", got)
	}
}

func TestHEVCString(t *testing.T) {
	for want, ptl := range map[string]string{
		"hvc1.1.6.L93.B0":             "01 60000000 b00000000000 5d",
		"hvc1.2.4.L153":               "02 20000000 000000000000 99",
		"hvc1.A4.41.H120.B0.23":       "64 82000000 b02300000000 78",
		"hvc1.C31.FFFFFFFF.L255.0.1":  "df ffffffff 000100000000 ff",
		"hvc1.1.6.L30.1.2.3.4.5.FF":   "01 60000000 0102030405ff 1e",
		"hvc1.B1.80000000.L0.0.0.0.C": "81 00000001 0000000c0000 00",
	} {
		if got := hevcString(unhex(t, ptl)); got != want {
			t.Errorf("%s: %s, want %s", ptl, got, want)
		}
	}
}

func TestEscape(t *testing.T) {
	for raw, want := range map[string]string{
		"": "", "00": "00", "0000": "0000", "000004": "000004",
		"000000": "00000300", "000001": "00000301", "000003": "00000303",
		"0000000000": "00000300000300", "01000002ff": "0100000302ff",
	} {
		if got := escape(unhex(t, raw)); !bytes.Equal(got, unhex(t, want)) {
			t.Errorf("escape(%s) = %x, want %s", raw, got, want)
		}
	}
}

func TestHEVCTooManyParameterSets(t *testing.T) {
	whole, err := NewVideoTrack(HEVC, unhex(t, hevcRecord(t, "x265 1080p").record))
	if err != nil {
		t.Fatal(err)
	}
	vps, sps, pps := whole.ParameterSets[0], whole.ParameterSets[1], whole.ParameterSets[2]
	many := func(n int, unit []byte, rest ...[]byte) []byte {
		return hvcC(append(slices.Repeat([][]byte{unit}, n), rest...)...)
	}
	if _, err := NewVideoTrack(HEVC, many(32, sps, vps, pps)); err != nil {
		t.Errorf("32 SPS: %v", err)
	}
	_, err = NewVideoTrack(HEVC, many(33, sps, vps, pps))
	checkRefusal(t, "33 SPS", err, ErrMalformed, "too many")
	_, err = NewVideoTrack(HEVC, many(33, vps, sps, pps))
	checkRefusal(t, "33 VPS", err, ErrMalformed, "too many")
	list := slices.Concat(hvcC(vps, sps), []byte{hevcPPS, 1, 1}) // 257 in one array
	list[hvccHeader-1] = 3
	for range 257 {
		list = append(list, 0, 2, hevcPPS<<1, 1)
	}
	_, err = NewVideoTrack(HEVC, list)
	checkRefusal(t, "257 PPS", err, ErrMalformed, "too many")
}
