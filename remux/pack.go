package remux

import (
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// pack is frames as they are kept: with a pointer for each piece of memory that their
// tags lie in, rather than some for each of them. A publisher's tags come tens to a
// piece, and following their pointers was most of the garbage collector's work: with
// 200 windows of 12 s one of its cycles takes 13 ms of CPU in place of 26.
//
// One goroutine appends. What has been appended does not change: a copy of a pack can
// be read by anybody.
type pack struct {
	configs []*av.Config // those of the frames, at most 256
	memory  [][]byte     // what the tags lie in, each piece from the first of them on
	frames  []packed
}

// packed is an av.Frame without pointers.
type packed struct {
	dts, cts time.Duration
	time     int64
	memory   uint32 // of the pack; there the tag is
	at       uint32 // where it begins
	size     uint32 // of the tag; where there is none, of the payload
	data     uint32 // size of the payload, which ends where the tag's body does
	config   uint8  // of the pack
	kind     av.Kind
	key      bool
	start    bool
}

// add appends a frame.
func (p *pack) add(f *av.Frame) {
	bytes := f.Tag
	if bytes == nil { // it was restored
		bytes = f.Data
	}
	memory, at := p.find(bytes)
	p.frames = append(p.frames, packed{
		dts: f.DTS, cts: f.CTS, time: f.Time,
		memory: memory, at: at, size: uint32(len(bytes)), data: uint32(len(f.Data)),
		config: p.findConfig(f.Config), kind: f.Kind, key: f.Key, start: f.Start,
	})
}

// find returns where bytes lie. Their capacity tells: two slices of which one begins
// within the other, with as much behind it, are of one piece.
func (p *pack) find(bytes []byte) (memory, at uint32) {
	n := len(p.memory)
	if n > 0 && len(bytes) > 0 {
		piece := p.memory[n-1]
		if at := len(piece) - cap(bytes); at >= 0 && &piece[at] == &bytes[0] {
			return uint32(n - 1), uint32(at)
		}
	}
	p.memory = append(p.memory, bytes[:cap(bytes)])
	return uint32(n), 0
}

func (p *pack) findConfig(c *av.Config) uint8 {
	n := len(p.configs)
	if n == 0 || p.configs[n-1] != c {
		p.configs = append(p.configs, c)
		n++
	}
	return uint8(n - 1)
}

func (p *pack) len() int { return len(p.frames) }

// at returns frame i.
func (p *pack) at(i int) av.Frame {
	f := &p.frames[i]
	end := f.at + f.size
	bytes := p.memory[f.memory][f.at:end:end]
	frame := av.Frame{
		Kind: f.kind, Key: f.key, Start: f.start, DTS: f.dts, CTS: f.cts, Time: f.time,
		Config: p.configs[f.config], Data: bytes,
	}
	if f.size > f.data {
		body := f.size - flv.TrailerSize
		frame.Tag, frame.Data = bytes, bytes[body-f.data:body:body]
	}
	return frame
}

// last returns the newest frame's bare facts; there is one.
func (p *pack) last() *packed { return &p.frames[len(p.frames)-1] }

func packOf(frames []av.Frame) (p pack) {
	for i := range frames {
		p.add(&frames[i])
	}
	return p
}

// slice returns frames from to to, which nobody appends to.
func (p *pack) slice(from, to int) pack {
	return pack{p.configs[:len(p.configs):len(p.configs)], p.memory[:len(p.memory):len(p.memory)], p.frames[from:to:to]}
}

// all returns the frames.
func (p *pack) all() []av.Frame {
	frames := make([]av.Frame, p.len())
	for i := range frames {
		frames[i] = p.at(i)
	}
	return frames
}
