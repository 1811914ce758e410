package remux

import (
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"headwater/remux/av"
	"headwater/remux/hls"
	"headwater/remux/mpegts"
)

// Format is a container that HLS carries.
type Format uint8

const (
	FMP4 Format = iota
	TS
)

// extension of a media segment's name.
func (f Format) extension() string { return [...]string{FMP4: ".m4s", TS: ".ts"}[f] }

// folder is the path element below the stream's name.
func (f Format) folder() string { return [...]string{FMP4: "fmp4", TS: "ts"}[f] }

var (
	// ErrNotFound says that a name means nothing, or not any more.
	ErrNotFound = errors.New("not found")
	// ErrNotReady says that the stream has no complete segment yet.
	ErrNotReady = errors.New("the stream is starting")
	// ErrCodec says that a format cannot carry one of the stream's codecs.
	ErrCodec = errors.New("not available in this format")
)

// Supports says why a format cannot carry a stream's codecs, nil if it can.
func (f Format) Supports(c *av.Config) error {
	if f == TS {
		if err := mpegts.Supports(c); err != nil {
			return fmt.Errorf("%w: %w", ErrCodec, err)
		}
	}
	return nil
}

// Playlist returns the media playlist. It fails with ErrNotReady before the first
// segment, and with the reason where the format cannot carry the codecs.
func (ix *Index) Playlist(f Format) (*Object, error) {
	if len(ix.Segments) == 0 {
		return nil, ErrNotReady
	}
	if err := f.Supports(ix.newest().Config); err != nil {
		return nil, err
	}
	o, err := ix.media[f].get(func() (*Object, error) {
		first := ix.Segments[0]
		m := hls.Media{
			Target:                ix.Target,
			Sequence:              first.Sequence,
			DiscontinuitySequence: first.DiscontinuitySequence,
			Independent:           true,
			Ended:                 ix.Ended,
			Entries:               make([]hls.Entry, len(ix.Segments)),
		}
		if first.Discontinuity {
			m.DiscontinuitySequence-- // its own tag is still in the list (6.2.2)
		}
		for i, s := range ix.Segments {
			m.Independent = m.Independent && s.Independent
			m.Entries[i] = hls.Entry{
				URI:           segmentName(ix.epoch, s.Sequence, f),
				Duration:      s.Duration,
				ProgramTime:   s.ProgramTime,
				Discontinuity: s.Discontinuity,
			}
			if f == FMP4 {
				m.Entries[i].Map = initName(ix.epoch, s.init.number)
			}
		}
		text, err := m.Encode()
		if err != nil {
			return nil, err
		}
		return newText(text, ix.newest().modified)
	})
	if err == nil {
		ix.served.raise(ix.newest().Sequence)
	}
	return o, err
}

// Multivariant returns the multivariant playlist, whose one entry is the media
// playlist of that format below the folder name. It fails like Playlist.
func (ix *Index) Multivariant(f Format, name string) (*Object, error) {
	if len(ix.Segments) == 0 {
		return nil, ErrNotReady
	}
	if err := f.Supports(ix.newest().Config); err != nil {
		return nil, err
	}
	return ix.multi[f].get(func() (*Object, error) {
		c := ix.newest().Config
		v := hls.Variant{
			URI:         name + "/" + f.folder() + "/index.m3u8",
			FrameRate:   ix.frameRate(),
			Independent: !slices.ContainsFunc(ix.Segments, func(s *Segment) bool { return !s.Independent }),
		}
		v.Bandwidth, v.AverageBandwidth = ix.bandwidth(f)
		if c.Video != nil {
			v.Codecs = append(v.Codecs, c.Video.String)
			v.Width, v.Height = c.Video.Width, c.Video.Height
		}
		if c.Audio != nil {
			v.Codecs = append(v.Codecs, c.Audio.String)
		}
		return newText(v.Encode(), ix.newest().modified)
	})
}

// Object returns a segment or an initialization section by the name that a
// playlist of that format gave it, or ErrNotFound.
func (ix *Index) Object(f Format, file string) (*Object, error) {
	rest, ok := strings.CutPrefix(file, ix.epoch+"-")
	if !ok {
		return nil, ErrNotFound
	}
	if number, ok := strings.CutPrefix(rest, "init"); ok && f == FMP4 {
		return ix.initialization(number, file)
	}
	digits, ok := strings.CutSuffix(rest, f.extension())
	if !ok {
		return nil, ErrNotFound
	}
	sequence, ok := parseNumber(digits)
	if !ok {
		return nil, ErrNotFound
	}
	s := ix.find(sequence)
	if s == nil {
		return nil, ErrNotFound
	}
	if err := f.Supports(s.Config); err != nil {
		return nil, err
	}
	if f == TS {
		return s.renderTS(file)
	}
	return s.renderFMP4(file)
}

func (ix *Index) initialization(rest, file string) (*Object, error) {
	digits, ok := strings.CutSuffix(rest, ".mp4")
	if !ok {
		return nil, ErrNotFound
	}
	number, ok := parseNumber(digits)
	if !ok {
		return nil, ErrNotFound
	}
	for _, s := range slices.Backward(ix.held) {
		if s.init.number == number {
			return s.init.get(file)
		}
	}
	return nil, ErrNotFound
}

func (ix *Index) newest() *Segment { return ix.Segments[len(ix.Segments)-1] }

// bandwidth is the highest bit rate of any listed segment and the mean of all,
// with the container's overhead, both rounded up to whole kbit/s (4.4.6.2).
func (ix *Index) bandwidth(f Format) (peak, average int) {
	var bits, length float64
	for _, s := range ix.Segments {
		if s.Config != ix.newest().Config || s.Duration < ix.Target/2 && len(ix.Segments) > 1 {
			continue // a stump before a discontinuity says nothing
		}
		b := 8 * float64(s.size(f))
		bits += b
		length += s.Duration.Seconds()
		peak = max(peak, kilo(b/max(s.Duration.Seconds(), 0.001)))
	}
	if length == 0 {
		s := ix.newest()
		rate := kilo(8 * float64(s.size(f)) / max(s.Duration.Seconds(), 0.001))
		return rate, rate
	}
	average = kilo(bits / length)
	return max(peak, average), average
}

func kilo(bitsPerSecond float64) int { return int(math.Ceil(bitsPerSecond/1000)) * 1000 }

// size is the length in bytes of a segment in a container, exactly where it has
// been rendered already, else within about a percent.
func (s *Segment) size(f Format) int {
	var n int
	switch f {
	case TS:
		n = 2 * 188
		for _, v := range s.video {
			n += (len(v.Data) + 25 + 183) / 184 * 188
		}
		audio := 0
		for _, a := range s.audio {
			audio += len(a.Data) + 7
		}
		n += audio * 188 / 176
	case FMP4:
		for _, v := range s.video {
			n += len(v.Data) + 16
		}
		for _, a := range s.audio {
			n += len(a.Data) + 4
		}
		n += 220 * len(s.Parts)
	}
	return n
}

// frameRate is the measured number of pictures a second; where the parameter
// sets state one that is within half a percent of it, it is that one, free of
// millisecond rounding.
func (ix *Index) frameRate() float64 {
	var frames int
	var length time.Duration
	c := ix.newest().Config
	for _, s := range ix.Segments {
		if s.Config == c {
			frames += len(s.video)
			length += s.Duration
		}
	}
	if c.Video == nil || length <= 0 {
		return 0
	}
	measured := float64(frames) / length.Seconds()
	if stated := c.Video.FrameRate; math.Abs(stated-measured) < measured/200 {
		return stated
	}
	return measured
}

func segmentName(epoch string, sequence uint64, f Format) string {
	return epoch + "-" + strconv.FormatUint(sequence, 10) + f.extension()
}

func initName(epoch string, number uint64) string {
	return epoch + "-init" + strconv.FormatUint(number, 10) + ".mp4"
}

// parseNumber reads what strconv.FormatUint writes and nothing else, so that an
// object has one name.
func parseNumber(s string) (uint64, bool) {
	n, err := strconv.ParseUint(s, 10, 64)
	return n, err == nil && strconv.FormatUint(n, 10) == s
}
