package hls

import (
	"bytes"
	"strconv"
	"strings"
	"time"

	"github.com/grafov/m3u8"
)

// Entry is one media segment of a playlist.
type Entry struct {
	URI           string
	Duration      time.Duration
	ProgramTime   time.Time // of the segment's first sample
	Discontinuity bool
	Map           string // URI of the initialization section; empty for MPEG-TS
}

// Media is a media playlist (4.4.3).
type Media struct {
	Target                time.Duration // EXT-X-TARGETDURATION, whole seconds
	Sequence              uint64        // EXT-X-MEDIA-SEQUENCE
	DiscontinuitySequence uint64        // EXT-X-DISCONTINUITY-SEQUENCE, of the first entry before its own tag
	Independent           bool          // every segment starts with a key frame
	Ended                 bool          // EXT-X-ENDLIST
	Entries               []Entry
}

// Encode returns the playlist's text.
func (m *Media) Encode() ([]byte, error) {
	n := uint(max(len(m.Entries), 1))
	p, err := m3u8.NewMediaPlaylist(n, n)
	if err != nil {
		return nil, err
	}
	p.SetVersion(6) // what EXT-X-TARGETDURATION means, and EXT-X-MAP (8)
	p.SeqNo = m.Sequence
	p.DiscontinuitySeq = m.DiscontinuitySequence
	if m.Independent {
		p.SetCustomTag(lines("#EXT-X-INDEPENDENT-SEGMENTS"))
	}
	initialization := ""
	for _, e := range m.Entries {
		seg := &m3u8.MediaSegment{URI: e.URI, Duration: e.Duration.Seconds(), Discontinuity: e.Discontinuity}
		if e.Map != initialization {
			seg.Map = &m3u8.Map{URI: e.Map}
			initialization = e.Map
		}
		seg.Custom = map[string]m3u8.CustomTag{"": lines("#EXT-X-PROGRAM-DATE-TIME:" + dateTime(e.ProgramTime))}
		if err := p.AppendSegment(seg); err != nil {
			return nil, err
		}
	}
	p.TargetDuration = m.Target.Seconds() // last: AppendSegment rounds it up
	p.Closed = m.Ended
	return bytes.Clone(p.Encode().Bytes()), nil
}

// Variant is the one entry of a multivariant playlist (4.4.6.2).
type Variant struct {
	URI                         string
	Bandwidth, AverageBandwidth int // bit/s: the highest of any segment, and the mean
	Codecs                      []string
	Width, Height               int     // 0: no video
	FrameRate                   float64 // 0: no video, or not known
	Independent                 bool
}

// Encode returns the multivariant playlist's text.
func (v *Variant) Encode() []byte {
	p := m3u8.NewMasterPlaylist()
	p.SetIndependentSegments(v.Independent)
	params := m3u8.VariantParams{
		Bandwidth:        uint32(v.Bandwidth),
		AverageBandwidth: uint32(v.AverageBandwidth),
		Codecs:           strings.Join(v.Codecs, ","),
		FrameRate:        v.FrameRate,
	}
	if v.Width > 0 && v.Height > 0 {
		params.Resolution = strconv.Itoa(v.Width) + "x" + strconv.Itoa(v.Height)
	}
	p.Append(v.URI, nil, params)
	// PROGRAM-ID was removed from the protocol in version 6; m3u8 always writes it.
	return bytes.Replace(p.Encode().Bytes(), []byte("PROGRAM-ID=0,"), nil, 1)
}

// lines is a custom tag that stands for itself.
type lines string

func (l lines) TagName() string       { return "" }
func (l lines) Encode() *bytes.Buffer { return bytes.NewBufferString(string(l)) }
func (l lines) String() string        { return string(l) }

// dateTime is ISO 8601 with milliseconds, as 4.4.4.6 recommends.
func dateTime(t time.Time) string {
	return t.UTC().Format("2006-01-02T15:04:05.000Z")
}
