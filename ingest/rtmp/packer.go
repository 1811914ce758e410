package rtmp

import (
	"bytes"
	"encoding/binary"
	"slices"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// Chunk streams of media. Which they are means nothing to a peer.
const (
	audioChunks = 4
	videoChunks = 6
	dataChunks  = 7
)

// Format is how media goes to a peer. Peers whose Formats are equal can be sent the very
// same bytes; nearly all players have the same.
type Format struct {
	stream  uint32 // message stream
	publish bool   // towards a server, to which metadata goes with a command
	takes   uint16 // a bit for each av.Codec, of those that are not in RTMP's old form
}

func newFormat(stream uint32, accepts func(fourCC string) bool) Format {
	f := Format{stream: stream}
	for c := av.H264; c <= av.EAC3; c++ {
		if accepts(flv.FourCC(c)) {
			f.takes |= 1 << c
		}
	}
	return f
}

// Packer returns what cuts a stream into messages and chunks of the Format. metadata
// returns its onMetaData tag, or nil.
func (f Format) Packer(metadata func() []byte) *Packer { return &Packer{f, metadata} }

// Packer makes chunks (RTMP 5.3) of frames.
//
// Every message begins with a header of type 0, absolute and whole: a viewer may
// come and skip at any message, and what compressed headers would save is nothing
// beside the payload.
type Packer struct {
	format   Format
	metadata func() []byte
}

// Headers returns what a peer needs in front of frames of the Config c, from that time
// on, who has had those of the Config old: the sequence headers that are new to it, and
// if old is nil the stream's metadata. Any goroutine may call it.
func (p *Packer) Headers(old, c *av.Config, at time.Duration) (dst []byte) {
	if old == nil {
		old = &av.Config{}
		if tag := p.metadata(); tag != nil {
			dst = p.tag(dst, at, tag)
		}
	}
	if c.Video != old.Video && p.format.accepts(flv.TypeVideo, c.Video) {
		dst = p.header(dst, at, c.Video)
	}
	if c.Audio != old.Audio && p.format.accepts(flv.TypeAudio, c.Audio) {
		dst = p.header(dst, at, c.Audio)
	}
	return dst
}

// Lead returns nil: a peer needs nothing but Headers to go on elsewhere.
func (p *Packer) Lead() []byte { return nil }

// Append adds frames that are all of one Config. It fails with a *Status if peers of the
// Format take none of the tracks.
func (p *Packer) Append(dst []byte, frames []av.Frame, _ bool) ([]byte, error) {
	for i := range frames {
		f := &frames[i]
		video, audio := p.format.accepts(flv.TypeVideo, f.Config.Video), p.format.accepts(flv.TypeAudio, f.Config.Audio)
		if !video && !audio {
			return dst, &Status{PlayNoTrack, "the player takes none of the stream's codecs"}
		}
		if typ := f.Tag[0]; typ == flv.TypeVideo && !video || typ == flv.TypeAudio && !audio {
			continue
		}
		dst = p.tag(dst, f.DTS, f.Tag)
	}
	return dst, nil
}

func (p *Packer) header(dst []byte, at time.Duration, t *av.Track) []byte {
	if t.Header == nil {
		return dst
	}
	dst = p.tag(dst, at, t.Header)
	for _, note := range t.Notes {
		dst = p.tag(dst, at, note)
	}
	return dst
}

// accepts reports whether a peer gets a track: every peer takes what RTMP has
// always had, in its old form.
func (f Format) accepts(typ uint8, t *av.Track) bool {
	if t == nil {
		return false
	}
	if t.Header != nil && !flv.Enhanced(typ, flv.Body(t.Header)) || t.Codec == av.MP3 {
		return true
	}
	return f.takes>>t.Codec&1 != 0
}

var metadataName = AppendAMF(nil, "onMetaData")

// tag appends a tag. A server keeps metadata only if it is told to (RTMP 7.1.3,
// "@setDataFrame").
func (p *Packer) tag(dst []byte, at time.Duration, tag []byte) []byte {
	body := flv.Body(tag)
	m := Message{Type: tag[0], Timestamp: uint32(at / time.Millisecond), StreamID: p.format.stream}
	switch m.Type {
	case flv.TypeVideo:
		return appendMedia(dst, videoChunks, m, body)
	case flv.TypeAudio:
		return appendMedia(dst, audioChunks, m, body)
	case flv.TypeScript:
		if p.format.publish && bytes.HasPrefix(body, metadataName) {
			body = slices.Concat(setDataFrame, body)
		}
		return appendMedia(dst, dataChunks, m, body)
	}
	return dst
}

// chunk headers of type 3 begin with this.
const continues = 0xc0

// appendMedia appends a message of any length.
func appendMedia(dst []byte, chunkStream uint8, m Message, body []byte) []byte {
	n := len(body)
	stamp := min(m.Timestamp, extended)
	dst = append(dst, chunkStream, byte(stamp>>16), byte(stamp>>8), byte(stamp), byte(n>>16), byte(n>>8), byte(n), m.Type)
	dst = binary.LittleEndian.AppendUint32(dst, m.StreamID)
	for {
		// The extended timestamp is in every chunk of the message (5.3.1.3).
		if stamp == extended {
			dst = binary.BigEndian.AppendUint32(dst, m.Timestamp)
		}
		k := min(len(body), outerChunkSize)
		dst = append(dst, body[:k]...)
		if body = body[k:]; len(body) == 0 {
			return dst
		}
		dst = append(dst, continues|chunkStream)
	}
}
