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

func (s *script) config(record, set []byte) *av.Config {
	c := &av.Config{}
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
	return c
}

// segments makes three in sequence. Where tame is set, audio lies within 100 ms
// of where it should and composition times are those of an encoder.
func (s *script) segments(c *av.Config, tame bool) []*Segment {
	var out []*Segment
	at := time.Duration(binary.BigEndian.Uint16(append(s.bytes(2), 0, 0))) * 1460 * time.Millisecond // about 2^33 ticks
	for sequence := range uint64(3) {
		g := &Segment{Config: c, Sequence: 14 + sequence}
		for range s.byte() & 31 {
			how := s.byte()
			data := s.bytes(int(s.byte())*int(how&3) + int(how>>7))
			sample := av.Sample{Frame: &av.Frame{Kind: av.Video, Key: how&4 != 0, DTS: at, Data: data}}
			offset := time.Duration(int8(s.byte())) * time.Millisecond
			switch audio := how&8 != 0; {
			case audio && c.Audio != nil:
				sample.Kind = av.Audio
				sample.Time = int64((at+offset*3/4)/time.Millisecond) * c.Audio.Timescale / 1000
				if !tame {
					sample.Time ^= int64(binary.BigEndian.Uint64(append(s.bytes(8), make([]byte, 8)...)))
				}
				g.Audio = append(g.Audio, sample)
			case !audio && c.Video != nil:
				sample.Time = int64(at/time.Millisecond) * 90
				sample.CTS = offset * 4
				if !tame {
					sample.Time ^= int64(binary.BigEndian.Uint64(append(s.bytes(8), make([]byte, 8)...)))
					sample.CTS <<= how >> 4
				}
				g.Video = append(g.Video, sample)
			default:
				continue
			}
			at += time.Duration(s.byte()) * time.Duration(1+how>>5) * time.Millisecond
		}
		at += time.Millisecond
		g.End = at
		out = append(out, g)
	}
	return out
}

// FuzzAppendSegment writes three segments of anything. None may panic, and the
// packets, counters, tables and clock have to be right whatever the frames hold.
func FuzzAppendSegment(f *testing.F) {
	f.Add([]byte("\x09\x00\x00\x01\x00\x00"+strings.Repeat("\x1f\x05\x20\x00aaaabbbbccccddddeeeeffffgggghhhh\x28", 20)), []byte{0x11, 0x90}, testPPS, true)
	f.Add([]byte("\x0f\x01\x02\x10\x00\x00"+strings.Repeat("\x1f\x8d\x02\xf0\x00\x00\x00\x04\x65\x88\x84\x00\x21", 30)), []byte{0x12, 0x10}, testSPS, false)
	f.Add([]byte("\x08\x00\x02\x12\xff\xff"+strings.Repeat("\x1f\x09\x08\x00audioframe\x18", 40)), []byte{0xeb, 0x8a, 8, 0}, []byte{}, true)
	f.Add([]byte("\x01\x00\x00"+strings.Repeat("\x1f\x81\x05\xa0\x00\x00\x00\x01\x41\xff\xff", 40)), []byte{}, []byte{0x67}, false)
	f.Fuzz(func(t *testing.T, data, record, set []byte, tame bool) {
		s := script{rest: data}
		c := s.config(record, set)
		segments := s.segments(c, tame)
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
		if !tame {
			allowed = append(allowed, "behind the PCR", "before DTS", "timestamps")
		}
		for _, p := range check.problems {
			if !slices.ContainsFunc(allowed, func(a string) bool { return strings.Contains(p, a) }) {
				t.Error(p)
			}
		}
	})
}
