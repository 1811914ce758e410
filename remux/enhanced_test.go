package remux

import (
	"bytes"
	"encoding/csv"
	"errors"
	"maps"
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

// enhanced lists what FFmpeg 7 and 9 and OBS 30 send over RTMP for each codec of
// Enhanced RTMP: testdata/enhanced/README.md says how the files were made.
var enhanced = []struct {
	name   string
	codecs string // of the multivariant playlist
	noTS   string // why TS cannot carry it; empty if it can
	video  string // MD5 of all pictures, decoded; empty without video
	audio  string // MD5 of all sound, where the codec loses nothing
	others uint64 // packets of tracks beside the main ones
	units  bool   // AV1 with a temporal delimiter in front of each picture
}{
	{name: "hevc_aac", codecs: "hvc1.1.6.L30.90,mp4a.40.2", noTS: "HEVC", video: "5bc3439d905a6495672a4644fc0acc56"},
	{name: "hevc10_opus", codecs: "hvc1.2.4.L30.90,Opus", noTS: "HEVC", video: "fb75d71599540eafd42d191429812573"},
	{name: "av1_aac", codecs: "av01.0.00M.08,mp4a.40.2", noTS: "AV1 video", video: "b553d596b18dee5f62de9686241dbda8", units: true},
	{name: "av1_opus", codecs: "av01.0.00M.08,Opus", noTS: "AV1 video", video: "24c6d09530792eb75074c96be977870b", units: true},
	{name: "obs_av1_aac", codecs: "av01.0.00M.08,mp4a.40.2", noTS: "AV1 video", video: "109a7687a65da59dce0b9362b3108c61"},
	{name: "vp9_aac", codecs: "vp09.00.10.08,mp4a.40.2", noTS: "VP9 video", video: "723d477c4ff2f14f9d6e549867038772"},
	{name: "vp9_opus", codecs: "vp09.00.10.08,Opus", noTS: "VP9 video", video: "4ce1ed3c6a66167db904ff8c922ee66e"},
	{name: "h264_flac", codecs: "avc1.64000a,fLaC", noTS: "FLAC audio", video: mainPictures, audio: "25303ae28494533dc5e3265717c8b5e2"},
	{name: "h264_ac3", codecs: "avc1.64000a,ac-3", video: mainPictures},
	{name: "h264_eac3", codecs: "avc1.64000a,ec-3", video: mainPictures},
	{name: "opus51", codecs: "Opus", noTS: "Opus audio"},
	{name: "opus60", codecs: "Opus", noTS: "Opus audio"},
	{name: "h264_aac_aac", codecs: "avc1.64000a,mp4a.40.2", video: mainPictures, others: 144},
	{name: "h264_aac_opus", codecs: "avc1.64000a,mp4a.40.2", video: mainPictures, others: 153},
	{name: "h264_hevc_aac", codecs: "avc1.64000a,mp4a.40.2", video: mainPictures, others: 46},
}

// mainPictures is the MD5 of what the H.264 streams show, which are all the same.
const mainPictures = "7214b3ee5f52f21509591a130e8ea390"

func TestEnhancedStreams(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	for _, c := range enhanced {
		t.Run(c.name, func(t *testing.T) {
			p := publish(t, NewRegistry(DefaultOptions(), nil), "x", fixture(t, c.name))
			p.Close()
			if s := p.Stats(); s.OtherTracks != c.others || s.Malformed+s.Unsupported+s.BeforeHeader+s.Discontinuities != 0 {
				t.Errorf("counted %+v, want %d packets of other tracks and nothing wrong", s, c.others)
			}
			ix := p.Stream().Index()
			multivariant(t, ix, c.codecs)
			want := fixturePackets(t, c.name)
			path := download(t, ix, FMP4)
			decodes(t, path)
			if c.units {
				want = undelimited(want)
			}
			samePackets(t, packetsOf(t, path), want)
			if c.video != "" {
				decodesTo(t, path, c.video, "-map", "0:v", "-vsync", "passthrough")
			}
			if c.audio != "" {
				decodesTo(t, path, c.audio, "-map", "0:a", "-c:a", "pcm_s16le")
			}
			if c.noTS == "" {
				path := download(t, ix, TS)
				decodes(t, path)
				samePackets(t, packetsOf(t, path), framed(ix.newest().Config, want))
				return
			}
			for _, err := range []error{second(ix.Playlist(TS, Ask{})), second(ix.Multivariant(TS, "x"))} {
				if !errors.Is(err, ErrCodec) || !strings.Contains(err.Error(), c.noTS) {
					t.Errorf("TS: %v, want ErrCodec for %s", err, c.noTS)
				}
			}
		})
	}
}

// fixture returns the messages of a file of testdata/enhanced.
func fixture(t *testing.T, name string) (messages []rtmpMessage) {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "enhanced", name+".flv"))
	if err != nil {
		t.Fatal(err)
	}
	for b = b[13:]; len(b) > 0; {
		n := int(b[1])<<16 | int(b[2])<<8 | int(b[3])
		ts := uint32(b[7])<<24 | uint32(b[4])<<16 | uint32(b[5])<<8 | uint32(b[6])
		messages = append(messages, rtmpMessage{b[0], ts, b[11 : 11+n]})
		b = b[15+n:]
	}
	return messages
}

// codedPacket is a frame as ffprobe sees it. Times are in seconds.
type codedPacket struct {
	kind     string
	pts, dts float64
	size     int
	key      bool
}

// fixturePackets returns the packets of the main tracks of a file as the ffprobe
// of a release that reads it has listed them, sound from the first picture on: HLS
// has none before that.
func fixturePackets(t *testing.T, name string) []codedPacket {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", "enhanced", name+".csv"))
	if err != nil {
		t.Fatal(err)
	}
	packets := parsePackets(t, b, 1000)
	first := slices.IndexFunc(packets, func(p codedPacket) bool { return p.kind == "video" })
	if first < 0 {
		return packets
	}
	begin := packets[first].dts
	return slices.DeleteFunc(packets, func(p codedPacket) bool { return p.dts < begin })
}

// packetsOf lists the packets of a file that the installed ffprobe reads.
func packetsOf(t *testing.T, path string) []codedPacket {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-of", "csv=p=0",
		"-show_entries", "packet=codec_type,pts_time,dts_time,size,flags", path).Output()
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	return parsePackets(t, out, 1)
}

// parsePackets reads lines of kind, PTS, DTS, size and flags.
func parsePackets(t *testing.T, text []byte, scale float64) (packets []codedPacket) {
	t.Helper()
	r := csv.NewReader(bytes.NewReader(text))
	r.FieldsPerRecord = -1 // ffprobe may add side data
	rows, err := r.ReadAll()
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		pts, err1 := strconv.ParseFloat(row[1], 64)
		dts, err2 := strconv.ParseFloat(row[2], 64)
		size, err3 := strconv.Atoi(row[3])
		if err := errors.Join(err1, err2, err3); err != nil {
			t.Fatalf("packet %v: %v", row, err)
		}
		packets = append(packets, codedPacket{row[0], pts / scale, dts / scale, size, row[4][0] == 'K'})
	}
	return packets
}

// samePackets compares kind by kind: every packet must be there once, with its
// size and, but for an offset that all share, its times. Video is exact; audio is
// placed by counting samples, and the source is rounded to milliseconds.
func samePackets(t *testing.T, got, want []codedPacket) {
	t.Helper()
	if len(got) == 0 {
		t.Fatal("no packets")
	}
	offset := got[0].dts - want[slices.IndexFunc(want, func(p codedPacket) bool { return p.kind == got[0].kind })].dts
	for kind, tolerance := range map[string]float64{"video": 0.00002, "audio": 0.0011} {
		of := func(p codedPacket) bool { return p.kind != kind }
		got, want := slices.DeleteFunc(slices.Clone(got), of), slices.DeleteFunc(slices.Clone(want), of)
		if len(got) != len(want) {
			t.Errorf("%s: %d packets, want %d", kind, len(got), len(want))
			continue
		}
		for i, g := range got {
			w := want[i]
			if g.size != w.size || g.key != w.key || !near(g.dts-offset, w.dts, tolerance) || !near(g.pts-offset, w.pts, tolerance) {
				t.Errorf("%s: packet %d is %+v, want %+v (offset %.4f)", kind, i, g, w, offset)
				break
			}
		}
	}
}

func near(a, b, tolerance float64) bool { return max(a-b, b-a) <= tolerance }

// undelimited returns packets without the temporal delimiter in front of each
// picture, which samples in MP4 do not have.
func undelimited(packets []codedPacket) []codedPacket {
	const delimiter = 2
	packets = slices.Clone(packets)
	for i := range packets {
		if p := &packets[i]; p.kind == "video" {
			p.size -= delimiter
		}
	}
	return packets
}

// framed returns packets with what a transport stream adds to them: to H.264 a
// delimiter, and at key frames the parameter sets (start codes are as long as the
// lengths they replace); to AAC its ADTS header.
func framed(c *av.Config, packets []codedPacket) []codedPacket {
	const delimiter, adts = 6, 7
	sets := 0
	for _, s := range c.Video.ParameterSets {
		sets += 4 + len(s)
	}
	packets = slices.Clone(packets)
	for i := range packets {
		p := &packets[i]
		switch {
		case p.kind == "audio" && c.Audio.Codec == av.AAC:
			p.size += adts
		case p.kind == "video" && p.key:
			p.size += delimiter + sets
		case p.kind == "video":
			p.size += delimiter
		}
	}
	return packets
}

// decodesTo compares what ffmpeg makes of a file's track with an MD5.
func decodesTo(t *testing.T, path, want string, args ...string) {
	t.Helper()
	args = slices.Concat([]string{"-v", "error", "-i", path}, args, []string{"-f", "md5", "-"})
	out, err := exec.Command("ffmpeg", args...).Output()
	if got := strings.TrimSpace(string(out)); err != nil || got != "MD5="+want {
		t.Errorf("decoded to %s, want %s (%v)", got, want, err)
	}
}

func multivariant(t *testing.T, ix *Index, codecs string) {
	t.Helper()
	o, err := ix.Multivariant(FMP4, "x")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{`CODECS="` + codecs + `"`}
	if ix.newest().Config.Video != nil {
		want = append(want, "RESOLUTION=96x64", "FRAME-RATE=15.00") // where it is measured, of whole milliseconds
	}
	for _, w := range want {
		if !strings.Contains(string(o.Body), w) {
			t.Errorf("no %s in\n%s", w, o.Body)
		}
	}
}

func second(_ *Object, err error) error { return err }

// A publisher that comes back with other codecs gets one discontinuity and a new
// initialization section, and each segment goes with the one in front of it.
func TestEnhancedCodecsFollowOneAnother(t *testing.T) {
	if _, err := exec.LookPath("ffprobe"); err != nil {
		t.Skip("ffprobe is not installed")
	}
	sessions := []struct{ name, codecs string }{
		{"hevc_aac", "hevc aac"}, {"av1_opus", "av1 opus"}, {"h264_ac3", "h264 ac3"}, {"opus60", "opus"},
		{"vp9_opus", "vp9 opus"}, {"h264_flac", "h264 flac"}, {"h264_aac_opus", "h264 aac"},
	}
	o := DefaultOptions()
	o.Window = time.Hour
	r := NewRegistry(o, nil)
	for _, s := range sessions {
		publish(t, r, "x", fixture(t, s.name)).Close()
	}
	ix := r.Stream(Name{"live", "x"}).Index()
	text, err := ix.Playlist(FMP4, Ask{})
	if err != nil {
		t.Fatal(err)
	}
	runs := strings.Split(string(text.Body), "#EXT-X-DISCONTINUITY\n")
	if len(runs) != len(sessions) {
		t.Fatalf("%d runs of segments, want %d", len(runs), len(sessions))
	}
	for i, run := range runs {
		if n := strings.Count(run, "#EXT-X-MAP:"); n != 1 {
			t.Errorf("run %d has %d initialization sections", i, n)
		}
		if got := codecsOf(t, listed(t, ix, FMP4, run)); got != sessions[i].codecs {
			t.Errorf("run %d holds %s, want %s", i, got, sessions[i].codecs)
		}
	}
}

// listed writes the objects that lines of a playlist name to a file.
func listed(t *testing.T, ix *Index, f Format, lines string) string {
	t.Helper()
	var all bytes.Buffer
	for line := range strings.Lines(lines) {
		name := strings.TrimSpace(line)
		if uri, ok := strings.CutPrefix(name, `#EXT-X-MAP:URI="`); ok {
			name = strings.TrimSuffix(uri, `"`)
		} else if name == "" || name[0] == '#' {
			continue
		}
		o, err := ix.Object(f, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all.Write(o.Body)
	}
	path := filepath.Join(t.TempDir(), "listed"+f.extension())
	if err := os.WriteFile(path, all.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// codecsOf returns the names that ffprobe gives to what a file holds.
func codecsOf(t *testing.T, path string) string {
	t.Helper()
	out, err := exec.Command("ffprobe", "-v", "error", "-of", "default=nw=1:nk=1", "-show_entries", "stream=codec_name", path).Output()
	if err != nil {
		t.Fatalf("probe: %v", err)
	}
	return strings.Join(strings.Fields(string(out)), " ")
}

// A codec without a sequence header may be followed by one that has it.
func TestHeaderBehindCodecWithoutOne(t *testing.T) {
	p := publish(t, NewRegistry(DefaultOptions(), nil), "x", fixture(t, "h264_ac3"))
	for _, m := range fixture(t, "h264_aac_opus") {
		if err := p.Write(m.typ, m.ts+3200, m.tag()); err != nil {
			t.Fatal(err)
		}
	}
	if c := p.Stream().Config(); c.Audio.Codec != av.AAC || c.Video.Codec != av.H264 {
		t.Errorf("ended with %v and %v", c.Video.Codec, c.Audio.Codec)
	}
}

// HTTP-FLV viewers get what the encoder sent: every message of the main tracks,
// byte for byte, at its own time, and the headers in front.
func TestCursorPassesEnhancedTagsThrough(t *testing.T) {
	for _, c := range enhanced {
		t.Run(c.name, func(t *testing.T) {
			messages := fixture(t, c.name)
			frames := slices.DeleteFunc(watch(t, messages), func(f av.Frame) bool {
				extra := f.Kind == av.Data // colours and ends of sequences come along, as they were
				if extra && !slices.ContainsFunc(messages, func(m rtmpMessage) bool { return bytes.Equal(m.body, flv.Body(f.Tag)) }) {
					t.Error("a message that the encoder has not sent")
				}
				return extra
			})
			headers, want := mainTracks(t, messages)
			if f := want[0]; len(frames) == 0 || !bytes.Equal(flv.Body(frames[0].Tag), f.body) {
				t.Fatal("does not begin at the first picture")
			}
			for i, f := range frames {
				if i >= len(want) || !bytes.Equal(f.Tag, sealed(want[i])) {
					t.Fatalf("frame %d is not message %d of the encoder", i, i)
				}
			}
			if len(frames) != len(want) {
				t.Errorf("%d frames, want %d", len(frames), len(want))
			}
			got := map[uint8][]byte{}
			for typ, track := range map[uint8]*av.Track{flv.TypeVideo: frames[0].Config.Video, flv.TypeAudio: frames[0].Config.Audio} {
				if track != nil && track.Header != nil {
					got[typ] = flv.Body(track.Header)
				}
			}
			if !maps.EqualFunc(got, headers, bytes.Equal) {
				t.Errorf("headers % x, want % x", got, headers)
			}
		})
	}
}

// watch publishes messages and returns the frames that a viewer reads who has been
// there from the beginning.
func watch(t *testing.T, messages []rtmpMessage) (frames []av.Frame) {
	t.Helper()
	p := publish(t, NewRegistry(DefaultOptions(), nil), "x", nil)
	c := p.Stream().NewCursor()
	var room [64]av.Frame
	for _, m := range messages {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
		for b := c.Take(room[:]); len(b.Frames) > 0; b = c.Take(room[:]) {
			frames = append(frames, b.Frames...)
		}
	}
	return frames
}

// sealed is the tag that a message makes.
func sealed(m rtmpMessage) []byte {
	tag := m.tag()
	flv.Seal(tag, m.typ, m.ts)
	return tag
}

// mainTracks sorts out by the first bytes of each message, and by nothing else,
// what a viewer needs of it: the headers, and the frames from the first picture on.
// A header that comes again at the very end, with the totals of the finished
// stream, is of no use to a live viewer.
func mainTracks(t *testing.T, messages []rtmpMessage) (headers map[uint8][]byte, frames []rtmpMessage) {
	t.Helper()
	headers = map[uint8][]byte{}
	video := slices.ContainsFunc(messages, func(m rtmpMessage) bool { return m.typ == flv.TypeVideo })
	for _, m := range messages {
		header, frame, key := role(m)
		switch {
		case header && len(frames) == 0 && len(m.body) > 5: // an encoder may announce a codec before it has a record
			headers[m.typ] = m.body
		case frame && (len(frames) > 0 || !video || m.typ == flv.TypeVideo && key):
			frames = append(frames, m)
		}
	}
	return headers, frames
}

// role says what a message is for. Those of other tracks are nothing at all.
func role(m rtmpMessage) (header, frame, key bool) {
	b := m.body
	if len(b) <= 2 {
		return false, false, false
	}
	switch {
	case m.typ == flv.TypeVideo && b[0]&0x80 != 0: // enhanced
		typ := b[0] & 15
		return typ == 0, typ == 1 || typ == 3, b[0]>>4&7 == 1
	case m.typ == flv.TypeVideo:
		return b[1] == 0, b[1] == 1, b[0]>>4 == 1
	case m.typ == flv.TypeAudio && b[0]>>4 == 9: // enhanced; FFmpeg ends FLAC with an empty frame
		typ := b[0] & 15
		return typ == 0, typ == 1 && len(b) > 5, true
	case m.typ == flv.TypeAudio:
		return b[1] == 0, b[1] == 1, true
	}
	return false, false, false
}

// A message may hold several tracks in any order, each with its own codec: the
// first track comes out as if it had come alone.
func TestTracksInOneMessage(t *testing.T) {
	plain := fixture(t, "h264_aac_opus")
	_, want := mainTracks(t, plain)
	frames := slices.DeleteFunc(watch(t, shareMessages(plain)), func(f av.Frame) bool { return f.Kind == av.Data })
	if len(frames) != len(want) {
		t.Fatalf("%d frames, want %d", len(frames), len(want))
	}
	for i, f := range frames {
		if !bytes.Equal(f.Tag, sealed(want[i])) {
			t.Fatalf("frame %d is % x…, want message % x…", i, f.Tag[:20], want[i].body[:9])
		}
	}
}

// shareMessages puts each AAC packet behind an Opus packet of track 1 in one
// message (ManyTracksManyCodecs), and drops the messages that held them alone.
func shareMessages(messages []rtmpMessage) (shared []rtmpMessage) {
	other := map[byte][]byte{} // the newest packet of track 1 by type
	track := func(fourCC string, number byte, data []byte) []byte {
		n := len(data)
		return slices.Concat([]byte(fourCC), []byte{number, byte(n >> 16), byte(n >> 8), byte(n)}, data)
	}
	for _, m := range slices.Backward(messages) {
		switch {
		case m.typ == flv.TypeAudio && m.body[0] == 0x95:
			other[m.body[1]&15] = m.body[7:]
			continue
		case m.typ == flv.TypeAudio:
			typ := m.body[1]
			m.body = slices.Concat([]byte{0x95, 0x20 | typ}, track("Opus", 1, other[typ]), track("mp4a", 0, m.body[2:]))
		}
		shared = append(shared, m)
	}
	slices.Reverse(shared)
	return shared
}
