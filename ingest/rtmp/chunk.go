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
type ChunkReader struct {
	// admit is asked when a message begins. It returns whether to keep the
	// payload; a message that is not kept costs no memory, and still comes out
	// of ReadMessage, without its Tag. An error ends the reading.
	admit func(typ uint8, length int) (keep bool, err error)

	in         reader
	chunkSize  int
	streams    []*chunkStream
	maxStreams int
	parked     int // bytes allocated for messages that are not complete
	maxParked  int
	all        *assembly // of all sessions; may be nil
	step       int       // bytes to allocate at once: the longest message so far
	tags       slab      // for media
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

// NewChunkReader returns a reader of the chunks in src. admit may be nil, which
// keeps everything.
func NewChunkReader(src io.Reader, admit func(typ uint8, length int) (bool, error)) *ChunkReader {
	return newChunkReader(newReader(src, readerSize), admit)
}

func newChunkReader(in reader, admit func(uint8, int) (bool, error)) *ChunkReader {
	if admit == nil {
		admit = func(uint8, int) (bool, error) { return true, nil }
	}
	return &ChunkReader{admit: admit, in: in, chunkSize: defaultChunkSize, maxStreams: maxChunkStreams, maxParked: maxParked, step: firstStep}
}

// ReadMessage returns the next message that is complete. Set Chunk Size and
// Abort have taken effect when it returns them.
func (c *ChunkReader) ReadMessage() (Message, error) {
	for {
		s, err := c.readChunk()
		if err != nil {
			return Message{}, err
		}
		if s.got < s.length {
			continue
		}
		m := Message{Type: s.typ, Timestamp: s.timestamp, StreamID: s.streamID, Tag: s.tag}
		c.close(s)
		switch m.Type {
		case typeSetChunkSize:
			err = c.setChunkSize(&m)
		case typeAbort:
			err = c.abort(&m)
		}
		return m, err
	}
}

// readChunk reads one chunk, header and payload.
func (c *ChunkReader) readChunk() (*chunkStream, error) {
	format, s, err := c.readBasicHeader()
	if err != nil {
		return nil, err
	}
	if format != 3 {
		if err := c.readHeader(s, format); err != nil {
			return nil, err
		}
	} else if s.extended {
		if err := c.skipStamp(s); err != nil {
			return nil, err
		}
	}
	if !s.open {
		if err := c.begin(s, format); err != nil {
			return nil, err
		}
	}
	return s, c.readPayload(s, min(c.chunkSize, s.length-s.got))
}

// readBasicHeader reads a chunk's format and finds its chunk stream
// (RTMP 5.3.1.1).
func (c *ChunkReader) readBasicHeader() (format uint8, s *chunkStream, err error) {
	b, err := c.in.next(1)
	if err != nil {
		return 0, nil, err
	}
	format = b[0] >> 6
	id := uint32(b[0] & 63)
	switch id {
	case 0:
		if b, err = c.in.next(1); err != nil {
			return 0, nil, unexpected(err)
		}
		id = uint32(b[0]) + 64
	case 1:
		if b, err = c.in.next(2); err != nil {
			return 0, nil, unexpected(err)
		}
		id = uint32(b[1])<<8 + uint32(b[0]) + 64
	}
	for _, s := range c.streams {
		if s.id == id {
			return format, s, nil
		}
	}
	// A type 1 chunk may come first: librtmp's ping is one.
	if format > 1 {
		return 0, nil, protocolError("chunk stream begins with a chunk of type 2 or 3")
	}
	if len(c.streams) >= c.maxStreams {
		return 0, nil, limitError("too many chunk streams")
	}
	s = &chunkStream{id: id}
	c.streams = append(c.streams, s)
	return format, s, nil
}

// headerSizes are the bytes of a message header by format (RTMP 5.3.1.2).
var headerSizes = [3]int{11, 7, 3}

// readHeader reads a message header of type 0, 1 or 2.
func (c *ChunkReader) readHeader(s *chunkStream, format uint8) error {
	if s.open {
		return protocolError("new message header inside a message")
	}
	b, err := c.in.next(headerSizes[format])
	if err != nil {
		return unexpected(err)
	}
	stamp := uint24(b)
	if format <= 1 {
		s.length = int(uint24(b[3:]))
		s.typ = b[6]
	}
	if format == 0 {
		s.streamID = binary.LittleEndian.Uint32(b[7:])
	}
	if s.extended = stamp == extended; s.extended {
		if b, err = c.in.next(4); err != nil {
			return unexpected(err)
		}
		stamp = binary.BigEndian.Uint32(b)
	}
	s.stamp = stamp
	return nil
}

// skipStamp reads the extended timestamp of a type 3 chunk if it is there. Most
// encoders repeat it (RTMP 5.3.1.3), old ones do not; where the next four bytes
// are not the timestamp that was announced they are payload.
func (c *ChunkReader) skipStamp(s *chunkStream) error {
	left := s.length - s.got
	if !s.open {
		left = s.length
	}
	// If the timestamp is missing there may be fewer than four bytes to come
	// before the peer waits for us, so look at no more than must be there.
	n := 4
	if left := min(left, c.chunkSize); left < 4 && len(c.in.buffered()) < 4 {
		n = max(left, 1)
	}
	var stamp [4]byte
	binary.BigEndian.PutUint32(stamp[:], s.stamp)
	for {
		b, err := c.in.peek(n)
		if err != nil {
			return unexpected(err)
		}
		if string(b) != string(stamp[:n]) {
			return nil
		}
		if n == 4 {
			c.in.r += 4
			return nil
		}
		n++
	}
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
	keep, err := c.admit(s.typ, s.length)
	if err != nil {
		return err
	}
	s.open, s.keep, s.got, s.tag, s.age = true, keep, 0, nil, unseen
	if !keep {
		return nil
	}
	return c.grow(s, min(s.length, c.step))
}

// readPayload reads the next n bytes of the message on s.
func (c *ChunkReader) readPayload(s *chunkStream, n int) error {
	if !s.keep {
		s.got += n
		return unexpected(c.in.skip(n))
	}
	for n > 0 {
		room := len(s.tag) - flv.HeaderSize - flv.TrailerSize - s.got
		if room == 0 {
			if err := c.grow(s, min(s.length, 2*s.got)); err != nil {
				return err
			}
			continue
		}
		k := min(n, room)
		at := flv.HeaderSize + s.got
		if err := c.in.read(s.tag[at : at+k]); err != nil {
			return unexpected(err)
		}
		s.got += k
		n -= k
	}
	return nil
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
