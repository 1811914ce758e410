package fmp4

import (
	"bytes"
	"math"
	"testing"
	"time"

	"headwater/remux/av"
)

// FuzzInit feeds records and parameter sets that a publisher made up. What is
// accepted has to be a well-formed initialization section.
func FuzzInit(f *testing.F) {
	for codec := av.H264; codec <= av.EAC3; codec++ {
		tr := track(codec)
		f.Add(byte(codec), tr.Record, bytes.Join(tr.ParameterSets, nil), tr.Width, tr.Height, tr.SampleRate)
	}
	f.Fuzz(func(t *testing.T, codec byte, record, nal []byte, width, height, rate int) {
		tr := &av.Track{
			Codec: av.Codec(codec), Record: record, ParameterSets: [][]byte{nal}, Width: width, Height: height,
			SampleRate: rate, Channels: width, Timescale: int64(rate),
		}
		c := &av.Config{Audio: tr}
		if tr.Codec <= av.VP9 {
			tr.Timescale = videoTimescale
			c = &av.Config{Video: tr}
		}
		b, err := Init(c)
		if err != nil {
			return
		}
		if _, err := check(b); err != nil {
			t.Error(err)
		}
	})
}

// FuzzAppendFragment takes 16 bytes for each sample: what there is of it, and
// its time, offset and size. Whatever the times, samples fill the fragment
// exactly and are shown when they should be.
func FuzzAppendFragment(f *testing.F) {
	f.Add(int64(0), int64(9000), []byte("\x01\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x42\x02\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x42"))
	f.Add(int64(0), int64(9000), []byte("\x04\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x42\x02\x00\x05\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x42"))
	f.Add(int64(1), int64(1), bytes.Repeat([]byte{0}, 160))
	f.Add(int64(math.MaxInt64-5), int64(5), bytes.Repeat([]byte{3}, 64))
	f.Fuzz(func(t *testing.T, start, length int64, b []byte) {
		fr := &Fragment{Config: tracks(av.H264, av.AAC), Sequence: 1, VideoEnd: start + length, AudioEnd: start + length}
		for ; len(b) >= 16; b = b[16:] {
			s := av.Frame{Time: start + int64(be.Uint64(b[8:]))>>8, Key: b[0]&1 != 0, Data: b[:b[1]&15]}
			if b[0]&6 == 4 {
				s.Time &= math.MaxInt64
				fr.Metadata = append(fr.Metadata, s)
			} else if b[0]&2 != 0 {
				s.CTS = time.Duration(int32(be.Uint32(b[2:]))) << (b[0] & 31)
				fr.Video = append(fr.Video, s)
			} else {
				fr.Audio = append(fr.Audio, s)
			}
		}
		got, err := AppendFragment(nil, fr)
		if err != nil {
			return
		}
		m, err := readMovie(got)
		if err != nil {
			t.Fatal(err)
		}
		compareFilled(t, m.samples[videoTrackID], fr.Video, fr.VideoEnd)
		compareFilled(t, m.samples[audioTrackID], fr.Audio, fr.AudioEnd)
		events, err := m.readEvents()
		if err != nil || len(events) != len(fr.Metadata) {
			t.Fatalf("%d event messages of %d: %v", len(events), len(fr.Metadata), err)
		}
		for i, s := range fr.Metadata {
			if e := events[i]; e.time != s.Time || !bytes.Equal(e.data, s.Data) {
				t.Fatalf("event %d at %d with %x, want %d with %x", i, e.time, e.data, s.Time, s.Data)
			}
		}
	})
}

func compareFilled(t *testing.T, got []sample, want []av.Frame, end int64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d samples, want %d", len(got), len(want))
	}
	if len(want) == 0 {
		return
	}
	at := want[0].Time
	for i, s := range got {
		if s.dts != at || !bytes.Equal(s.data, want[i].Data) {
			t.Fatalf("sample %d at %d with %x, want %d with %x", i, s.dts, s.data, at, want[i].Data)
		}
		clamped := s.composition == math.MinInt32 || s.composition == math.MaxInt32
		if pts := want[i].Time + int64(want[i].CTS/100)*9/1000; s.pts() != pts && !clamped {
			t.Fatalf("sample %d shown at %d, want %d", i, s.pts(), pts)
		}
		if s.duration == 0 && int64(len(got)) <= end-want[0].Time {
			t.Fatalf("sample %d lasts no time", i)
		}
		at += int64(s.duration)
	}
	if at != end {
		t.Fatalf("ends at %d, want %d", at, end)
	}
}
