package rtmp

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"
)

// wire puts bytes together from hexadecimal text, in which blanks do not count,
// and []byte.
func wire(parts ...any) []byte {
	var b []byte
	for _, p := range parts {
		switch p := p.(type) {
		case []byte:
			b = append(b, p...)
		case string:
			raw, err := hex.DecodeString(strings.ReplaceAll(p, " ", ""))
			if err != nil {
				panic(err)
			}
			b = append(b, raw...)
		}
	}
	return b
}

// seq returns n bytes that count up from first.
func seq(first byte, n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = first + byte(i)
	}
	return b
}

// got is a message as tests compare it.
type got struct {
	typ       uint8
	timestamp uint32
	stream    uint32
	body      string
}

// readAll reads messages until an error. Those the chunk reader obeys are left
// out.
func readAll(c *ChunkReader) (all []got, err error) {
	for {
		m, err := c.ReadMessage()
		if err != nil {
			return all, err
		}
		if m.Type != typeSetChunkSize && m.Type != typeAbort {
			all = append(all, got{m.Type, m.Timestamp, m.StreamID, string(m.body())})
		}
	}
}

var chunkTests = []struct {
	name string
	wire []byte
	want []got
	err  error // io.EOF if nil
}{
	{
		name: "one chunk",
		wire: wire("06 000010 000003 09 01000000", "aabbcc"),
		want: []got{{9, 16, 1, "\xaa\xbb\xcc"}},
	},
	{
		name: "message stream id is little-endian",
		wire: wire("06 000000 000001 09 01020304", "aa"),
		want: []got{{9, 0, 0x04030201, "\xaa"}},
	},
	{
		name: "two chunks of 128 bytes",
		wire: wire("06 000010 000082 09 01000000", seq(0, 128), "c6 8081"),
		want: []got{{9, 16, 1, string(seq(0, 130))}},
	},
	{
		name: "a message as long as a chunk is one chunk",
		wire: wire("06 000010 000080 09 01000000", seq(0, 128), "c6", seq(1, 128)),
		want: []got{{9, 16, 1, string(seq(0, 128))}, {9, 32, 1, string(seq(1, 128))}},
	},
	{
		name: "types 1, 2 and 3 go by deltas",
		wire: wire("04 0003e8 000001 08 01000000 aa", "44 000014 000002 08 bbcc", "84 000015 ddee", "c4 ff00"),
		want: []got{{8, 1000, 1, "\xaa"}, {8, 1020, 1, "\xbb\xcc"}, {8, 1041, 1, "\xdd\xee"}, {8, 1062, 1, "\xff\x00"}},
	},
	{
		name: "type 3 after type 0 has its timestamp for a delta",
		wire: wire("04 000017 000001 08 01000000 aa", "c4 bb", "c4 cc"),
		want: []got{{8, 23, 1, "\xaa"}, {8, 46, 1, "\xbb"}, {8, 69, 1, "\xcc"}},
	},
	{
		name: "but not if that is no delta",
		wire: wire("04 100000 000001 08 01000000 aa", "c4 bb"),
		want: []got{{8, 1 << 20, 1, "\xaa"}, {8, 1 << 20, 1, "\xbb"}},
	},
	{
		name: "a delta of zero",
		wire: wire("04 000017 000001 08 01000000 aa", "84 000000 bb", "c4 cc"),
		want: []got{{8, 23, 1, "\xaa"}, {8, 23, 1, "\xbb"}, {8, 23, 1, "\xcc"}},
	},
	{
		name: "type 0 may go back",
		wire: wire("04 000017 000001 08 01000000 aa", "04 000001 000001 08 01000000 bb"),
		want: []got{{8, 23, 1, "\xaa"}, {8, 1, 1, "\xbb"}},
	},
	{
		name: "timestamps wrap at 2^32",
		wire: wire("04 ffffff 000001 08 01000000 fffffff0 aa", "44 000020 000001 08 bb", "c4 cc"),
		want: []got{{8, 0xfffffff0, 1, "\xaa"}, {8, 0x10, 1, "\xbb"}, {8, 0x30, 1, "\xcc"}},
	},
	{
		name: "a stream grows past 2^24 ms by deltas",
		wire: wire("04 fffff0 000001 08 01000000 aa", "44 000020 000001 08 bb"),
		want: []got{{8, 0xfffff0, 1, "\xaa"}, {8, 0x1000010, 1, "\xbb"}},
	},
	{
		name: "extended timestamp repeated on type 3",
		wire: wire("06 ffffff 000082 09 01000000 01000001", seq(0, 128), "c6 01000001 8081"),
		want: []got{{9, 0x1000001, 1, string(seq(0, 130))}},
	},
	{
		name: "extended timestamp left out on type 3",
		wire: wire("06 ffffff 000084 09 01000000 01000001", seq(0, 128), "c6 80818283"),
		want: []got{{9, 0x1000001, 1, string(seq(0, 132))}},
	},
	{
		name: "left out, with fewer bytes to come than it has",
		wire: wire("06 ffffff 000082 09 01000000 01000001", seq(0, 128), "c6 8081"),
		want: []got{{9, 0x1000001, 1, string(seq(0, 130))}},
	},
	{
		name: "left out, and the payload begins like it",
		wire: wire("06 ffffff 000084 09 01000000 01000001", seq(0, 128), "c6 01000002"),
		want: []got{{9, 0x1000001, 1, string(seq(0, 128)) + "\x01\x00\x00\x02"}},
	},
	{
		name: "left out, one byte that is like it, then another message",
		wire: wire("06 ffffff 000081 09 01000000 01000001", seq(0, 128), "c6 01", "04 000001 000001 08 01000000 aa"),
		want: []got{{9, 0x1000001, 1, string(seq(0, 128)) + "\x01"}, {8, 1, 1, "\xaa"}},
	},
	{
		name: "repeated on every one of several chunks",
		wire: wire("06 ffffff 000180 09 01000000 01000001", seq(0, 128), "c6 01000001", seq(1, 128), "c6 01000001", seq(2, 128)),
		want: []got{{9, 0x1000001, 1, string(seq(0, 128)) + string(seq(1, 128)) + string(seq(2, 128))}},
	},
	{
		name: "extended field with a value that needed none",
		wire: wire("06 ffffff 000081 09 01000000 00000005", seq(0, 128), "c6 00000005 80"),
		want: []got{{9, 5, 1, string(seq(0, 129))}},
	},
	{
		name: "the largest timestamp that needs the extended field",
		wire: wire("06 ffffff 000001 09 01000000 00ffffff aa"),
		want: []got{{9, 0xffffff, 1, "\xaa"}},
	},
	{
		name: "extended delta on type 1, repeated on type 3",
		wire: wire("06 000005 000001 09 01000000 aa", "46 ffffff 000081 09 01000000", seq(0, 128), "c6 01000000 80"),
		want: []got{{9, 5, 1, "\xaa"}, {9, 0x1000005, 1, string(seq(0, 129))}},
	},
	{
		name: "a normal header ends the extended ones",
		wire: wire("06 ffffff 000001 09 01000000 01000001 aa", "46 000010 000081 09", seq(0, 128), "c6 80"),
		want: []got{{9, 0x1000001, 1, "\xaa"}, {9, 0x1000011, 1, string(seq(0, 129))}},
	},
	{
		name: "a new message of type 3 after an extended one, without the field",
		wire: wire("06 ffffff 000004 09 01000000 01000001 aabbccdd", "c6 11223344"),
		want: []got{{9, 0x1000001, 1, "\xaa\xbb\xcc\xdd"}, {9, 0x1000001, 1, "\x11\x22\x33\x44"}},
	},
	{
		name: "and with it",
		wire: wire("06 ffffff 000004 09 01000000 01000001 aabbccdd", "c6 01000001 11223344"),
		want: []got{{9, 0x1000001, 1, "\xaa\xbb\xcc\xdd"}, {9, 0x1000001, 1, "\x11\x22\x33\x44"}},
	},
	{
		name: "chunk stream ids of two and of three bytes",
		wire: wire("00 00 000001 000001 09 01000000 aa", "00 ff 000002 000001 09 01000000 bb",
			"01 0000 000003 000001 09 01000000 cc", "01 0001 000004 000001 09 01000000 dd", "01 ffff 000005 000001 09 01000000 ee"),
		want: []got{{9, 1, 1, "\xaa"}, {9, 2, 1, "\xbb"}, {9, 3, 1, "\xcc"}, {9, 4, 1, "\xdd"}, {9, 5, 1, "\xee"}},
	},
	{
		name: "64 is the same chunk stream in both forms, 320 and 64 are not",
		wire: wire("00 00 000001 000001 09 01000000 aa", "41 0000 000001 000001 09 bb",
			"01 0001 000064 000001 09 01000000 cc", "40 00 000001 000001 09 dd", "41 0001 000001 000001 09 ee"),
		want: []got{{9, 1, 1, "\xaa"}, {9, 2, 1, "\xbb"}, {9, 100, 1, "\xcc"}, {9, 3, 1, "\xdd"}, {9, 101, 1, "\xee"}},
	},
	{
		name: "zero-length messages",
		wire: wire("04 000017 000000 08 01000000", "c4", "04 000017 000001 08 01000000 aa"),
		want: []got{{8, 23, 1, ""}, {8, 46, 1, ""}, {8, 23, 1, "\xaa"}},
	},
	{
		name: "messages interleave",
		wire: wire("06 000001 000082 09 01000000", seq(0, 128), "04 000002 000001 08 01000000 aa", "c6 8081"),
		want: []got{{8, 2, 1, "\xaa"}, {9, 1, 1, string(seq(0, 130))}},
	},
	{
		name: "chunk size changes",
		wire: wire("02 000000 000004 01 00000000 00000004", "06 000001 000006 09 01000000 00010203", "c6 0405"),
		want: []got{{9, 1, 1, string(seq(0, 6))}},
	},
	{
		name: "chunk size changes between the chunks of a message",
		wire: wire("06 000001 000104 09 01000000", seq(0, 128), "02 000000 000004 01 00000000 00000003", "c6", seq(128, 3),
			"42 000000 000004 01 000000", "c2 03", "c6", seq(131, 3), "02 000000 000004 01 00000000 000000", "c2 ff", "c6", seq(134, 126)),
		want: []got{{9, 1, 1, string(seq(0, 128)) + string(seq(128, 132))}},
	},
	{
		name: "chunk size 1",
		wire: wire("02 000000 000004 01 00000000 00000001", "06 000001 000003 09 01000000 aa", "c6 bb", "c6 cc"),
		want: []got{{9, 1, 1, "\xaa\xbb\xcc"}},
	},
	{
		name: "chunk size 2^31-1",
		wire: wire("02 000000 000004 01 00000000 7fffffff", "06 000001 000100 09 01000000", seq(0, 256)),
		want: []got{{9, 1, 1, string(seq(0, 256))}},
	},
	{name: "chunk size 0", wire: wire("02 000000 000004 01 00000000 00000000"), err: ErrProtocol},
	{name: "chunk size 2^31", wire: wire("02 000000 000004 01 00000000 80000000"), err: ErrProtocol},
	{name: "chunk size cut", wire: wire("02 000000 000003 01 00000000 000010"), err: ErrProtocol},
	{name: "chunk size without a body", wire: wire("02 000000 000000 01 00000000"), err: ErrProtocol},
	{name: "abort cut", wire: wire("02 000000 000003 02 00000000 000010"), err: ErrProtocol},
	{
		name: "abort drops the message",
		wire: wire("06 000001 000082 09 01000000", seq(0, 128), "02 000000 000004 02 00000000 00000006", "06 000002 000001 09 01000000 aa"),
		want: []got{{9, 2, 1, "\xaa"}},
	},
	{
		name: "after which type 3 begins another",
		wire: wire("06 000001 000082 09 01000000", seq(0, 128), "02 000000 000004 02 00000000 00000006", "c6", seq(9, 128), "c6 aabb"),
		want: []got{{9, 2, 1, string(seq(9, 128)) + "\xaa\xbb"}},
	},
	{
		name: "abort of a chunk stream that is not there, or idle",
		wire: wire("02 000000 000004 02 00000000 00000007", "02 000000 000004 02 00000000 00000002", "06 000002 000001 09 01000000 aa"),
		want: []got{{9, 2, 1, "\xaa"}},
	},
	{
		name: "type 1 first on a chunk stream",
		wire: wire("42 000005 000006 04 0006 00000001"),
		want: []got{{4, 5, 0, "\x00\x06\x00\x00\x00\x01"}},
	},
	{name: "type 2 first on a chunk stream", wire: wire("86 000001 aa"), err: ErrProtocol},
	{name: "type 3 first on a chunk stream", wire: wire("c6 aa"), err: ErrProtocol},
	{name: "type 0 inside a message", wire: wire("06 000001 000082 09 01000000", seq(0, 128), "06 000001 000082 09 01000000", seq(0, 128)), err: ErrProtocol},
	{name: "type 1 inside a message", wire: wire("06 000001 000082 09 01000000", seq(0, 128), "46 000001 000084 09 8081"), err: ErrProtocol},
	{name: "type 2 inside a message", wire: wire("06 000001 000082 09 01000000", seq(0, 128), "86 000001 8081"), err: ErrProtocol},
	{name: "cut in the basic header", wire: wire("01 00"), err: io.ErrUnexpectedEOF},
	{name: "cut in the message header", wire: wire("06 000001"), err: io.ErrUnexpectedEOF},
	{name: "cut in the extended timestamp", wire: wire("06 ffffff 000001 09 01000000 0100"), err: io.ErrUnexpectedEOF},
	{name: "cut in the payload", wire: wire("06 000001 000003 09 01000000 aabb"), err: io.ErrUnexpectedEOF},
}

func TestChunkReader(t *testing.T) {
	for _, c := range chunkTests {
		t.Run(c.name, func(t *testing.T) {
			for _, way := range []struct {
				name string
				r    io.Reader
			}{
				{"whole", bytes.NewReader(c.wire)},
				{"byte by byte", iotest.OneByteReader(bytes.NewReader(c.wire))},
				{"by halves", iotest.HalfReader(bytes.NewReader(c.wire))},
				{"error with the last bytes", iotest.DataErrReader(bytes.NewReader(c.wire))},
			} {
				all, err := readAll(NewChunkReader(way.r, nil))
				want := c.err
				if want == nil {
					want = io.EOF
				}
				if !errors.Is(err, want) {
					t.Errorf("%s: ended with %v, want %v", way.name, err, want)
				}
				if !slices.Equal(all, c.want) {
					t.Errorf("%s: got\n%+v, want\n%+v", way.name, all, c.want)
				}
			}
		})
	}
}

// TestChunkReaderDoesNotWait checks that no byte is waited for that need not
// come: a message is out when its last byte is in.
func TestChunkReaderDoesNotWait(t *testing.T) {
	for _, c := range chunkTests {
		if c.err != nil || strings.Contains(c.name, "like it") {
			continue // there the next bytes decide
		}
		t.Run(c.name, func(t *testing.T) {
			stuck := errors.New("waits")
			r := io.MultiReader(bytes.NewReader(c.wire), iotest.ErrReader(stuck))
			all, err := readAll(NewChunkReader(r, nil))
			if !errors.Is(err, stuck) || len(all) != len(c.want) {
				t.Errorf("%d of %d messages before it waits (%v)", len(all), len(c.want), err)
			}
		})
	}
}

func TestChunkReaderRoundTrip(t *testing.T) {
	for _, chunk := range []int{1, 2, 127, 128, 129, 4096, 65536, maxChunkSize} {
		for _, n := range []int{0, 1, 127, 128, 129, 4095, 4097, 70_000, 300_000} {
			body := seq(byte(n), n)
			b := binary.BigEndian.AppendUint32(wire("02 000000 000004 01 00000000"), uint32(chunk))
			for range 3 {
				b = appendChunks(b, 6, typeVideo, 1, 77, body, chunk)
			}
			all, err := readAll(NewChunkReader(bytes.NewReader(b), nil))
			if err != io.EOF || len(all) != 3 {
				t.Fatalf("chunks of %d, %d bytes: %d messages, %v", chunk, n, len(all), err)
			}
			for _, m := range all {
				if m != (got{typeVideo, 77, 1, string(body)}) {
					t.Fatalf("chunks of %d, %d bytes: a message has changed", chunk, n)
				}
			}
		}
	}
}

func TestChunkStreamLimit(t *testing.T) {
	var b []byte
	for i := range maxChunkStreams + 1 {
		b = appendChunks(b, uint8(3+i), typeVideo, 1, 0, []byte{1}, 128)
	}
	all, err := readAll(NewChunkReader(bytes.NewReader(b), nil))
	if len(all) != maxChunkStreams || !errors.Is(err, ErrLimit) {
		t.Errorf("%d messages, then %v", len(all), err)
	}
}

// TestHalfMessages announces 16 MB on every chunk stream and sends little.
func TestHalfMessages(t *testing.T) {
	var b []byte
	for i := range maxChunkStreams {
		b = append(b, wire([]byte{uint8(3 + i)}, "000000 ffffff 09 01000000", make([]byte, 128))...)
	}
	c := NewChunkReader(bytes.NewReader(b), nil)
	if all, err := readAll(c); len(all) != 0 || err != io.EOF {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	if limit := maxChunkStreams * (firstStep + 32); c.parked > limit {
		t.Errorf("holds %d bytes for %d received, want at most %d", c.parked, len(b), limit)
	}
}

// TestParkedLimit fills messages without ever ending one.
func TestParkedLimit(t *testing.T) {
	b := wire("02 000000 000004 01 00000000 00100000")
	for i := range maxChunkStreams {
		b = append(b, wire([]byte{uint8(3 + i)}, "000000 ffffff 09 01000000", make([]byte, 1<<20))...)
	}
	c := NewChunkReader(bytes.NewReader(b), nil)
	_, err := readAll(c)
	if !errors.Is(err, ErrLimit) {
		t.Errorf("ended with %v", err)
	}
	if c.parked > maxParked {
		t.Errorf("holds %d bytes", c.parked)
	}
	if in := int(c.in.total); in > 17<<20 {
		t.Errorf("took %d bytes", in)
	}
}

// TestParkedIsGivenBack ends many messages in every way there is.
func TestParkedIsGivenBack(t *testing.T) {
	var b []byte
	for i := range 1000 {
		b = appendChunks(b, 6, typeVideo, 1, 0, make([]byte, 300+i), 128)
		b = append(b, wire("07 000001 010000 09 01000000", make([]byte, 128), "02 000000 000004 02 00000000 00000007")...)
	}
	c := NewChunkReader(bytes.NewReader(b), nil)
	if all, err := readAll(c); len(all) != 1000 || err != io.EOF {
		t.Fatalf("%d messages, %v", len(all), err)
	}
	if c.parked != 0 {
		t.Errorf("%d bytes are still accounted for", c.parked)
	}
}

func TestOneAllocationPerMessage(t *testing.T) {
	for _, size := range chunkSizes {
		stream, messages, _ := second(size)
		c := NewChunkReader(&looper{b: stream}, nil)
		c.chunkSize = size
		n := testing.AllocsPerRun(20, func() {
			for range messages {
				if _, err := c.ReadMessage(); err != nil {
					t.Fatal(err)
				}
			}
		})
		if n > float64(messages) {
			t.Errorf("chunks of %d: %v allocations for %d messages", size, n, messages)
		}
	}
}

// TestReaderStaysSmall checks that large chunks, which are read past the buffer,
// do not make it grow.
func TestReaderStaysSmall(t *testing.T) {
	stream, messages, _ := second(65536)
	c := NewChunkReader(&looper{b: stream}, nil)
	c.chunkSize = 65536
	for range 10 * messages {
		if _, err := c.ReadMessage(); err != nil {
			t.Fatal(err)
		}
	}
	if len(c.in.buf) > maxReaderSize {
		t.Errorf("buffer of %d bytes", len(c.in.buf))
	}
}

func TestSkippedMessagesCostNothing(t *testing.T) {
	b := appendChunks(nil, 6, typeVideo, 1, 5, make([]byte, 1<<20), 128)
	b = appendChunks(b, 4, typeAudio, 1, 6, []byte("kept"), 128)
	c := NewChunkReader(bytes.NewReader(b), func(typ uint8, _ int) (bool, error) { return typ == typeAudio, nil })
	m, err := c.ReadMessage()
	if err != nil || m.Tag != nil || m.Type != typeVideo {
		t.Errorf("got %v, %v", m, err)
	}
	m, err = c.ReadMessage()
	if err != nil || string(m.body()) != "kept" {
		t.Errorf("got %v, %v", m, err)
	}
	if c.parked != 0 || c.step != firstStep {
		t.Errorf("holds %d bytes, expects %d", c.parked, c.step)
	}
}
