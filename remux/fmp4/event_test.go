package fmp4

import (
	"bytes"
	"encoding/hex"
	"testing"

	"headwater/remux/av"
)

// tagSample is an ID3 tag that holds text, shorter than 128 bytes.
func tagSample(at int64, text string) av.Frame {
	data := append([]byte("ID3\x04\x00\x00\x00\x00\x00"), byte(len(text)))
	return av.Frame{Time: at, Kind: av.Data, Data: append(data, text...)}
}

// TestEventBytes holds an event message byte for byte.
func TestEventBytes(t *testing.T) {
	f := &Fragment{
		Config: tracks(av.H264, 0), Sequence: 7, VideoEnd: 1,
		Video: []av.Frame{videoSample(0, true, 0, "x")},
	}
	alone, err := AppendFragment(nil, f)
	if err != nil {
		t.Fatal(err)
	}
	f.Metadata = []av.Frame{tagSample(0x123456789, "!"), tagSample(0x123456789, "?")}
	got, err := AppendFragment([]byte("before"), f)
	if err != nil {
		t.Fatal(err)
	}
	emsg := func(id, text string) string {
		return "00000049 656d7367 01000000" + "00015f90" + "0000000123456789" + "ffffffff" + id +
			hex.EncodeToString([]byte("https://aomedia.org/emsg/ID3")) + "00" + "00" + "4944330400 00 00000001" + text
	}
	want := append([]byte("before"), unhex(emsg("00007000", "21")+emsg("00007001", "3f"))...)
	want = append(want, alone...)
	if !bytes.Equal(got, want) {
		t.Errorf("got\n%swant\n%s", hex.Dump(got), hex.Dump(want))
	}
	dst := got[:0]
	if n := testing.AllocsPerRun(20, func() { _, err = AppendFragment(dst, f) }); n != 0 || err != nil {
		t.Errorf("%v allocations with room, error %v", n, err)
	}
	f.Metadata[1].Time = -1
	if b, err := AppendFragment([]byte("before"), f); err == nil || string(b) != "before" {
		t.Errorf("time below 0: %d bytes, error %v", len(b), err)
	}
}
