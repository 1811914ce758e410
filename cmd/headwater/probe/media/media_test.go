package media

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"headwater/remux/av"
)

// collector keeps what a reader tells.
type collector struct {
	tracks [3][]Track // by kind
	frames [3][]Frame
}

func (c *collector) Track(kind av.Kind, t Track) { c.tracks[kind] = append(c.tracks[kind], t) }
func (c *collector) Frame(f Frame)               { c.frames[f.Kind] = append(c.frames[f.Kind], f) }

// readAll reads b as the container that its name says.
func readAll(name string, b []byte, sink Sink) (Faults, error) {
	r := bufio.NewReader(bytes.NewReader(b))
	switch filepath.Ext(name) {
	case ".ts":
		t := NewTS(sink)
		err := t.Read(r)
		return t.Faults, err
	case ".mp4":
		m := NewMP4(sink)
		err := m.Read(r)
		return m.Faults, err
	}
	f, err := NewFLV(r, sink)
	if err != nil {
		return Faults{}, err
	}
	for err == nil {
		err = f.Next()
	}
	if err == io.EOF {
		err = nil
	}
	return f.Faults, err
}

// TestClips: two seconds of 25 pictures a second with a key frame each second and two
// B-frames, and AAC of 44,100 Hz, as FFmpeg wrote them. The numbers are ffprobe's.
func TestClips(t *testing.T) {
	const ms = time.Millisecond
	tests := map[string]struct {
		video, audio     int
		dts, pts, sound  time.Duration
		lastDTS, lastKey time.Duration
	}{
		"clip.flv": {50, 88, 0, 80 * ms, 57 * ms, 1960 * ms, 1000 * ms},
		"clip.mp4": {50, 88, 0, 80 * ms, 0, 1960 * ms, 1000 * ms},
		// PES packets hold several frames of sound; DTS begins at 1.4 s.
		"clip.ts": {50, 0, 1400 * ms, 1480 * ms, 1456778 * time.Microsecond, 3360 * ms, 2400 * ms},
	}
	for name, want := range tests {
		t.Run(name, func(t *testing.T) {
			b, err := os.ReadFile(filepath.Join("testdata", name))
			if err != nil {
				t.Fatal(err)
			}
			var c collector
			faults, err := readAll(name, b, &c)
			if err != nil || faults != (Faults{}) {
				t.Fatalf("%v, %+v", err, faults)
			}
			v, a := c.frames[av.Video], c.frames[av.Audio]
			if len(v) != want.video || want.audio > 0 && len(a) != want.audio || len(a) < 5 {
				t.Errorf("%d pictures, %d pieces of sound", len(v), len(a))
			}
			keys, last := 0, time.Duration(0)
			for _, f := range v {
				if f.Key {
					keys++
					last = f.DTS
				}
			}
			if keys != 2 || !near(last, want.lastKey) || !v[0].Key || !near(v[0].DTS, want.dts) || !near(v[0].PTS, want.pts) || !near(v[len(v)-1].DTS, want.lastDTS) {
				t.Errorf("%d key frames, the last at %s; first %+v, last %+v", keys, last, v[0], v[len(v)-1])
			}
			if !near(a[0].DTS, want.sound) {
				t.Errorf("sound begins at %s", a[0].DTS)
			}
			video, audio := c.tracks[av.Video], c.tracks[av.Audio]
			if len(video) != 1 || video[0].Codec != "H.264" || video[0].Width != 160 || video[0].Height != 120 || video[0].FrameRate != 25 || video[0].Tag[:5] != "avc1." {
				t.Errorf("video: %+v", video)
			}
			if len(audio) != 1 || audio[0].Codec != "AAC" || audio[0].SampleRate != 44100 || audio[0].Channels != 1 || audio[0].Tag != "mp4a.40.2" {
				t.Errorf("audio: %+v", audio)
			}
		})
	}
}

func near(a, b time.Duration) bool { return max(a-b, b-a) <= time.Millisecond }

// TestLostPackets: counters that skip are seen, within a segment and over two; after
// Cut they may begin anywhere.
func TestLostPackets(t *testing.T) {
	b, err := os.ReadFile(filepath.Join("testdata", "clip.ts"))
	if err != nil {
		t.Fatal(err)
	}
	read := func(r *TS, b []byte) {
		if err := r.Read(bufio.NewReader(bytes.NewReader(b))); err != nil {
			t.Fatal(err)
		}
	}
	r := NewTS(&collector{})
	read(r, b[:60*tsPacket])
	read(r, b[60*tsPacket:])
	if r.Continuity != 0 {
		t.Errorf("%d losses in a whole stream", r.Continuity)
	}
	r = NewTS(&collector{})
	read(r, append(bytes.Clone(b[:60*tsPacket]), b[62*tsPacket:]...))
	if r.Continuity == 0 {
		t.Error("two packets are missing, and nobody says so")
	}
	r = NewTS(&collector{})
	read(r, b[:60*tsPacket])
	r.Cut()
	read(r, b[70*tsPacket:])
	if r.Continuity != 0 {
		t.Errorf("%d losses over a cut", r.Continuity)
	}
	r = NewTS(&collector{})
	read(r, append(append(bytes.Clone(b[:60*tsPacket]), "garbage"...), b[60*tsPacket:]...))
	if r.Sync != 1 {
		t.Errorf("bytes between packets counted %d times", r.Sync)
	}
}

// TestEnhanced reads what FFmpeg and OBS send in the enhanced form of FLV.
func TestEnhanced(t *testing.T) {
	tests := map[string][2]string{
		"hevc_aac.flv": {"HEVC", "AAC"}, "obs_av1_aac.flv": {"AV1", "AAC"}, "vp9_opus.flv": {"VP9", "Opus"},
		"h264_flac.flv": {"H.264", "FLAC"}, "h264_ac3.flv": {"H.264", "AC-3"}, "h264_aac_aac.flv": {"H.264", "AAC"},
	}
	for name, want := range tests {
		b, err := os.ReadFile(filepath.Join("..", "..", "..", "..", "remux", "testdata", "enhanced", name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.HasPrefix(b, []byte("FLV")) {
			t.Fatalf("%s is no FLV", name)
		}
		var c collector
		faults, err := readAll(name, b, &c)
		video, audio := c.tracks[av.Video], c.tracks[av.Audio]
		if err != nil || faults.Malformed+faults.Unknown > 0 || len(video) == 0 || len(audio) == 0 {
			t.Errorf("%s: %v, %+v, %d and %d tracks", name, err, faults, len(video), len(audio))
			continue
		}
		if v, a := video[len(video)-1], audio[len(audio)-1]; v.Codec != want[0] || a.Codec != want[1] || v.Width == 0 || a.SampleRate == 0 {
			t.Errorf("%s: %+v, %+v", name, v, a)
		}
	}
}

// TestHostile: what is announced and not there costs nothing and ends.
func TestHostile(t *testing.T) {
	moof := func(trun ...byte) []byte {
		tfhd := box("tfhd", 0, 2, 0, 0, 0, 0, 0, 1)
		return box("moof", box("traf", append(tfhd, box("trun", trun...)...)...)...)
	}
	clip, err := os.ReadFile(filepath.Join("testdata", "clip.mp4"))
	if err != nil {
		t.Fatal(err)
	}
	init := clip[:bytes.Index(clip, []byte("moof"))-4]
	tests := map[string][]byte{
		"huge.mp4":    {0xff, 0xff, 0xff, 0xff, 'm', 'o', 'o', 'v'},
		"small.mp4":   {0, 0, 0, 4, 'm', 'o', 'o', 'v'},
		"large.mp4":   {0, 0, 0, 1, 'm', 'o', 'o', 'f', 0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0},
		"samples.mp4": append(bytes.Clone(init), moof(0, 0, 0, 0, 0xff, 0xff, 0xff, 0xff)...),
		"cut.mp4":     append(bytes.Clone(init), moof(0, 0, 1, 0, 0, 0, 0, 9)...),
		"noinit.mp4":  moof(0, 0, 0, 0, 0, 0, 0, 1),
		"nosync.ts":   bytes.Repeat([]byte{0x11}, 200<<10),
		"not.flv":     []byte("FLW\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00"),
		"offset.flv":  []byte("FLV\x01\x05\xff\xff\xff\xff\x00\x00\x00\x00"),
		"sizes.flv":   append([]byte("FLV\x01\x05\x00\x00\x00\x09\x00\x00\x00\x00\xff\x00\x00\x01\x00\x00\x00\x00\x00\x00\x00"), "xxxxxx"...),
	}
	for name, b := range tests {
		var c collector
		if _, err := readAll(name, b, &c); !errors.Is(err, ErrFormat) {
			t.Errorf("%s: %v", name, err)
		}
		if n := len(c.frames[av.Video]); n > 0 {
			t.Errorf("%s: %d frames", name, n)
		}
	}
}

func box(typ string, body ...byte) []byte {
	n := 8 + len(body)
	return append([]byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), typ[0], typ[1], typ[2], typ[3]}, body...)
}

// FuzzRead: no reader panics, loops or makes more frames than there are bytes.
func FuzzRead(f *testing.F) {
	for i, name := range []string{"clip.ts", "clip.mp4", "clip.flv"} {
		b, err := os.ReadFile(filepath.Join("testdata", name))
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(i), b)
		f.Add(uint8(i), b[:len(b)/3])
	}
	f.Fuzz(func(t *testing.T, kind uint8, b []byte) {
		var c collector
		_, _ = readAll([]string{".ts", ".mp4", ".flv"}[kind%3], b, &c)
		// A fragment may describe mp4Samples with no byte for each.
		if n := len(c.frames[av.Video]) + len(c.frames[av.Audio]); n > len(b)+mp4Samples*(1+len(b)/40) {
			t.Errorf("%d frames of %d bytes", n, len(b))
		}
	})
}

func TestUnwrap(t *testing.T) {
	u := unwrapper{period: 1 << 32}
	for _, tt := range [][2]int64{{1<<32 - 10, 1<<32 - 10}, {5, 1<<32 + 5}, {1<<32 - 1, 1<<32 - 1}, {100, 1<<32 + 100}} {
		if got := u.at(tt[0]); got != tt[1] {
			t.Errorf("at(%d) = %d, want %d", tt[0], got, tt[1])
		}
	}
}
