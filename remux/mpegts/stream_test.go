package mpegts

import (
	"bytes"
	"math"
	"slices"
	"testing"
	"time"

	"headwater/remux/av"
)

// pieces writes samples as they would arrive, some at a time, and returns what each
// call appended; a key frame begins a call.
func pieces(t *testing.T, s *Stream, c *av.Config, video, audio []av.Frame, length time.Duration) (out [][]byte, starts []bool) {
	t.Helper()
	for len(video)+len(audio) > 0 {
		from := time.Duration(math.MaxInt64)
		if len(video) > 0 {
			from = video[0].DTS
		}
		if len(audio) > 0 {
			from = min(from, audio[0].DTS)
		}
		end := from + length
		start := len(video) > 0 && video[0].Key && video[0].DTS <= from
		for i := range video {
			if v := video[i]; v.Key && v.DTS > from && v.DTS < end {
				end = v.DTS
			}
		}
		var v, a []av.Frame
		v, video = before(video, end)
		a, audio = before(audio, end)
		b, err := s.Append(nil, c, v, a, nil, start)
		if err != nil {
			t.Fatal(err)
		}
		out, starts = append(out, b), append(starts, start)
	}
	return out, starts
}

// TestStream holds endless streams against the checker: counters run on, PCRs are
// never 100 ms apart, times are those of the samples however they are gathered.
func TestStream(t *testing.T) {
	for _, s := range testStreams() {
		for _, length := range []time.Duration{time.Millisecond, 100 * time.Millisecond, 350 * time.Millisecond} {
			t.Run(s.name+"/"+length.String(), func(t *testing.T) {
				c := newChecker(s.types)
				c.endless, c.opaque = true, true
				var mux Stream
				out, starts := pieces(t, &mux, s.config, s.video, s.audio, length)
				for i, b := range out {
					if starts[i] && !bytes.HasPrefix(b, []byte{0x47, 0x40, 0}) {
						t.Errorf("call %d has a key frame and does not begin with a PAT", i)
					}
				}
				whole := slices.Concat(out...)
				c.add(whole)
				report(t, c)
				if c.discontinuities > 0 {
					t.Errorf("%d packets tell of discontinuities", c.discontinuities)
				}
			})
		}
	}
}

// A reader that lacks some of the stream finds no counter wrong behind AppendSkip.
func TestStreamSkip(t *testing.T) {
	c := &av.Config{Video: videoTrack(), Audio: aacTrack(48000)}
	var mux Stream
	check := newChecker(map[int]byte{testVideoPID: 0x1b, testAudioPID: 0x0f})
	check.endless, check.opaque = true, true
	video, audio := frames(c, 100, 0, 3600, 25), sound(c, 150, 0)
	first, err := mux.Append(nil, c, video[:25], audio[:46], nil, true)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := mux.Append(nil, c, video[25:50], audio[46:93], nil, true); err != nil { // lost
		t.Fatal(err)
	}
	skip := mux.AppendSkip(nil)
	last, err := mux.Append(nil, c, video[50:], audio[93:], nil, true)
	if err != nil {
		t.Fatal(err)
	}
	check.add(slices.Concat(first, skip))
	check.pcr, check.open = -1, map[int]*pesPacket{} // the time that is missing
	check.add(last)
	report(t, check)
	if check.discontinuities != 4 {
		t.Errorf("%d packets tell of the discontinuity", check.discontinuities)
	}
}

// Another Config has another version of the PMT, and is a discontinuity.
func TestStreamConfigChange(t *testing.T) {
	var mux Stream
	for i, want := range []int{0, 1, 2} {
		c := &av.Config{Video: videoTrack()}
		b, err := mux.Append(nil, c, frames(c, 5, int64(i)*18000, 3600, 5), nil, nil, i == 0)
		if err != nil {
			t.Fatal(err)
		}
		discontinuities, version := 0, -1
		for p := b; len(p) >= packetSize; p = p[packetSize:] {
			pid := int(p[1]&0x1f)<<8 | int(p[2])
			if p[3]&0x20 != 0 && p[4] > 0 && p[5]&0x80 != 0 {
				discontinuities++
			}
			if pid == testPMTPID && p[3]&0x10 != 0 {
				version = int(p[5+5] >> 1 & 31)
			}
		}
		if version != want || (discontinuities > 0) != (i > 0) {
			t.Errorf("Config %d: version %d, %d packets tell of a discontinuity", i, version, discontinuities)
		}
	}
	hevc := &av.Config{Video: &av.Track{Codec: av.VP9}}
	if b, err := mux.Append([]byte{1}, hevc, nil, nil, nil, false); err == nil || len(b) != 1 {
		t.Errorf("VP9 gives %d bytes, %v", len(b), err)
	}
}

// TestStreamMetadata: the first tag brings a PMT that lists it, with another version, and
// what comes before is as if there were none.
func TestStreamMetadata(t *testing.T) {
	c := &av.Config{Video: videoTrack(), Audio: aacTrack(48000)}
	video, audio := frames(c, 100, 0, 3600, 50), sound(c, 186, 0)
	var mux, plain Stream
	check := newChecker(map[int]byte{testVideoPID: 0x1b, testAudioPID: 0x0f})
	check.endless, check.opaque = true, true
	add := func(s *Stream, from, to int, tags ...av.Frame) []byte {
		t.Helper()
		b, err := s.Append(nil, c, video[from:to], audio[from*186/100:to*186/100], tags, from%50 == 0)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	first := add(&mux, 0, 20)
	if !bytes.Equal(first, add(&plain, 0, 20)) {
		t.Error("a stream without metadata depends on it")
	}
	check.add(first)
	tags := []av.Frame{tagSample(840*time.Millisecond, 30), tagSample(900*time.Millisecond, 4000), tagSample(2*time.Second, 50)}
	b := add(&mux, 20, 30, tags[:2]...)
	if !bytes.HasPrefix(b, []byte{0x47, 0x40, 0}) {
		t.Error("the first tag has no tables in front")
	}
	check.streamTypes = map[int]byte{testVideoPID: 0x1b, testAudioPID: 0x0f, testID3PID: 0x15}
	check.add(b)
	check.add(add(&mux, 30, 50))
	check.add(mux.AppendSkip(nil))
	check.add(add(&mux, 50, 60, tags[2]))
	report(t, check)
	got := check.pes[testID3PID]
	if len(got) != len(tags) {
		t.Fatalf("%d tags, want %d", len(got), len(tags))
	}
	for i, want := range tags {
		if got[i].pts != want.Time+Offset || !bytes.Equal(got[i].payload, want.Data) {
			t.Errorf("tag %d has PTS %d, want %d, or is another", i, got[i].pts, want.Time+Offset)
		}
	}
}
