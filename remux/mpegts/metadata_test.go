package mpegts

import (
	"bytes"
	"encoding/binary"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
)

// id3Tag is a tag of that many bytes, at least 10.
func id3Tag(size int) []byte {
	b := append([]byte("ID3\x04\x00\x00\x00\x00"), byte((size-10)>>7), byte((size-10)&0x7f))
	for len(b) < size {
		b = append(b, byte(len(b)))
	}
	return b
}

func tagSample(dts time.Duration, size int) av.Frame {
	return av.Frame{Kind: av.Data, DTS: dts, Data: id3Tag(size), Time: ticksOf(int64(dts), int64(time.Second))}
}

// annotate makes the segments Timed and puts tags into all but the first: at the
// segment's very start, two at once, and until its end, of lengths up to 8 KB.
func annotate(segments []*Segment) (all []av.Frame) {
	for i, s := range segments {
		s.Timed = true
		length := s.End - s.start()
		for n := range []int{0, 1, 4, 20}[i%4] {
			at := s.start() + length*time.Duration(n)/20
			s.Metadata = append(s.Metadata, tagSample(at, 10+(n*4001+i*7)%8183))
			if n == 0 {
				s.Metadata = append(s.Metadata, tagSample(at, 40))
			}
		}
		all = append(all, s.Metadata...)
	}
	return all
}

// TestMetadata puts tags into every kind of stream there is.
func TestMetadata(t *testing.T) {
	for _, s := range testStreams() {
		t.Run(s.name, func(t *testing.T) {
			segments := cut(s.config, 13, s.video, s.audio)
			tags := annotate(segments)
			s.types = maps.Clone(s.types)
			s.types[testID3PID] = 0x15
			c := s.check(render(t, segments))
			report(t, c)
			compareVideo(t, c, s.video)
			compareAudio(t, c, s.config, s.audio)
			got := c.pes[testID3PID]
			if len(got) != len(tags) {
				t.Fatalf("%d tags of %d", len(got), len(tags))
			}
			for i, want := range tags {
				pts := (want.Time + Offset) & (wrap - 1)
				if got[i].pts != pts {
					t.Fatalf("tag %d has PTS %d, want %d", i, got[i].pts, pts)
				}
				if !bytes.Equal(got[i].payload, want.Data) {
					t.Fatalf("tag %d is not what went in", i)
				}
			}
		})
	}
}

// Who has no metadata pays nothing: the same packets as ever, and where the
// stream is listed only the PMT differs.
func TestMetadataCost(t *testing.T) {
	s := benchSegment()
	plain := render(t, []*Segment{s})[0]
	s.Timed = true
	timed := render(t, []*Segment{s})[0]
	if len(plain) != len(timed) || !bytes.Equal(plain[:188], timed[:188]) || !bytes.Equal(plain[2*188:], timed[2*188:]) {
		t.Errorf("%d bytes became %d, or more than the PMT differs", len(plain), len(timed))
	}
	s.Metadata = []av.Frame{tagSample(time.Second, 100)}
	if n := len(render(t, []*Segment{s})[0]); n != len(plain)+16*188 {
		t.Errorf("a tag costs %d bytes, want 16 packets", n-len(plain))
	}
	if n, err := Size(s); err != nil || n != len(plain)+16*188 {
		t.Errorf("Size %d, %v", n, err)
	}
}

func TestMetadataLeftOut(t *testing.T) {
	c := &av.Config{Video: videoTrack()}
	s := &Segment{Config: c, Timed: true, Video: frames(c, 50, 0, 3600, 50), End: 2 * time.Second}
	s.Metadata = []av.Frame{tagSample(0, 9+1), tagSample(time.Second, 20), tagSample(time.Second, 20), tagSample(3*time.Second, 30)}
	s.Metadata[1].Data = s.Metadata[1].Data[:9]
	s.Metadata[2].Data = make([]byte, maxPESPayload+1)
	check := newChecker(map[int]byte{testVideoPID: 0x1b, testID3PID: 0x15})
	check.add(render(t, []*Segment{s})[0])
	report(t, check)
	if n := len(check.pes[testID3PID]); n != 2 {
		t.Errorf("%d tags written, want 2", n)
	}
	s.Timed = false
	if _, err := AppendSegment(nil, s); err == nil || !strings.Contains(err.Error(), "without a metadata stream") {
		t.Errorf("metadata where none is listed: %v", err)
	}
}

// TestCheckerComplainsOfMetadata damages good segments in one place each.
func TestCheckerComplainsOfMetadata(t *testing.T) {
	both := &av.Config{Video: videoTrack(), Audio: aacTrack(48000)}
	segments := cut(both, 3, frames(both, 200, 0, 3600, 50), sound(both, 375, 0))
	annotate(segments)
	good := render(t, segments)
	types := map[int]byte{testVideoPID: 0x1b, testAudioPID: 0x0f, testID3PID: 0x15}
	check := func(segments [][]byte) string {
		c := newChecker(types)
		for _, b := range segments {
			c.add(b)
		}
		return strings.Join(c.problems, "\n")
	}
	if p := check(good); p != "" {
		t.Fatal(p)
	}
	// begin returns the first PES packet of metadata in a segment, its transport
	// packet and where its header begins.
	begin := func(b []byte) (packet, pes []byte) {
		for ; len(b) >= 188; b = b[188:] {
			if binary.BigEndian.Uint16(b[1:])&0x5fff == 0x4000|testID3PID {
				at := 4
				if b[3]&0x20 != 0 {
					at += 1 + int(b[4])
				}
				return b[:188], b[at:188]
			}
		}
		t.Fatal("no metadata")
		return nil, nil
	}
	// pmt puts another PMT in its place, its CRC in order.
	pmt := func(b []byte, change func(section []byte)) {
		s := b[188+5:]
		s = s[:3+int(s[2])]
		change(s)
		binary.BigEndian.PutUint32(s[len(s)-4:], crc32(s[:len(s)-4]))
	}
	for _, test := range []struct {
		name, want string
		damage     func(b []byte)
	}{
		{"stream id", "stream id 0xc0", func(b []byte) { _, p := begin(b); p[3] = 0xc0 }},
		{"alignment", "flags 80 80", func(b []byte) { _, p := begin(b); p[6] = 0x80 }},
		{"random access", "random access true", func(b []byte) { p, _ := begin(b); p[5] |= 0x40 }},
		{"length", "PES length", func(b []byte) { _, p := begin(b); p[5]++ }},
		{"no tag", "metadata of", func(b []byte) { _, p := begin(b); p[14] = 'X' }},
		{"length of the tag", "metadata of", func(b []byte) { _, p := begin(b); p[14+9] ^= 1 }},
		{"behind the clock", "behind the PCR", func(b []byte) { _, p := begin(b); p[11] -= 4 }},
		{"goes back", "DTS goes back", func(b []byte) { _, p := begin(b); p[11] += 4 }},
		{"counter", "PID 0x102 counter", func(b []byte) { p, _ := begin(b); p[3] ^= 1 }},
		{"stream type", "stream type 0x6", func(b []byte) { pmt(b, func(s []byte) { s[12+17+5+5] = 0x06 }) }},
		{"program's descriptor", "program has descriptors", func(b []byte) { pmt(b, func(s []byte) { s[12+4] ^= 1 }) }},
		{"stream's descriptor", "PID 0x102 has descriptors", func(b []byte) { pmt(b, func(s []byte) { s[12+17+5+5+5+14] ^= 1 }) }},
	} {
		t.Run(test.name, func(t *testing.T) {
			var segs [][]byte
			for _, b := range good {
				segs = append(segs, bytes.Clone(b))
			}
			test.damage(segs[2])
			if p := check(segs); !strings.Contains(p, test.want) {
				t.Errorf("want a complaint about %q, have %q", test.want, p)
			}
		})
	}
	types = map[int]byte{testVideoPID: 0x1b, testAudioPID: 0x0f}
	if p := check(good); !strings.Contains(p, "stream type 0x15") || !strings.Contains(p, "program has descriptors") {
		t.Errorf("metadata that is not expected: %q", p)
	}
}

// TestMetadataFFmpeg has FFprobe find the stream and its packets, and FFmpeg read
// what is around them, without a word.
func TestMetadataFFmpeg(t *testing.T) {
	needFFmpeg(t)
	folder := t.TempDir()
	source := filepath.Join(folder, "source.flv")
	run(t, "ffmpeg", append(strings.Fields("-v error -nostdin "+mediaTests[0].encode), source)...)
	s := readFLV(t, source)
	segments := cut(s.config, 250, s.video, s.audio)
	tags := annotate(segments)
	out := render(t, segments)
	path := filepath.Join(folder, "all.ts")
	if err := os.WriteFile(path, bytes.Join(out, nil), 0o600); err != nil {
		t.Fatal(err)
	}
	found, log := run(t, "ffprobe", "-v", "debug", "-show_entries", "stream=codec_name", "-of", "csv=p=0", path)
	if got := strings.Join(strings.Fields(found), " "); !strings.HasPrefix(got, "h264 aac timed_id3") {
		t.Errorf("FFprobe finds %q", got)
	}
	complaints(t, strings.ReplaceAll(log, "parser not found for codec timed_id3, packets or times may be invalid", ""))
	packets := probe(t, path, "d")
	if len(packets) != len(tags) {
		t.Fatalf("%d packets of %d tags", len(packets), len(tags))
	}
	for i, want := range tags {
		if packets[i].pts != want.Time+Offset {
			t.Errorf("packet %d has PTS %d, want %d", i, packets[i].pts, want.Time+Offset)
		}
	}
	if _, log := run(t, "ffmpeg", "-v", "warning", "-nostdin", "-i", path, "-f", "null", "-"); log != "" {
		t.Errorf("FFmpeg warns: %s", log)
	}
	compareTimes(t, probe(t, path, "v"), s.video, 90000, 0)
	compareTimes(t, probe(t, path, "a"), s.audio, s.config.Audio.Timescale, 3)
	playPlaylist(t, segments, out)
}
