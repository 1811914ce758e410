package rtmp

import (
	"bytes"
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

// MediaWriter sends a stream's frames as messages: the bytes that all viewers
// share, between headers of a few bytes that are made for this peer. It belongs to
// one goroutine.
type MediaWriter struct {
	out     *sender
	stream  uint32                   // message stream
	publish bool                     // towards a server, to which metadata goes with a command
	accepts func(fourCC string) bool // of what is not in RTMP's old form

	chunks       gather
	config       *av.Config // whose headers the peer has
	video, audio bool       // tracks of config that it gets
}

// Add gathers frames, with the headers of each new Config in front of its first
// one. metadata is an onMetaData tag for a peer that has had no frame yet, or nil.
// Tags must not change until Flush has returned. It fails with a *Status if the
// peer takes none of the tracks.
func (w *MediaWriter) Add(frames []av.Frame, metadata []byte) error {
	for i := range frames {
		f := &frames[i]
		stamp := uint32(f.DTS / time.Millisecond)
		if f.Config != w.config {
			if w.config == nil && metadata != nil {
				w.tag(stamp, metadata)
			}
			if err := w.headers(stamp, f.Config); err != nil {
				return err
			}
		}
		w.tag(stamp, f.Tag)
	}
	return nil
}

// Flush writes what has been gathered and returns how many bytes that were.
func (w *MediaWriter) Flush() (int, error) {
	n := w.chunks.bytes
	if n == 0 {
		return 0, nil
	}
	return n, w.out.send(&w.chunks)
}

func (w *MediaWriter) put(chunkStream, typ uint8, stamp uint32, body []byte) {
	w.chunks.add(chunkStream, Message{Type: typ, Timestamp: stamp, StreamID: w.stream}, body)
}

// headers gathers the sequence headers that c has and the last Config had not.
func (w *MediaWriter) headers(stamp uint32, c *av.Config) error {
	var old av.Config
	if w.config != nil {
		old = *w.config
	}
	w.config, w.video, w.audio = c, w.takes(flv.TypeVideo, c.Video), w.takes(flv.TypeAudio, c.Audio)
	if !w.video && !w.audio {
		return &Status{PlayNoTrack, "the player takes none of the stream's codecs"}
	}
	if w.video && c.Video != old.Video {
		w.header(stamp, c.Video)
	}
	if w.audio && c.Audio != old.Audio {
		w.header(stamp, c.Audio)
	}
	return nil
}

func (w *MediaWriter) header(stamp uint32, t *av.Track) {
	if t.Header == nil {
		return
	}
	w.tag(stamp, t.Header)
	for _, note := range t.Notes {
		w.tag(stamp, note)
	}
}

// takes reports whether the peer gets a track: every peer takes what RTMP has
// always had, in its old form.
func (w *MediaWriter) takes(typ uint8, t *av.Track) bool {
	if t == nil {
		return false
	}
	if t.Header != nil && !flv.Enhanced(typ, flv.Body(t.Header)) || t.Codec == av.MP3 {
		return true
	}
	return w.accepts(flv.FourCC(t.Codec))
}

var metadataName = AppendAMF(nil, "onMetaData")

// tag gathers a tag, if the peer gets its track. A server keeps metadata only if
// it is told to (RTMP 7.1.3, "@setDataFrame").
func (w *MediaWriter) tag(stamp uint32, tag []byte) {
	body := flv.Body(tag)
	switch typ := tag[0]; typ {
	case flv.TypeVideo:
		if w.video {
			w.put(videoChunks, typ, stamp, body)
		}
	case flv.TypeAudio:
		if w.audio {
			w.put(audioChunks, typ, stamp, body)
		}
	case flv.TypeScript:
		if w.publish && bytes.HasPrefix(body, metadataName) {
			body = append(bytes.Clone(setDataFrame), body...)
		}
		w.put(dataChunks, typ, stamp, body)
	}
}
