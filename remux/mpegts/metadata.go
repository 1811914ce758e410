package mpegts

import "headwater/remux/av"

// streamTypeID3 is metadata in PES packets (13818-1 table 2-34); the descriptors
// say that it is ID3.
const streamTypeID3 = 0x15

// The descriptors of ID3 metadata, as Apple's "Timed Metadata for HTTP Live
// Streaming" wants them: format 0xffff and 0xff with the identifier "ID3 ",
// service 0.
const (
	// id3Pointer is the metadata_pointer_descriptor (13818-1 2.6.58) of the program:
	// the metadata is in this transport stream, in program 1.
	id3Pointer = "\x25\x0f\xff\xffID3 \xffID3 \x00\x1f\x00\x01"
	// id3Metadata is the metadata_descriptor (2.6.60) of the elementary stream:
	// there is no decoder configuration.
	id3Metadata = "\x26\x0d\xff\xffID3 \xffID3 \x00\x0f"
)

// metadataQueue hands out a segment's ID3 tags.
type metadataQueue struct {
	rest []av.Frame

	ok   bool // the fields below hold the next tag
	data []byte
	pts  int64
}

// advance moves on to the next tag that can be written. Several may have one time.
func (q *metadataQueue) advance() {
	q.ok = false
	for len(q.rest) > 0 && !q.ok {
		s := &q.rest[0]
		q.rest = q.rest[1:]
		if n := len(s.Data); n >= minMetadata && n <= maxPESPayload {
			q.data, q.pts, q.ok = s.Data, s.Time, true
		}
	}
}

// minMetadata is the header of an ID3 tag: anything shorter is none.
const minMetadata = 10
