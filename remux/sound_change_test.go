package remux

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// sound is a tone as messages of Enhanced RTMP, from a time on.
func sound(t *testing.T, codec, fourCC, rate, layout string, from, to uint32) (messages []rtmpMessage) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "sound."+codec)
	args := []string{"-v", "error", "-f", "lavfi", "-i", "sine=r=" + rate, "-t", "8", "-af", "aformat=channel_layouts=" + layout, "-c:a", codec, path}
	if out, err := exec.Command("ffmpeg", args...).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range packetsOf(t, path) {
		at := from + uint32(p.dts*1000)
		if at >= to {
			break
		}
		messages = append(messages, rtmpMessage{flv.TypeAudio, at, append([]byte("\x91"+fourCC), b[:p.size]...)})
		b = b[p.size:]
	}
	return messages
}

// listen publishes messages and the end of the session, and returns the frames of sound
// that a reader of tags gets.
func listen(t *testing.T, p *Publisher, messages []rtmpMessage) (frames []av.Frame) {
	t.Helper()
	cursor := p.Stream().NewCursor()
	var room [100]av.Frame
	take := func() {
		for _, f := range cursor.Take(room[:]).Frames {
			if f.Kind == av.Audio {
				frames = append(frames, f)
			}
		}
	}
	for _, m := range messages {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
		take()
	}
	p.Close()
	take()
	return frames
}

// listenAll publishes sound, so many frames of it, with the pictures of source, and
// returns what is heard of it by those who read tags.
func listenAll(t *testing.T, messages, source []rtmpMessage, sent int) (p *Publisher, heard []av.Frame) {
	t.Helper()
	for _, m := range source {
		if m.typ == flv.TypeVideo {
			messages = append(messages, m)
		}
	}
	slices.SortStableFunc(messages, func(a, b rtmpMessage) int { return int(a.ts) - int(b.ts) })
	o := DefaultOptions()
	o.Window = time.Hour
	p = publish(t, NewRegistry(o, nil), "x", nil)
	heard = listen(t, p, messages)
	if len(heard) != sent-1 { // one comes in front of the first picture
		t.Errorf("%d frames of sound for those who read tags, of %d", len(heard), sent)
	}
	return p, heard
}

// TestSoundChanges: sound without a sequence header that has other parameters from some
// frame on makes one discontinuity, at the next key frame, and a new initialization
// section. Until then it goes on, unless its clock is another: then those who read tags
// have it at once, and HLS from that key frame on.
func TestSoundChanges(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	const change, length = 2100, 8000 // ms; key frames are 2 s apart
	for _, c := range []struct {
		name, codec, fourCC, rate, layout string
		goesOn                            bool
	}{
		{"AC-3, more channels", "ac3", "ac-3", "48000", "5.1", true},
		{"E-AC-3, more channels", "eac3", "ec-3", "48000", "5.1", true},
		{"AC-3, another rate", "ac3", "ac-3", "44100", "stereo", false},
		{"E-AC-3, another rate", "eac3", "ec-3", "44100", "stereo", false},
	} {
		t.Run(c.name, func(t *testing.T) {
			messages := append(sound(t, c.codec, c.fourCC, "48000", "stereo", 0, change),
				sound(t, c.codec, c.fourCC, c.rate, c.layout, change, length)...)
			sent := len(messages)
			_, source := testSource(t, 8)
			p, heard := listenAll(t, messages, source, sent)
			without := 0
			for _, f := range heard {
				if !c.goesOn && f.DTS >= change*time.Millisecond && f.DTS < 4*time.Second {
					without++
					if rate := strconv.Itoa(f.Config.Audio.SampleRate); rate != c.rate {
						t.Errorf("at %v it is said to have %s Hz", f.DTS, rate)
					}
				}
			}
			ix := p.Stream().Index()
			for _, f := range []Format{FMP4, TS} {
				text, err := ix.Playlist(f, Ask{})
				if err != nil {
					t.Fatal(err)
				}
				runs := strings.Split(string(text.Body), "#EXT-X-DISCONTINUITY\n")
				if len(runs) != 2 || f == FMP4 && strings.Count(runs[1], "#EXT-X-MAP:") != 1 {
					t.Errorf("%s: %d runs of segments, want 2 with an initialization section each:\n%s", f.folder(), len(runs), text.Body)
				}
				got, last, gap := 0, 0.0, 0.0
				for _, run := range runs {
					path := listed(t, ix, f, run)
					decodes(t, path)
					for _, p := range packetsOf(t, path) {
						if p.kind != "audio" {
							continue
						}
						if got++; last > 0 {
							gap = max(gap, p.dts-last)
						}
						last = p.dts
					}
				}
				switch {
				case got+without != sent:
					t.Errorf("%s: %d frames of sound are there and %d are not, of %d", f.folder(), got, without, sent)
				case c.goesOn && gap > 0.05:
					t.Errorf("%s: sound stops for %.3f s", f.folder(), gap)
				case !c.goesOn && gap > 2:
					t.Errorf("%s: sound stops for %.3f s", f.folder(), gap)
				}
			}
		})
	}
}

// TestAllChanges: pictures and sound have other parameters from one time on, and the
// sound says so in its first frame alone, which comes behind the key frame. That is one
// discontinuity, and nothing is lost.
func TestAllChanges(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	_, first := testSource(t, 4)
	_, second := encode(t, "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", "-c:v", "libx264", "-preset", "veryfast", "-g", "50")
	for _, c := range []struct {
		name, codec, fourCC, rate, layout string
		late                              uint32 // how much later the sound arrives
	}{
		{"more channels", "ac3", "ac-3", "48000", "5.1", 0},
		{"more channels, late", "eac3", "ec-3", "48000", "5.1", 300},
		{"another rate", "eac3", "ec-3", "44100", "stereo", 0},
		{"another codec", "eac3", "ec-3", "48000", "stereo", 0},
		{"the same", "ac3", "ac-3", "48000", "stereo", 100},
	} {
		t.Run(c.name, func(t *testing.T) {
			codec, fourCC := c.codec, c.fourCC
			if c.name == "another codec" {
				codec, fourCC = "ac3", "ac-3"
			}
			type arrival struct {
				at uint32
				rtmpMessage
			}
			var all []arrival
			for _, m := range first {
				if m.typ == flv.TypeVideo {
					all = append(all, arrival{m.ts, m})
				}
			}
			for _, m := range second {
				if m.typ == flv.TypeVideo {
					m.ts += 4000
					all = append(all, arrival{m.ts, m})
				}
			}
			sounds := append(sound(t, codec, fourCC, "48000", "stereo", 0, 4000), sound(t, c.codec, c.fourCC, c.rate, c.layout, 4000, 8000)...)
			for _, m := range sounds {
				all = append(all, arrival{m.ts + c.late, m})
			}
			slices.SortStableFunc(all, func(a, b arrival) int { return int(a.at) - int(b.at) })
			o := DefaultOptions()
			o.Window = time.Hour
			r := NewRegistry(o, nil)
			p := publish(t, r, "x", nil)
			for _, m := range all {
				if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
					t.Fatal(err)
				}
			}
			p.Close()
			ix := p.Stream().Index()
			n, pictures, frames := 0, 0, 0
			for _, s := range ix.Segments {
				if s.Discontinuity {
					n++
				}
				pictures, frames = pictures+s.video.len(), frames+s.audio.len()
			}
			if n != 1 {
				t.Errorf("%d discontinuities", n)
			}
			if pictures != 220 {
				t.Errorf("%d pictures, want 220", pictures)
			}
			if lost := len(sounds) - frames; lost > 0 {
				t.Errorf("%d frames of sound are missing", lost)
			}
			if got := p.Stats(); got.BeforeHeader > 0 || got.Discontinuities > 0 {
				t.Errorf("counted %+v", got)
			}
		})
	}
}

// aac is a tone as a legacy encoder sends it, header included, from a time on.
func aac(t *testing.T, rate, channels string, from, to uint32) (messages []rtmpMessage) {
	t.Helper()
	_, all := encode(t, "-f", "lavfi", "-i", "sine=r="+rate, "-t", "12", "-ac", channels, "-c:a", "aac")
	for _, m := range all {
		if m.ts += from; m.typ == flv.TypeAudio && m.ts < to {
			messages = append(messages, m)
		}
	}
	return messages
}

// TestAACChanges: AAC that changes between key frames is heard at once by those who read
// tags, behind its header. HLS has pictures without sound up to the next key frame, one
// discontinuity there, and all from then on. If it has changed back by then nothing has
// happened but a hole in the sound.
func TestAACChanges(t *testing.T) {
	_, source := testSource(t, 8) // key frames are 2 s apart
	for _, c := range []struct {
		name    string
		changes []uint32    // ms; to 48 kHz mono and back
		silent  [][2]uint32 // in HLS, from and to
		breaks  int
	}{
		{"once", []uint32{2100}, [][2]uint32{{2100, 4000}}, 1},
		{"and back within a group of pictures", []uint32{2100, 2600}, [][2]uint32{{2100, 2600}}, 0},
		{"and back a while later", []uint32{2100, 4600}, [][2]uint32{{2100, 4000}, {4600, 6000}}, 2},
		{"thrice within a group of pictures", []uint32{2100, 2500, 2900}, [][2]uint32{{2100, 2500}, {2900, 4000}}, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var messages []rtmpMessage
			from := uint32(0)
			for i, to := range append(c.changes, 8000) {
				format := [][2]string{{"44100", "2"}, {"48000", "1"}}[i%2]
				messages = append(messages, aac(t, format[0], format[1], from, to)...)
				from = to
			}
			sent := len(messages) - len(c.changes) - 1 // without headers
			p, heard := listenAll(t, messages, source, sent)
			without := 0
			for _, f := range heard {
				i, _ := slices.BinarySearchFunc(c.changes, f.DTS, func(at uint32, d time.Duration) int {
					return int(time.Duration(at)*time.Millisecond - d - 1)
				})
				if want := []int{44100, 48000}[i%2]; f.Config.Audio.SampleRate != want {
					t.Errorf("at %v sound is said to have %d Hz, want %d", f.DTS, f.Config.Audio.SampleRate, want)
				}
				for _, span := range c.silent {
					if ms := uint32(f.DTS / time.Millisecond); ms >= span[0] && ms < span[1] {
						without++
					}
				}
			}
			ix := p.Stream().Index()
			frames, pictures, breaks := 0, 0, 0
			for i, seg := range ix.Segments {
				frames, pictures = frames+seg.audio.len(), pictures+seg.video.len()
				if seg.Discontinuity {
					breaks++
				}
				if i > 0 && seg.Start > ix.Segments[i-1].Start+ix.Segments[i-1].Duration+50*time.Millisecond {
					t.Errorf("a hole in front of %v", seg.Start)
				}
				for _, a := range seg.audio.all() {
					if a.Config != seg.Config {
						t.Errorf("sound at %v with other parameters than its segment", a.DTS)
					}
				}
			}
			if frames != sent-without || pictures != 240 || breaks != c.breaks {
				t.Errorf("HLS has %d frames of sound of %d without %d, %d pictures of 240, %d discontinuities, want %d", frames, sent, without, pictures, breaks, c.breaks)
			}
			for _, f := range []Format{FMP4, TS} {
				text, err := ix.Playlist(f, Ask{})
				if err != nil {
					t.Fatal(err)
				}
				for run := range strings.SplitSeq(string(text.Body), "#EXT-X-DISCONTINUITY\n") {
					decodes(t, listed(t, ix, f, run))
				}
			}
			if got := p.Stats(); got.BeforeHeader > 0 || got.Discontinuities > 0 {
				t.Errorf("counted %+v", got)
			}
		})
	}
}
