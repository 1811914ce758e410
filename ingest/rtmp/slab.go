package rtmp

import (
	"strings"
	"unsafe"

	"headwater/remux/flv"
)

const (
	slabTags    = 24        // tags that a slab is meant for
	maxSlab     = 256 << 10 // bytes
	pageSize    = 8 << 10   // what the allocator rounds such sizes up to
	slabRest    = 16        // a slab is given up when less than one part in so many is left
	slabLargest = 4         // and nothing is put into it that would be more than one in so many
)

// slab allocates tags in blocks of some tens: those of a stream come one behind the
// other, and are let go by its window one behind the other. What is held longer
// holds its block, a third of a second of the stream.
//
// Most of what a publisher costs beside its reads is the garbage collector, which finds
// every window in each of its cycles. For each pointer it looks up the block that it
// points into, which has left the processor's caches. A stream keeps one pointer for each
// block and track, not one for each tag. Nor are bytes lost to the sizes that the
// allocator has.
type slab struct {
	room []byte // what is left of the newest block
	size int    // of that block

	tags, bytes int // asked for since it was made
}

// tag is flv.NewTag. The capacity of a tag reaches to the end of its block: that is how
// those who keep tags see which share one. Nobody appends to it.
func (s *slab) tag(n int) []byte {
	size := flv.HeaderSize + n + flv.TrailerSize
	s.tags++
	s.bytes += size
	spent := len(s.room) <= s.size/slabRest || s.tags >= 2*slabTags
	if size > len(s.room) && spent && s.tags >= slabTags {
		s.size = (min(s.bytes/s.tags*slabTags, maxSlab) + pageSize - 1) &^ (pageSize - 1)
		s.room = uncleared(s.size)
		s.tags, s.bytes = 0, 0
	}
	if size > len(s.room) || size > s.size/slabLargest {
		return flv.NewTag(n)
	}
	tag := s.room[:size]
	s.room = s.room[size:]
	clear(tag[:flv.HeaderSize])
	clear(tag[size-flv.TrailerSize:])
	return tag
}

// uncleared returns n bytes that hold anything. Clearing them fetches a block from memory
// a third of a second before it is written to, a thirtieth of what a publisher costs. A
// tag is safe without: its payload is handed on when all of it has come, and never before.
func uncleared(n int) []byte {
	var b strings.Builder // the one that asks the allocator for no more than memory
	b.Grow(n)
	_ = b.WriteByte(0)
	return unsafe.Slice(unsafe.StringData(b.String()), n)
}
