package remux

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"io"
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

// rtmpMessage is one tag of an FLV file as an RTMP publisher sends it.
type rtmpMessage struct {
	typ  uint8
	ts   uint32
	body []byte
}

func (m rtmpMessage) tag() []byte {
	tag := flv.NewTag(len(m.body))
	copy(flv.Body(tag), m.body)
	return tag
}

// encode makes an FLV file with ffmpeg and returns its path and messages.
func encode(t *testing.T, args ...string) (string, []rtmpMessage) {
	t.Helper()
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	path := filepath.Join(t.TempDir(), "source.flv")
	all := append([]string{"-v", "error", "-y"}, args...)
	if out, err := exec.Command("ffmpeg", append(all, "-f", "flv", path)...).CombinedOutput(); err != nil {
		t.Fatalf("encode: %v\n%s", err, out)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var messages []rtmpMessage
	for b = b[13:]; len(b) >= 15; {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		ts := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		messages = append(messages, rtmpMessage{b[0] & 31, ts, b[11 : 11+n]})
		b = b[15+n:]
	}
	return path, messages
}

func testSource(t *testing.T, seconds int) (string, []rtmpMessage) {
	d := strconv.Itoa(seconds)
	return encode(t, "-f", "lavfi", "-i", "testsrc2=s=320x240:r=30:d="+d, "-f", "lavfi", "-i", "sine=r=44100:d="+d,
		"-c:v", "libx264", "-preset", "veryfast", "-g", "60", "-bf", "2", "-c:a", "aac", "-b:a", "96k")
}

func publish(t *testing.T, r *Registry, name string, messages []rtmpMessage) *Publisher {
	t.Helper()
	p, err := r.Publish(Name{"live", name}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range messages {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
	}
	return p
}

type packet struct {
	Type string `json:"codec_type"`
	PTS  string `json:"pts_time"`
	DTS  string `json:"dts_time"`
	Size string `json:"size"`
	key  bool
}

func probe(t *testing.T, path string) (packets []packet) {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-show_packets", "-of", "json", path).Output()
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	var v struct{ Packets []packet }
	if err := json.Unmarshal(out, &v); err != nil {
		t.Fatal(err)
	}
	return v.Packets
}

func times(t *testing.T, packets []packet, kind string) (dts, pts []float64) {
	t.Helper()
	for _, p := range packets {
		if p.Type != kind {
			continue
		}
		d, err := strconv.ParseFloat(p.DTS, 64)
		if err != nil {
			t.Fatalf("DTS %q", p.DTS)
		}
		at, err := strconv.ParseFloat(p.PTS, 64)
		if err != nil {
			t.Fatalf("PTS %q", p.PTS)
		}
		dts, pts = append(dts, d), append(pts, at)
	}
	return dts, pts
}

// decodes reports what ffmpeg has to complain of when it decodes a file.
func decodes(t *testing.T, path string) {
	t.Helper()
	out, err := exec.Command("ffmpeg", "-v", "warning", "-i", path, "-f", "null", "-").CombinedOutput()
	if err != nil || len(out) > 0 {
		t.Errorf("decode %s: %v\n%s", filepath.Base(path), err, out)
	}
}

// download writes what the index lists in a format to a file, the initialization
// section first.
func download(t *testing.T, ix *Index, f Format) string {
	t.Helper()
	text, err := ix.Playlist(f, Ask{})
	if err != nil {
		t.Fatal(err)
	}
	return listed(t, ix, f, string(text.Body))
}

// sameTimes compares two lists after taking off the difference of offset.
func sameTimes(t *testing.T, what string, got, want []float64, offset, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d packets, want %d", what, len(got), len(want))
		return
	}
	for i := range got {
		if d := got[i] - want[i] - offset; d < -tolerance || d > tolerance {
			t.Errorf("%s: packet %d at %.4f, want %.4f (offset %.4f)", what, i, got[i]-offset, want[i], offset)
			return
		}
	}
}

func TestRealStreamInBothFormats(t *testing.T) {
	source, messages := testSource(t, 10)
	wantV, wantVP := times(t, probe(t, source), "video")
	wantA, _ := times(t, probe(t, source), "audio")
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", messages)
	p.Close()
	s := r.Stream(Name{"live", "x"})
	ix := s.Index()
	if n := len(ix.Segments); n != 5 {
		t.Fatalf("%d segments, want 5 of 2 s", n)
	}
	if ix.Target != 2*time.Second {
		t.Errorf("target duration %v, want 2s", ix.Target)
	}
	for _, f := range []Format{FMP4, TS} {
		path := download(t, ix, f)
		decodes(t, path)
		packets := probe(t, path)
		gotV, gotVP := times(t, packets, "video")
		gotA, _ := times(t, packets, "audio")
		offset := gotV[0] - wantV[0]
		sameTimes(t, f.folder()+" video DTS", gotV, wantV, offset, 0.00002)
		sameTimes(t, f.folder()+" video PTS", gotVP, wantVP, offset, 0.00002)
		sameTimes(t, f.folder()+" audio", gotA, wantA, offset, 0.001)
	}
}

func TestCursorReadsWhatWasSent(t *testing.T) {
	source, messages := testSource(t, 3)
	r := NewRegistry(DefaultOptions(), nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	c := r.Stream(Name{"live", "x"}).NewCursor()
	var room [64]av.Frame
	var out bytes.Buffer
	out.Write(flv.FileHeader(true, true))
	var config *av.Config
	read := func(b Batch) {
		for _, f := range b.Frames {
			if f.Config != config {
				config = f.Config
				out.Write(config.Video.Header)
				out.Write(config.Audio.Header)
			}
			out.Write(f.Tag)
		}
	}
	for _, m := range messages {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
		for b := c.Take(room[:]); len(b.Frames) > 0; b = c.Take(room[:]) {
			if b.Skipped {
				t.Fatal("skipped")
			}
			read(b)
		}
	}
	r.Close()
	if _, err := c.Next(t.Context(), room[:]); err != io.EOF {
		t.Errorf("after the end: %v, want EOF", err)
	}
	path := filepath.Join(t.TempDir(), "out.flv")
	if err := os.WriteFile(path, out.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	decodes(t, path)
	got, want := probe(t, path), probe(t, source)
	for i := range want {
		want[i].key, got[i].key = false, false
	}
	if !slices.Equal(got, want) {
		t.Errorf("%d packets differ from the %d of the source", len(got), len(want))
	}
}

// reconnecting publishers continue the stream after one discontinuity each.
func TestReconnect(t *testing.T) {
	_, messages := testSource(t, 5)
	o := DefaultOptions()
	o.Window = time.Hour
	r := NewRegistry(o, nil)
	const sessions = 4
	for range sessions {
		publish(t, r, "x", messages).Close()
	}
	ix := r.Stream(Name{"live", "x"}).Index()
	text, err := ix.Playlist(FMP4, Ask{})
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text.Body, []byte("#EXT-X-DISCONTINUITY\n")); n != sessions-1 {
		t.Errorf("%d discontinuities, want %d", n, sessions-1)
	}
	if n := bytes.Count(text.Body, []byte("#EXT-X-MAP")); n != 1 {
		t.Errorf("%d initialization sections, want 1 for the same parameters", n)
	}
	if n := len(ix.Segments); n != 3*sessions {
		t.Errorf("%d segments, want %d", n, 3*sessions)
	}
	var last time.Duration
	for i, s := range ix.Segments {
		if s.Start < last {
			t.Errorf("segment %d begins at %v, before the end of the one before at %v", i, s.Start, last)
		}
		last = s.Start + s.Duration
		if s.Sequence != ix.Segments[0].Sequence+uint64(i) {
			t.Errorf("segment %d has number %d", i, s.Sequence)
		}
	}
	decodes(t, download(t, ix, FMP4))
	decodes(t, download(t, ix, TS))
}

func TestSecondPublisherIsRefusedAndNameFreed(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := r.Publish(Name{"live", "x"}, Claim{}); err != ErrBusy {
		t.Errorf("second publisher: %v, want ErrBusy", err)
	}
	p.Close()
	p.Close()
	if _, err := r.Publish(Name{"live", "x"}, Claim{}); err != nil {
		t.Errorf("after the first has left: %v", err)
	}
}

func TestExpire(t *testing.T) {
	_, messages := testSource(t, 3)
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", messages)
	s := p.Stream()
	now := time.Now()
	r.expire(now.Add(time.Hour))
	if s.Index().Ended {
		t.Fatal("a live stream has ended")
	}
	p.Close()
	r.expire(now.Add(20 * time.Second))
	if s.Index().Ended {
		t.Fatal("ended within the reconnect window")
	}
	end := time.Now().Add(31 * time.Second)
	r.expire(end)
	text, err := s.Index().Playlist(TS, Ask{})
	if err != nil || !bytes.HasSuffix(text.Body, []byte("#EXT-X-ENDLIST\n")) {
		t.Fatalf("after the window: %v, %s", err, text.Body)
	}
	r.expire(end.Add(2 * time.Minute))
	if r.Stream(s.Name) != nil {
		t.Error("an ended stream is kept for ever")
	}
	late := s.NewCursor()
	if _, err := late.Next(t.Context(), make([]av.Frame, 1)); err != io.EOF {
		t.Errorf("cursor on an ended stream: %v, want EOF", err)
	}
}

// A viewer that does not read skips to the newest key frame, once, and is told.
func TestSlowCursorSkips(t *testing.T) {
	_, messages := testSource(t, 4)
	r := NewRegistry(DefaultOptions(), nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	c := p.Stream().NewCursor()
	var room [64]av.Frame
	offset := uint32(0)
	for round := range 6 {
		for _, m := range messages {
			if round > 0 && m.ts == 0 && len(m.body) < 100 {
				continue
			}
			if err := p.Write(m.typ, m.ts+offset, m.tag()); err != nil {
				t.Fatal(err)
			}
		}
		offset += 4000
		if round == 0 {
			if b := c.Take(room[:]); b.Skipped || !b.Frames[0].Key {
				t.Fatalf("first batch: skipped %v", b.Skipped)
			}
		}
	}
	b, err := c.Next(t.Context(), room[:])
	if err != nil {
		t.Fatal(err)
	}
	if f := b.Frames[0]; !b.Skipped || !f.Key || f.Kind != av.Video {
		t.Errorf("skipped %v to kind %d, key %v; want a video key frame", b.Skipped, f.Kind, f.Key)
	}
	l := &p.Stream().log
	newest := l.at(l.next - 1)
	if behind := newest.DTS - b.Frames[0].DTS; behind > 2200*time.Millisecond { // audio outlasts video a little
		t.Errorf("resumes %v behind the live edge", behind)
	}
}

// Names mean one thing for ever: a stream of the same name that begins anew has
// others, and higher numbers.
func TestNamesAreNeverReused(t *testing.T) {
	_, messages := testSource(t, 3)
	seen := map[string]bool{}
	for range 3 {
		r := NewRegistry(DefaultOptions(), nil)
		publish(t, r, "x", messages).Close()
		text, err := r.Stream(Name{"live", "x"}).Index().Playlist(FMP4, Ask{})
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text.Body)) {
			if strings.HasPrefix(line, "#") && !strings.HasPrefix(line, "#EXT-X-MAP") {
				continue
			}
			if seen[line] {
				t.Errorf("%s is used again", strings.TrimSpace(line))
			}
			seen[line] = true
		}
	}
}

func TestDamagedMediaIsCountedAndBounded(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	damaged := rtmpMessage{typ: 9, body: []byte{0x17, 0, 0, 0, 0, 1, 2}} // an avcC that is cut
	for i := range 200 {
		err = p.Write(damaged.typ, uint32(i), damaged.tag())
		if err != nil {
			break
		}
	}
	if err != ErrBadMedia {
		t.Errorf("after %d damaged messages: %v, want ErrBadMedia", p.Stats().Malformed, err)
	}
	for _, body := range [][]byte{{}, {0x17}, {0xaf}, {0x52, 0, 0}, {0x17, 1, 0, 0, 0}} {
		for _, typ := range []uint8{8, 9, 18, 77} {
			_ = p.Write(typ, 0, rtmpMessage{body: body}.tag()) // must not panic
		}
	}
}

func FuzzWrite(f *testing.F) {
	f.Add([]byte{9, 0, 5, 0x17, 0, 0, 0, 0, 8, 0, 4, 0xaf, 0, 0x12, 0x10})
	f.Fuzz(func(t *testing.T, data []byte) {
		r := NewRegistry(DefaultOptions(), nil)
		p, err := r.Publish(Name{"live", "x"}, Claim{})
		if err != nil {
			t.Fatal(err)
		}
		for ts := uint32(0); len(data) >= 3; {
			typ := 8 + data[0]&1
			ts += uint32(data[0]) * 7
			n := min(int(binary.BigEndian.Uint16(data[1:])), len(data)-3)
			if err := p.Write(typ, ts, rtmpMessage{body: data[3 : 3+n]}.tag()); err != nil {
				break
			}
			data = data[3+n:]
		}
		p.Close()
		ix := p.Stream().Index()
		for _, s := range ix.Segments {
			for _, format := range []Format{FMP4, TS} {
				if _, err := ix.Object(format, segmentName(ix.epoch, s.Sequence, format)); err != nil {
					t.Logf("segment %d: %v", s.Sequence, err)
				}
			}
		}
	})
}

func TestTakeover(t *testing.T) {
	_, messages := testSource(t, 3)
	r := NewRegistry(DefaultOptions(), nil)
	evicted := make(chan error, 1)
	old, err := r.Publish(Name{"live", "x"}, Claim{Evicted: func(err error) { evicted <- err }})
	if err != nil {
		t.Fatal(err)
	}
	writing := make(chan error)
	go func() { // until it is thrown out
		ts := uint32(0)
		for {
			for _, m := range messages {
				if err := old.Write(m.typ, m.ts+ts, m.tag()); err != nil {
					writing <- err
					return
				}
			}
			ts += 3000
		}
	}()
	for len(old.Stream().Index().Segments) == 0 {
		time.Sleep(time.Millisecond)
	}
	p, err := r.Publish(Name{"live", "x"}, Claim{Takeover: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := <-evicted; err != ErrReplaced {
		t.Errorf("evicted for %v, want ErrReplaced", err)
	}
	if err := <-writing; err != ErrReplaced {
		t.Errorf("write: %v, want ErrReplaced", err)
	}
	old.Close() // must not take the stream from its successor
	for _, m := range messages {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
	}
	if p.Stream() != old.Stream() {
		t.Error("the stream did not go on")
	}
	if !p.Stream().Kick() {
		t.Error("nobody to kick")
	}
	if err := p.Write(9, 0, messages[0].tag()); err != ErrKicked {
		t.Errorf("write after a kick: %v, want ErrKicked", err)
	}
	if live, _ := p.Stream().Live(); live {
		t.Error("still live after a kick")
	}
}

// An encoder that changes its picture size and sampling rate in mid-stream gets
// new parameters after one discontinuity.
func TestParametersChange(t *testing.T) {
	_, first := testSource(t, 4)
	_, second := encode(t, "-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", "-f", "lavfi", "-i", "sine=r=48000:d=4",
		"-c:v", "libx264", "-preset", "veryfast", "-g", "50", "-c:a", "aac", "-ac", "2")
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", first)
	hinted := map[string]bool{}
	for _, m := range second {
		if err := p.Write(m.typ, m.ts+4021, m.tag()); err != nil {
			t.Fatal(err)
		}
		ix := p.Stream().Index()
		text, err := ix.Playlist(FMP4, Ask{})
		if err != nil {
			t.Fatal(err)
		}
		if _, rest, ok := strings.Cut(string(text.Body), `#EXT-X-PRELOAD-HINT:TYPE=MAP,URI="`); ok {
			name, rest, _ := strings.Cut(rest, "\"\n")
			if _, err := ix.Object(FMP4, name); err != nil || !strings.HasPrefix(rest, "#EXT-X-PRELOAD-HINT:TYPE=PART,") {
				t.Fatalf("%s: %v, in front of %s", name, err, rest)
			}
			hinted[name] = true
		}
	}
	p.Close()
	ix := p.Stream().Index()
	text, err := ix.Playlist(FMP4, Ask{})
	if err != nil {
		t.Fatal(err)
	}
	if n := bytes.Count(text.Body, []byte("#EXT-X-DISCONTINUITY\n")); n != 1 {
		t.Errorf("%d discontinuities, want 1\n%s", n, text.Body)
	}
	if n := bytes.Count(text.Body, []byte("#EXT-X-MAP")); n != 2 {
		t.Errorf("%d initialization sections, want 2", n)
	}
	for name := range hinted {
		if !bytes.Contains(text.Body, []byte("#EXT-X-MAP:URI=\""+name+"\"")) {
			t.Errorf("%s was hinted, and is not there", name)
		}
	}
	if len(hinted) != 1 {
		t.Errorf("%d initialization sections were hinted, want 1", len(hinted))
	}
	c := ix.Segments[len(ix.Segments)-1].Config
	if c.Video.Width != 640 || c.Audio.SampleRate != 48000 || c.Audio.Channels != 2 {
		t.Errorf("the last segment has %d wide, %d Hz, %d channels", c.Video.Width, c.Audio.SampleRate, c.Audio.Channels)
	}
	var video int
	for _, s := range ix.Segments {
		video += s.video.len()
	}
	if video != 120+100 {
		t.Errorf("%d pictures in HLS, want 220", video)
	}
	multi, err := ix.Multivariant(FMP4, "x")
	if err != nil || !bytes.Contains(multi.Body, []byte("RESOLUTION=640x360,FRAME-RATE=25.000")) {
		t.Errorf("multivariant: %v\n%s", err, multi.Body)
	}
}

func TestMP3ChangesItsRate(t *testing.T) {
	_, first := encode(t, "-f", "lavfi", "-i", "sine=r=44100:d=5", "-c:a", "libmp3lame")
	_, second := encode(t, "-f", "lavfi", "-i", "sine=r=22050:d=5", "-c:a", "libmp3lame")
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", first)
	for _, m := range second {
		if err := p.Write(m.typ, m.ts+5000, m.tag()); err != nil {
			t.Fatal(err)
		}
	}
	p.Close()
	ix := p.Stream().Index()
	if c := ix.Segments[0].Config; c.Audio.SampleRate != 44100 || c.Video != nil {
		t.Errorf("first: %+v", c.Audio)
	}
	if c := ix.Segments[len(ix.Segments)-1].Config; c.Audio.SampleRate != 22050 {
		t.Errorf("last: %d Hz", c.Audio.SampleRate)
	}
}

// What a part does not change is rendered once for all indexes up to the next
// segment.
func TestPartsLeaveSlowTextsAlone(t *testing.T) {
	_, messages := testSource(t, 5)
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", messages[:len(messages)/2])
	texts := func() (all [3]*Object) {
		ix := p.Stream().Index()
		for i, get := range []func() (*Object, error){
			func() (*Object, error) { return ix.Playlist(TS, Ask{}) },
			func() (*Object, error) { return ix.Multivariant(FMP4, "x") },
			func() (*Object, error) { return ix.Playlist(FMP4, Ask{}) },
		} {
			o, err := get()
			if err != nil {
				t.Fatal(err)
			}
			all[i] = o
		}
		return all
	}
	segments, last, kept, renewed := p.Stream().Index().newest(), texts(), 0, 0
	part := p.Stream().Index().NextPart
	for _, m := range messages[len(messages)/2:] {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
		ix := p.Stream().Index()
		if ix.NextPart == part {
			continue
		}
		part = ix.NextPart
		now := texts()
		same := ix.newest() == segments
		if (now[0] == last[0]) != same || (now[1] == last[1]) != same || now[2] == last[2] {
			t.Fatalf("with segments the same: %v, TS and multivariant kept: %v, %v, fMP4 kept: %v", same, now[0] == last[0], now[1] == last[1], now[2] == last[2])
		}
		if same {
			kept++
		} else {
			renewed++
		}
		segments, last = ix.newest(), now
	}
	if kept < 3 || renewed < 1 {
		t.Errorf("%d parts within a segment, %d at its end", kept, renewed)
	}
}

// A track whose clock leaps about until the other has long gone on without it comes
// back late. Its samples are moved up: every part can be rendered, none overlaps.
func TestLateTrackOverlapsNothing(t *testing.T) {
	_, messages := testSource(t, 30)
	r := NewRegistry(DefaultOptions(), nil)
	publish(t, r, "x", messages[:at(messages, 10000)]).Close()
	p := publish(t, r, "x", nil)
	parts := map[*Part]bool{}
	for i, m := range messages {
		if i%20 == 3 { // a message of another time
			old := messages[at(messages, 5000)+i/20]
			if err := p.Write(old.typ, old.ts, old.tag()); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
		if open := p.Stream().Index().Open; open != nil {
			for _, part := range open.Parts {
				parts[part] = true
			}
		}
	}
	for part := range parts {
		if _, err := part.append(nil); err != nil {
			t.Errorf("part %d: %v", part.Number, err)
		}
		if !slices.IsSortedFunc(part.video.frames, func(a, b packed) int { return int(a.time - b.time) }) {
			t.Errorf("part %d: pictures go back", part.Number)
		}
	}
	if len(parts) == 0 {
		t.Error("no parts")
	}
}

// A hole in the media, too short to be a jump of the clock, makes no segment longer
// than the target duration allows: what was open ends, and a discontinuity follows.
func TestHole(t *testing.T) {
	for _, hole := range []uint32{4000, 9800} {
		r := NewRegistry(DefaultOptions(), nil)
		s := newSynthetic(t, r)
		play := func(seconds int) {
			for range seconds * 30 {
				s.frame(s.ms/33%30 == 0)
			}
		}
		play(7)
		s.ms += hole / 33 * 33
		play(7)
		ix := s.p.Stream().Index()
		var length time.Duration
		broken := 0
		for _, seg := range ix.Segments {
			if seg.Duration > ix.Target+500*time.Millisecond {
				t.Errorf("hole of %d ms: segment %d has %v, target %v", hole, seg.Sequence, seg.Duration, ix.Target)
			}
			for i, v := range seg.video.all() {
				if v.DTS < seg.Start || v.DTS >= seg.Start+seg.Duration {
					t.Errorf("hole of %d ms: picture %d of segment %d lies outside", hole, i, seg.Sequence)
				}
			}
			if length += seg.Duration; seg.Discontinuity {
				broken++
			}
		}
		if broken != 1 || length < 11*time.Second || length > 14*time.Second || ix.Target != 2*time.Second {
			t.Errorf("hole of %d ms: %d discontinuities in %v, target %v", hole, broken, length, ix.Target)
		}
		if s := s.p.Stats(); s.Discontinuities != 0 {
			t.Errorf("a jump: %+v", s)
		}
	}
}
