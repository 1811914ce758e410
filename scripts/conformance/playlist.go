package conformance

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// Media is a parsed media playlist.
type Media struct {
	Version               int // 1 where it is not stated
	Target                time.Duration
	Sequence              uint64 // of the first segment, skipped ones counted
	DiscontinuitySequence uint64
	Has                   map[string]bool // tags that stand in it
	Type                  string
	Ended                 bool
	Control               Attributes // EXT-X-SERVER-CONTROL; nil without
	PartTarget            time.Duration
	Skipped               int        // EXT-X-SKIP
	Segments              []*Segment // complete ones
	Open                  *Segment   // tags and parts behind the last of them; nil without
	Hints                 []Hint
	Reports               []Attributes
	Problems              []Problem
}

// Segment is an entry of a media playlist.
type Segment struct {
	MSN           uint64
	DSN           uint64 // its discontinuity sequence number, its own tag counted
	URI           string // empty for the one that is open
	Duration      time.Duration
	Decimals      int
	Discontinuity bool
	Map           string // in force; empty: none, or it stands in the part that was skipped
	OwnMap        bool   // the tag stands at this entry
	PDT           time.Time
	PDTForm       string // as it stands there
	ByteRange     string
	Gap           bool
	Parts         []Part
	Late          []string // tags of the segment that stand behind its first part
}

// Part is an EXT-X-PART.
type Part struct {
	URI         string
	Duration    time.Duration
	Independent bool
	Gap         bool
	ByteRange   string
}

// Hint is an EXT-X-PRELOAD-HINT.
type Hint struct {
	Type, URI string
	Ranged    bool
}

// Problem is what the parser has found wrong, and the rule it breaks.
type Problem struct {
	Rule string
	Line int
	Text string
}

func (p Problem) String() string { return fmt.Sprintf("line %d: %s", p.Line, p.Text) }

// Last is the newest complete segment's media sequence number.
func (m *Media) Last() uint64 { return m.Sequence + uint64(m.Skipped+len(m.Segments)) - 1 }

// Find returns the entry with that media sequence number, the open one too.
func (m *Media) Find(msn uint64) *Segment {
	if m.Open != nil && m.Open.MSN == msn {
		return m.Open
	}
	first := m.Sequence + uint64(m.Skipped)
	if msn < first || msn-first >= uint64(len(m.Segments)) {
		return nil
	}
	return m.Segments[msn-first]
}

// OpenParts is how many parts the open segment has.
func (m *Media) OpenParts() int {
	if m.Open == nil {
		return 0
	}
	return len(m.Open.Parts)
}

// Length is the time from the start of entry i to the end of the playlist, the
// open segment's parts counted.
func (m *Media) Length(i int) (d time.Duration) {
	for _, s := range m.Segments[i:] {
		d += s.Duration
	}
	if m.Open != nil {
		for _, p := range m.Open.Parts {
			d += p.Duration
		}
	}
	return d
}

// reader walks over the lines of a playlist.
type reader struct {
	line     int
	problems []Problem
	seen     map[string]bool
	version  int
	floor    int // version that the tags so far need
	floorTag string
}

func (r *reader) fail(rule, text string) {
	r.problems = append(r.problems, Problem{rule, r.line, text})
}

// tag is a line that begins with #EXT.
type tag struct {
	name  string
	value string
	attrs Attributes
}

// lines checks what holds for the whole text and returns its lines.
func (r *reader) lines(text []byte) []string {
	if !utf8.Valid(text) {
		r.fail("list.encoding", "not UTF-8")
	}
	if bytes.HasPrefix(text, []byte("\xef\xbb\xbf")) {
		r.fail("list.encoding", "begins with a byte order mark")
		text = text[3:]
	}
	for _, c := range string(text) {
		if c < 0x20 && c != '\n' && c != '\r' || 0x7f <= c && c <= 0x9f {
			r.fail("list.encoding", fmt.Sprintf("control character U+%04X", c))
			break
		}
	}
	if !bytes.HasSuffix(text, []byte("\n")) {
		r.fail("list.whole", "the last line does not end")
	}
	lines := strings.Split(strings.TrimSuffix(string(text), "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimSuffix(lines[i], "\r")
	}
	if len(lines) == 0 || lines[0] != "#EXTM3U" {
		r.fail("list.syntax", "does not begin with #EXTM3U")
	}
	return lines
}

// tag reads one line that begins with #EXT.
func (r *reader) tag(line string, multi bool) (tag, bool) {
	name, value, valued := strings.Cut(line[1:], ":")
	spec, ok := tagSpecs[name]
	if !ok {
		r.fail("list.syntax", "unknown tag "+name)
		return tag{}, false
	}
	if multi && !spec.multi || !multi && !spec.media {
		r.fail("list.syntax", name+" does not belong into this kind of playlist")
	}
	if r.seen[name] && spec.once {
		r.fail("list.once", name+" stands twice")
	}
	r.seen[name] = true
	if spec.floor > r.floor {
		r.floor, r.floorTag = spec.floor, name
	}
	if valued != (spec.value != valueNone) {
		r.fail("list.syntax", name+": a value is missing, or stands where there is none")
	}
	t := tag{name: name, value: value}
	switch spec.value {
	case valueInteger:
		if !attributeForm[decimalInteger].MatchString(value) {
			r.fail("list.syntax", fmt.Sprintf("%s: %q is no integer", name, value))
		}
	case valueAttributes:
		t.attrs = parseAttributes(value, spec.attrs, r.fail)
		for _, a := range spec.required {
			if _, ok := t.attrs[a]; !ok {
				r.fail("list.attributes", name+" without "+a)
			}
		}
	}
	return t, true
}

func (t tag) integer() uint64 {
	n, _ := strconv.ParseUint(t.value, 10, 64) // its form has been checked
	return n
}

func (r *reader) needVersion(v int, why string) {
	if v > r.floor {
		r.floor, r.floorTag = v, why
	}
}

// end checks EXT-X-VERSION against what the text uses.
func (r *reader) end() {
	if r.version < r.floor {
		r.fail("list.version-floor", fmt.Sprintf("version %d, but %s needs %d", r.version, r.floorTag, r.floor))
	}
}

// mediaReader is the state between the lines of a media playlist.
type mediaReader struct {
	reader
	m       *Media
	next    Segment // tags seen so far for the entry to come
	pending bool    // there are any
	mapURI  string
	dsn     uint64
	extinf  bool
}

// ParseMedia reads a media playlist. It always returns one; what is wrong is in
// Problems.
func ParseMedia(text []byte) *Media {
	r := &mediaReader{m: &Media{Version: 1, Has: map[string]bool{}}}
	r.seen, r.version = r.m.Has, 1
	for i, line := range r.lines(text) {
		r.line = i + 1
		switch {
		case strings.HasPrefix(line, "#EXT"):
			if t, ok := r.tag(line, false); ok {
				r.media(t)
			}
		case line == "", strings.HasPrefix(line, "#"):
		default:
			r.uri(line)
		}
	}
	if r.extinf {
		r.fail("list.whole", "an EXTINF without its URI")
	}
	if r.pending {
		open := r.entry()
		r.m.Open = &open
	}
	if !r.seen["EXT-X-TARGETDURATION"] {
		r.fail("list.target", "no EXT-X-TARGETDURATION")
	}
	r.line = 0
	r.end()
	r.m.Problems = r.problems
	return r.m
}

// media takes one tag of a media playlist.
func (r *mediaReader) media(t tag) {
	m := r.m
	switch t.name {
	case "EXT-X-VERSION":
		m.Version = int(t.integer())
		r.version = m.Version
	case "EXT-X-TARGETDURATION":
		m.Target = time.Duration(t.integer()) * time.Second
	case "EXT-X-MEDIA-SEQUENCE":
		m.Sequence = t.integer()
		r.beforeSegments(t.name)
	case "EXT-X-DISCONTINUITY-SEQUENCE":
		m.DiscontinuitySequence = t.integer()
		r.dsn = m.DiscontinuitySequence
		r.beforeSegments(t.name)
		if r.seen["EXT-X-DISCONTINUITY"] {
			r.fail("list.syntax", t.name+" behind EXT-X-DISCONTINUITY")
		}
	case "EXT-X-PLAYLIST-TYPE":
		m.Type = t.value
	case "EXT-X-ENDLIST":
		m.Ended = true
	case "EXT-X-SERVER-CONTROL":
		m.Control = t.attrs
	case "EXT-X-PART-INF":
		m.PartTarget, _ = t.attrs.seconds("PART-TARGET")
	case "EXT-X-SKIP":
		n, _ := t.attrs.integer("SKIPPED-SEGMENTS")
		m.Skipped = int(n)
		r.beforeSegments(t.name)
		if n == 0 {
			r.fail("list.attributes", "SKIPPED-SEGMENTS=0")
		}
	case "EXT-X-PRELOAD-HINT":
		_, start := t.attrs["BYTERANGE-START"]
		_, length := t.attrs["BYTERANGE-LENGTH"]
		m.Hints = append(m.Hints, Hint{t.attrs["TYPE"], t.attrs["URI"], start || length})
	case "EXT-X-RENDITION-REPORT":
		m.Reports = append(m.Reports, t.attrs)
	default:
		r.segmentTag(t)
	}
}

func (r *mediaReader) beforeSegments(name string) {
	if len(r.m.Segments) > 0 || r.pending {
		r.fail("list.syntax", name+" behind the first segment")
	}
}

var dateTimeForm = regexp.MustCompile(`^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d(:?\d\d)?)?$`)

// segmentTag takes a tag that belongs to the entry to come.
func (r *mediaReader) segmentTag(t tag) {
	s := &r.next
	if len(s.Parts) > 0 && (t.name == "EXT-X-MAP" || t.name == "EXT-X-DISCONTINUITY" || t.name == "EXT-X-PROGRAM-DATE-TIME" || t.name == "EXT-X-KEY") {
		s.Late = append(s.Late, t.name)
	}
	switch t.name {
	case "EXTINF":
		r.duration(t.value)
	case "EXT-X-BYTERANGE":
		s.ByteRange = t.value
	case "EXT-X-DISCONTINUITY":
		if s.Discontinuity {
			r.fail("list.once", "EXT-X-DISCONTINUITY stands twice at one segment")
		}
		s.Discontinuity = true
		r.dsn++
	case "EXT-X-MAP":
		r.mapURI, s.OwnMap = t.attrs["URI"], true
	case "EXT-X-PROGRAM-DATE-TIME":
		if s.PDTForm != "" {
			r.fail("list.once", "EXT-X-PROGRAM-DATE-TIME stands twice at one segment")
		}
		s.PDTForm = t.value
		var err error
		if s.PDT, err = time.Parse(time.RFC3339Nano, t.value); err != nil || !dateTimeForm.MatchString(t.value) {
			r.fail("list.pdt", fmt.Sprintf("%q is no ISO 8601 time with a zone", t.value))
		}
	case "EXT-X-GAP":
		s.Gap = true
	case "EXT-X-PART":
		d, _ := t.attrs.seconds("DURATION")
		s.Parts = append(s.Parts, Part{t.attrs["URI"], d, r.yes(t, "INDEPENDENT"), r.yes(t, "GAP"), t.attrs["BYTERANGE"]})
	default:
		return // says nothing of a segment
	}
	r.pending = true
}

// yes reads an attribute that can only be YES or, for some, NO.
func (r *mediaReader) yes(t tag, name string) bool {
	v, ok := t.attrs[name]
	if ok && v != "YES" && v != "NO" {
		r.fail("list.attributes", name+"="+v)
	}
	return v == "YES"
}

func (r *mediaReader) duration(value string) {
	if r.extinf {
		r.fail("list.once", "EXTINF stands twice at one segment")
	}
	number, _, comma := strings.Cut(value, ",")
	d, decimals, err := parseSeconds(number)
	if err != nil || !comma {
		r.fail("list.syntax", fmt.Sprintf("EXTINF:%s", value))
	}
	if decimals > 0 {
		r.needVersion(3, "an EXTINF with decimals")
	}
	r.next.Duration, r.next.Decimals, r.extinf = d, decimals, true
}

// entry finishes the entry that the tags so far belong to.
func (r *mediaReader) entry() Segment {
	s := r.next
	s.MSN = r.m.Sequence + uint64(r.m.Skipped+len(r.m.Segments))
	s.DSN, s.Map = r.dsn, r.mapURI
	r.next, r.pending, r.extinf = Segment{}, false, false
	return s
}

func (r *mediaReader) uri(line string) {
	if !r.extinf {
		r.fail("list.syntax", "a URI without EXTINF: "+line)
	}
	if strings.ContainsAny(line, " \t\"<>") {
		r.fail("list.syntax", fmt.Sprintf("%q is no URI", line))
	}
	if len(r.m.Hints) > 0 {
		r.fail("list.syntax", "a segment behind EXT-X-PRELOAD-HINT")
	}
	s := r.entry()
	s.URI = line
	r.m.Segments = append(r.m.Segments, &s)
}
