//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// packaged lets ffmpeg's own HLS muxer package a source and returns a finished
// player of the result.
func packaged(t *testing.T, src *source, fmp4 bool) *hlsPull {
	t.Helper()
	dir := t.TempDir()
	args := []string{"-copyts", "-i", src.file, "-c", "copy", "-f", "hls", "-hls_time", "2", "-hls_list_size", "0",
		"-hls_flags", "program_date_time+independent_segments", "-mpegts_flags", "+pat_pmt_at_frames", "-pcr_period", "20"}
	if fmp4 {
		args = append(args, "-hls_segment_type", "fmp4")
	}
	if _, err := ffmpeg(append(args, filepath.Join(dir, "index.m3u8"))...); err != nil {
		t.Fatal(err)
	}
	files := httptest.NewServer(http.FileServer(http.Dir(dir)))
	t.Cleanup(files.Close)
	p := pullHLS(t, files.URL+"/index.m3u8", fmp4)
	p.waitSegments(t, 5, 10*time.Second)
	p.finish(t, time.Second)
	return p
}

// TestSelfFollow holds ffmpeg's own packaging against the source, then damages
// it: what is whole passes, and each damage is noticed.
func TestSelfFollow(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	for _, fmp4 := range []bool{false, true} {
		p := packaged(t, src, fmp4)
		whole := p.join(t, 0, len(p.segments))
		tolerance := 100 * time.Microsecond
		if fmp4 {
			tolerance = time.Millisecond
		}
		if _, err := src.sent.video.follow(whole.video, tolerance); err != nil {
			t.Errorf("fmp4 %v: video: %v", fmp4, err)
		}
		if _, err := src.sent.audio.follow(whole.audio, 2*time.Millisecond); err != nil {
			t.Errorf("fmp4 %v: audio: %v", fmp4, err)
		}
		if err := decode(whole.file); err != nil {
			t.Errorf("fmp4 %v: %v", fmp4, err)
		}
		if n := len(whole.within(whole.video, 1)); n != 60 {
			t.Errorf("fmp4 %v: %d pictures in the second segment, want 60", fmp4, n)
		}

		gap := &hlsPull{url: p.url, fmp4: fmp4, inits: p.inits, segments: slices.Delete(slices.Clone(p.segments), 2, 3)}
		torn := gap.join(t, 0, len(gap.segments))
		if _, err := src.sent.video.follow(torn.video, tolerance); err == nil {
			t.Errorf("fmp4 %v: a missing segment is not noticed in the video", fmp4)
		}
		if _, err := src.sent.audio.follow(torn.audio, 2*time.Millisecond); err == nil {
			t.Errorf("fmp4 %v: a missing segment is not noticed in the audio", fmp4)
		}
		if errs := torn.checkCuts(); len(errs) == 0 {
			t.Errorf("fmp4 %v: a missing segment is not noticed in the durations", fmp4)
		}
	}
}

// TestSelfFollowTimes: one packet that is off by more than the tolerance.
func TestSelfFollowTimes(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	moved := slices.Clone(src.sent.video)
	moved[100].dts += 3 * time.Millisecond
	moved[100].pts += 3 * time.Millisecond
	if _, err := src.sent.video.follow(moved, time.Millisecond); err == nil {
		t.Error("a moved packet is not noticed")
	}
	moved = slices.Clone(src.sent.video)
	moved[100].pts += 3 * time.Millisecond
	if _, err := src.sent.video.follow(moved, time.Millisecond); err == nil {
		t.Error("a moved presentation time is not noticed")
	}
}

// TestSelfDecode: a damaged picture makes decode fail.
func TestSelfDecode(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	b, err := os.ReadFile(src.file)
	if err != nil {
		t.Fatal(err)
	}
	for i := len(b) / 2; i < len(b)/2+40_000; i += 97 {
		b[i] ^= 0x5a
	}
	file := filepath.Join(t.TempDir(), "damaged.flv")
	writeFile(t, file, b)
	if decode(file) == nil {
		t.Error("damage is not noticed")
	}
}

// TestSelfTS runs the transport stream checks over segments of ffmpeg with its
// SDT taken out, which break the rules in known ways only, and over damage.
func TestSelfTS(t *testing.T) {
	t.Parallel()
	p := packaged(t, sourceNamed(t, "bframes"), false)
	for i := range p.segments {
		p.segments[i].body = withoutPID(p.segments[i].body, 0x11)
	}
	if errs := checkTS(p.segments); len(errs) > 0 {
		t.Errorf("ffmpeg's segments: %v", errs)
	}
	damage := map[string]func(b []byte) []byte{
		"continuity counter":    func(b []byte) []byte { return slices.Delete(b, 20*tsPacket, 21*tsPacket) },
		"since the last PCR":    func(b []byte) []byte { return withoutPCR(b) },
		"starts with PAT":       func(b []byte) []byte { return b[tsPacket:] },
		"random_access":         func(b []byte) []byte { b[2*tsPacket+5] &^= 0x40; return b },
		"CRC":                   func(b []byte) []byte { b[tsPacket+20] ^= 1; return b },
		"access unit delimiter": func(b []byte) []byte { i := bytes.Index(b, []byte{0, 0, 1, 9}); b[i+3] = 6; return b },
		"behind a PCR":          func(b []byte) []byte { b[2*tsPacket+7] += 2; return b },
	}
	for want, change := range damage {
		segments := slices.Clone(p.segments)
		segments[1].body = change(bytes.Clone(segments[1].body))
		errs := checkTS(segments)
		if !slices.ContainsFunc(errs, func(err error) bool { return strings.Contains(err.Error(), want) }) {
			t.Errorf("damage of %q is not noticed: %v", want, errs)
		}
	}
}

func withoutPID(b []byte, pid int) (out []byte) {
	for ; len(b) >= tsPacket; b = b[tsPacket:] {
		if int(b[1]&0x1f)<<8|int(b[2]) != pid {
			out = append(out, b[:tsPacket]...)
		}
	}
	return out
}

// withoutPCR turns every PCR but the segment's first into stuffing.
func withoutPCR(b []byte) []byte {
	first := true
	for i := 0; i+tsPacket <= len(b); i += tsPacket {
		if p := b[i : i+tsPacket]; p[3]&0x20 != 0 && p[4] >= 7 && p[5]&0x10 != 0 {
			if !first {
				p[5] &^= 0x10
			}
			first = false
		}
	}
	return b
}

const goodList = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-TARGETDURATION:2
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-DISCONTINUITY-SEQUENCE:1
#EXT-X-INDEPENDENT-SEGMENTS
#EXT-X-MAP:URI="i.mp4"
#EXT-X-PROGRAM-DATE-TIME:2024-05-06T07:08:09.000Z
#EXTINF:2.000,
a.m4s
#EXT-X-PROGRAM-DATE-TIME:2024-05-06T07:08:11.000Z
#EXTINF:2.400,
b.m4s
#EXT-X-PROGRAM-DATE-TIME:2024-05-06T07:08:13.400Z
#EXTINF:2.000,
c.m4s
#EXT-X-DISCONTINUITY
#EXT-X-PROGRAM-DATE-TIME:2024-05-06T07:09:00.000Z
#EXTINF:2.000,
d.m4s
`

// TestSelfPlaylist: the playlist rules notice each breach.
func TestSelfPlaylist(t *testing.T) {
	t.Parallel()
	good, err := parseMedia(goodList)
	if err != nil {
		t.Fatal(err)
	}
	if errs := checkList(good, true); len(errs) > 0 {
		t.Errorf("a good list: %v", errs)
	}
	if last := good.segments[3]; last.msn != 10 || last.dsn != 2 || last.mapURI != "i.mp4" {
		t.Errorf("the last segment is read as %+v", last)
	}
	for _, change := range [][2]string{
		{"2.400", "2.600"}, {"2.400", "2.4"}, {"13.400Z", "13.500Z"}, {"13.400Z", "13.400"},
		{"#EXT-X-INDEPENDENT-SEGMENTS\n", ""}, {"#EXT-X-MAP:URI=\"i.mp4\"\n", ""}, {"a.m4s", "/a.m4s"},
		{"#EXT-X-VERSION:6\n", "#EXT-X-VERSION:6\n#EXT-X-PLAYLIST-TYPE:EVENT\n"}, {"VERSION:6", "VERSION:5"},
	} {
		bad, err := parseMedia(strings.Replace(goodList, change[0], change[1], 1))
		if err == nil && len(checkList(bad, true)) == 0 {
			t.Errorf("%q instead of %q is not noticed", change[1], change[0])
		}
	}
	for _, torn := range []string{"\n" + goodList, goodList + "\n\n", strings.Replace(goodList, "#EXTINF:2.400,\n", "", 1),
		goodList + "#EXT-X-VERSION:6\n"} {
		if _, err := parseMedia(torn); err == nil {
			t.Errorf("parsed: %q", torn)
		}
	}
}

// TestSelfHistory: what must not change from one state of a list to the next.
func TestSelfHistory(t *testing.T) {
	t.Parallel()
	later := strings.NewReplacer("SEQUENCE:7", "SEQUENCE:8", "#EXTINF:2.000,\na.m4s\n", "",
		"#EXT-X-PROGRAM-DATE-TIME:2024-05-06T07:08:09.000Z\n", "").Replace(goodList)
	read := func(text string) mediaList {
		l, err := parseMedia(text)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	if errs := checkHistory([]mediaList{read(goodList), read(later)}); len(errs) > 0 {
		t.Errorf("a good history: %v", errs)
	}
	for _, change := range [][2]string{
		{"2.400", "2.401"}, {"c.m4s", "x.m4s"}, {"13.400Z", "13.401Z"}, {"i.mp4", "j.mp4"},
		{"SEQUENCE:8", "SEQUENCE:9"}, {"SEQUENCE:8", "SEQUENCE:6"}, {"DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:2"},
		{"TARGETDURATION:2", "TARGETDURATION:3"}, {"#EXT-X-DISCONTINUITY\n", ""},
	} {
		if errs := checkHistory([]mediaList{read(goodList), read(strings.Replace(later, change[0], change[1], 1))}); len(errs) == 0 {
			t.Errorf("%q instead of %q is not noticed", change[1], change[0])
		}
	}
}

// TestSelfFLV: a captured FLV is taken apart and put together unchanged, and a
// viewer who reads one over HTTP gets all of it.
func TestSelfFLV(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	whole, err := os.ReadFile(src.file)
	if err != nil {
		t.Fatal(err)
	}
	files := httptest.NewServer(http.FileServer(http.Dir(sourceDir)))
	defer files.Close()
	p := pullFLV(t, files.URL+"/bframes.flv")
	file, flags, tags := p.finish(t)
	if got, _ := os.ReadFile(file); !bytes.Equal(got, whole) {
		t.Errorf("got %d bytes, sent %d", len(got), len(whole))
	}
	if err := checkFLVStart(flags, tags, true, true, false); err != nil {
		t.Error(err)
	}
	firstPicture := slices.IndexFunc(tags, flvTag.key)
	if err := checkFLVStart(flags, slices.Delete(slices.Clone(tags), firstPicture, firstPicture+1), true, true, false); err == nil {
		t.Error("a start without a key frame is not noticed")
	}
	whole[len(whole)-1]++
	if _, _, err := parseFLV(whole); err == nil {
		t.Error("a wrong PreviousTagSize is not noticed")
	}
	if r, err := request(context.Background(), http.MethodHead, files.URL+"/bframes.flv"); err != nil || r.status != http.StatusOK {
		t.Errorf("HEAD: %v, %v", r.status, err)
	}
}
