package mpegts

import (
	"encoding/binary"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
)

// script makes segments of fuzzed bytes: what they hold, and when.
type script struct{ rest []byte }

func (s *script) byte() byte {
	if len(s.rest) == 0 {
		return 0
	}
	b := s.rest[0]
	s.rest = s.rest[1:]
	return b
}

func (s *script) bytes(n int) []byte {
	n = min(n, len(s.rest))
	b := s.rest[:n:n]
	s.rest = s.rest[n:]
	return b
}

func (s *script) config(record, set []byte) (c *av.Config, timed bool) {
	c = &av.Config{}
	flags := s.byte()
	if flags&1 != 0 {
		c.Video = &av.Track{Codec: av.H264, Timescale: 90000, LengthSize: []int{4, 2, 1, 3}[flags>>1&3], ParameterSets: [][]byte{testSPS, set, testPPS}}
	}
	if flags&8 != 0 {
		rates := []int64{48000, 44100, 24000, 8000, 1, 1<<31 - 1, 90000, 0}
		rate := rates[s.byte()&7]
		c.Audio = &av.Track{
			Codec: []av.Codec{av.AAC, av.AAC, av.MP3, av.AC3, av.EAC3, av.Opus}[s.byte()%6], Timescale: rate,
			SampleRate: int(rate), FrameSamples: int(int8(s.byte())) * 64, Record: record,
		}
	}
	return c, flags&16 != 0
}

// What a sample's first byte says.
const (
	fuzzLarge   = 0x03 // times the second byte is its size
	fuzzKey     = 0x04
	fuzzAudio   = 0x08
	fuzzTag     = fuzzAudio | fuzzKey // metadata, where the stream is timed
	fuzzLast    = 0x10                // the segment ends behind it
	fuzzSlow    = 0xe0                // how long until the next, times the fourth byte
	fuzzSamples = 250                 // at most 2 s each: less than maxDuration
)

// segments makes some in sequence. Where tame is set, audio lies within 100 ms of
// where it should and composition times are those of an encoder.
func (s *script) segments(c *av.Config, timed, tame bool) []*Segment {
	at := time.Duration(s.byte()) * 375 * time.Second // up to 2^33 ticks and more
	out := []*Segment{{Config: c, Sequence: 14, Timed: timed}}
	for range fuzzSamples {
		if len(s.rest) == 0 {
			break
		}
		how, size := s.byte(), int(s.byte())
		offset, step := time.Duration(int8(s.byte()))*time.Millisecond, time.Duration(s.byte())*time.Millisecond
		var wild int64
		if !tame {
			wild = int64(binary.BigEndian.Uint64(append(s.bytes(8), make([]byte, 8)...)))
		}
		sample := av.Frame{Kind: av.Video, Key: how&fuzzKey != 0, DTS: at, Data: s.bytes(size * int(how&fuzzLarge))}
		g := out[len(out)-1]
		if how&fuzzTag == fuzzTag && timed {
			sample.Kind = av.Data
			sample.Time = (at/time.Millisecond).Nanoseconds()*90 ^ wild
			g.Metadata = append(g.Metadata, sample)
			continue // no time passes: a segment begins with a frame
		}
		if how&fuzzAudio != 0 && c.Audio != nil {
			sample.Kind = av.Audio
			sample.Time = ((at+offset*3/4)/time.Millisecond).Nanoseconds()*c.Audio.Timescale/1000 ^ wild
			g.Audio = append(g.Audio, sample)
		} else if how&fuzzAudio == 0 && c.Video != nil {
			sample.Time = (at/time.Millisecond).Nanoseconds()*90 ^ wild
			sample.CTS = offset*4 + time.Duration(wild)
			g.Video = append(g.Video, sample)
		} else {
			continue
		}
		at += step * time.Duration(1+how>>5)
		if how&fuzzLast != 0 {
			at += time.Millisecond
			g.End = at
			out = append(out, &Segment{Config: c, Sequence: g.Sequence + 1, Timed: timed})
		}
	}
	out[len(out)-1].End = at + time.Millisecond
	for _, g := range out {
		for i := range g.Metadata {
			g.Metadata[i].Time = max(g.Metadata[i].Time, ticks(int64(g.start()), int64(time.Second)))
		}
	}
	return out
}

// FuzzAppendSegment writes segments of anything. None may panic, and the
// packets, counters, tables and clock have to be right whatever the frames hold.
func FuzzAppendSegment(f *testing.F) {
	join := strings.Join
	idr := "\x05\x09\x28\x28\x00\x00\x00\x05\x65\x88\x84\x21\x01"
	inter := "\x01\x09\xec\x28\x00\x00\x00\x05\x41\x9a\x24\x6c\x80"
	sets := "\x05\x12\x00\x28\x00\x00\x00\x02\x09\x10\x00\x00\x00\x02\x67\x64\x00\x00\x00\x02\x65\x88"
	sound := "\x09\x08\x00\x15audiodat"
	end := "\x11\x09\x00\x28\x00\x00\x00\x05\x41\x9a\x24\x6c\x80"
	both := join([]string{idr, sound, sound, inter, sound, sets, end}, "")
	f.Add([]byte("\x09\x00\x00\x10\x00"+strings.Repeat(both, 4)), []byte{0x11, 0x90}, testPPS, true)
	f.Add([]byte("\x09\x00\x02\x12\xfe"+strings.Repeat(both, 4)), []byte{}, testSPS, true)
	f.Add([]byte("\x01\xff"+strings.Repeat(idr+inter+end, 3)), []byte{}, []byte{0x67}, true)
	f.Add([]byte("\x08\x01\x03\x18\x00"+strings.Repeat(sound+sound+"\x19\x08\x00\x15audiodat", 9)), []byte{}, []byte{}, true)
	f.Add([]byte("\x19\x00\x00\x10\x00"+strings.Repeat(idr+sound+"\x0d\x0c\x00\x05ID3\x04 a title"+inter+"\x0d\x0a\x00\x00ID3\x04short!"+end, 4)), []byte{0x11, 0x90}, testPPS, true)
	f.Add([]byte("\x09\x05\x04\x18\x00"+strings.Repeat("\x01\x0a\x00\x40wildtime\x00\x00\x00\x06\x41\x01\x02\x03\x04\x05", 9)), []byte{}, []byte{}, false)
	f.Fuzz(func(t *testing.T, data, record, set []byte, tame bool) {
		s := script{rest: data}
		c, timed := s.config(record, set)
		segments := s.segments(c, timed, tame)
		if Supports(c) != nil {
			if _, err := AppendSegment(nil, segments[0]); err == nil {
				t.Fatal("a segment of what is not supported")
			}
			return
		}
		types := map[int]byte{}
		if c.Video != nil {
			types[testVideoPID] = 0x1b
		}
		if c.Audio != nil {
			types[testAudioPID] = map[av.Codec]byte{av.AAC: 0x0f, av.MP3: 0x03, av.AC3: 0x81, av.EAC3: 0x87}[c.Audio.Codec]
			if c.Audio.Codec == av.MP3 && c.Audio.SampleRate < 32000 {
				types[testAudioPID] = 0x04
			}
		}
		if timed {
			types[testID3PID] = 0x15
		}
		check := newChecker(types)
		check.opaque = true
		for i, b := range render(t, segments) {
			// A segment without samples does not know where it begins.
			if len(segments[i].Video)+len(segments[i].Audio) == 0 {
				check.pcr = -1
			}
			check.add(b)
			if len(segments[i].Video)+len(segments[i].Audio) == 0 {
				check.pcr = -1
			}
		}
		// Frames that all want the same time, or leave and come back, are
		// decoded in order within a segment only.
		allowed := []string{"DTS goes back"}
		if !tame || c.Audio != nil && c.Audio.Timescale < 1000 {
			allowed = append(allowed, "behind the PCR", "before DTS", "timestamps")
		}
		for _, p := range check.problems {
			if !slices.ContainsFunc(allowed, func(a string) bool { return strings.Contains(p, a) }) {
				t.Error(p)
			}
		}
	})
}
