package mpegts

import (
	"bytes"
	"testing"
	"time"

	"headwater/remux/av"
)

var (
	otherSPS = []byte{0x67, 0x42, 0xc0, 0x0a, 0xac, 0xd9, 0x42} // id 0, another profile
	secondID = []byte{0x68, 0x5b, 0xe3}                         // PPS with id 1
	otherPPS = []byte{0x68, 0xee, 0x3c, 0x80}                   // id 0
	sei      = []byte{0x06, 0x05, 0x01, 0xaa, 0x80}
	aud      = []byte{0x09, 0x10}
	idr      = []byte{0x65, 0x88, 0x84, 0x21}
	slice1   = []byte{0x41, 0x9a, 0x24, 0x6c}
	slice2   = []byte{0x41, 0x9b, 0x99, 0x01}
)

func TestAccessUnits(t *testing.T) {
	cut := func(b []byte, n int) []byte { return b[:len(b)-n] }
	tests := []struct {
		name   string
		length int
		key    bool // the frame's flag
		data   []byte
		want   [][]byte // NAL units behind the delimiter; nil: the frame is dropped
		random bool
	}{
		{"slice", 4, false, nals(slice1), [][]byte{slice1}, false},
		{"IDR", 4, true, nals(idr), [][]byte{testSPS, testPPS, idr}, true},
		{"IDR not flagged", 4, false, nals(idr), [][]byte{testSPS, testPPS, idr}, true},
		{"key frame without IDR", 4, true, nals(sei, slice1), [][]byte{testSPS, testPPS, sei, slice1}, true},
		{"2-byte lengths", 2, true, nalsSized(2, sei, idr), [][]byte{testSPS, testPPS, sei, idr}, true},
		{"1-byte lengths", 1, true, nalsSized(1, sei, idr), [][]byte{testSPS, testPPS, sei, idr}, true},
		{"several slices", 4, false, nals(slice1, slice2), [][]byte{slice1, slice2}, false},
		{"delimiter of the encoder", 4, false, nals(aud, slice1), [][]byte{slice1}, false},
		{"delimiters everywhere", 4, true, nals(aud, aud, sei, aud, idr, aud), [][]byte{testSPS, testPPS, sei, idr}, true},
		{"own sets", 4, true, nals(aud, testSPS, testPPS, sei, idr), [][]byte{testSPS, testPPS, sei, idr}, true},
		{"own sets behind SEI", 4, true, nals(sei, testSPS, testPPS, idr), [][]byte{testSPS, testPPS, sei, idr}, true},
		{"own sets differ", 4, true, nals(otherSPS, otherPPS, idr), [][]byte{otherSPS, otherPPS, idr}, true},
		{"own PPS differs", 4, true, nals(otherPPS, idr), [][]byte{testSPS, otherPPS, idr}, true},
		{"own SPS differs", 4, true, nals(otherSPS, idr), [][]byte{otherSPS, testPPS, idr}, true},
		{"own PPS is another", 4, true, nals(secondID, idr), [][]byte{testSPS, testPPS, secondID, idr}, true},
		{"sets with a slice", 4, false, nals(otherPPS, slice1), [][]byte{otherPPS, slice1}, false},
		{"zero-length units", 4, false, nals(nil, slice1, nil, nil), [][]byte{slice1}, false},
		{"cut in the second slice", 4, false, cut(nals(slice1, slice2), 1), [][]byte{slice1}, false},
		{"cut in the second length", 4, false, append(nals(slice1), 0, 0), [][]byte{slice1}, false},
		{"cut in the only slice", 4, false, cut(nals(slice1), 1), nil, false},
		{"cut in the first length", 4, false, []byte{0, 0, 0}, nil, false},
		{"length of 2^32-1", 4, false, []byte{255, 255, 255, 255, 0x41, 1, 2, 3}, nil, false},
		{"empty", 4, true, nil, nil, false},
		{"only sets", 4, true, nals(testSPS, testPPS), nil, false},
		{"only SEI", 4, false, nals(sei), nil, false},
		{"own sets of one byte", 4, true, nals([]byte{0x67}, []byte{0x68}, idr), [][]byte{testSPS, {0x67}, testPPS, {0x68}, idr}, true},
	}
	for _, test := range tests {
		track := videoTrack()
		track.LengthSize = test.length
		c := &av.Config{Video: track}
		s := &Segment{Config: c, End: 40 * time.Millisecond, Video: []av.Frame{rawSample(c, av.Video, 0, test.key, test.data)}}
		check := newChecker(map[int]byte{testVideoPID: 0x1b})
		check.opaque = true
		check.add(render(t, []*Segment{s})[0])
		report(t, check)
		units := check.pes[testVideoPID]
		if test.want == nil {
			if len(units) != 0 {
				t.Errorf("%s: % x is written", test.name, units[0].payload)
			}
			continue
		}
		want := []byte{0, 0, 0, 1, 9, 0xf0}
		for _, nal := range test.want {
			want = append(append(want, 0, 0, 0, 1), nal...)
		}
		if len(units) != 1 || !bytes.Equal(units[0].payload, want) || units[0].randomAccess != test.random {
			t.Errorf("%s: want % x, random access %v, have %+v", test.name, want, test.random, units)
		}
	}
}

func TestSetID(t *testing.T) {
	tests := []struct {
		nal  []byte
		want int
	}{
		{testSPS, 0},
		{[]byte{0x67, 0x64, 0, 10, 0x40}, 1},
		{[]byte{0x67, 0x64, 0, 10, 0x04, 0x20}, 32},
		{testPPS, 0},
		{secondID, 1},
		{[]byte{0x68, 0x00, 0x80, 0x00}, 255},
		{[]byte{0x68, 0x00, 0x80, 0x40}, 255},
		{[]byte{0x68, 0x00, 0x00, 0x80}, -1},
		{[]byte{0x68}, -1},
		{[]byte{0x67, 0x64}, -1},
	}
	for _, test := range tests {
		if got := setID(test.nal); got != test.want {
			t.Errorf("% x: id %d, want %d", test.nal, got, test.want)
		}
	}
}
