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

// Ask is how a client asks for a media playlist.
type Ask struct {
	Delta bool   // it takes an update that leaves out what it knows (_HLS_skip)
	Known bool   // it has had the playlist, and asks for what comes next (_HLS_msn)
	Next  uint64 // that segment's media sequence number
}

// Playlist returns the media playlist; where it is possible as the update that was
// asked for. Only who follows it is told of gaps (Past): some players do not begin at a
// playlist that has them. It fails with ErrNotReady before the first segment, and with
// ErrCodec.
func (ix *Index) Playlist(f Format, ask Ask) (*Object, error) {
	if len(ix.Segments) == 0 {
		return nil, ErrNotReady
	}
	if err := f.Supports(ix.newest().Config); err != nil {
		return nil, err
	}
	ix.served.raise(ix.newest().Sequence)
	text, gaps := &ix.media, ix.gaps
	delta := ask.Delta && !ix.Ended && (len(gaps) == 0 || ask.Known)
	if ask.Known && ix.skips(ask.Next) {
		delta = false // it cannot know what it asks for
	}
	switch {
	case f == TS:
		text, delta, gaps = &ix.slow.ts, false, nil
	case delta:
		text = &ix.delta
	case ask.Known && len(gaps) > 0:
		text = &ix.known
	default:
		gaps = nil
	}
	return text.get(func() (*Object, error) {
		ix.served.renders.playlists.Add(1)
		return ix.renderPlaylist(f, delta, gaps)
	})
}

// skips reports whether a delta update leaves out the segment with that number: there
// is more behind where it begins than need not be repeated.
func (ix *Index) skips(sequence uint64) bool {
	limit := (&hls.Media{Target: ix.Target}).SkipUntil()
	var behind time.Duration
	if ix.parted != nil {
		for _, p := range ix.parted.Parts {
			behind += p.Duration
		}
	}
	for i := len(ix.whole) - 1; i >= 0 && ix.whole[i].Sequence >= sequence && behind <= limit; i-- {
		behind += ix.whole[i].Duration
	}
	first := ix.whole[0].Sequence
	for i := len(ix.gaps) - 1; i >= 0 && first-uint64(len(ix.gaps)-i) >= sequence && behind <= limit; i-- {
		behind += ix.gaps[i].Duration
	}
	return behind > limit
}

func (ix *Index) renderPlaylist(f Format, delta bool, gaps []hls.Entry) (*Object, error) {
	segments := ix.carried(f)
	first := segments[0]
	m := hls.Media{
		Target:      ix.Target,
		Sequence:    first.Sequence,
		Independent: true,
		Ended:       ix.Ended,
		Entries:     make([]hls.Entry, len(segments)),
	}
	var tagged bool
	if tagged, m.DiscontinuitySequence = first.discontinuity(f); tagged {
		m.DiscontinuitySequence-- // its own tag is still in the list (6.2.2)
	}
	for i, s := range segments {
		m.Independent = m.Independent && s.Independent
		m.Entries[i] = ix.entry(s, f)
	}
	modified := ix.newest().modified
	if len(gaps) > 0 {
		m.Sequence -= uint64(len(gaps))
		m.DiscontinuitySequence = ix.gapsDiscontinuity
		m.Entries = slices.Concat(gaps, m.Entries)
	}
	if f == FMP4 {
		ix.addLowLatency(&m)
		modified = ix.modified
		if delta {
			m.Skip = m.Skippable()
		}
	}
	text, err := m.Encode()
	if err != nil {
		return nil, err
	}
	return newText(text, modified)
}

// carried are the segments that a format's playlist lists whole: the newest ones up to
// one that it cannot carry, as codecs may have changed within the window.
func (ix *Index) carried(f Format) []*Segment {
	if f == FMP4 { // it carries all
		return ix.whole
	}
	for i := len(ix.Segments) - 1; i > 0; i-- {
		if f.Supports(ix.Segments[i-1].Config) != nil {
			return ix.Segments[i:]
		}
	}
	return ix.Segments
}

func (ix *Index) entry(s *Segment, f Format) hls.Entry {
	tagged, _ := s.discontinuity(f)
	e := hls.Entry{
		URI:           segmentName(s.epoch, s.Sequence, f),
		Duration:      s.Duration,
		ProgramTime:   s.ProgramTime,
		Discontinuity: tagged,
	}
	if f == FMP4 {
		e.Map = initName(s.init.epoch, s.init.number)
	}
	return e
}

// addLowLatency adds the parts of the last three target durations, which is where
// a client may be (4.4.4.9), and the hint.
func (ix *Index) addLowLatency(m *hls.Media) {
	m.PartTarget = ix.PartTarget
	m.Hint = partName(ix.epoch, ix.NextPart)
	if o := ix.Open; o != nil && len(o.Parts) == 0 && o.init != ix.newest().init {
		m.HintMap = initName(o.init.epoch, o.init.number)
	}
	var behind time.Duration
	if ix.parted != nil {
		open := ix.entry(ix.parted, FMP4)
		open.Parts = ix.parts(ix.parted)
		m.Open = &open
		m.Independent = m.Independent && ix.parted.Independent
		for _, p := range ix.parted.Parts {
			behind += p.Duration
		}
	}
	for i := len(ix.whole) - 1; i >= 0 && behind < 3*ix.Target; i-- {
		m.Entries[len(m.Entries)-len(ix.whole)+i].Parts = ix.parts(ix.whole[i])
		behind += ix.whole[i].Duration
	}
}

func (ix *Index) parts(s *Segment) []hls.Part {
	parts := make([]hls.Part, len(s.Parts))
	for i, p := range s.Parts {
		parts[i] = hls.Part{URI: partName(p.epoch, p.Number), Duration: p.Duration, Independent: p.Independent}
	}
	return parts
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
	c := ix.newest().Config
	if f == FMP4 && c.Audio != nil && c.Audio.Codec == av.MP3 && TS.Supports(c) == nil {
		f = TS // browsers take MP3 out of MPEG-TS, and refuse it in MP4
	}
	return ix.slow.multi[f].get(func() (*Object, error) {
		ix.served.renders.multivariants.Add(1)
		v := hls.Variant{
			URI:         name + "/" + f.folder() + "/index.m3u8",
			FrameRate:   ix.frameRate(),
			Independent: !slices.ContainsFunc(ix.Segments, func(s *Segment) bool { return !s.Independent }),
		}
		v.Bandwidth, v.AverageBandwidth = ix.bandwidth(f)
		if c.Video != nil {
			v.Codecs = append(v.Codecs, c.Video.String)
			v.Width, v.Height = c.Video.Width, c.Video.Height
			v.VideoRange = videoRange(c.Video)
		}
		if c.Audio != nil {
			v.Codecs = append(v.Codecs, c.Audio.String)
		}
		return newText(v.Encode(), ix.newest().modified)
	})
}

// Hinted returns the number of the part that file names, if it is the one that
// comes next: a request for it waits until NextPart is greater.
func (ix *Index) Hinted(f Format, file string) (number uint64, ok bool) {
	rest, ok := strings.CutPrefix(file, ix.epoch+"-")
	if !ok || f != FMP4 || ix.Ended {
		return 0, false
	}
	number, ok = partNumber(rest)
	return number, ok && number == ix.NextPart
}

// Object returns a segment, a part or an initialization section by the name that a
// playlist of that format gave it, or ErrNotFound.
func (ix *Index) Object(f Format, file string) (*Object, error) {
	epoch, rest, ok := strings.Cut(file, "-")
	if !ok {
		return nil, ErrNotFound
	}
	if number, ok := strings.CutPrefix(rest, "init"); ok && f == FMP4 {
		return ix.initialization(epoch, number, file)
	}
	if number, ok := partNumber(rest); ok && f == FMP4 {
		if p := ix.part(number); p != nil && p.epoch == epoch {
			return p.render(file, &ix.served.renders)
		}
		return nil, ErrNotFound
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
	if s == nil || s.epoch != epoch {
		return nil, ErrNotFound
	}
	if err := f.Supports(s.Config); err != nil {
		return nil, err
	}
	if f == TS {
		return s.renderTS(file, &ix.served.renders)
	}
	return s.renderFMP4(file, &ix.served.renders)
}

func (ix *Index) initialization(epoch, rest, file string) (*Object, error) {
	digits, ok := strings.CutSuffix(rest, ".mp4")
	if !ok {
		return nil, ErrNotFound
	}
	number, ok := parseNumber(digits)
	if !ok {
		return nil, ErrNotFound
	}
	if ix.Open != nil && ix.Open.init.is(epoch, number) { // its parts are listed already
		return ix.Open.init.get(file, &ix.served.renders)
	}
	for _, s := range slices.Backward(ix.held) {
		if s.init.is(epoch, number) {
			return s.init.get(file, &ix.served.renders)
		}
	}
	return nil, ErrNotFound
}

// videoRange follows the transfer characteristics (4.4.6.2; H.273, 8.2).
func videoRange(t *av.Track) string {
	switch t.Transfer {
	case 16:
		return "PQ"
	case 18:
		return "HLG"
	}
	return "SDR"
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

// size is the length in bytes of a segment in a container: exactly in MPEG-TS,
// within about a percent in fMP4.
func (s *Segment) size(f Format) int {
	if f == TS {
		n, _ := mpegts.Size(s.mpegts()) // 0 for codecs that it does not carry
		return n
	}
	n := 220 * len(s.Parts)
	for i := range s.video.frames {
		n += int(s.video.frames[i].data) + 16
	}
	for i := range s.audio.frames {
		n += int(s.audio.frames[i].data) + 4
	}
	for _, m := range s.metadata {
		n += len(m.Data) + 62
	}
	return n
}

// frameRate is the measured number of pictures a second; where the parameter
// sets state one that is within half a percent of it, it is that one, free of
// millisecond rounding.
func (ix *Index) frameRate() float64 {
	var intervals int
	var length time.Duration
	c := ix.newest().Config
	var last *packed
	for _, s := range ix.Segments {
		if s.Discontinuity || s.Config != c {
			last = nil
		}
		if n := s.video.len(); n > 0 && s.Config == c {
			if last == nil {
				intervals, last = intervals-1, &s.video.frames[0]
			}
			intervals += n
			length += s.video.last().dts - last.dts
			last = s.video.last()
		}
	}
	if c.Video == nil || length <= 0 {
		return 0
	}
	measured := float64(intervals) / length.Seconds()
	if stated := c.Video.FrameRate; math.Abs(stated-measured) < measured/200 {
		return stated
	}
	return measured
}

func segmentName(epoch string, sequence uint64, f Format) string {
	return epoch + "-" + strconv.FormatUint(sequence, 10) + f.extension()
}

// A part's name says nothing of its segment, so that the name of the next part is
// known even where nobody knows yet whether a new segment begins with it.
func partName(epoch string, number uint64) string {
	return epoch + "-p" + strconv.FormatUint(number, 10) + ".m4s"
}

func partNumber(rest string) (uint64, bool) {
	digits, ok := strings.CutPrefix(rest, "p")
	if !ok {
		return 0, false
	}
	digits, ok = strings.CutSuffix(digits, ".m4s")
	if !ok {
		return 0, false
	}
	return parseNumber(digits)
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
