//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"math"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

const (
	// exact is what printing and clock units may add where nothing is rounded.
	exact = 20 * time.Microsecond
	// rounded is for sound in HLS: its time comes from the sample count, what it
	// is held against from RTMP's milliseconds.
	rounded = time.Millisecond
	// endsAfter is the reconnect window in tests that wait for EXT-X-ENDLIST.
	endsAfter = 2 * time.Second
)

var endSoon = []string{"HEADWATER_STREAM_RECONNECT_WINDOW=" + endsAfter.String()}

// TestStreams pushes each source once and pulls it in every way at the same
// time, from its first frame to its last.
func TestStreams(t *testing.T) {
	for _, src := range sources {
		t.Run(src.name, func(t *testing.T) {
			t.Parallel()
			src.ready(t)
			testStream(t, src)
		})
	}
}

func testStream(t *testing.T, src *source) {
	s := startServerIn(t, t.TempDir(), endSoon)
	flv := pullFLV(t, s.url("/live/x.flv"))
	ts := pullHLS(t, s.url("/live/x/ts/index.m3u8"), false)
	fmp4 := pullHLS(t, s.url("/live/x/fmp4/index.m3u8"), true)
	p := src.publish(t, s.publishURL("x"))

	waitFLV(t, flv, 1000)
	t.Run("live", func(t *testing.T) {
		t.Run("flv", func(t *testing.T) { t.Parallel(); playLive(t, src, s.url("/live/x.flv")) })
		t.Run("ts", func(t *testing.T) {
			t.Parallel()
			ts.waitSegments(t, 2, src.duration())
			playLive(t, src, s.url("/live/x.ts.m3u8"))
		})
		t.Run("fmp4", func(t *testing.T) {
			t.Parallel()
			fmp4.waitSegments(t, 2, src.duration())
			playLive(t, src, s.url("/live/x.m3u8"))
		})
	})
	p.wait(t, src.duration()+20*time.Second)
	fmp4List := multivariant(t, s.url("/live/x.m3u8"))
	tsList := multivariant(t, s.url("/live/x.ts.m3u8"))

	t.Run("flv", func(t *testing.T) { checkFLV(t, src, flv) })
	t.Run("ts", func(t *testing.T) {
		checkHLS(t, src, ts)
		report(t, checkTS(ts.segments))
		checkVariant(t, src, tsList, ts)
		if src.name == "mp3" { // browsers refuse MP3 in MP4: what they are given leads to TS
			checkVariant(t, src, fmp4List, ts)
		}
	})
	t.Run("fmp4", func(t *testing.T) {
		checkHLS(t, src, fmp4)
		if src.name == "mp3" {
			return // see above
		}
		checkVariant(t, src, fmp4List, fmp4)
	})
}

// playLive lets ffmpeg's own demuxer play a few seconds and checks that every
// picture decodes to what was sent, without a gap.
func playLive(t *testing.T, src *source, url string) {
	const play = 3
	args := []string{"-xerror", "-t", fmt.Sprint(play), "-i", url}
	if src.audio != "" {
		args = append(args, "-map", "0:a:0", "-f", "null", "-")
	}
	if src.video != "" {
		args = append(args, "-map", "0:v:0", "-fps_mode", "passthrough", "-f", "framemd5", "-")
	}
	out, err := ffmpeg(args...)
	if err != nil {
		t.Fatal(err)
	}
	if src.video == "" {
		return
	}
	got := frameHashes(out)
	if want := int(src.frameRate*play) / 2; len(got) < want {
		t.Fatalf("%d pictures in %d s, want %d at least", len(got), play, want)
	}
	first := slices.Index(src.pictures, got[0].hash)
	for i, f := range got {
		if at := slices.Index(src.pictures, f.hash); first < 0 || at != first+i {
			t.Fatalf("picture %d: is number %d of those sent, want %d", i, at, first+i)
		}
	}
}

func checkFLV(t *testing.T, src *source, p *flvPull) {
	file, flags, tags := p.finish(t)
	if err := checkFLVStart(flags, tags, src.video != "", src.audio != "", src.name == "mp3"); err != nil {
		t.Error(err)
	}
	c, err := readCapture(file)
	if err != nil {
		t.Fatal(err)
	}
	checkCapture(t, src, c, exact)
	checkFLVHeaders(t, p.header)
}

func checkFLVHeaders(t *testing.T, h http.Header) {
	t.Helper()
	for key, want := range map[string]string{"Cache-Control": "no-store", "Content-Type": "video/x-flv",
		"Access-Control-Allow-Origin": "*", "X-Content-Type-Options": "nosniff", "Content-Length": "", "Etag": ""} {
		if got := h.Get(key); got != want {
			t.Errorf("%s is %q, want %q", key, got, want)
		}
	}
}

// checkCapture holds a whole capture of a source against what was sent.
func checkCapture(t *testing.T, src *source, c capture, audioTolerance time.Duration) {
	t.Helper()
	if err := decode(c.file); err != nil {
		t.Error(err)
	}
	var video, audio match
	var err error
	if src.video != "" {
		if video, err = src.sent.video.follow(c.video, exact); err != nil {
			t.Errorf("video: %v", err)
		}
		checkEnd(t, "video", src.sent.video, video)
	}
	if src.audio != "" {
		if audio, err = src.sent.audio.follow(c.audio, audioTolerance); err != nil {
			t.Errorf("audio: %v", err)
		}
		checkEnd(t, "audio", src.sent.audio, audio)
	}
	if video.count == 0 || audio.count == 0 {
		return
	}
	if d := audio.offset - video.offset; d.Abs() > audioTolerance {
		t.Errorf("audio is %v off against video", d)
	}
	if video.first == 0 && audio.first == 0 {
		return // all of both is there, however far apart they start
	}
	if d := src.sent.audio[audio.first].dts - src.sent.video[video.first].dts; d.Abs() > 200*time.Millisecond {
		t.Errorf("audio starts %v from where video starts", d)
	}
}

// checkEnd: everything up to the end is there. A publisher that closes its
// socket with replies unread resets the connection, and what its kernel had not
// sent yet is lost: allow for one write at 50 Mbit/s.
func checkEnd(t *testing.T, what string, sent track, m match) {
	t.Helper()
	if end := m.first + m.count; m.count > 0 && end < len(sent) {
		if missing := sent[len(sent)-1].dts - sent[end-1].dts; missing > 100*time.Millisecond {
			t.Errorf("%s: ends at packet %d of %d, %v early", what, end, len(sent), missing)
		}
	}
}

// checkHLS holds a whole pull of one playlist against what was sent and against
// the rules for playlists.
func checkHLS(t *testing.T, src *source, p *hlsPull) {
	t.Helper()
	p.finish(t, endsAfter+10*time.Second)
	for i, l := range p.lists {
		if errs := checkList(l, p.fmp4); len(errs) > 0 {
			t.Errorf("list %d: %v\n%s", i, errors.Join(errs...), p.replies[i].body)
			break
		}
	}
	report(t, checkHistory(p.lists))
	if last := p.lists[len(p.lists)-1]; !last.ended {
		t.Errorf("no EXT-X-ENDLIST %v after the publisher left", time.Since(p.changed).Round(time.Second))
	}
	for i, s := range p.segments {
		if i > 0 && (s.discontinuity || s.mapURI != p.segments[0].mapURI || s.msn != p.segments[i-1].msn+1) {
			t.Errorf("segment %d: discontinuity %v, map %q, MSN %d", i, s.discontinuity, s.mapURI, s.msn)
		}
	}
	whole := p.join(t, 0, len(p.segments))
	checkCapture(t, src, whole.capture, rounded)
	report(t, whole.checkCuts())
}

// multiList is a multivariant playlist and where it was read.
type multiList struct {
	url      string
	variants []variant
}

// multivariant reads a multivariant playlist that has to be there.
func multivariant(t *testing.T, url string) multiList {
	t.Helper()
	r, err := request(t.Context(), http.MethodGet, url)
	if err != nil || r.status != http.StatusOK {
		t.Fatalf("%s: status %d, %v: %.200s", url, r.status, err, r.body)
	}
	all, err := parseMultivariant(string(r.body))
	if err != nil {
		t.Fatalf("%s: %v", url, err)
	}
	return multiList{url, all}
}

// checkVariant checks what the multivariant playlist says against the source
// and against the segments that were fetched.
func checkVariant(t *testing.T, src *source, l multiList, p *hlsPull) {
	t.Helper()
	if len(l.variants) != 1 {
		t.Fatalf("%d variants, want 1", len(l.variants))
	}
	v := l.variants[0]
	if resolve(l.url, v.uri) != p.url || strings.HasPrefix(v.uri, "/") {
		t.Errorf("the variant's URI %q does not lead to %s", v.uri, p.url)
	}
	codecs := strings.Split(v.attrs["CODECS"], ",")
	if want := src.codecs(); !slices.ContainsFunc(want, func(w []string) bool { return slices.Equal(codecs, w) }) {
		t.Errorf("CODECS is %q, want %q", codecs, want)
	}
	resolution := ""
	if src.video != "" {
		resolution = fmt.Sprintf("%dx%d", src.width, src.height)
	}
	if got := v.attrs["RESOLUTION"]; got != resolution {
		t.Errorf("RESOLUTION is %q, want %q", got, resolution)
	}
	if rate, _ := parseFloat(v.attrs["FRAME-RATE"]); math.Abs(rate-src.frameRate) > 0.02 {
		t.Errorf("FRAME-RATE is %q, want %.3f", v.attrs["FRAME-RATE"], src.frameRate)
	}
	average, peak := bitrates(p.segments)
	checkRate(t, "AVERAGE-BANDWIDTH", v.attrs, average, 1.10)
	checkRate(t, "BANDWIDTH", v.attrs, peak, 1.25)
}

// checkRate allows a declared rate to be off by factor either way.
func checkRate(t *testing.T, key string, attrs map[string]string, measured, factor float64) {
	t.Helper()
	declared, err := parseFloat(attrs[key])
	if err != nil || measured > declared*factor || declared > measured*factor {
		t.Errorf("%s is %q, measured %.0f", key, attrs[key], measured)
	}
}

// bitrates returns the mean rate and that of the fastest segment that is not
// cut short, in bits a second.
func bitrates(segments []segmentPull) (average, peak float64) {
	var bytes int
	var all, longest time.Duration
	for _, s := range segments {
		bytes += len(s.body)
		all += s.duration()
		longest = max(longest, s.duration())
	}
	for _, s := range segments {
		if d := s.duration(); d > longest/2 {
			peak = max(peak, float64(8*len(s.body))/d.Seconds())
		}
	}
	return float64(8*bytes) / all.Seconds(), peak
}

func report(t *testing.T, errs []error) {
	t.Helper()
	if len(errs) > 0 {
		t.Error(errors.Join(errs[:min(len(errs), 10)]...))
	}
}
