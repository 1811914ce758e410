package flv

import (
	"bytes"
	"encoding/binary"
	"os"
	"testing"
)

// readTags splits an FLV file into its tags, trailers included.
func readTags(t testing.TB, name string) (header []byte, tags [][]byte) {
	t.Helper()
	data, err := os.ReadFile("testdata/" + name)
	if err != nil {
		t.Fatal(err)
	}
	const fileHeader = 13
	header, data = data[:fileHeader], data[fileHeader:]
	for len(data) > 0 {
		n := HeaderSize + int(binary.BigEndian.Uint32(data)&MaxBody) + TrailerSize
		if n > len(data) {
			t.Fatalf("%s: tag of %d bytes, %d left", name, n, len(data))
		}
		tags, data = append(tags, data[:n]), data[n:]
	}
	return header, tags
}

// Tags made here must be byte for byte those that FFmpeg has written.
func TestSealReproducesFile(t *testing.T) {
	for _, name := range []string{"h264_aac.flv", "mp3.flv"} {
		header, tags := readTags(t, name)
		if got := FileHeader(name == "h264_aac.flv", true); !bytes.Equal(got, header) {
			t.Errorf("%s: FileHeader = %x, want %x", name, got, header)
		}
		if len(tags) < 10 {
			t.Fatalf("%s: %d tags", name, len(tags))
		}
		for i, want := range tags {
			tag := NewTag(len(want) - HeaderSize - TrailerSize)
			if n := copy(Body(tag), Body(want)); n != len(Body(tag)) {
				t.Fatalf("%s: body of tag %d has %d bytes, want %d", name, i, len(Body(tag)), n)
			}
			Seal(tag, want[0], binary.BigEndian.Uint32(want[4:])>>8)
			if !bytes.Equal(tag, want) {
				t.Errorf("%s: tag %d = %x, want %x", name, i, tag, want)
			}
		}
	}
}

func TestSealTimestamp(t *testing.T) {
	for timestamp, want := range map[uint32]string{
		0x00ffffff: "\xff\xff\xff\x00",
		0x01000000: "\x00\x00\x00\x01",
		0x89abcdef: "\xab\xcd\xef\x89",
	} {
		tag := NewTag(300)
		Seal(tag, TypeVideo, 12345)
		Seal(tag, TypeAudio, timestamp) // again, all anew
		if got := string(tag[4:8]); got != want {
			t.Errorf("timestamp %#x is written % x, want % x", timestamp, got, want)
		}
		if got := string(tag[:4]); got != "\x08\x00\x01\x2c" {
			t.Errorf("type and size are % x", got)
		}
		if got := string(tag[len(tag)-4:]); got != "\x00\x00\x01\x37" {
			t.Errorf("PreviousTagSize is % x", got)
		}
	}
}

func TestBodyHasNoRoomToGrow(t *testing.T) {
	tag := NewTag(2)
	Seal(tag, TypeAudio, 0)
	before := bytes.Clone(tag)
	_ = append(Body(tag), 0xff)
	if !bytes.Equal(tag, before) {
		t.Error("appending to a body wrote into the trailer")
	}
}

func TestBodyOfNoTag(t *testing.T) {
	if b := Body(nil); b != nil {
		t.Errorf("% x", b)
	}
	if b := Body(NewTag(0)); b == nil || len(b) != 0 {
		t.Errorf("an empty body is %v", b)
	}
}

func TestFileHeaderFlags(t *testing.T) {
	for _, c := range []struct {
		video, audio bool
		want         byte
	}{{false, false, 0}, {true, false, 1}, {false, true, 4}, {true, true, 5}} {
		if got := FileHeader(c.video, c.audio)[4]; got != c.want {
			t.Errorf("FileHeader(%v, %v) has flags %d, want %d", c.video, c.audio, got, c.want)
		}
	}
}
