package mpegts

import (
	"errors"
	"fmt"
	"math"

	"headwater/remux/av"
)

const streamTypeH264 = 0x1b

// audioFormat is how a transport stream names and frames an audio codec.
type audioFormat struct {
	number      byte // part of the PMT's version; see program.version
	streamType  byte
	streamID    byte
	descriptors string // of its entry in the PMT
	minFrame    int    // bytes; anything shorter is no frame
	maxFrame    int
}

var (
	formatAAC   = audioFormat{number: 1, streamType: 0x0f, streamID: streamIDAudio, minFrame: 1, maxFrame: maxADTSFrame}
	formatMPEG1 = audioFormat{number: 2, streamType: 0x03, streamID: streamIDAudio, minFrame: 4, maxFrame: maxPESPayload}
	formatMPEG2 = audioFormat{number: 3, streamType: 0x04, streamID: streamIDAudio, minFrame: 4, maxFrame: maxPESPayload}
	formatAC3   = audioFormat{number: 4, streamType: 0x81, streamID: streamIDPrivate, descriptors: "\x05\x04AC-3", minFrame: 7, maxFrame: maxPESPayload}
	formatEAC3  = audioFormat{number: 5, streamType: 0x87, streamID: streamIDPrivate, descriptors: "\x05\x04EAC3", minFrame: 7, maxFrame: maxPESPayload}
)

// program is a Config as a transport stream sees it.
type program struct {
	video    *av.Track    // nil: none
	audio    *av.Track    // nil: none
	format   *audioFormat // of audio
	adts     adts         // of audio, where it is AAC
	metadata bool         // there is a stream of ID3 tags
}

// Supports says why c cannot be carried in MPEG-TS segments, or nil if it can.
func Supports(c *av.Config) error {
	_, err := newProgram(c)
	return err
}

func newProgram(c *av.Config) (program, error) {
	var p program
	if c == nil || c.Video == nil && c.Audio == nil {
		return p, errors.New("stream has no tracks")
	}
	if c.Video != nil {
		if err := checkVideo(c.Video); err != nil {
			return p, err
		}
		p.video = c.Video
	}
	if c.Audio != nil {
		if err := p.setAudio(c.Audio); err != nil {
			return p, err
		}
	}
	return p, nil
}

func checkVideo(t *av.Track) error {
	switch {
	case t.Codec == av.HEVC:
		return errors.New("HEVC goes into fMP4 segments, not MPEG-TS (HLS authoring specification 1.5)")
	case t.Codec != av.H264:
		return fmt.Errorf("%v video has no form in MPEG-TS segments", t.Codec)
	case t.LengthSize != 1 && t.LengthSize != 2 && t.LengthSize != 4:
		return fmt.Errorf("NAL unit lengths of %d bytes", t.LengthSize)
	}
	return nil
}

func (p *program) setAudio(t *av.Track) (err error) {
	if t.Timescale <= 0 || t.Timescale > math.MaxInt32 {
		return fmt.Errorf("audio timescale %d", t.Timescale)
	}
	switch t.Codec {
	case av.AAC:
		p.format = &formatAAC
		p.adts, err = newADTS(t.Record)
		if err != nil {
			return fmt.Errorf("build ADTS header: %w", err)
		}
	case av.MP3:
		// Sampling rates below 32 kHz are those of MPEG-2 (13818-3) and of 2.5,
		// which has no stream type of its own.
		p.format = &formatMPEG1
		if t.SampleRate < 32000 {
			p.format = &formatMPEG2
		}
	case av.AC3:
		p.format = &formatAC3
	case av.EAC3:
		p.format = &formatEAC3
	default:
		return fmt.Errorf("%v audio has no form in MPEG-TS segments", t.Codec)
	}
	p.audio = t
	return nil
}

// clockStream is the stream that carries the PCR.
func (p *program) clockStream() stream {
	if p.video != nil {
		return videoStream
	}
	return audioStream
}

// version numbers the PMTs that can be written, so that the version changes
// when the content does, and only then. A player that reads on over a
// discontinuity would take no notice of another PMT with the same version.
func (p *program) version() byte {
	var v byte
	if p.video == nil {
		v = 8
	}
	if p.audio != nil {
		v += p.format.number
	}
	if p.metadata {
		v += 16
	}
	return v
}
