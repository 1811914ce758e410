package fmp4

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
)

// These tests take what ffmpeg's encoders make, write it as fragments, and have
// ffmpeg read and decode both.

// TestMP4Media covers every codec. ffmpeg writes fragmented MP4, whose samples
// are put on the clocks that RTMP gives them: video in whole milliseconds.
func TestMP4Media(t *testing.T) {
	const aac, picture = "-c:a aac -b:a 96k", "-pix_fmt yuv420p -g 25"
	for _, c := range []struct {
		name, video, audio, want string // want: sample entries
		fps                      string
		exact                    bool // every time is a whole millisecond
	}{
		{"H.264 and AAC", "-c:v libx264 -preset veryfast -bf 3 " + picture, aac, "avc1 mp4a", "25", true},
		{"H.264 at 29.97 and AAC at 44.1", "-c:v libx264 -preset veryfast -bf 3 " + picture, aac + " -ar 44100", "avc1 mp4a", "30000/1001", false},
		{"H.264 at 23.976 and MP3", "-c:v libx264 -preset veryfast -bf 2 -x264-params b-pyramid=normal " + picture, "-c:a libmp3lame", "avc1 mp4a", "24000/1001", false},
		{"anamorphic H.264", "-vf setsar=16/11 -c:v libx264 -preset veryfast -tune zerolatency " + picture, "", "avc1", "50", true},
		{"HEVC and AC-3", "-c:v libx265 -preset ultrafast -bf 3 -tag:v hvc1 -x265-params log-level=none " + picture, "-c:a ac3", "hvc1 ac-3", "25", true},
		{"AV1 and Opus", "-c:v libaom-av1 -usage realtime -cpu-used 8 " + picture, "-c:a libopus", "av01 Opus", "25", false},
		{"VP9 and FLAC", "-c:v libvpx-vp9 -deadline realtime -cpu-used 8 " + picture, "-c:a flac -strict -2", "vp09 fLaC", "25", true},
		{"E-AC-3", "", "-c:a eac3", "ec-3", "25", true},
		{"MP3 at 22.05", "", "-c:a libmp3lame -ar 22050", "mp4a", "25", true},
		{"FLAC at 96", "", "-c:a flac -ar 96000 -strict -2", "fLaC", "25", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := inputs(t, c.video, c.audio, c.fps)
			args = append(args, strings.Fields("-use_editlist 0 -movflags +empty_moov+frag_keyframe+default_base_moof+delay_moov -video_track_timescale 90000 -f mp4")...)
			source := filepath.Join(t.TempDir(), "source.mp4")
			command(t, "ffmpeg", append(args, source)...)
			b, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			m, err := readMovie(b)
			if err != nil {
				t.Fatal(err)
			}
			config, video, audio := fromMovie(t, m)
			got := writeParts(t, config, video, audio, 333*time.Millisecond)
			var entries []string
			for _, tr := range got.tracks {
				entries = append(entries, tr.entry)
			}
			if s := strings.Join(entries, " "); s != c.want {
				t.Errorf("sample entries %s, want %s", s, c.want)
			}
			tolerance := 0.001
			if c.exact {
				tolerance = 0.000_02 // one tick, as printed
			}
			compareMedia(t, got, source, tolerance)
		})
	}
}

// TestFLVMedia takes the times as RTMP carries them, from ffmpeg's own FLV.
func TestFLVMedia(t *testing.T) {
	for _, c := range []struct{ name, audio string }{
		{"AAC", "-c:a aac -ar 44100"},
		{"MP3", "-c:a libmp3lame -ar 44100"},
	} {
		t.Run(c.name, func(t *testing.T) {
			args := inputs(t, "-c:v libx264 -preset veryfast -bf 3 -g 25 -pix_fmt yuv420p", c.audio, "30000/1001")
			source := filepath.Join(t.TempDir(), "source.flv")
			command(t, "ffmpeg", append(args, "-f", "flv", source)...)
			b, err := os.ReadFile(source)
			if err != nil {
				t.Fatal(err)
			}
			config, video, audio := fromFLV(t, b)
			compareMedia(t, writeParts(t, config, video, audio, 333*time.Millisecond), source, 0.0011)
		})
	}
}

// inputs returns ffmpeg's arguments up to the output: 3 s of test picture and
// tone through the given encoders.
func inputs(t *testing.T, video, audio, fps string) []string {
	t.Helper()
	if testing.Short() {
		t.Skip("encodes with ffmpeg")
	}
	for _, tool := range []string{"ffmpeg", "ffprobe"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skip(err)
		}
	}
	encoders := string(command(t, "ffmpeg", "-hide_banner", "-encoders"))
	args := strings.Fields("-y -v error -fflags +bitexact")
	if video != "" {
		args = append(args, "-f", "lavfi", "-i", "testsrc2=size=320x180:duration=3:rate="+fps)
	}
	if audio != "" {
		args = append(args, strings.Fields("-f lavfi -i sine=frequency=440:duration=3:sample_rate=48000")...)
		audio += " -ac 2"
	}
	for _, options := range [][]string{strings.Fields(video), strings.Fields(audio)} {
		for i, o := range options {
			if strings.HasPrefix(o, "-c:") && !strings.Contains(encoders, " "+options[i+1]+" ") {
				t.Skipf("ffmpeg has no %s", options[i+1])
			}
		}
		args = append(args, options...)
	}
	return args
}

// command returns what the command prints. It must print no error.
func command(t *testing.T, name string, args ...string) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil || stderr.Len() > 0 {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, &stderr)
	}
	return out
}

// compareMedia has ffmpeg read our file and the source: the same packets at the
// same times, to within tolerance seconds, and the same decoded frames.
func compareMedia(t *testing.T, m *movie, source string, tolerance float64) {
	t.Helper()
	ours := filepath.Join(t.TempDir(), "ours.mp4")
	if err := os.WriteFile(ours, m.file, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, stream := range []string{"v", "a"} {
		got, want := probe(t, ours, stream), probe(t, source, stream)
		if len(got) != len(want) {
			t.Fatalf("%s: %d packets, want %d", stream, len(got), len(want))
		}
		if len(want) == 0 {
			continue // the source has no such stream
		}
		for i, g := range got {
			w := want[i]
			if !near(g.PTS, w.PTS, tolerance) || !near(g.DTS, w.DTS, tolerance) || g.Size != w.Size || g.Flags[0] != w.Flags[0] {
				t.Fatalf("%s: packet %d is %+v, want %+v", stream, i, g, w)
			}
		}
		if got, want := decode(t, ours, stream), decode(t, source, stream); got != want || got == "" {
			t.Errorf("%s: decoded frames differ: %d and %d bytes of hashes", stream, len(got), len(want))
		}
	}
	for _, tr := range m.tracks {
		if tr.handler == "vide" {
			got, want := shape(t, ours), shape(t, source)
			if got != want {
				t.Errorf("picture %s, want %s", got, want)
			}
		}
	}
}

// packet is one line of ffprobe's.
type packet struct {
	PTS   string `json:"pts_time"`
	DTS   string `json:"dts_time"`
	Size  string `json:"size"`
	Flags string `json:"flags"`
}

// near says whether two times are no further apart than tolerance; text that is
// no time is near nothing.
func near(a, b string, tolerance float64) bool {
	x, errX := strconv.ParseFloat(a, 64)
	y, errY := strconv.ParseFloat(b, 64)
	return errX == nil && errY == nil && math.Abs(x-y) <= tolerance
}

func probe(t *testing.T, file, stream string) []packet {
	t.Helper()
	out := command(t, "ffprobe", "-v", "error", "-select_streams", stream, "-show_packets", "-of", "json", file)
	var v struct{ Packets []packet }
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	return v.Packets
}

// decode returns size and hash of each decoded frame of the stream.
func decode(t *testing.T, file, stream string) string {
	t.Helper()
	out := command(t, "ffmpeg", "-v", "error", "-i", file, "-map", "0:"+stream, "-fps_mode", "passthrough", "-f", "framemd5", "-")
	var frames strings.Builder
	for line := range strings.Lines(string(out)) {
		if f := strings.Split(strings.TrimSpace(line), ","); len(f) == 6 {
			fmt.Fprintln(&frames, f[4], f[5])
		}
	}
	return frames.String()
}

// shape returns what ffprobe makes of the picture. Pixels of no stated shape are
// square.
func shape(t *testing.T, file string) string {
	t.Helper()
	out := command(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width,height,sample_aspect_ratio,profile,level", "-of", "csv", file)
	return strings.Replace(string(out), "N/A", "1:1", 1)
}

// fromMovie returns the tracks of a file and their samples, each followed by
// one that only ends the last.
func fromMovie(t *testing.T, m *movie) (config *av.Config, video, audio []av.Frame) {
	t.Helper()
	config = &av.Config{}
	for _, tr := range m.tracks {
		samples := m.samples[tr.id]
		last := samples[len(samples)-1]
		samples = append(samples, sample{dts: last.dts + int64(last.duration)})
		if tr.handler == "soun" {
			config.Audio = audioOf(t, tr, samples[0].data)
			for _, s := range samples {
				audio = append(audio, av.Frame{Time: s.dts, Kind: av.Audio, Key: true, Data: s.data})
			}
			continue
		}
		config.Video = videoOf(t, tr, samples[0].data)
		for _, s := range samples {
			ms := func(at int64) int64 { return int64(math.Round(float64(at) * 1000 / float64(tr.timescale))) }
			cts := time.Duration(ms(s.pts())-ms(s.dts)) * time.Millisecond
			video = append(video, videoSample(ms(s.dts)*90, s.key(), cts, string(s.data)))
		}
	}
	return config, video, audio
}

// videoOf returns the track as av reads it from its record and its first frame.
func videoOf(t *testing.T, tr *trackInfo, frame []byte) *av.Track {
	t.Helper()
	codec, ok := map[string]av.Codec{"avc1": av.H264, "hvc1": av.HEVC, "av01": av.AV1, "vp09": av.VP9}[tr.entry]
	if !ok {
		t.Fatalf("sample entry %s", tr.entry)
	}
	track, err := av.NewVideoTrack(codec, tr.config[0].body)
	if err != nil {
		t.Fatal(err)
	}
	if track, err = track.WithKeyFrame(frame); err != nil {
		t.Fatal(err)
	}
	if track.Width != tr.width() || track.Height != tr.height() {
		t.Errorf("size %d×%d, want %d×%d", track.Width, track.Height, tr.width(), tr.height())
	}
	return track
}

// audioOf is videoOf for sound: what RTMP sends in front, or the first frame.
func audioOf(t *testing.T, tr *trackInfo, frame []byte) *av.Track {
	t.Helper()
	codec, data := av.Codec(0), frame
	switch tr.entry {
	case "mp4a": // ffmpeg's descriptors begin at known places: see TestInitEntries
		esds := tr.box("esds")
		codec = av.MP3
		if esds[17] == objectAAC {
			codec, data = av.AAC, esds[35:][:esds[34]]
		}
	case "Opus":
		d, le := tr.box("dOps"), binary.LittleEndian
		codec, data = av.Opus, append([]byte("OpusHead\x01"), d[1])
		data = le.AppendUint16(data, be.Uint16(d[2:]))
		data = le.AppendUint32(data, be.Uint32(d[4:]))
		data = append(data, 0, 0, 0)
	case "fLaC":
		codec, data = av.FLAC, append([]byte("fLaC"), tr.box("dfLa")[4:]...)
	case "ac-3":
		codec = av.AC3
	case "ec-3":
		codec = av.EAC3
	}
	track, err := av.NewAudioTrack(codec, data)
	if err != nil {
		t.Fatal(err)
	}
	if dolby := slices.Concat(tr.box("dac3"), tr.box("dec3")); dolby != nil && !bytes.Equal(track.Record, dolby) {
		t.Errorf("%v: record %x, want %x", codec, track.Record, dolby)
	}
	if track.Timescale != int64(tr.timescale) {
		t.Errorf("clock %d, want %d", track.Timescale, tr.timescale)
	}
	return track
}

// fromFLV returns H.264 and AAC or MP3 at 44.1 kHz from an FLV file, like
// fromMovie.
func fromFLV(t *testing.T, b []byte) (config *av.Config, video, audio []av.Frame) {
	t.Helper()
	config = &av.Config{
		Video: &av.Track{Codec: av.H264, Timescale: 90000, Width: 320, Height: 180},
		Audio: &av.Track{Codec: av.MP3, Timescale: 44100, SampleRate: 44100, Channels: 2, FrameSamples: 1152},
	}
	const header = 11
	for b = b[9+4:]; len(b) > header; {
		size := int(be.Uint32(b) & 0xffffff)
		ms := int64(be.Uint32(b[4:])>>8 | uint32(b[7])<<24)
		body := b[header:][:size]
		switch {
		case b[0] == 9 && body[1] == 0:
			config.Video.Record = body[5:]
		case b[0] == 9 && body[1] == 1:
			cts := time.Duration(int32(be.Uint32(body[1:])<<8)>>8) * time.Millisecond
			video = append(video, videoSample(ms*90, body[0]>>4 == 1, cts, string(body[5:])))
		case b[0] == 8 && body[0]>>4 == 10 && body[1] == 0:
			config.Audio.Codec, config.Audio.Record, config.Audio.FrameSamples = av.AAC, body[2:], 1024
		case b[0] == 8:
			skip := map[av.Codec]int{av.AAC: 2, av.MP3: 1}[config.Audio.Codec]
			at := ms * 44100 / 1000
			if n := len(audio); n > 0 {
				at = audio[n-1].Time + int64(config.Audio.FrameSamples)
			}
			audio = append(audio, audioSample(at, string(body[skip:])))
		}
		b = b[header+size+4:]
	}
	last := len(video) - 1
	video = append(video, videoSample(2*video[last].Time-video[last-1].Time, false, 0, ""))
	audio = append(audio, audioSample(audio[len(audio)-1].Time+int64(config.Audio.FrameSamples), ""))
	return config, video, audio
}
