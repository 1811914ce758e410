package flv

import (
	"fmt"
	"iter"

	"headwater/remux/av"
)

// multitrack remembers how the tracks of a Multitrack packet are laid out.
type multitrack struct {
	layout byte // how many tracks, and whether each names its codec
	typ    byte // the packet type of every track
	audio  bool
}

// AvMultitrackType of Enhanced RTMP v2.
const (
	oneTrack             = 0
	manyTracks           = 1
	manyTracksManyCodecs = 2
)

// startMultitrack reads the header that the tracks share. Data becomes the
// tracks themselves.
func (p *Packet) startMultitrack(rest []byte, audio bool) (err error) {
	if len(rest) < 1 {
		return fmt.Errorf("%w: multitrack header cut", ErrMalformed)
	}
	p.Type = Multitrack
	p.multi = multitrack{layout: rest[0] >> 4, typ: rest[0] & 15, audio: audio}
	rest = rest[1:]
	switch p.multi.layout {
	case oneTrack, manyTracks:
		if p.Codec, rest, err = cutFourCC(rest, p.multi.fourCC()); err != nil {
			return err
		}
	case manyTracksManyCodecs:
	default:
		return fmt.Errorf("%w multitrack type %d", ErrUnsupported, p.multi.layout)
	}
	p.Data, err = payload(rest)
	return err
}

func (m multitrack) fourCC() func([]byte) av.Codec {
	if m.audio {
		return audioFourCC
	}
	return videoFourCC
}

// Tracks yields the packets of a Multitrack packet one by one, each with its
// track number. Any other packet yields itself. A track that cannot be read
// comes as an error in its place (the Packet then has nothing but the number) and
// the tracks behind it still follow; where the message itself is cut the error is
// the last thing yielded.
func (p Packet) Tracks() iter.Seq2[Packet, error] {
	return func(yield func(Packet, error) bool) {
		if p.Type != Multitrack {
			yield(p, nil)
			return
		}
		for rest := p.Data; len(rest) > 0; {
			var t Packet
			var err error
			t, rest, err = p.next(rest)
			if !yield(t, err) {
				return
			}
		}
	}
}

// next cuts one track off rest. What it returns behind an error that ends the
// iteration is empty.
func (p Packet) next(rest []byte) (Packet, []byte, error) {
	t := Packet{Codec: p.Codec, Key: p.Key, Offset: p.Offset}
	var codecErr error
	if p.multi.layout == manyTracksManyCodecs {
		if len(rest) < fourCCSize {
			return Packet{}, nil, fmt.Errorf("track: %w: FourCC cut", ErrMalformed)
		}
		t.Codec, _, codecErr = cutFourCC(rest, p.multi.fourCC())
		rest = rest[fourCCSize:]
	}
	if len(rest) < 1 {
		return Packet{}, nil, fmt.Errorf("track: %w: number cut", ErrMalformed)
	}
	t.Track, rest = rest[0], rest[1:]
	data := rest
	if p.multi.layout == oneTrack {
		rest = nil
	} else {
		if len(rest) < 3 {
			return Packet{}, nil, fmt.Errorf("track %d: %w: size cut", t.Track, ErrMalformed)
		}
		n := int(rest[0])<<16 | int(rest[1])<<8 | int(rest[2])
		rest = rest[3:]
		if n > len(rest) {
			return Packet{}, nil, fmt.Errorf("track %d: %w: %d bytes announced, %d left", t.Track, ErrMalformed, n, len(rest))
		}
		data, rest = rest[:n:n], rest[n:]
	}
	err := codecErr
	if err == nil && p.multi.audio {
		err = t.setAudio(p.multi.typ, data)
	} else if err == nil {
		err = t.setVideo(p.multi.typ, data)
	}
	if err != nil {
		return Packet{Track: t.Track}, rest, fmt.Errorf("track %d: %w", t.Track, err)
	}
	return t, rest, nil
}
