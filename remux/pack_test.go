package remux

import (
	"bytes"
	"reflect"
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// TestPack: what comes out is what went in, whatever memory the tags lie in, and there
// is one piece of memory for each piece, not for each tag.
func TestPack(t *testing.T) {
	first, second := &av.Config{Video: &av.Track{}}, &av.Config{Audio: &av.Track{}}
	piece, other := make([]byte, 400), make([]byte, 100)
	inside := func(from, size int) []byte { return piece[from : from+size] }
	clipped := piece[300:340:340] // of the same piece, but nobody can know
	tags := [][]byte{inside(0, 50), inside(50, 16), inside(66, 15), other[:40], other[40:99], clipped, flv.NewTag(9)}
	const pieces = 4
	var p pack
	var want []av.Frame
	for i, tag := range tags {
		for j := range tag {
			tag[j] = byte(i*50 + j)
		}
		body := flv.Body(tag)
		f := av.Frame{
			Kind: av.Audio, Key: i%2 == 0, Start: i%3 == 0, DTS: time.Duration(i) * time.Second, CTS: -time.Millisecond,
			Time: int64(i) << 40, Config: first, Tag: tag, Data: body[min(i, len(body)):],
		}
		if i > 3 {
			f.Config = second
		}
		p.add(&f)
		want = append(want, f)
	}
	if len(p.memory) != pieces || len(p.configs) != 2 {
		t.Errorf("%d pieces of memory and %d configs, want %d and 2", len(p.memory), len(p.configs), pieces)
	}
	part := p.slice(2, 5)
	p.add(&want[0])
	for i, got := range p.all() {
		if !reflect.DeepEqual(got, want[i%len(tags)]) {
			t.Errorf("frame %d is %+v, want %+v", i, got, want[i%len(tags)])
		}
		if cap(got.Tag) != len(got.Tag) || cap(got.Data) != len(got.Data) || len(got.Data) > 0 && &got.Data[0] != &want[i%len(tags)].Data[0] {
			t.Errorf("frame %d has room behind it, or was copied", i)
		}
	}
	for i, got := range part.all() {
		if !reflect.DeepEqual(got, want[2+i]) {
			t.Errorf("frame %d of the part is %+v, want %+v", i, got, want[2+i])
		}
	}
}

// TestLogWithoutItsFirst: a log goes on behind what was released.
func TestLogWithoutItsFirst(t *testing.T) {
	var l log
	add := func(i byte) {
		tag := flv.NewTag(1)
		flv.Body(tag)[0] = i
		l.append(&av.Frame{Kind: av.Video, DTS: time.Duration(i), Tag: tag, Data: flv.Body(tag)}, time.Hour, 1<<20)
	}
	for i := range byte(blockFrames + 5) {
		add(i)
	}
	l.release()
	for i := range byte(blockFrames) {
		add(100 + i)
	}
	for i := range uint64(blockFrames) {
		if f := l.at(l.first + i); !bytes.Equal(f.Data, []byte{100 + byte(i)}) {
			t.Errorf("frame %d is %x", i, f.Data)
		}
	}
}
