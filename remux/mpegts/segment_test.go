package mpegts

import (
	"bytes"
	"fmt"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
)

// cut makes segments of a stream's samples: at key frames that are 1.8 s or more
// apart, or without video at any audio frame; audio by its DTS.
func cut(c *av.Config, sequence uint64, video, audio []av.Frame) []*Segment {
	lead := video
	if c.Video == nil {
		lead = audio
	}
	var starts []time.Duration
	for _, s := range lead {
		if len(starts) == 0 || s.Key && s.DTS >= starts[len(starts)-1]+1800*time.Millisecond {
			starts = append(starts, s.DTS)
		}
	}
	end := lead[len(lead)-1].DTS
	if len(audio) > 0 {
		end = max(end, audio[len(audio)-1].DTS)
	}
	end += 20 * time.Millisecond
	var segments []*Segment
	for i := range starts {
		s := &Segment{Config: c, Sequence: sequence + uint64(i), End: end}
		if i+1 < len(starts) {
			s.End = starts[i+1]
		}
		s.Video, video = before(video, s.End)
		s.Audio, audio = before(audio, s.End)
		segments = append(segments, s)
	}
	return segments
}

func before(samples []av.Frame, end time.Duration) (head, tail []av.Frame) {
	for i := range samples {
		if samples[i].DTS >= end {
			return samples[:i], samples[i:]
		}
	}
	return samples, nil
}

// frames makes n video samples a fixed number of ticks apart from start on, a
// key frame at every gop-th.
func frames(c *av.Config, n int, start, step int64, gop int) []av.Frame {
	var out []av.Frame
	for i := range n {
		size := 300 + (i*7919)%5000
		out = append(out, videoSample(c, start+int64(i)*step, i%gop == 0, size))
	}
	return out
}

// sound makes n audio samples from start on.
func sound(c *av.Config, n int, start int64) []av.Frame {
	var out []av.Frame
	for i := range n {
		out = append(out, audioSample(c, start+int64(i*c.Audio.FrameSamples), 100+(i*7919)%400))
	}
	return out
}

type testStream struct {
	name         string
	config       *av.Config
	video, audio []av.Frame
	types        map[int]byte
}

// testStreams are streams of 4 segments or more.
func testStreams() []testStream {
	both := &av.Config{Video: videoTrack(), Audio: aacTrack(48000)}
	video := &av.Config{Video: videoTrack()}
	typesBoth := map[int]byte{testVideoPID: 0x1b, testAudioPID: 0x0f}
	typesVideo := map[int]byte{testVideoPID: 0x1b}
	streams := []testStream{
		{"25 fps and 48 kHz", both, frames(both, 250, 0, 3600, 50), sound(both, 470, 0), typesBoth},
		{"23.976 fps", both, frames(both, 240, 0, 3754, 48), sound(both, 470, 100), typesBoth},
		{"60 fps", both, frames(both, 600, 0, 1500, 120), sound(both, 470, 0), typesBoth},
		{"video only", video, frames(video, 250, 0, 3600, 50), nil, typesVideo},
		{"10 fps", video, frames(video, 100, 0, 9000, 20), nil, typesVideo},
		{"1 fps", both, frames(both, 12, 0, 90000, 2), sound(both, 560, 0), typesBoth},
		{"one frame in 3 s", video, frames(video, 5, 0, 270000, 1), nil, typesVideo},
		{"over 2^33", both, frames(both, 250, wrap-Offset-5*90000, 3600, 50), sound(both, 470, (wrap-Offset-5*90000)/90*48), typesBoth},
		{"PCR over 2^33", both, frames(both, 250, wrap-pcrOffset-5*90000, 3600, 50), sound(both, 470, (wrap-pcrOffset-5*90000)/90*48), typesBoth},
		{"far beyond 2^33", both, frames(both, 250, 90000<<33, 3600, 50), sound(both, 470, 48000<<33), typesBoth},
		{"audio begins late", both, frames(both, 250, 0, 3600, 50), sound(both, 300, 48000*3), typesBoth},
		{"audio stops", both, frames(both, 250, 0, 3600, 50), sound(both, 100, 0), typesBoth},
		{"audio has a hole", both, frames(both, 250, 0, 3600, 50), append(sound(both, 101, 0), sound(both, 200, 48000*5)...), typesBoth},
		{"tiny frames", both, tiny(both, frames(both, 250, 0, 3600, 50)), tiny(both, sound(both, 470, 0)), typesBoth},
		{"B-frames", both, reorder(frames(both, 250, 0, 3600, 50), 2*40*time.Millisecond), sound(both, 470, 0), typesBoth},
		{"composition times below 0", both, reorder(frames(both, 250, 0, 3600, 50), 0), sound(both, 470, 0), typesBoth},
		{"equal decode times", both, equalTimes(frames(both, 250, 0, 3600, 50)), sound(both, 470, 0), typesBoth},
	}
	for _, rate := range []int{48000, 44100} {
		c := &av.Config{Audio: aacTrack(rate)}
		streams = append(streams, testStream{fmt.Sprintf("audio only %d", rate), c, nil, sound(c, 470, 5), map[int]byte{testAudioPID: 0x0f}})
	}
	for _, a := range []struct {
		track *av.Track
		typ   byte
	}{
		{audioTrack(av.MP3, 44100, 1152), 0x03},
		{audioTrack(av.MP3, 24000, 576), 0x04},
		{audioTrack(av.AC3, 48000, 1536), 0x81},
		{audioTrack(av.EAC3, 48000, 1536), 0x87},
	} {
		c, alone := &av.Config{Video: videoTrack(), Audio: a.track}, &av.Config{Audio: a.track}
		name := fmt.Sprintf("%v %d", a.track.Codec, a.track.SampleRate)
		streams = append(streams,
			testStream{name, c, frames(c, 250, 0, 3600, 50), sound(c, 400, 0), map[int]byte{testVideoPID: 0x1b, testAudioPID: a.typ}},
			testStream{name + " alone", alone, nil, sound(alone, 400, 0), map[int]byte{testAudioPID: a.typ}})
	}
	return streams
}

// tiny makes each frame as small as it can be.
func tiny(c *av.Config, samples []av.Frame) []av.Frame {
	for i, s := range samples {
		data := []byte{0x21, 0x10, 0x04, 0x60}
		if s.Kind == av.Video {
			data = nals(slice(0x41, 12))
			if s.Key {
				data = nals(slice(0x65, 12))
			}
		}
		samples[i] = rawSample(c, s.Kind, s.Time, s.Key, data)
	}
	return samples
}

// reorder gives frames the composition times of an I P B B pattern; delay is
// that of the key frames.
func reorder(samples []av.Frame, delay time.Duration) []av.Frame {
	const frame = 40 * time.Millisecond
	for i := range samples {
		offset := []time.Duration{0, 2 * frame, -frame, -frame}[(i%50)%4]
		if i%50 == 49 { // the end of a GOP has no B-frames
			offset = 0
		}
		samples[i].CTS = delay + offset
	}
	return samples
}

// equalTimes gives every fifth frame the time of the one before.
func equalTimes(samples []av.Frame) []av.Frame {
	for i := 4; i < len(samples); i += 5 {
		samples[i].Time, samples[i].DTS = samples[i-1].Time, samples[i-1].DTS
		samples[i].CTS = 10 * time.Millisecond
	}
	return samples
}

// render writes segments and sees that each is one allocation of the right size.
func render(t testing.TB, segments []*Segment) [][]byte {
	t.Helper()
	var out [][]byte
	for i, s := range segments {
		b, err := AppendSegment(nil, s)
		if err != nil {
			t.Fatalf("segment %d: %v", i, err)
		}
		out = append(out, b)
	}
	return out
}

func (s *testStream) check(segments [][]byte) *checker {
	c := newChecker(s.types)
	c.independent = true
	for _, b := range segments {
		c.add(b)
	}
	return c
}

func report(t *testing.T, c *checker) {
	t.Helper()
	for i, p := range c.problems {
		if i == 10 {
			t.Errorf("and %d more", len(c.problems)-i)
			break
		}
		t.Error(p)
	}
}

func TestSegments(t *testing.T) {
	for _, s := range testStreams() {
		t.Run(s.name, func(t *testing.T) {
			segments := cut(s.config, 13, s.video, s.audio) // 13: tables wrap their counter
			if len(segments) < 4 {
				t.Fatalf("%d segments", len(segments))
			}
			c := s.check(render(t, segments))
			report(t, c)
			compareVideo(t, c, s.video)
			compareAudio(t, c, s.config, s.audio)
		})
	}
}

// compareVideo compares what came out with what went in: payload and times.
func compareVideo(t *testing.T, c *checker, samples []av.Frame) {
	t.Helper()
	units := c.pes[testVideoPID]
	var shift int64 // decode times are put back where a composition time is below 0
	for _, s := range samples {
		shift = min(shift, int64(s.CTS/time.Millisecond)*90)
	}
	if len(units) != len(samples) {
		t.Fatalf("%d access units of %d frames", len(units), len(samples))
	}
	for i, s := range samples {
		want := []byte{0, 0, 0, 1, 9, 0xf0}
		if s.Key {
			want = append(append(want, 0, 0, 0, 1), testSPS...)
			want = append(append(want, 0, 0, 0, 1), testPPS...)
		}
		want = append(append(want, 0, 0, 0, 1), s.Data[4:]...)
		if !bytes.Equal(units[i].payload, want) {
			t.Fatalf("access unit %d is not what went in", i)
		}
		if pts := (s.Time + int64(s.CTS/time.Millisecond)*90 + Offset) & (wrap - 1); units[i].pts != pts {
			t.Fatalf("access unit %d has PTS %d, want %d", i, units[i].pts, pts)
		}
		if dts := (s.Time + shift + Offset) & (wrap - 1); units[i].dts != dts && units[i].dts != dts+1 {
			t.Fatalf("access unit %d has DTS %d, want %d", i, units[i].dts, dts)
		}
	}
}

// TestJoins has composition times below 0 in some segments and not in others: decode
// times go on over the joints, are put back no further than they have to be, and stay so,
// and no picture is shown at another time.
func TestJoins(t *testing.T) {
	c := &av.Config{Video: videoTrack()}
	s := testStream{"", c, reorder(frames(c, 250, 0, 3600, 50), 0), nil, map[int]byte{testVideoPID: 0x1b}}
	segments := cut(c, 5, s.video, nil)
	least := []time.Duration{40, 0, -40, 40, -20} // ms, of the composition times in each segment
	want := []int64{0, 0, -3600, -3600, -3600}    // shift at its end
	earliest := time.Duration(0)
	for i, seg := range segments {
		for j := range seg.Video {
			seg.Video[j].CTS += (least[i] + 40) * time.Millisecond
		}
		seg.Joins, seg.Earliest = i > 0, earliest
		earliest = min(earliest, least[i]*time.Millisecond)
	}
	check := s.check(render(t, segments))
	report(t, check)
	units := check.pes[testVideoPID]
	if len(segments) != 5 || len(units) != len(s.video) {
		t.Fatalf("%d segments, %d access units of %d frames", len(segments), len(units), len(s.video))
	}
	for i, u := range units {
		frame := &s.video[i]
		if pts := frame.Time + int64(frame.CTS/time.Millisecond)*90 + Offset; u.pts != pts || u.dts > pts {
			t.Errorf("access unit %d has PTS %d and DTS %d, want %d", i, u.pts, u.dts, pts)
		}
		if last := i%50 == 49; last && u.dts != frame.Time+Offset+want[i/50] {
			t.Errorf("segment %d ends with DTS %d, %d from its decode time", i/50, u.dts, u.dts-frame.Time-Offset)
		}
		if i > 0 && u.dts <= units[i-1].dts {
			t.Errorf("access unit %d has DTS %d after %d", i, u.dts, units[i-1].dts)
		}
	}
}

func compareAudio(t *testing.T, c *checker, config *av.Config, samples []av.Frame) {
	t.Helper()
	var want, got []byte
	header := 0
	for _, s := range samples {
		if config.Audio.Codec == av.AAC {
			header = 7
			n := len(s.Data) + 7
			h := []byte{0xff, 0xf1, 0x4c, 0x80 | byte(n>>11), byte(n >> 3), byte(n<<5) | 0x1f, 0xfc}
			if config.Audio.SampleRate == 44100 {
				h[2] = 0x50
			}
			want = append(want, h...)
		}
		want = append(want, s.Data...)
	}
	next := 0
	for i, p := range c.pes[testAudioPID] {
		s := samples[next]
		if pts := (ticksOf(s.Time, config.Audio.Timescale) + Offset) & (wrap - 1); p.pts != pts {
			t.Fatalf("audio packet %d has PTS %d, want %d", i, p.pts, pts)
		}
		for size := 0; size < len(p.payload); next++ {
			size += header + len(samples[next].Data)
		}
		got = append(got, p.payload...)
	}
	if next != len(samples) || !bytes.Equal(got, want) {
		t.Fatalf("audio is not what went in: %d frames of %d", next, len(samples))
	}
}

// ticksOf is a time at 90 kHz, to the nearest, for times from 0 on.
func ticksOf(at, timescale int64) int64 {
	return at/timescale*90000 + (at%timescale*90000*2+timescale)/(2*timescale)
}

// TestCheckerComplains damages good segments in one place each: the checker has
// to see it, or the tests that rely on it mean nothing.
func TestCheckerComplains(t *testing.T) {
	both := &av.Config{Video: videoTrack(), Audio: aacTrack(48000)}
	s := testStream{"", both, reorder(frames(both, 200, 0, 3600, 50), 80*time.Millisecond), sound(both, 375, 0), map[int]byte{testVideoPID: 0x1b, testAudioPID: 0x0f}}
	good := render(t, cut(both, 3, s.video, s.audio))
	if c := s.check(good); len(c.problems) > 0 || len(good) != 4 {
		t.Fatalf("%d segments: %q", len(good), c.problems)
	}
	// find returns the n-th packet of a PID in a segment that passes ok.
	find := func(b []byte, pid int, ok func(p []byte) bool) []byte {
		for ; len(b) >= 188; b = b[188:] {
			if int(b[1]&0x1f)<<8|int(b[2]) == pid && ok(b[:188]) {
				return b[:188]
			}
		}
		t.Fatal("no such packet")
		return nil
	}
	unitStart := func(p []byte) bool { return p[1]&0x40 != 0 }
	full := func(p []byte) bool { return p[1]&0x40 == 0 && p[3]&0x30 == 0x10 }
	notKey := func(p []byte) bool { return unitStart(p) && p[3]&0x20 != 0 && p[5] == 0x10 }
	// payload is what follows the adaptation field.
	payload := func(p []byte) []byte {
		if p[3]&0x20 != 0 {
			return p[5+int(p[4]):]
		}
		return p[4:]
	}
	tests := []struct {
		name, want string
		damage     func(segs [][]byte) [][]byte
	}{
		{"sync byte", "sync byte", func(s [][]byte) [][]byte { s[1][188*5] = 0x48; return s }},
		{"cut", "not whole packets", func(s [][]byte) [][]byte { s[1] = s[1][:len(s[1])-1]; return s }},
		{"packet lost", "counter", func(s [][]byte) [][]byte { s[1] = append(s[1][:188*9:188*9], s[1][188*10:]...); return s }},
		{"packet twice", "counter", func(s [][]byte) [][]byte { s[1] = append(s[1][:188*10:188*10], s[1][188*9:]...); return s }},
		{"video counter", "PID 0x100 counter", func(s [][]byte) [][]byte { find(s[2], testVideoPID, full)[3] ^= 1; return s }},
		{"audio counter", "PID 0x101 counter", func(s [][]byte) [][]byte { find(s[2], testAudioPID, full)[3] ^= 1; return s }},
		{"tables restart", "PID 0x0 counter", func(s [][]byte) [][]byte { s[1][3] = 0x10; return s }},
		{"PMT restarts", "PID 0x1000 counter", func(s [][]byte) [][]byte { s[1][188+3] = 0x10; return s }},
		{"segment lost", "counter", func(s [][]byte) [][]byte { return append(s[:1], s[2:]...) }},
		{"no PAT", "in place of a table", func(s [][]byte) [][]byte { s[1] = s[1][188:]; return s }},
		{"PAT twice", "PAT 2 times", func(s [][]byte) [][]byte { s[1] = append(s[1], s[1][:188]...); return s }},
		{"PAT CRC", "CRC", func(s [][]byte) [][]byte { s[0][4+13] ^= 0x80; return s }},
		{"PMT stream type", "stream type", func(s [][]byte) [][]byte { s[0][188+4+1+12] = 0x24; return s }},
		{"not 16", "packets with payload", func(s [][]byte) [][]byte {
			s[3] = append(s[3], s[3][len(s[3])-188:]...)
			return s
		}},
		{"null packet", "not in the PMT", func(s [][]byte) [][]byte {
			return append(s, append([]byte{0x47, 0x1f, 0xff, 0x10}, make([]byte, 184)...))
		}},
		{"PCR jumps", "after the last", func(s [][]byte) [][]byte { find(s[1], testVideoPID, notKey)[8] ^= 0x80; return s }},
		{"PCR stands", "PCR 0 ms after", func(s [][]byte) [][]byte {
			a := find(s[1], testVideoPID, unitStart)
			b := find(s[1], testVideoPID, notKey)
			copy(b[6:12], a[6:12])
			return s
		}},
		{"PCR over a missing segment", "after the last", func(s [][]byte) [][]byte {
			return [][]byte{s[0], s[2]}
		}},
		{"PCR ahead of DTS", "behind the PCR", func(s [][]byte) [][]byte {
			for i := range s {
				for b := s[i]; len(b) > 0; b = b[188:] {
					if b[3]&0x20 != 0 && b[4] > 0 && b[5]&0x10 != 0 {
						base := int64(b[6])<<25 | int64(b[7])<<17 | int64(b[8])<<9 | int64(b[9])<<1 | int64(b[10]>>7)
						base += pcrOffset + 90*90
						b[6], b[7], b[8], b[9], b[10] = byte(base>>25), byte(base>>17), byte(base>>9), byte(base>>1), byte(base<<7)|0x7e
					}
				}
			}
			return s
		}},
		{"no PCR", "no PCR", func(s [][]byte) [][]byte {
			p := find(s[1], testVideoPID, unitStart)
			p[5] &^= 0x10
			copy(p[6:12], bytes.Repeat([]byte{0xff}, 6))
			return s
		}},
		{"stuffing", "stuffing", func(s [][]byte) [][]byte {
			p := find(s[1], testVideoPID, func(p []byte) bool { return p[1]&0x40 == 0 && p[3]&0x20 != 0 && p[4] > 4 })
			p[4+int(p[4])] = 0
			return s
		}},
		{"random access missing", "random access indicator false", func(s [][]byte) [][]byte { find(s[1], testVideoPID, unitStart)[5] &^= 0x40; return s }},
		{"random access too much", "random access indicator true", func(s [][]byte) [][]byte { find(s[1], testVideoPID, notKey)[5] |= 0x40; return s }},
		{"no delimiter", "access unit begins", func(s [][]byte) [][]byte { payload(find(s[1], testVideoPID, notKey))[19+4] = 6; return s }},
		{"two delimiters", "2 access unit delimiters", func(s [][]byte) [][]byte { payload(find(s[1], testVideoPID, unitStart))[19+6+4] = 9; return s }},
		{"no SPS", "without", func(s [][]byte) [][]byte { payload(find(s[1], testVideoPID, unitStart))[19+6+4] = 6; return s }},
		{"no PPS", "IDR without", func(s [][]byte) [][]byte {
			payload(find(s[1], testVideoPID, unitStart))[19+6+4+len(testSPS)+4] = 6
			return s
		}},
		{"no IDR", "does not begin with an IDR", func(s [][]byte) [][]byte {
			payload(find(s[1], testVideoPID, unitStart))[19+6+4+len(testSPS)+4+len(testPPS)+4] = 0x41
			return s
		}},
		{"PTS before DTS", "before DTS", func(s [][]byte) [][]byte {
			p := payload(find(s[1], testVideoPID, unitStart))
			copy(p[9:14], []byte{0x31, 0, 1, 0, 1})
			return s
		}},
		{"marker bit", "timestamps", func(s [][]byte) [][]byte { payload(find(s[1], testVideoPID, unitStart))[11] &^= 1; return s }},
		{"audio length", "PES length", func(s [][]byte) [][]byte { payload(find(s[1], testAudioPID, unitStart))[5]++; return s }},
		{"audio length 0", "PES length 0", func(s [][]byte) [][]byte {
			copy(payload(find(s[1], testAudioPID, unitStart))[4:6], []byte{0, 0})
			return s
		}},
		{"audio time", "ticks", func(s [][]byte) [][]byte { payload(find(s[1], testAudioPID, unitStart))[13] ^= 8; return s }},
		{"ADTS", "ADTS", func(s [][]byte) [][]byte { payload(find(s[1], testAudioPID, unitStart))[14+5] ^= 0x20; return s }},
		{"straddling", "begins within", func(s [][]byte) [][]byte { find(s[1], testAudioPID, unitStart)[1] &^= 0x40; return s }},
		{"stream id", "stream id", func(s [][]byte) [][]byte { payload(find(s[1], testAudioPID, unitStart))[3] = 0xbd; return s }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var segs [][]byte
			for _, b := range good {
				segs = append(segs, bytes.Clone(b))
			}
			c := s.check(test.damage(segs))
			if !strings.Contains(strings.Join(c.problems, "\n"), test.want) {
				t.Errorf("want a complaint about %q, have %q", test.want, c.problems)
			}
		})
	}
}
