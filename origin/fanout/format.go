package fanout

import (
	"time"

	"headwater/remux"
	"headwater/remux/av"
	"headwater/remux/flv"
	"headwater/remux/id3"
	"headwater/remux/mpegts"
)

// Format is what an endless body consists of.
type Format uint8

const (
	FLV Format = iota
	TS
)

// Supports says why the format cannot carry a stream's codecs, nil if it can.
func (f Format) Supports(c *av.Config) error {
	if f == TS {
		return remux.TS.Supports(c)
	}
	return nil
}

func (f Format) packer(s *remux.Stream) packer {
	if f == TS {
		return &tsPacker{}
	}
	return flvPacker{s}
}

// flvPacker makes an FLV file without an end: tags as they are.
type flvPacker struct{ stream *remux.Stream }

func (p flvPacker) headers(old, c *av.Config) []byte {
	var dst []byte
	if old == nil {
		old = &av.Config{}
		dst = append(dst, flv.FileHeader(c.Video != nil, c.Audio != nil)...)
		dst = append(dst, p.stream.Metadata()...)
	}
	if c.Video != old.Video {
		dst = appendHeader(dst, c.Video)
	}
	if c.Audio != old.Audio {
		dst = appendHeader(dst, c.Audio)
	}
	return dst
}

// appendHeader appends the tags that describe a track.
func appendHeader(dst []byte, t *av.Track) []byte {
	if t == nil || t.Header == nil {
		return dst
	}
	dst = append(dst, t.Header...)
	for _, note := range t.Notes {
		dst = append(dst, note...)
	}
	return dst
}

func (flvPacker) lead() []byte { return nil }

func (flvPacker) append(dst []byte, frames []av.Frame, _ bool) ([]byte, error) {
	for i := range frames {
		dst = append(dst, frames[i].Tag...)
	}
	return dst, nil
}

// tsPacker makes an endless MPEG transport stream.
type tsPacker struct {
	mux          mpegts.Stream
	video, audio []av.Frame // room
	metadata     []av.Frame // ID3 tags that wait for a frame
}

// maxTags bounds the metadata of one block.
const maxTags = 32

func (*tsPacker) headers(_, _ *av.Config) []byte { return nil } // they are in line

func (p *tsPacker) lead() []byte { return p.mux.AppendSkip(nil) }

func (p *tsPacker) append(dst []byte, frames []av.Frame, start bool) ([]byte, error) {
	video, audio := p.video[:0], p.audio[:0]
	for _, f := range frames {
		switch f.Kind {
		case av.Video:
			video = append(video, f)
		case av.Audio:
			audio = append(audio, f)
		case av.Data:
			p.annotate(f)
		}
	}
	if len(video)+len(audio) == 0 {
		return dst, nil
	}
	dst, err := p.mux.Append(dst, frames[0].Config, video, audio, p.metadata, start)
	clear(video)
	clear(audio)
	p.video, p.audio, p.metadata = video, audio, nil
	return dst, err
}

// annotate has a data message go out as an ID3 tag, if it is one of those that become
// one. What is too much or damaged is left out; the publisher's counts tell of it.
func (p *tsPacker) annotate(f av.Frame) {
	if !id3.Carries(f.Data) || len(p.metadata) == maxTags {
		return
	}
	tag, err := id3.New(f.Data)
	if err != nil {
		return
	}
	const clock = 90_000
	p.metadata = append(p.metadata, av.Frame{
		Kind: av.Data, DTS: f.DTS, Time: int64(f.DTS / time.Microsecond * clock / (time.Second / time.Microsecond)), Data: tag,
	})
}
