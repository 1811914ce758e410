// Package playlist reads HLS playlists (draft-pantos-hls-rfc8216bis) of servers that
// may write them wrongly: it takes what can be understood and lists what cannot,
// where a player would guess or give up. Its caller bounds the bytes; what they can
// make of memory is a small multiple of them.
package playlist

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Playlist is a multivariant or a media playlist.
type Playlist struct {
	Variants   []Variant   // a multivariant playlist has some
	Renditions []Rendition // EXT-X-MEDIA with TYPE=AUDIO

	Target                time.Duration
	Sequence              uint64
	DiscontinuitySequence uint64
	Type                  string // VOD, EVENT or ""
	End                   bool   // EXT-X-ENDLIST
	Segments              []Segment
	Open                  []Part // of the segment that is not listed yet
	Hint                  string // URI of EXT-X-PRELOAD-HINT with TYPE=PART that is a resource of its own; ""
	PartTarget            time.Duration
	Control               Control

	Faults []string // what is not as it must be, no more than maxFaults
}

// Variant is an EXT-X-STREAM-INF with its URI.
type Variant struct {
	URI, Codecs, Resolution, Audio string
	Bandwidth                      int64
}

// Rendition is an EXT-X-MEDIA.
type Rendition struct {
	Group, Name, URI string
	Default          bool
}

// Segment is a media segment.
type Segment struct {
	Sequence      uint64
	URI           string
	Range         string // of bytes, as a Range header has it: "bytes=0-99"; "" is all
	Duration      time.Duration
	Discontinuity bool
	Time          time.Time // PROGRAM-DATE-TIME, its own or carried on; zero where none is known
	Map, MapRange string    // of the initialization section
	Gap           bool
	Encrypted     bool
	Parts         []Part
}

// Part is an EXT-X-PART.
type Part struct {
	URI         string
	Duration    time.Duration
	Independent bool
}

// Control is an EXT-X-SERVER-CONTROL.
type Control struct {
	CanBlock     bool
	PartHoldBack time.Duration
	HoldBack     time.Duration
}

const maxFaults = 10

// IsMultivariant reports whether it lists playlists, not media.
func (p *Playlist) IsMultivariant() bool { return len(p.Variants) > 0 }

// Edge returns the time at which the newest media ends, zero where none is known.
func (p *Playlist) Edge() time.Time {
	if len(p.Segments) == 0 {
		return time.Time{}
	}
	last := p.Segments[len(p.Segments)-1]
	if last.Time.IsZero() {
		return time.Time{}
	}
	edge := last.Time.Add(last.Duration)
	for _, part := range p.Open {
		edge = edge.Add(part.Duration)
	}
	return edge
}

// Next returns the sequence of the segment behind the last one that is listed.
func (p *Playlist) Next() uint64 { return p.Sequence + uint64(len(p.Segments)) }

// Parse reads a playlist. It fails only where there is none.
func Parse(text string) (*Playlist, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	if !strings.HasPrefix(text, "#EXTM3U") {
		return nil, fmt.Errorf("read playlist: it does not begin with #EXTM3U")
	}
	r := reader{p: &Playlist{}}
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n \t")
		switch {
		case line == "":
		case strings.HasPrefix(line, "#EXT"):
			name, value, _ := strings.Cut(line[1:], ":")
			r.tag(name, value)
		case line[0] == '#':
		default:
			r.uri(line)
		}
	}
	r.finish()
	return r.p, nil
}

// reader keeps what belongs to the URI that comes next.
type reader struct {
	p        *Playlist
	next     Segment
	variant  *Variant
	duration bool // EXTINF has been seen
	target   bool
	media    bool // a tag of media playlists has been seen
	m, mr    string
	crypt    bool
	clock    time.Time // carried on
	offset   int64     // of the byte range that comes next
}

func (r *reader) fault(format string, args ...any) {
	if len(r.p.Faults) < maxFaults {
		r.p.Faults = append(r.p.Faults, fmt.Sprintf(format, args...))
	}
}

func (r *reader) tag(name, value string) {
	p := r.p
	switch name {
	case "EXTINF":
		first, _, _ := strings.Cut(value, ",")
		r.next.Duration, r.duration, r.media = r.seconds(name, first), true, true
	case "EXT-X-TARGETDURATION":
		p.Target, r.target, r.media = r.seconds(name, value), true, true
	case "EXT-X-MEDIA-SEQUENCE":
		p.Sequence, r.media = r.number(name, value), true
	case "EXT-X-DISCONTINUITY-SEQUENCE":
		p.DiscontinuitySequence = r.number(name, value)
	case "EXT-X-DISCONTINUITY":
		r.next.Discontinuity = true
		r.clock = time.Time{}
	case "EXT-X-PLAYLIST-TYPE":
		p.Type = value
	case "EXT-X-ENDLIST":
		p.End = true
	case "EXT-X-GAP":
		r.next.Gap = true
	case "EXT-X-PROGRAM-DATE-TIME":
		r.date(value)
	case "EXT-X-BYTERANGE":
		r.next.Range, r.offset = byteRange(value, r.offset)
	case "EXT-X-MAP":
		a := attributes(value)
		r.m, r.mr = a["URI"], ""
		if a["BYTERANGE"] != "" {
			r.mr, _ = byteRange(a["BYTERANGE"], 0)
		}
	case "EXT-X-KEY":
		r.crypt = attributes(value)["METHOD"] != "NONE"
	default:
		r.more(name, value)
	}
}

// more reads the tags of low latency and of multivariant playlists.
func (r *reader) more(name, value string) {
	p := r.p
	switch name {
	case "EXT-X-PART-INF":
		p.PartTarget = r.seconds(name, attributes(value)["PART-TARGET"])
	case "EXT-X-PART":
		a := attributes(value)
		r.next.Parts = append(r.next.Parts, Part{URI: a["URI"], Duration: r.seconds(name, a["DURATION"]), Independent: a["INDEPENDENT"] == "YES"})
	case "EXT-X-PRELOAD-HINT":
		if a := attributes(value); a["TYPE"] == "PART" && a["BYTERANGE-START"] == "" && a["BYTERANGE-LENGTH"] == "" {
			p.Hint = a["URI"]
		}
	case "EXT-X-SERVER-CONTROL":
		a := attributes(value)
		p.Control.CanBlock = a["CAN-BLOCK-RELOAD"] == "YES"
		if v := a["PART-HOLD-BACK"]; v != "" {
			p.Control.PartHoldBack = r.seconds(name, v)
		}
		if v := a["HOLD-BACK"]; v != "" {
			p.Control.HoldBack = r.seconds(name, v)
		}
	case "EXT-X-STREAM-INF":
		a := attributes(value)
		v := Variant{Codecs: a["CODECS"], Resolution: a["RESOLUTION"], Audio: a["AUDIO"]}
		if v.Bandwidth, _ = strconv.ParseInt(a["BANDWIDTH"], 10, 64); v.Bandwidth <= 0 {
			r.fault("a variant has no BANDWIDTH")
		}
		r.variant = &v
	case "EXT-X-MEDIA":
		if a := attributes(value); a["TYPE"] == "AUDIO" {
			p.Renditions = append(p.Renditions, Rendition{Group: a["GROUP-ID"], Name: a["NAME"], URI: a["URI"], Default: a["DEFAULT"] == "YES"})
		}
	}
}

func (r *reader) uri(line string) {
	if r.variant != nil {
		r.variant.URI = line
		r.p.Variants = append(r.p.Variants, *r.variant)
		r.variant = nil
		return
	}
	if !r.duration {
		r.fault("segment %.80q has no EXTINF", line)
	}
	s := r.next
	s.URI, s.Map, s.MapRange, s.Encrypted = line, r.m, r.mr, r.crypt
	s.Sequence = r.p.Next()
	s.Time = r.clock
	if !r.clock.IsZero() {
		r.clock = r.clock.Add(s.Duration)
	}
	r.p.Segments = append(r.p.Segments, s)
	if s.Range == "" {
		r.offset = 0
	}
	r.next, r.duration = Segment{}, false
}

func (r *reader) finish() {
	r.p.Open = r.next.Parts
	if r.p.IsMultivariant() {
		if r.media {
			r.fault("it lists playlists and media at once")
		}
		return
	}
	if !r.target {
		r.fault("EXT-X-TARGETDURATION is missing")
	}
	if r.p.PartTarget == 0 && (len(r.p.Open) > 0 || r.p.Hint != "") {
		r.fault("it has parts, and no EXT-X-PART-INF with their PART-TARGET")
	}
}

func (r *reader) date(value string) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04:05.999999999-0700", "2006-01-02T15:04:05.999999999"} {
		if t, err := time.Parse(layout, value); err == nil {
			r.clock = t
			return
		}
	}
	r.fault("EXT-X-PROGRAM-DATE-TIME %.60q is no date", value)
}

// seconds reads a decimal number of seconds that a segment could have.
func (r *reader) seconds(name, value string) time.Duration {
	f, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
	if err != nil || math.IsNaN(f) || f < 0 || f > 86400 {
		r.fault("%s has %.60q where seconds should be", name, value)
		return 0
	}
	return time.Duration(math.Round(f * float64(time.Second)))
}

func (r *reader) number(name, value string) uint64 {
	n, err := strconv.ParseUint(strings.TrimSpace(value), 10, 63)
	if err != nil {
		r.fault("%s has %.60q where a number should be", name, value)
	}
	return n
}

// byteRange turns LENGTH[@OFFSET] into a Range header and the offset behind it.
func byteRange(value string, next int64) (header string, end int64) {
	length, offset, given := strings.Cut(value, "@")
	n, err := strconv.ParseInt(length, 10, 62)
	if err != nil || n <= 0 {
		return "", next
	}
	if given {
		if next, err = strconv.ParseInt(offset, 10, 62); err != nil || next < 0 {
			return "", 0
		}
	}
	end = next + n
	return fmt.Sprintf("bytes=%d-%d", next, end-1), end
}

// attributes reads an attribute list (4.2). What is damaged is left out.
func attributes(s string) map[string]string {
	a := map[string]string{}
	for len(s) > 0 {
		name, rest, ok := strings.Cut(s, "=")
		if !ok {
			return a
		}
		var value string
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			value, rest, ok = strings.Cut(quoted, `"`)
			if !ok {
				return a
			}
			_, s, _ = strings.Cut(rest, ",")
		} else {
			value, s, _ = strings.Cut(rest, ",")
		}
		a[strings.TrimSpace(name)] = strings.TrimSpace(value)
	}
	return a
}
