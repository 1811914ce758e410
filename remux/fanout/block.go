package fanout

import (
	"net"
	"strconv"
	"sync/atomic"
	"time"

	"headwater/remux/av"
)

// block is what one turn adds to a feed, or a piece of that: bytes that are made once
// and sent to every viewer. Blocks are linked from old to new and only so: a block
// that no viewer has still to send, and that no viewer may begin with, is garbage
// together with its bytes. Nothing of a block changes but its link, which is set
// once, and only a feed's own blocks are ever linked to.
type block struct {
	next atomic.Pointer[block]

	// fixed
	number uint64     // counts a feed's blocks
	config *av.Config // in force behind it
	start  bool       // a viewer can begin here
	ended  bool       // nothing follows, and there is nothing in it
	late   bool       // frames are missing in front of it that nobody took in time
	dts    time.Duration
	before uint64 // bytes of media in all blocks before this one
	media  int    // and in this one
	frames int    // likewise
	lead   []byte // what a viewer needs in front of it that skips to it

	wire []byte // the payload as an HTTP chunk: its size in a line, the payload, CRLF
	line int    // length of that line

	frame     [maxFrameHeader]byte // header of the WebSocket message that is the payload
	frameSize int
}

// maxChunkLine is the longest line in front of a chunk: a size of 32 bits and CRLF.
const maxChunkLine = 8 + 2

var crlf, lastChunk = []byte("\r\n"), []byte("0\r\n\r\n")

// setPayload wraps a payload, which stands in buf behind room for the longest line.
func (b *block) setPayload(buf []byte) {
	size := len(buf) - maxChunkLine
	var room [maxChunkLine]byte
	line := append(strconv.AppendUint(room[:0], uint64(size), 16), crlf...)
	b.line = len(line)
	from := maxChunkLine - len(line)
	copy(buf[from:], line)
	b.wire = append(buf, crlf...)[from:]
	b.frameSize = len(appendFrameHeader(b.frame[:0], opBinary, size))
}

// payload returns the bytes as the format has them.
func (b *block) payload() []byte {
	if b.wire == nil {
		return nil
	}
	return b.wire[b.line : len(b.wire)-len(crlf)]
}

// size is how many bytes the block has in a framing.
func (b *block) size(f Framing) int {
	if b.wire == nil {
		return 0
	}
	switch f {
	case Chunked:
		return len(b.wire)
	case WebSocket:
		return b.frameSize + len(b.wire) - b.line - len(crlf)
	}
	return len(b.wire) - b.line - len(crlf)
}

// pieces appends the block from an offset on, as a framing has it.
func (b *block) pieces(dst net.Buffers, f Framing, off int) net.Buffers {
	switch {
	case b.wire == nil:
		return dst
	case f == Chunked:
		return append(dst, b.wire[off:])
	case f == Bare:
		return append(dst, b.payload()[off:])
	case off < b.frameSize:
		return append(dst, b.frame[off:b.frameSize], b.payload())
	}
	return append(dst, b.payload()[off-b.frameSize:])
}

// before returns a block of a viewer's own in front of next: a place to stand.
func before(next *block) *block {
	b := &block{number: next.number - 1, config: next.config, dts: next.dts, before: next.before}
	b.next.Store(next)
	return b
}

// standIn returns a block of a viewer's own that has b's place, nothing to send, and
// another one behind it.
func (b *block) standIn(next *block) *block {
	c := &block{number: b.number, config: b.config, dts: b.dts, before: b.before}
	c.next.Store(next)
	return c
}

// apart returns a copy of b that shares its bytes and has another one behind it.
func (b *block) apart(next *block) *block {
	c := b.standIn(next)
	c.start, c.ended, c.late, c.media, c.frames, c.lead = b.start, b.ended, b.late, b.media, b.frames, b.lead
	c.wire, c.line, c.frame, c.frameSize = b.wire, b.line, b.frame, b.frameSize
	return c
}
