package remux

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

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

// TestSoundChanges: sound without a sequence header that has other parameters from some
// frame on makes one discontinuity, at the next key frame, and a new initialization
// section. Until then it goes on, unless its clock is another.
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
			for _, m := range source {
				if m.typ == flv.TypeVideo {
					messages = append(messages, m)
				}
			}
			slices.SortStableFunc(messages, func(a, b rtmpMessage) int { return int(a.ts) - int(b.ts) })
			o := DefaultOptions()
			o.Window = time.Hour
			p := publish(t, NewRegistry(o, nil), "x", messages)
			p.Close()
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
				lost := p.Stats().BeforeHeader
				switch {
				case got+int(lost) != sent:
					t.Errorf("%s: %d frames of sound are there and %d were dropped, of %d", f.folder(), got, lost, sent)
				case c.goesOn && (lost > 0 || gap > 0.05):
					t.Errorf("%s: %d frames were dropped, and sound stops for %.3f s", f.folder(), lost, gap)
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
				pictures, frames = pictures+len(s.video), frames+len(s.audio)
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
