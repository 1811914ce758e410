package rtmp

import (
	"encoding/binary"
	"errors"
	"io"
	"time"

	"headwater/remux/flv"
)

const (
	defaultChunkSize = 128       // RTMP 5.4.1
	maxChunkSize     = 1<<24 - 1 // no message is longer
	maxChunkStreams  = 32
	maxParked        = 16 << 20 // bytes held for messages that are not complete
	firstStep        = 64 << 10 // bytes allocated on an announcement alone
	extended         = 1<<24 - 1

	// maxImpliedDelta bounds the rule that the timestamp of a type 0 chunk is
	// also the delta of a type 3 chunk that begins the next message
	// (RTMP 5.3.1.2.4). Encoders that lean on it send frame durations; some
	// mean "the same time again", and only a large timestamp tells them apart.
	maxImpliedDelta = 10_000
)

// ChunkReader puts chunks together to messages (RTMP 5.3). It bounds what a
// peer can make it hold: memory grows with the bytes received, not with those
// announced.
//
// It can stop at any byte: next takes what is there and says when more has to come,
// whoever gets it.
type ChunkReader struct {
	rules admitter

	in         reader
	chunk      *chunkStream // of the chunk whose payload is being read; nil between two
	left       int          // bytes of that to come
	chunkSize  int
	streams    []*chunkStream // those used last come first
	maxStreams int
	parked     int // bytes allocated for messages that are not complete
	maxParked  int
	all        *assembly      // of all sessions; may be nil
	step       int            // bytes to allocate at once: the longest message so far
	tags       slab           // for media
	used       int            // of firsts
	firsts     [6]chunkStream // of streams: more than encoders have
}

// admitter is asked when a message begins. It returns whether to keep the payload; a
// message that is not kept costs no memory, and still comes out of ReadMessage, without
// its Tag. An error ends the reading.
type admitter interface {
	admit(typ uint8, length int) (keep bool, err error)
}

type admitFunc func(typ uint8, length int) (keep bool, err error)

func (f admitFunc) admit(typ uint8, length int) (keep bool, err error) {
	if f == nil {
		return true, nil
	}
	return f(typ, length)
}

// chunkStream is what a chunk's header is relative to, and the message that is
// being read.
type chunkStream struct {
	id        uint32
	timestamp uint32
	delta     uint32
	stamp     uint32 // the extended timestamp as announced
	extended  bool   // and whether there was one
	length    int
	typ       uint8
	streamID  uint32

	open bool          // a message is being read
	keep bool          // into tag
	got  int           // bytes read of it
	tag  []byte        // has room for at least got bytes, and for length in the end
	age  time.Duration // how long overdue has seen it open, or unseen
}

// NewChunkReader returns a reader of the chunks in src. admit is asked whether to keep
// a message's payload; it may be nil, which keeps everything.
func NewChunkReader(src io.Reader, admit func(typ uint8, length int) (bool, error)) *ChunkReader {
	c := &ChunkReader{}
	c.init(newReader(src, readerSize), admitFunc(admit))
	return c
}

func (c *ChunkReader) init(in reader, rules admitter) {
	*c = ChunkReader{rules: rules, in: in, chunkSize: defaultChunkSize, maxStreams: maxChunkStreams, maxParked: maxParked, step: firstStep}
}

// ReadMessage returns the next message that is complete. Set Chunk Size and
// Abort have taken effect when it returns them.
func (c *ChunkReader) ReadMessage() (Message, error) {
	for {
		m, err := c.next()
		if !errors.Is(err, errMore) {
			return m, err
		}
		if err := c.fill(); err != nil {
			return Message{}, err
		}
	}
}

// errMore says that all that is there has been taken in, and that it ends inside a
// message or behind one.
var errMore = errors.New("more bytes have to come")

// next is ReadMessage of what is there already; errMore if that does not do.
func (c *ChunkReader) next() (Message, error) {
	for {
		if c.chunk == nil {
			if err := c.readHeader(); err != nil {
				return Message{}, err
			}
		}
		if err := c.readPayload(c.chunk); err != nil {
			return Message{}, err
		}
		s := c.chunk
		c.chunk = nil
		if s.got < s.length {
			continue
		}
		m := Message{Type: s.typ, Timestamp: s.timestamp, StreamID: s.streamID, Tag: s.tag}
		c.close(s)
		var err error
		switch m.Type {
		case typeSetChunkSize:
			err = c.setChunkSize(&m)
		case typeAbort:
			err = c.abort(&m)
		}
		return m, err
	}
}

// fill reads once. A payload that has much to come is read to where it belongs.
func (c *ChunkReader) fill() error {
	inside := c.inside()
	var err error
	if s := c.chunk; s != nil && s.keep && c.left >= len(c.in.buf) && len(c.in.buffered()) == 0 {
		err = c.fillPayload(s)
	} else {
		err = c.in.fill()
	}
	if inside {
		return unexpected(err)
	}
	return err
}

// inside reports whether what was read last ends inside a chunk.
func (c *ChunkReader) inside() bool { return c.chunk != nil || len(c.in.buffered()) > 0 }

func (c *ChunkReader) fillPayload(s *chunkStream) error {
	room, err := c.room(s)
	if err != nil {
		return err
	}
	n, err := c.in.direct(room[:min(c.left, len(room))])
	s.got += n
	c.left -= n
	return err
}

// readHeader reads a chunk's header, all of it or nothing (RTMP 5.3.1).
func (c *ChunkReader) readHeader() error {
	b := c.in.buffered()
	format, id, n := basicHeader(b)
	if n == 0 {
		return errMore
	}
	s, err := c.stream(id, format)
	if err != nil {
		return err
	}
	k := 0
	if format != 3 {
		k, err = s.readHeader(b[n:], format)
	} else if s.extended {
		k, err = s.skipStamp(b[n:])
	}
	if err != nil {
		return err
	}
	c.in.r += n + k
	if !s.open {
		if err := c.begin(s, format); err != nil {
			return err
		}
	}
	c.chunk, c.left = s, min(c.chunkSize, s.length-s.got)
	return nil
}

// basicHeader reads a chunk's format and chunk stream (RTMP 5.3.1.1) and returns how
// many bytes these are, 0 if they are not all there.
func basicHeader(b []byte) (format uint8, id uint32, n int) {
	if len(b) == 0 {
		return 0, 0, 0
	}
	format, id, n = b[0]>>6, uint32(b[0]&63), 1
	if id < 2 {
		n = 2 + int(id)
	}
	switch {
	case len(b) < n:
		return 0, 0, 0
	case n == 2:
		id = uint32(b[1]) + 64
	case n == 3:
		id = uint32(b[2])<<8 + uint32(b[1]) + 64
	}
	return format, id, n
}

// stream finds the chunk stream of a chunk.
func (c *ChunkReader) stream(id uint32, format uint8) (*chunkStream, error) {
	for i, s := range c.streams {
		if s.id == id {
			if i > 1 { // sound and pictures stay where they are
				copy(c.streams[1:], c.streams[:i])
				c.streams[0] = s
			}
			return s, nil
		}
	}
	// A type 1 chunk may come first: librtmp's ping is one.
	if format > 1 {
		return nil, protocolError("chunk stream begins with a chunk of type 2 or 3")
	}
	if len(c.streams) >= c.maxStreams {
		return nil, limitError("too many chunk streams")
	}
	s := &chunkStream{}
	if c.used < len(c.firsts) {
		s = &c.firsts[c.used]
		c.used++
	}
	s.id = id
	c.streams = append(c.streams, s)
	return s, nil
}

// headerSizes are the bytes of a message header by format (RTMP 5.3.1.2), and
// stampSize those of an extended timestamp behind it (5.3.1.3).
var headerSizes = [3]int{11, 7, 3}

const stampSize = 4

// longestHeader is the longest header of a chunk.
const longestHeader = 3 + 11 + stampSize

// readHeader reads a message header of type 0, 1 or 2 and returns how long it is.
func (s *chunkStream) readHeader(b []byte, format uint8) (n int, err error) {
	if s.open {
		return 0, protocolError("new message header inside a message")
	}
	n = headerSizes[format]
	if len(b) < n {
		return 0, errMore
	}
	stamp := uint24(b)
	long := stamp == extended
	if long {
		if len(b) < n+stampSize {
			return 0, errMore
		}
		stamp = binary.BigEndian.Uint32(b[n:])
		n += stampSize
	}
	s.stamp, s.extended = stamp, long
	if format <= 1 {
		s.length = int(uint24(b[3:]))
		s.typ = b[6]
	}
	if format == 0 {
		s.streamID = binary.LittleEndian.Uint32(b[7:])
	}
	return n, nil
}

// skipStamp returns how long the extended timestamp of a type 3 chunk is. Most
// encoders repeat it (RTMP 5.3.1.3), old ones do not; where the next four bytes
// are not the timestamp that was announced they are payload. The first that differs
// decides: if the timestamp is missing there may be fewer than four to come before
// the peer waits for us.
func (s *chunkStream) skipStamp(b []byte) (n int, err error) {
	var stamp [stampSize]byte
	binary.BigEndian.PutUint32(stamp[:], s.stamp)
	n = min(stampSize, len(b))
	switch {
	case string(b[:n]) != string(stamp[:n]):
		return 0, nil
	case n < stampSize:
		return 0, errMore
	}
	return n, nil
}

// begin starts a message on s, whose header has been read.
func (c *ChunkReader) begin(s *chunkStream, format uint8) error {
	switch format {
	case 0:
		s.timestamp, s.delta = s.stamp, s.stamp
		if s.delta > maxImpliedDelta {
			s.delta = 0
		}
	case 1, 2:
		s.delta = s.stamp
		fallthrough
	default:
		s.timestamp += s.delta
	}
	keep, err := c.rules.admit(s.typ, s.length)
	if err != nil {
		return err
	}
	s.open, s.keep, s.got, s.tag, s.age = true, keep, 0, nil, unseen
	if !keep {
		return nil
	}
	return c.grow(s, min(s.length, c.step))
}

// readPayload reads what is there of a chunk's payload.
func (c *ChunkReader) readPayload(s *chunkStream) error {
	for c.left > 0 {
		b := c.in.buffered()
		if len(b) == 0 {
			return errMore
		}
		n := min(c.left, len(b))
		if s.keep {
			room, err := c.room(s)
			if err != nil {
				return err
			}
			n = copy(room, b[:n])
		}
		c.in.r += n
		s.got += n
		c.left -= n
	}
	return nil
}

// room returns where the next bytes of the message on s belong. More are expected.
func (c *ChunkReader) room(s *chunkStream) ([]byte, error) {
	if s.got == len(s.tag)-flv.HeaderSize-flv.TrailerSize {
		if err := c.grow(s, min(s.length, 2*s.got)); err != nil {
			return nil, err
		}
	}
	return s.tag[flv.HeaderSize+s.got : len(s.tag)-flv.TrailerSize], nil
}

// grow gives the message on s room for n bytes in all.
func (c *ChunkReader) grow(s *chunkStream, n int) error {
	if c.parked+n-len(s.tag) > c.maxParked {
		return limitError("too many bytes in unfinished messages")
	}
	more := flv.HeaderSize + n + flv.TrailerSize - len(s.tag)
	if !c.all.take(more, c.parked+more) {
		return limitError("too many bytes in unfinished messages of all connections")
	}
	tag := c.newTag(s, n)
	copy(tag, s.tag[:min(len(s.tag), flv.HeaderSize+s.got)])
	c.parked += more
	s.tag = tag
	return nil
}

// newTag allocates. What is not media may be kept for long, and has no place among
// frames; nor has a frame that is not there.
func (c *ChunkReader) newTag(s *chunkStream, n int) []byte {
	if (s.typ == typeAudio || s.typ == typeVideo) && n == s.length && s.tag == nil {
		return c.tags.tag(n)
	}
	return flv.NewTag(n)
}

// close ends the message on s. A peer that has sent a long message is believed
// the next time it announces one, so that a frame costs one allocation.
func (c *ChunkReader) close(s *chunkStream) {
	c.parked -= len(s.tag)
	c.all.give(len(s.tag))
	if s.tag != nil && s.got == s.length {
		c.step = max(c.step, s.length)
	}
	s.open, s.tag, s.got = false, nil, 0
}

// release drops what is held. The reader is of no use afterwards.
func (c *ChunkReader) release() {
	for _, s := range c.streams {
		c.close(s)
	}
}

// setChunkSize obeys Set Chunk Size (RTMP 5.4.1), which may come between the
// chunks of a message.
func (c *ChunkReader) setChunkSize(m *Message) error {
	n, err := m.control()
	if err != nil {
		return err
	}
	if n == 0 || n > 1<<31-1 {
		return protocolError("chunk size out of range")
	}
	c.chunkSize = int(min(n, maxChunkSize))
	return nil
}

// abort obeys Abort Message (RTMP 5.4.2).
func (c *ChunkReader) abort(m *Message) error {
	id, err := m.control()
	if err != nil {
		return err
	}
	for _, s := range c.streams {
		if s.id == id && s.open {
			c.close(s)
		}
	}
	return nil
}

func uint24(b []byte) uint32 {
	return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
}

// unexpected says that a stream has ended where it must not.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
