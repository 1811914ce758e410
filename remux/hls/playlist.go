package hls

import (
	"bytes"
	"fmt"
	"slices"
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
	Gap           bool   // EXT-X-GAP: it cannot be fetched
	Parts         []Part // listed in front of it; none where it is far from the live edge
}

// Part is one partial segment (4.4.4.9).
type Part struct {
	URI         string
	Duration    time.Duration
	Independent bool
}

// Media is a media playlist (4.4.3).
type Media struct {
	Target                time.Duration // EXT-X-TARGETDURATION, whole seconds
	Sequence              uint64        // EXT-X-MEDIA-SEQUENCE
	DiscontinuitySequence uint64        // EXT-X-DISCONTINUITY-SEQUENCE, of the first entry before its own tag
	Independent           bool          // every segment starts with a key frame
	Ended                 bool          // EXT-X-ENDLIST
	Entries               []Entry

	// Low latency; of no meaning while PartTarget is 0.
	PartTarget time.Duration
	Open       *Entry // the segment that is not complete: its Parts so far; may be nil
	Hint       string // URI of the part that comes next
	HintMap    string // URI of its initialization section, where that is a new one
	Skip       int    // entries to leave out of a delta update (4.4.5.2)
}

// SkipUntil is CAN-SKIP-UNTIL: entries that begin further than this from the end
// of the playlist may be skipped (4.4.3.8).
func (m *Media) SkipUntil() time.Duration { return 6 * m.Target }

// Skippable is how many entries a delta update leaves out.
func (m *Media) Skippable() int {
	var behind time.Duration
	if m.Open != nil {
		for _, p := range m.Open.Parts {
			behind += p.Duration
		}
	}
	for i := len(m.Entries) - 1; i >= 0; i-- {
		if behind += m.Entries[i].Duration; behind > m.SkipUntil() {
			return i + 1
		}
	}
	return 0
}

// Encode returns the playlist's text.
func (m *Media) Encode() ([]byte, error) {
	n := uint(len(m.Entries) + 1)
	p, err := m3u8.NewMediaPlaylist(n, n)
	if err != nil {
		return nil, err
	}
	p.SetVersion(6) // what EXT-X-TARGETDURATION means, and EXT-X-MAP (8)
	if m.PartTarget > 0 {
		p.SetVersion(9) // EXT-X-SKIP (8)
	}
	p.SeqNo = m.Sequence
	p.DiscontinuitySeq = m.DiscontinuitySequence
	if header := m.header(); header != "" {
		p.SetCustomTag(lines(header))
	}
	initialization := ""
	for _, e := range m.Entries[m.Skip:] {
		seg := &m3u8.MediaSegment{URI: e.URI, Duration: e.Duration.Seconds(), Discontinuity: e.Discontinuity}
		if e.Map != initialization {
			seg.Map = &m3u8.Map{URI: e.Map}
			initialization = e.Map
		}
		seg.Custom = map[string]m3u8.CustomTag{"": lines(e.tags())}
		if err := p.AppendSegment(seg); err != nil {
			return nil, err
		}
	}
	p.TargetDuration = m.Target.Seconds() // last: AppendSegment rounds it up
	p.Closed = m.Ended
	text := bytes.Clone(p.Encode().Bytes())
	if m.Skip > 0 {
		text = m.spliceSkip(text)
	}
	if m.PartTarget > 0 && !m.Ended {
		text = m.appendLive(text, initialization)
	}
	return text, nil
}

// header is what stands at the top and is not m3u8's own. It is one custom tag:
// several come out in any order.
func (m *Media) header() string {
	var b strings.Builder
	if m.Independent {
		b.WriteString("#EXT-X-INDEPENDENT-SEGMENTS\n")
	}
	if m.PartTarget > 0 {
		fmt.Fprintf(&b, "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=%s,PART-HOLD-BACK=%s\n",
			seconds(m.SkipUntil()), seconds(3*m.PartTarget))
		fmt.Fprintf(&b, "#EXT-X-PART-INF:PART-TARGET=%s\n", seconds(m.PartTarget))
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// tags are an entry's lines between its map and its parts, and the parts.
func (e *Entry) tags() string {
	b := strings.Builder{}
	b.WriteString("#EXT-X-PROGRAM-DATE-TIME:" + dateTime(e.ProgramTime))
	if e.Gap {
		b.WriteString("\n#EXT-X-GAP")
	}
	for _, p := range e.Parts {
		b.WriteString("\n#EXT-X-PART:DURATION=" + seconds(p.Duration) + ",URI=\"" + p.URI + "\"")
		if p.Independent {
			b.WriteString(",INDEPENDENT=YES")
		}
	}
	return b.String()
}

// spliceSkip puts EXT-X-SKIP behind the header, in place of the entries skipped.
func (m *Media) spliceSkip(text []byte) []byte {
	const last = "#EXT-X-DISCONTINUITY-SEQUENCE:"
	at := bytes.Index(text, []byte(last))
	if at < 0 {
		last := []byte("#EXT-X-TARGETDURATION:")
		at = bytes.Index(text, last)
	}
	at += bytes.IndexByte(text[at:], '\n') + 1
	skip := "#EXT-X-SKIP:SKIPPED-SEGMENTS=" + strconv.Itoa(m.Skip) + "\n"
	return slices.Concat(text[:at:at], []byte(skip), text[at:])
}

// appendLive adds the parts of the segment that is open, and the hint.
func (m *Media) appendLive(text []byte, initialization string) []byte {
	if m.Open != nil && len(m.Open.Parts) > 0 {
		if m.Open.Discontinuity {
			text = append(text, "#EXT-X-DISCONTINUITY\n"...)
		}
		if m.Open.Map != initialization {
			text = append(text, "#EXT-X-MAP:URI=\""+m.Open.Map+"\"\n"...)
		}
		text = append(text, m.Open.tags()+"\n"...)
	}
	if m.HintMap != "" { // first: some players keep the last one
		text = append(text, "#EXT-X-PRELOAD-HINT:TYPE=MAP,URI=\""+m.HintMap+"\"\n"...)
	}
	if m.Hint != "" {
		text = append(text, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\""+m.Hint+"\"\n"...)
	}
	return text
}

// seconds is a decimal-floating-point of a time in whole milliseconds.
func seconds(d time.Duration) string { return strconv.FormatFloat(d.Seconds(), 'f', 3, 64) }

// Variant is the one entry of a multivariant playlist (4.4.6.2).
type Variant struct {
	URI                         string
	Bandwidth, AverageBandwidth int // bit/s: the highest of any segment, and the mean
	Codecs                      []string
	Width, Height               int     // 0: no video
	FrameRate                   float64 // 0: no video, or not known
	VideoRange                  string  // SDR, HLG or PQ; empty: no video
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
		VideoRange:       v.VideoRange,
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
