package remux

import (
	"bytes"
	"slices"
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// Tracks beside the first of their kind are kept, byte for byte and at their own
// time, apart from the stream.
func TestExtraTracks(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  av.Kind
		codec av.Codec
	}{
		{"h264_aac_aac", av.Audio, av.AAC},
		{"h264_aac_opus", av.Audio, av.Opus},
		{"h264_hevc_aac", av.Video, av.HEVC},
	} {
		t.Run(c.name, func(t *testing.T) {
			messages := fixture(t, c.name)
			s, got := watchExtra(t, NewRegistry(DefaultOptions(), nil), messages)
			extras := s.Extras()
			if len(extras) != 1 || extras[0].Kind != c.kind || extras[0].Number != 1 {
				t.Fatalf("extra tracks %+v", extras)
			}
			want := trackOne(messages)
			if len(got) != len(want) {
				t.Fatalf("%d frames, want %d", len(got), len(want))
			}
			for i, f := range got {
				if !bytes.Equal(f.Data, want[i].body) || wireTime(f.DTS) != want[i].ts {
					t.Fatalf("frame %d: %d bytes at %v, want %d at %d ms", i, len(f.Data), f.DTS, len(want[i].body), want[i].ts)
				}
			}
			config := extras[0].Config()
			track := config.Audio
			if c.kind == av.Video {
				track = config.Video
			}
			if track.Codec != c.codec || got[0].Config != config || (config.Audio == nil) == (config.Video == nil) {
				t.Errorf("config %+v of %v", config, track.Codec)
			}
			if track.Header == nil {
				t.Error("no header")
			}
		})
	}
}

// watchExtra publishes messages and returns what a viewer reads who looks at the
// first extra track from its beginning.
func watchExtra(t *testing.T, r *Registry, messages []rtmpMessage) (s *Stream, frames []av.Frame) {
	t.Helper()
	p := publish(t, r, "x", nil)
	defer p.Close()
	s = p.Stream()
	var cursor *Cursor
	var room [64]av.Frame
	for _, m := range messages {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
		if extras := s.Extras(); cursor == nil && len(extras) > 0 {
			c := extras[0].NewCursor()
			cursor = &c
		}
		if cursor != nil {
			frames = append(frames, cursor.Take(room[:]).Frames...)
		}
	}
	return s, frames
}

// trackOne finds the coded frames of track 1 by the bytes of each message alone
// (one track a message, as FFmpeg sends them). Sound that comes in front of the
// first picture is of no stream.
func trackOne(messages []rtmpMessage) (frames []rtmpMessage) {
	for _, m := range messages {
		b := m.body
		switch {
		case m.typ == flv.TypeAudio && b[0] == 0x95 && b[1]&15 == 1:
			m.body = b[7:]
		case m.typ == flv.TypeVideo && b[0]&0x8f == 0x86 && b[1]&15 == 1:
			m.body = b[10:] // behind the composition time
		case m.typ == flv.TypeVideo && b[0]&0x8f == 0x86 && b[1]&15 == 3:
			m.body = b[7:]
		default:
			continue
		}
		if len(m.body) > 0 {
			frames = append(frames, m)
		}
	}
	return frames
}

// A publisher that comes back goes on with the same extra tracks, on the stream's
// clock.
func TestExtraTracksGoOn(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	messages := fixture(t, "h264_aac_opus")
	s, before := watchExtra(t, r, messages)
	first := s.Extras()
	again, after := watchExtra(t, r, messages)
	if s != again || len(s.Extras()) != 1 || first[0] != s.Extras()[0] {
		t.Fatalf("extra tracks %v, then %v", first, s.Extras())
	}
	length := before[len(before)-1].DTS
	if d := after[len(after)-1].DTS - 2*length; d < -200*time.Millisecond || d > 200*time.Millisecond {
		t.Errorf("ends at %v, and again at %v", length, after[len(after)-1].DTS)
	}
	if !slices.IsSortedFunc(after, func(a, b av.Frame) int { return int(a.DTS - b.DTS) }) {
		t.Error("time goes back")
	}
}

// What an encoder may make of track numbers, and of the bytes in them, is bounded
// and harms nothing.
func TestExtraTracksAreBounded(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", nil)
	for _, m := range fixture(t, "h264_aac_opus") {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
		if m.typ != flv.TypeAudio || m.body[0] != 0x95 {
			continue
		}
		for number := range 256 {
			m.body = slices.Clone(m.body)
			m.body[6] = byte(number)
			if number == 0 {
				continue // that is the stream's own
			}
			for _, n := range []int{7, len(m.body)} {
				if err := p.Write(m.typ, m.ts, rtmpMessage{body: m.body[:n]}.tag()); err != nil {
					t.Fatal(err)
				}
			}
		}
	}
	if n := len(p.Stream().Extras()); n != maxExtras {
		t.Errorf("%d extra tracks, want %d", n, maxExtras)
	}
	if s := p.Stats(); s.Malformed+s.Unsupported != 0 || s.AudioFrames == 0 {
		t.Errorf("counted %+v", s)
	}
}

// Colours belong behind the header for viewers to come as well.
func TestNotesStayWithTheHeader(t *testing.T) {
	messages := fixture(t, "hevc_aac")
	colours := append([]byte{0x84}, "hvc1\x02\x00\x09colorInfo\x03\x00\x00\x09"...)
	at := slices.IndexFunc(messages, func(m rtmpMessage) bool { header, _, _ := role(m); return m.typ == flv.TypeVideo && header })
	messages = slices.Insert(messages, at+1, rtmpMessage{flv.TypeVideo, messages[at].ts, colours})
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", messages)
	notes := p.Stream().Config().Video.Notes
	if len(notes) == 0 || !bytes.Equal(flv.Body(notes[0]), colours) || notes[0][0] != flv.TypeVideo {
		t.Fatalf("notes % x", notes)
	}
	for range 2 * maxNotes { // in force already: nothing to remember
		if err := p.Write(flv.TypeVideo, messages[at].ts, rtmpMessage{body: colours}.tag()); err != nil {
			t.Fatal(err)
		}
	}
	if now := p.Stream().Config().Video.Notes; len(now) != len(notes) {
		t.Errorf("%d notes", len(now))
	}
}

// An encoder of FLAC ends with a header that knows the totals. It is the same
// track.
func TestFLACTotalsChangeNothing(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	messages := fixture(t, "h264_flac")
	var headers [][]byte
	for _, m := range messages {
		if header, _, _ := role(m); m.typ == flv.TypeAudio && header && len(m.body) > 5 {
			headers = append(headers, m.body)
		}
	}
	if len(headers) != 2 || bytes.Equal(headers[0], headers[1]) {
		t.Fatalf("%d headers in the fixture", len(headers))
	}
	p := publish(t, r, "x", messages)
	if p.audio.next != nil {
		t.Error("a track waits to take over")
	}
	config := p.Stream().Config()
	other := slices.Clone(headers[1])
	other[5+12] ^= 0x02 // the number of channels
	if err := p.Write(flv.TypeAudio, messages[len(messages)-1].ts, rtmpMessage{body: other}.tag()); err != nil {
		t.Fatal(err)
	}
	if p.audio.next == nil || p.Stream().Config() != config {
		t.Error("another number of channels is another track, from the next key frame on")
	}
}
