package mpegts

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
)

// run runs FFmpeg or FFprobe and returns what it prints to both outputs.
func run(t *testing.T, name string, args ...string) (stdout, stderr string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	var out, errs bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	if err := cmd.Run(); err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, errs.String())
	}
	return out.String(), errs.String()
}

func needFFmpeg(t *testing.T) {
	t.Helper()
	for _, name := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(name); err != nil {
			t.Skipf("%s is not installed", name)
		}
	}
}

const (
	testPicture = "-f lavfi -i testsrc2=s=160x90:r=%s:d=8 "
	testSound   = "-f lavfi -i sine=f=440:r=%d:d=8 "
	testH264    = "-c:v libx264 -preset veryfast -bf 3 -b:v 300k -force_key_frames expr:gte(t,n_forced*2) "
)

var mediaTests = []struct {
	name    string
	encode  string        // FFmpeg's arguments
	shift   time.Duration // added to all times
	streams string        // what FFprobe finds
}{
	{"H.264 with B-frames, AAC", fmt.Sprintf(testPicture+testSound, "25", 48000) + testH264 + "-c:a aac -ac 2", 0, "h264 aac"},
	{"23.976 fps, 44.1 kHz", fmt.Sprintf(testPicture+testSound, "24000/1001", 44100) + testH264 + "-c:a aac -ac 1", 0, "h264 aac"},
	{"slices, delimiters, repeated sets", fmt.Sprintf(testPicture+testSound, "30", 48000) + testH264 + "-x264-params slices=4:aud=1:repeat-headers=1 -c:a aac", 0, "h264 aac"},
	{"MP3", fmt.Sprintf(testPicture+testSound, "25", 44100) + testH264 + "-c:a libmp3lame", 0, "h264 mp3"},
	{"MP3 22.05 kHz", fmt.Sprintf(testPicture+testSound, "25", 22050) + testH264 + "-c:a libmp3lame", 0, "h264 mp3"},
	{"video only", fmt.Sprintf(testPicture, "60") + testH264, 0, "h264"},
	{"2 fps", fmt.Sprintf(testPicture, "2") + testH264, 0, "h264"},
	{"audio only", fmt.Sprintf(testSound, 48000) + "-c:a aac", 0, "aac"},
	{"silence", "-f lavfi -i anullsrc=r=44100:cl=mono:d=8 -c:a aac -b:a 8k", 0, "aac"},
	{"MP3 only", fmt.Sprintf(testSound, 48000) + "-c:a libmp3lame", 0, "mp3"},
	{"over 2^33", fmt.Sprintf(testPicture+testSound, "25", 44100) + testH264 + "-c:a aac", 95440 * time.Second, "h264 aac"},
	{"beyond 2^33", fmt.Sprintf(testPicture+testSound, "25", 48000) + testH264 + "-c:a aac", 200000 * time.Second, "h264 aac"},
}

// TestMedia writes what a real encoder makes, and has FFmpeg read it.
func TestMedia(t *testing.T) {
	needFFmpeg(t)
	for _, test := range mediaTests {
		t.Run(test.name, func(t *testing.T) {
			source := filepath.Join(t.TempDir(), "source.flv")
			run(t, "ffmpeg", append(strings.Fields("-v error -nostdin "+test.encode), source)...)
			s := readFLV(t, source)
			s.shift(test.shift)
			segments := cut(s.config, 250, s.video, s.audio)
			if len(segments) < 4 {
				t.Fatalf("%d segments", len(segments))
			}
			if strings.Contains(test.name, "B-frames") && !reordered(s.video) {
				t.Fatal("the encoder made no B-frames")
			}
			out := render(t, segments)
			pes := checkMedia(t, s, out)
			if first, last := pes[0], pes[len(pes)-1]; (first.pts > last.pts) != (test.name == "over 2^33") {
				t.Errorf("PTS from %d to %d", first.pts, last.pts)
			}
			compareWithSource(t, s, out, source, test.streams)
			playPlaylist(t, segments, out)
		})
	}
}

// TestAC3 does the same with frames of AC-3 and E-AC-3, for which FFmpeg's FLV
// has no form.
func TestAC3(t *testing.T) {
	needFFmpeg(t)
	for _, codec := range []av.Codec{av.AC3, av.EAC3} {
		t.Run(codec.String(), func(t *testing.T) {
			name := map[av.Codec]string{av.AC3: "ac3", av.EAC3: "eac3"}[codec]
			source := filepath.Join(t.TempDir(), "source."+name)
			run(t, "ffmpeg", append(strings.Fields("-v error -nostdin "+fmt.Sprintf(testSound, 48000)+"-ac 6 -b:a 192k"), source)...)
			b, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			s := &flvStream{config: &av.Config{}}
			s.setAudio(t, codec, b)
			for i := 0; len(b) > 0; i++ {
				n := 768 // 192 kbit/s at 48 kHz
				if codec == av.EAC3 {
					n = (int(b[2]&7)<<8 + int(b[3]) + 1) * 2
				}
				s.appendAudio(time.Duration(i)*32*time.Millisecond, b[:n])
				b = b[n:]
			}
			segments := cut(s.config, 7, nil, s.audio)
			out := render(t, segments)
			checkMedia(t, s, out)
			compareWithSource(t, s, out, source, name)
		})
	}
}

// reordered says whether some frame is shown before one that is decoded earlier.
func reordered(samples []av.Frame) bool {
	for i := 1; i < len(samples); i++ {
		if samples[i].DTS+samples[i].CTS < samples[i-1].DTS+samples[i-1].CTS {
			return true
		}
	}
	return false
}

// checkMedia runs the checker over real media and returns the PES packets of the
// stream that has the PCR.
func checkMedia(t *testing.T, s *flvStream, out [][]byte) []*pesPacket {
	t.Helper()
	types := map[int]byte{}
	if s.config.Video != nil {
		types[testVideoPID] = 0x1b
	}
	if a := s.config.Audio; a != nil {
		types[testAudioPID] = map[av.Codec]byte{av.AAC: 0x0f, av.MP3: 0x03, av.AC3: 0x81, av.EAC3: 0x87}[a.Codec]
		if a.Codec == av.MP3 && a.SampleRate < 32000 {
			types[testAudioPID] = 0x04
		}
	}
	c := newChecker(types)
	c.independent = true
	for _, b := range out {
		c.add(b)
	}
	report(t, c)
	if n := len(c.pes[testVideoPID]); n != len(s.video) {
		t.Errorf("%d access units of %d frames", n, len(s.video))
	}
	return c.pes[c.clockPID()]
}

// compareWithSource has FFmpeg read the segments in a row: packets, times and
// decoded frames have to be those of the source, without a warning.
func compareWithSource(t *testing.T, s *flvStream, out [][]byte, source, streams string) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "all.ts")
	if err := os.WriteFile(path, bytes.Join(out, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	found, log := run(t, "ffprobe", "-v", "debug", "-show_entries", "stream=codec_name", "-of", "csv=p=0", path)
	if got := strings.Join(strings.Fields(found), " "); !strings.HasPrefix(got+" ", streams+" ") {
		t.Errorf("FFprobe finds %q, want %q", got, streams)
	}
	complaints(t, log)
	if _, log := run(t, "ffmpeg", "-v", "warning", "-nostdin", "-i", path, "-f", "null", "-"); log != "" {
		t.Errorf("FFmpeg warns: %s", log)
	}
	if s.config.Video != nil {
		compareTimes(t, probe(t, path, "v"), s.video, 90000, 0)
		compareFrames(t, source, path, "v")
	}
	if s.config.Audio != nil {
		compareTimes(t, probe(t, path, "a"), s.audio, s.config.Audio.Timescale, 3)
		compareFrames(t, source, path, "a")
	}
}

var complaint = regexp.MustCompile(`(?i).*(continuity|corrupt|duplicate|invalid|error|discontin).*`)

// complaints looks for what FFmpeg says about counters, which it says to nobody
// below its debug level.
func complaints(t *testing.T, log string) {
	t.Helper()
	if found := complaint.FindString(log); found != "" {
		t.Errorf("FFprobe says %q", found)
	}
}

// packet is what FFprobe says of one.
type packet struct{ pts, dts int64 }

func probe(t *testing.T, path, stream string) (packets []packet) {
	t.Helper()
	out, _ := run(t, "ffprobe", "-v", "error", "-select_streams", stream+":0", "-show_entries", "packet=pts,dts", "-of", "csv=p=0", path)
	rows := csv.NewReader(strings.NewReader(out))
	rows.FieldsPerRecord = -1
	records, err := rows.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range records {
		var p packet
		var e1, e2 error
		p.pts, e1 = strconv.ParseInt(row[0], 10, 64)
		p.dts, e2 = strconv.ParseInt(row[1], 10, 64)
		if e1 != nil || e2 != nil {
			t.Fatalf("packet without times: %q", row)
		}
		packets = append(packets, p)
	}
	return packets
}

// compareTimes wants as many packets as samples, at their times within a
// tolerance in ticks.
func compareTimes(t *testing.T, packets []packet, samples []av.Frame, timescale, tolerance int64) {
	t.Helper()
	if len(packets) != len(samples) {
		t.Errorf("%d packets of %d samples", len(packets), len(samples))
		return
	}
	for i, s := range samples {
		dts := ticksOf(s.Time, timescale) + Offset
		pts := dts + s.CTS.Milliseconds()*90
		p := packets[i]
		if d := distance(pts, p.pts); max(d, -d) > tolerance {
			t.Fatalf("packet %d has PTS %d, want %d", i, p.pts, pts)
		}
		if d := distance(dts, p.dts); max(d, -d) > tolerance {
			t.Fatalf("packet %d has DTS %d, want %d", i, p.dts, dts)
		}
	}
}

// compareFrames decodes both and wants the same pictures or samples.
func compareFrames(t *testing.T, source, path, stream string) {
	t.Helper()
	sums := func(path string) (list []string) {
		out, _ := run(t, "ffmpeg", "-v", "error", "-nostdin", "-i", path, "-map", "0:"+stream+":0", "-fps_mode", "passthrough", "-f", "framemd5", "-")
		for line := range strings.Lines(out) {
			if !strings.HasPrefix(line, "#") {
				list = append(list, line[strings.LastIndexByte(line, ',')+1:])
			}
		}
		return list
	}
	want, got := sums(source), sums(path)
	if len(want) == 0 || len(want) != len(got) {
		t.Errorf("%d frames decoded of %d", len(got), len(want))
		return
	}
	for i := range want {
		if want[i] != got[i] {
			t.Fatalf("frame %d is decoded to something else", i)
		}
	}
}

// playPlaylist has FFmpeg play the segments through a playlist, and each alone.
func playPlaylist(t *testing.T, segments []*Segment, out [][]byte) {
	t.Helper()
	folder := t.TempDir()
	list := "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:3\n#EXT-X-MEDIA-SEQUENCE:250\n"
	for i, s := range segments {
		name := fmt.Sprintf("%d.ts", s.Sequence)
		list += fmt.Sprintf("#EXTINF:%.3f,\n%s\n", (s.End - s.start()).Seconds(), name)
		path := filepath.Join(folder, name)
		if err := os.WriteFile(path, out[i], 0o600); err != nil {
			t.Fatal(err)
		}
		if _, log := run(t, "ffmpeg", "-v", "error", "-nostdin", "-i", path, "-f", "null", "-"); log != "" {
			t.Errorf("segment %d alone: %s", i, log)
		}
	}
	path := filepath.Join(folder, "index.m3u8")
	if err := os.WriteFile(path, []byte(list+"#EXT-X-ENDLIST\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, log := run(t, "ffmpeg", "-v", "warning", "-nostdin", "-i", path, "-f", "null", "-"); log != "" {
		t.Errorf("FFmpeg warns about the playlist: %s", log)
	}
}

// TestFFmpegComplains is the other side of TestMedia: what FFmpeg is asked there
// it has to notice.
func TestFFmpegComplains(t *testing.T) {
	needFFmpeg(t)
	source := filepath.Join(t.TempDir(), "source.flv")
	run(t, "ffmpeg", append(strings.Fields("-v error -nostdin "+mediaTests[0].encode), source)...)
	s := readFLV(t, source)
	out := bytes.Join(render(t, cut(s.config, 0, s.video, s.audio)), nil)
	lost := append(bytes.Clone(out[:188*100]), out[188*101:]...)
	path := filepath.Join(t.TempDir(), "lost.ts")
	if err := os.WriteFile(path, lost, 0o600); err != nil {
		t.Fatal(err)
	}
	if _, log := run(t, "ffprobe", "-v", "debug", path); !complaint.MatchString(log) {
		t.Error("FFprobe does not notice a lost packet")
	}
}
