//go:build e2e

package e2e

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/scripts/conformance"
	"headwater/scripts/lib/rig"
)

const (
	vlcWatches = 10 * time.Second
	// vlcBuffers is how many pictures and buffers of sound VLC has shown by then.
	vlcBuffers = 60
)

// shown is a stream that VLC is shown. Its frames come from a file of whole groups of
// pictures, over and over.
type shown struct {
	name         string
	file         string // of remux/testdata/enhanced; empty: made with args
	args         string // of ffmpeg
	video, audio conformance.Rational
	feed         conformance.Feed
	formats      string
	joint        bool // the publisher crashes and comes back meanwhile
	buffers      int  // at least; 0: vlcBuffers
}

const (
	vlcPictures = "-f lavfi -i testsrc2=s=320x180:r=%s -f lavfi -i sine=r=44100 -c:a aac -t 8.1 " + vlcSilent
	vlcSilent   = "-c:v libx264 -preset ultrafast -pix_fmt yuv420p -b:v 300k -sc_threshold 0 -bf 2 "
)

func vlcStreams() []*shown {
	r := func(num, den int64) conformance.Rational { return conformance.Rational{Num: num, Den: den} }
	aac, none := r(44100, 1024), conformance.Rational{}
	made := func(rate, frames string) string {
		return strings.ReplaceAll(vlcPictures, "%s", rate) + frames
	}
	plain := made("30", "-g 60 -keyint_min 60 -frames:v 240")
	const wrap = 1<<33/90 - 13000 // ms: of the 33 bits of MPEG-TS, 26.5 hours
	return []*shown{
		{name: "ntsc", args: made("30000/1001", "-bf 3 -g 60 -keyint_min 60 -frames:v 240"), video: r(30000, 1001), audio: aac, formats: "m3u8 ts.m3u8"},
		{name: "film", args: made("24000/1001", "-g 48 -keyint_min 48 -frames:v 192"), video: r(24000, 1001), audio: aac,
			feed: conformance.Feed{AudioEarly: 600 * time.Millisecond}, formats: "m3u8 ts.m3u8"},
		{name: "sound", args: "-f lavfi -i sine=r=44100 -c:a aac -t 8", video: none, audio: aac, formats: "m3u8 ts.m3u8"},
		{name: "silent", args: "-f lavfi -i testsrc2=s=320x180:r=25 " + vlcSilent + "-g 50 -keyint_min 50 -frames:v 200", video: r(25, 1), audio: none, formats: "m3u8 ts.m3u8"},
		{name: "hevc", file: "hevc_aac.flv", video: r(15, 1), audio: r(48000, 1024), formats: "m3u8"},
		{name: "av1", file: "av1_aac.flv", video: r(15, 1), audio: r(48000, 1024), formats: "m3u8"},
		{name: "opus", file: "av1_opus.flv", video: r(15, 1), audio: r(48000, 960), formats: "m3u8"},
		{name: "wrap", args: plain, video: r(30, 1), audio: aac, feed: conformance.Feed{Start: wrap}, formats: "m3u8 ts.m3u8"},
		{name: "joint", args: plain, video: r(30, 1), audio: aac, formats: "ts.m3u8", joint: true, buffers: 200}, // of fMP4 VLC 3 asks for no new moov behind a discontinuity, and stops
	}
}

// TestVLC: VLC plays all: pictures and sound are decoded and shown, and none is lost,
// damaged or out of order.
func TestVLC(t *testing.T) {
	t.Parallel()
	need(t, "sh", "-c", "command -v vlc")
	src := sourceNamed(t, "bframes")
	s := startServer(t)
	ts := pullHLS(t, s.url("/live/x/ts/index.m3u8"), false)
	src.publish(t, s.publishURL("x"), "-stream_loop", "3")
	streams := vlcStreams()
	var crash []func()
	for _, k := range streams {
		crash = append(crash, k.publish(t, s))
	}
	ts.waitSegments(t, 3, 30*time.Second)
	ts.cancel()
	players := []*vlc{startVLC(t, s.url("/live/x.flv")), startVLC(t, s.url("/live/x.m3u8")), startVLC(t, s.url("/live/x.ts.m3u8"))}
	for _, k := range streams {
		for _, format := range strings.Fields(k.formats) {
			v := startVLC(t, s.url("/live/"+k.name+"."+format))
			v.name, v.pictures, v.sound = k.name+"."+format, k.video.Num > 0, k.audio.Num > 0
			v.buffers = max(k.buffers, vlcBuffers)
			players = append(players, v)
		}
	}
	for i, k := range streams {
		if k.joint {
			crash[i]()
		}
	}
	time.Sleep(vlcWatches)
	for _, v := range players {
		t.Run(v.name, func(t *testing.T) { v.check(t) })
	}
	if r := ask(t, http.MethodGet, s.url("/live/x.m3u8")); r.status != http.StatusOK {
		t.Errorf("afterwards: status %d", r.status)
	}
}

// publish publishes the stream until the test ends. crash ends its publisher, and has
// another one go on.
func (k *shown) publish(t *testing.T, s *server) (crash func()) {
	t.Helper()
	file := filepath.Join("..", "..", "remux", "testdata", "enhanced", k.file)
	if k.file == "" {
		file = filepath.Join(t.TempDir(), k.name+".flv")
		if _, err := ffmpeg(append(strings.Fields("-y "+k.args), file)...); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if k.feed.Clip, err = conformance.NewClip(b, k.video, k.audio); err != nil {
		t.Fatal(err)
	}
	begin := func() *conformance.Publisher {
		p, err := conformance.Publish(t.Context(), s.RTMP, "live", k.name, 4096)
		if err != nil {
			t.Fatal(err)
		}
		feed := k.feed
		push := &conformance.Push{Publisher: p, Feed: &feed, Speed: 1}
		go func() { _ = push.Until(t.Context(), time.Hour) }() // it ends with its connection
		t.Cleanup(func() { _ = p.Abort() })
		return p
	}
	first := begin()
	return func() {
		_ = first.Abort()
		begin()
	}
}

// vlc is a VLC that plays, and what it is expected to show.
type vlc struct {
	name            string
	pictures, sound bool
	buffers         int // of each

	stdin io.Writer
	p     *push
}

// startVLC plays url, which has pictures and sound, through VLC's command interface.
func startVLC(t *testing.T, url string) *vlc {
	t.Helper()
	cmd := rig.VLC(t, url)
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	return &vlc{name: filepath.Base(url), pictures: true, sound: true, buffers: vlcBuffers, stdin: stdin, p: start(t, cmd)}
}

// playVLC plays url for a while and checks how that went.
func playVLC(t *testing.T, url string) {
	t.Helper()
	v := startVLC(t, url)
	time.Sleep(vlcWatches)
	v.check(t)
}

// check reads VLC's statistics and its complaints, and ends it.
func (v *vlc) check(t *testing.T) {
	t.Helper()
	if _, err := io.WriteString(v.stdin, "stats\n"); err != nil {
		t.Fatalf("VLC: %v\n%s", err, v.p.log.Tail(4000))
	}
	end := time.Now().Add(10 * time.Second)
	for !strings.Contains(v.p.log.String(), "end of statistical info") {
		if time.Now().After(end) {
			t.Fatalf("VLC gives no statistics\n%s", v.p.log.Tail(4000))
		}
		time.Sleep(50 * time.Millisecond)
	}
	said := v.p.log.String()
	_, _ = io.WriteString(v.stdin, "quit\n")
	rig.ReadVLCStats(said).Check(t, v.pictures, v.sound, v.buffers)
	// The first fragment's number is always a surprise to VLC; a second is ours.
	if n := strings.Count(said, "Fragment sequence discontinuity"); n > 1 {
		t.Errorf("VLC complains of %d breaks in the fragments' numbers", n)
	}
	for _, complaint := range []string{"duplicate", "ts discontinuity", "error while decoding", "concealing"} {
		if strings.Contains(strings.ToLower(said), complaint) {
			t.Errorf("VLC complains of %q", complaint)
		}
	}
	if t.Failed() {
		t.Logf("VLC says:\n%s", said)
	}
}
