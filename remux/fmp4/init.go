package fmp4

import (
	"errors"
	"fmt"
	"math"

	"headwater/remux/av"
)

// The tracks of every file. A track keeps its id whether or not the other is
// there.
const (
	videoTrackID = 1
	audioTrackID = 2
)

// videoTimescale is the clock of video samples, in hertz.
const videoTimescale = 90000

// Init returns the initialization section for c: ftyp and a moov whose tracks
// take all their samples from fragments (HLS: rfc8216bis 3.1.2; 14496-12, 8.8).
// Decoder configuration records go in as the encoder sent them, parameter sets,
// length size and all. Init fails when c has no track, or one that cannot be
// described: a codec of the other kind, no record, no picture size, no clock.
func Init(c *av.Config) ([]byte, error) {
	if c == nil || c.Video == nil && c.Audio == nil {
		return nil, errors.New("write initialization section: no track")
	}
	var traks, trexes []byte
	brands := []byte("iso6mp41")
	if v := c.Video; v != nil {
		b, err := videoTrack(v)
		if err != nil {
			return nil, fmt.Errorf("write %v track: %w", v.Codec, err)
		}
		traks, trexes = append(traks, b...), append(trexes, trex(videoTrackID)...)
		if v.Codec == av.AV1 {
			brands = append(brands, "av01"...) // AV1 in ISOBMFF, 2.1
		}
	}
	if a := c.Audio; a != nil {
		b, err := audioTrack(a)
		if err != nil {
			return nil, fmt.Errorf("write %v track: %w", a.Codec, err)
		}
		traks, trexes = append(traks, b...), append(trexes, trex(audioTrackID)...)
	}
	// iso6 is the first brand whose readers know composition offsets to be
	// signed and data offsets to start at the moof.
	ftyp := box("ftyp", []byte("iso6"), u32(0), brands)
	return append(ftyp, box("moov", mvhd(), traks, box("mvex", trexes))...), nil
}

// unity is the transformation matrix that changes nothing (8.2.2).
var unity = u32(0x00010000, 0, 0, 0, 0x00010000, 0, 0, 0, 0x40000000)

// mvhd is the movie header: no creation time, and duration 0 as the moov itself
// holds no sample (8.2.2).
func mvhd() []byte {
	const timescale = 1000
	return fullBox("mvhd", 0, 0,
		u32(0, 0, timescale, 0),
		u32(0x00010000), u16(0x0100, 0), u32(0, 0), // rate 1.0, volume 1.0
		unity, make([]byte, 6*4),
		u32(audioTrackID+1)) // next_track_ID
}

// trex declares that a track goes on in fragments (8.8.3). It gives no useful
// defaults: each fragment carries its own.
func trex(id uint32) []byte { return fullBox("trex", 0, 0, u32(id, 1, 0, 0, 0)) }

func videoTrack(t *av.Track) ([]byte, error) {
	if t.Timescale != videoTimescale {
		return nil, fmt.Errorf("the clock runs at %d Hz, not %d", t.Timescale, videoTimescale)
	}
	entry, err := videoEntry(t)
	if err != nil {
		return nil, err
	}
	width := uint32(t.Width) << 16
	if h, v := pixelAspect(t); h != v {
		width = uint32(uint64(width) * uint64(h) / uint64(v))
	}
	return box("trak",
		tkhd(videoTrackID, 0, width, uint32(t.Height)<<16),
		mdia(t.Timescale, "vide", "video\x00", fullBox("vmhd", 0, 1, u32(0, 0)), entry)), nil
}

func audioTrack(t *av.Track) ([]byte, error) {
	if t.Timescale <= 0 || t.Timescale > math.MaxUint32 {
		return nil, fmt.Errorf("the clock runs at %d Hz", t.Timescale)
	}
	entry, err := audioEntry(t)
	if err != nil {
		return nil, err
	}
	return box("trak",
		tkhd(audioTrackID, 0x0100, 0, 0),
		mdia(t.Timescale, "soun", "audio\x00", fullBox("smhd", 0, 0, u32(0)), entry)), nil
}

// tkhd is the track header (8.3.2): enabled, in the movie, duration 0. The size
// it gives is the one to show, in 16.16 pixels.
func tkhd(id uint32, volume uint16, width, height uint32) []byte {
	const enabledInMovie = 1 | 2
	return fullBox("tkhd", 0, enabledInMovie,
		u32(0, 0, id, 0, 0),
		u32(0, 0), u16(0, 0, volume, 0),
		unity, u32(width, height))
}

// mdia is the media of a track (8.4) with empty sample tables.
func mdia(timescale int64, handler, name string, mediaHeader, entry []byte) []byte {
	const undetermined = 'u'&31<<10 | 'n'&31<<5 | 'd'&31
	return box("mdia",
		fullBox("mdhd", 0, 0, u32(0, 0, uint32(timescale), 0), u16(undetermined, 0)),
		fullBox("hdlr", 0, 0, u32(0), []byte(handler), u32(0, 0, 0), []byte(name)),
		box("minf",
			mediaHeader,
			box("dinf", fullBox("dref", 0, 0, u32(1), fullBox("url ", 0, 1))), // media in this very file
			box("stbl",
				fullBox("stsd", 0, 0, u32(1), entry),
				fullBox("stts", 0, 0, u32(0)),
				fullBox("stsc", 0, 0, u32(0)),
				fullBox("stsz", 0, 0, u32(0, 0)),
				fullBox("stco", 0, 0, u32(0)))))
}
