package fanout

import (
	"time"

	"headwater/remux"
	"headwater/remux/av"
	"headwater/remux/flv"
	"headwater/remux/id3"
	"headwater/remux/mpegts"
)

// Format is what viewers get. Those of one stream whose Formats are equal get the same
// bytes; so a Format has to be comparable.
type Format interface {
	// Packer returns what makes the bytes of a stream that nobody has yet.
	Packer(s *remux.Stream) Packer
}

// Packer turns frames into the bytes of a Format.
type Packer interface {
	// Headers returns what a viewer needs in front of frames of the Config c, the first
	// of them at that time, who has had those of the Config old, or none; nil: nothing.
	// Any goroutine may call it.
	Headers(old, c *av.Config, at time.Duration) []byte
	// Lead returns what a viewer needs beside that who skips to what is appended next.
	Lead() []byte
	// Append adds frames that are all of one Config; start says that viewers may begin
	// with them. An error ends all viewers of the Format, and is their End's Reason.
	Append(dst []byte, frames []av.Frame, start bool) ([]byte, error)
}

// Container is the Format of an endless body.
type Container uint8

const (
	FLV Container = iota
	TS
)

// Supports says why the container cannot carry a stream's codecs, nil if it can.
func (c Container) Supports(config *av.Config) error {
	if c == TS {
		return remux.TS.Supports(config)
	}
	return nil
}

// Packer is that of Format.
func (c Container) Packer(s *remux.Stream) Packer {
	if c == TS {
		return &tsPacker{}
	}
	return flvPacker{s}
}

// flvPacker makes an FLV file without an end: tags as they are.
type flvPacker struct{ stream *remux.Stream }

func (p flvPacker) Headers(old, c *av.Config, _ time.Duration) []byte {
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

func (flvPacker) Lead() []byte { return nil }

func (flvPacker) Append(dst []byte, frames []av.Frame, _ bool) ([]byte, error) {
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

func (*tsPacker) Headers(_, _ *av.Config, _ time.Duration) []byte { return nil } // they are in line

func (p *tsPacker) Lead() []byte { return p.mux.AppendSkip(nil) }

func (p *tsPacker) Append(dst []byte, frames []av.Frame, start bool) ([]byte, error) {
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
