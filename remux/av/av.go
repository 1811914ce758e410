// Package av holds what every other package agrees on: the coded frame, the
// parameters a decoder needs before it (Config), and the names of codecs. It also
// reads those parameters from the records that encoders send (NewVideoTrack,
// NewAudioTrack) and walks the NAL units of a frame.
//
// Everything here is immutable once it has been handed on. A frame's bytes are
// shared by every viewer and every rendering; the garbage collector is the
// reference count, so nothing is pooled and nobody may write to a slice that
// came out of a Frame, a Track or a Config.
package av

import "time"

// Kind says which track a frame belongs to.
type Kind uint8

const (
	Video Kind = iota + 1
	Audio
	Data // script data (onMetaData, onTextData …): it has a time and no decoder
)

// Frame is one coded picture, one audio frame, or one script data message.
type Frame struct {
	Kind  Kind
	Key   bool          // a decoder can start here; true for every audio frame
	Start bool          // a new viewer may begin here: a key frame of video, or in sound alone now and then
	DTS   time.Duration // decode time on the stream's own clock; never goes back within a track
	CTS   time.Duration // PTS - DTS, exactly as the encoder sent it; 0 for audio and data
	// Time is the decode time in units of 1/Timescale of the track, from the
	// zero of the stream's clock; 0 for data. A frame lasts until the Time of the
	// next one of its track. Video is DTS on a 90 kHz clock, exactly; audio counts
	// samples and follows DTS only over a real jump, so that millisecond
	// rounding in RTMP never becomes audible.
	Time   int64
	Config *Config // the parameters in force; a new pointer means that they changed
	Tag    []byte  // the whole FLV tag as it goes on the wire: 11-byte header, body, 4-byte PreviousTagSize
	Data   []byte  // the coded payload, a slice of Tag: length-prefixed NAL units, a raw AAC frame, OBUs …
}

// Config is the decoder's view of a stream at one moment: its tracks. A viewer
// that meets a new *Config sends the headers of its tracks before the frame.
type Config struct {
	Video *Track // nil: the stream has no video
	Audio *Track // nil: the stream has no audio
}

// Track is one elementary stream's codec and parameters.
type Track struct {
	Codec     Codec
	Timescale int64    // units of Frame.Time in a second: 90000 for video, the sampling rate for audio (of HE-AAC's core)
	Header    []byte   // the sequence header as a whole FLV tag with timestamp 0; nil where the codec has none (MP3)
	Record    []byte   // the decoder configuration record inside Header: avcC, hvcC, av1C, vpcC, AudioSpecificConfig …
	Notes     [][]byte // tags that decoding can do without and that belong behind Header: colours, the layout of channels
	String    string   // the codec for CODECS attributes and MIME types, RFC 6381: "avc1.64001f", "mp4a.40.2"

	// Video.
	Width, Height int      // after cropping, in pixels
	FrameRate     float64  // as the parameter sets state it, frames a second; 0: not stated
	Transfer      uint8    // transfer characteristics, ITU-T H.273 table 3: 16 is PQ, 18 is HLG; 0 or 2: not stated
	LengthSize    int      // bytes of the length in front of each NAL unit: 1, 2 or 4; 0: the codec has no NAL units
	ParameterSets [][]byte // the NAL units a byte-stream format repeats at each key frame: (VPS,) SPS, PPS in this order

	// Audio.
	SampleRate   int // Hz, what the decoder puts out
	Channels     int
	FrameSamples int // samples in one frame on the Timescale clock: 1024 for AAC, 1152 for MPEG-1 layer III
}

// Codec names a coding format.
type Codec uint8

const (
	H264 Codec = iota + 1
	HEVC
	AV1
	VP9
	AAC
	MP3
	Opus
	FLAC
	AC3
	EAC3
)

var codecNames = [...]string{
	H264: "H.264", HEVC: "HEVC", AV1: "AV1", VP9: "VP9",
	AAC: "AAC", MP3: "MP3", Opus: "Opus", FLAC: "FLAC", AC3: "AC-3", EAC3: "E-AC-3",
}

// String returns the codec's common name, for logs and people.
func (c Codec) String() string {
	if int(c) < len(codecNames) && codecNames[c] != "" {
		return codecNames[c]
	}
	return "unknown"
}
