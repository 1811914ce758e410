package fmp4

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"time"

	"headwater/remux/av"
)

// Fragment is the samples of one part. It keeps the caller's slices and changes
// none of them.
//
// The samples of each track come in decode order and their times never go back,
// the end not before the last of them. A sample lasts until the next one, the
// last until the end, so that a fragment whose samples begin where the one
// before ended joins it exactly.
type Fragment struct {
	Config   *av.Config
	Sequence uint32        // counts the fragments of a stream, from 1 (mfhd sequence_number)
	Video    []av.Frame    // times on a 90 kHz clock; may be empty
	VideoEnd int64         // decode time of the video sample after the last
	Audio    []av.Frame    // times on the track's Timescale; may be empty
	AudioEnd int64         // time of the audio sample after the last
	Metadata []av.Frame    // an ID3 tag each, times on a 90 kHz clock; may be empty
	Ahead    time.Duration // added to all times, in whole milliseconds
}

// ErrEmpty says that a fragment has no sample of any track. There is no such
// thing in HLS.
var ErrEmpty = errors.New("fragment has no samples")

// AppendFragment appends f to dst as a moof and an mdat, with an emsg for each tag
// in front of them, and returns the longer slice, like append; it allocates at
// most once. The mdat holds the payload of all video samples, as it came, and then
// that of all audio samples. A track without samples is left out of the moof.
//
// Presentation times are exact. Decode times are those of the samples, except
// that of two samples with one time the later is decoded a tick later, as a
// player may drop a sample that lasts no time: only when there are more samples
// than ticks do some last 0.
//
// It fails, and returns dst as it was, with ErrEmpty; for samples of a track
// that f.Config does not have; for times below 0, an end before the beginning,
// or 2^32 ticks between two samples; and when the fragment would reach 2 GB.
func AppendFragment(dst []byte, f *Fragment) ([]byte, error) {
	if len(f.Video) == 0 && len(f.Audio) == 0 {
		return dst, ErrEmpty
	}
	if len(f.Video) > 0 && (f.Config == nil || f.Config.Video == nil) {
		return dst, errors.New("video samples without a video track")
	}
	if len(f.Audio) > 0 && (f.Config == nil || f.Config.Audio == nil) {
		return dst, errors.New("audio samples without an audio track")
	}
	video := run{id: videoTrackID, samples: f.Video, end: f.VideoEnd, ahead: ticks(f.Ahead, videoTimescale)}
	audio := run{id: audioTrackID, samples: f.Audio, end: f.AudioEnd}
	if len(f.Audio) > 0 {
		audio.ahead = ticks(f.Ahead, f.Config.Audio.Timescale)
	}
	if err := video.measure(); err != nil {
		return dst, fmt.Errorf("measure video: %w", err)
	}
	if err := audio.measure(); err != nil {
		return dst, fmt.Errorf("measure audio: %w", err)
	}
	events := events{fragment: f.Sequence, samples: f.Metadata, ahead: video.ahead}
	emsgs, err := events.measure()
	if err != nil {
		return dst, fmt.Errorf("measure metadata: %w", err)
	}
	const mfhd = 16
	moof := 8 + mfhd + video.trafLen() + audio.trafLen()
	mdat := 8 + video.bytes + audio.bytes
	if emsgs+moof+mdat > math.MaxInt32 {
		return dst, fmt.Errorf("fragment of %d bytes", emsgs+moof+mdat)
	}

	dst = slices.Grow(dst, emsgs+moof+mdat)
	dst = events.append(dst)
	dst = appendBox(dst, moof, "moof")
	dst = be.AppendUint32(appendFullBox(dst, mfhd, "mfhd", 0, 0), f.Sequence)
	dst = video.appendTraf(dst, moof+8)
	dst = audio.appendTraf(dst, moof+8+video.bytes)
	dst = appendBox(dst, mdat, "mdat")
	dst = video.appendPayload(dst)
	return audio.appendPayload(dst), nil
}

// ticks returns a time in ticks of a track's clock.
func ticks(d time.Duration, timescale int64) int64 {
	return d.Milliseconds() * timescale / 1000
}
