package flv

import (
	"errors"
	"testing"
	"time"

	"headwater/remux/av"
)

func FuzzParseVideo(f *testing.F) {
	for _, s := range []string{
		"17 00 000000 0164001f", "27 01 ffffde 41", "17 02", "1c 01 000010 26", "57 00",
		"90 68766331 0101", "91 68766331 000021 26", "a3 61766331 41", "95 61763031 80", "d4 76703039 02",
		"97 02 0c3500 01 68766331 000000 26", "97 ff 0002 000000 01 76703039 86",
		"96 01 61766331 02 000021 65", "96 11 68766331 00 000005 000001 2601 01 000004 fffffe 28",
		"a6 23 61766331 00 000001 41 76703038 01 000002 ffff 68766331 02 000001 02",
	} {
		f.Add(unhex(f, s))
	}
	_, tags := readTags(f, "h264_aac.flv")
	for _, tag := range tags[:12] {
		f.Add(Body(tag))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkParse(t, body, ParseVideo) })
}

func FuzzParseAudio(f *testing.F) {
	for _, s := range []string{
		"af 00 1190", "af 01 2110", "2f fffb9064", "e2 ffe328c4", "90 4f707573 4f70", "91 4f707573 fc",
		"94 4f707573 01 02 00000003", "92 6d703461", "90 61632d33", "91 65632d33 0b77", "97 02 000064 01 6d703461 21",
		"95 21 6d703461 00 000002 2110 4f707573 03 000001 fc", "95 00 2e6d7033 01 1190",
	} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, body []byte) { checkParse(t, body, ParseAudio) })
}

// checkParse holds for any bytes: a typed error and nothing else, or a packet
// whose data lies in the body.
func checkParse(t *testing.T, body []byte, parse func([]byte) (Packet, error)) {
	p, err := parse(body)
	if err != nil {
		checkError(t, err)
		return
	}
	checkPacket(t, body, p)
	if p.Type != Multitrack {
		return
	}
	n := 0
	for track, err := range p.Tracks() {
		if n++; n > len(body) {
			t.Fatal("more tracks than bytes")
		}
		if err != nil {
			checkError(t, err)
			continue
		}
		if track.Type == Multitrack {
			t.Fatal("multitrack inside multitrack")
		}
		checkPacket(t, body, track)
	}
	if n == 0 {
		t.Fatal("a multitrack packet without tracks")
	}
}

func checkError(t *testing.T, err error) {
	if !errors.Is(err, ErrEmpty) && !errors.Is(err, ErrMalformed) && !errors.Is(err, ErrUnsupported) {
		t.Fatalf("error %v is of no known kind", err)
	}
}

func checkPacket(t *testing.T, body []byte, p Packet) {
	switch p.Type {
	case Frame, SequenceStart:
		if p.Codec < av.H264 || p.Codec > av.EAC3 || len(p.Data) == 0 {
			t.Fatalf("codec %v with %d bytes", p.Codec, len(p.Data))
		}
	case SequenceEnd, Metadata, Ignored, Multitrack:
	default:
		t.Fatalf("type %d", p.Type)
	}
	if len(p.Data) >= len(body) {
		t.Fatalf("%d bytes of data in a body of %d", len(p.Data), len(body))
	}
	if len(p.Data) > 0 && !inside(body, p.Data) {
		t.Fatal("the data is not a slice of the body")
	}
	if p.Offset < 0 || p.Offset >= time.Millisecond || p.CTS < -8388608*ms || p.CTS > 8388607*ms {
		t.Fatalf("offset %v, composition time %v", p.Offset, p.CTS)
	}
}

// inside says whether part shares its memory with a stretch of whole.
func inside(whole, part []byte) bool {
	for i := range len(whole) - len(part) + 1 {
		if &whole[i] == &part[0] {
			return true
		}
	}
	return false
}
