package conformance

import (
	"strings"
)

// Multivariant is a parsed multivariant playlist.
type Multivariant struct {
	Version     int
	Independent bool
	Variants    []Variant
	Media       []Attributes // EXT-X-MEDIA
	Problems    []Problem
}

// Variant is an EXT-X-STREAM-INF with its URI.
type Variant struct {
	URI   string
	Attrs Attributes
}

// ParseMultivariant reads a multivariant playlist. It always returns one; what is
// wrong is in Problems.
func ParseMultivariant(text []byte) *Multivariant {
	m := &Multivariant{Version: 1}
	r := &reader{seen: map[string]bool{}, version: 1}
	var inf Attributes
	for i, line := range r.lines(text) {
		r.line = i + 1
		switch {
		case strings.HasPrefix(line, "#EXT"):
			t, ok := r.tag(line, true)
			if !ok {
				continue
			}
			if inf != nil {
				r.fail("list.syntax", "EXT-X-STREAM-INF without its URI")
				inf = nil
			}
			switch t.name {
			case "EXT-X-VERSION":
				m.Version = int(t.integer())
				r.version = m.Version
			case "EXT-X-INDEPENDENT-SEGMENTS":
				m.Independent = true
			case "EXT-X-STREAM-INF":
				inf = t.attrs
			case "EXT-X-MEDIA":
				m.Media = append(m.Media, t.attrs)
			}
		case line == "", strings.HasPrefix(line, "#"):
		case inf == nil:
			r.fail("list.syntax", "a URI without EXT-X-STREAM-INF: "+line)
		default:
			m.Variants = append(m.Variants, Variant{line, inf})
			inf = nil
		}
	}
	if inf != nil {
		r.fail("list.whole", "the last EXT-X-STREAM-INF has no URI")
	}
	r.line = 0
	r.end()
	m.Problems = r.problems
	return m
}
