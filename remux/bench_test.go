package remux

import (
	"bytes"
	"testing"
	"time"

	"headwater/remux/flv"
)

// BenchmarkWrite is the cost of one frame of a stream that nobody watches, its
// buffer included: the sum over 2 s of 2 Mbit/s divided by its frames.
func BenchmarkWrite(b *testing.B) {
	r := NewRegistry(DefaultOptions(), nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		b.Fatal(err)
	}
	avc := append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
		0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80)
	write := func(typ uint8, ts uint32, body []byte) {
		tag := flv.NewTag(len(body))
		copy(flv.Body(tag), body)
		if err := p.Write(typ, ts, tag); err != nil {
			b.Fatal(err)
		}
	}
	write(flv.TypeVideo, 0, avc)
	write(flv.TypeAudio, 0, []byte{0xaf, 0, 0x12, 0x10})
	key, inter := make([]byte, 40_009), make([]byte, 8_009)
	copy(key, []byte{0x17, 1, 0, 0, 0, 0, 0, 0x9c, 0x40, 0x65})
	copy(inter, []byte{0x27, 1, 0, 0, 0, 0, 0, 0x1f, 0x40, 0x41})
	audio := append([]byte{0xaf, 1}, make([]byte, 370)...)
	b.ReportAllocs()
	b.ResetTimer()
	for i := 0; i < b.N; i += 5 {
		ts := uint32(i/5) * 66
		body := inter
		if i/5%30 == 0 {
			body = key
		}
		write(flv.TypeVideo, ts, body)
		write(flv.TypeAudio, ts, audio)
		write(flv.TypeAudio, ts+23, audio)
		write(flv.TypeVideo, ts+33, inter)
		write(flv.TypeAudio, ts+46, audio)
	}
}

func BenchmarkText(b *testing.B) {
	body := bytes.Repeat([]byte("#EXT-X-PART:DURATION=0.33333,URI=\"abcdefgh-p1234.m4s\"\n"), 40)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := newText(body, time.Time{}); err != nil {
			b.Fatal(err)
		}
	}
}
