package amf

import (
	"bytes"
	"encoding/json"
)

// Bounds of JSON. Encoders describe a stream in a few dozen values.
const (
	maxJSONDepth  = 8
	maxJSONValues = 1000
	maxJSONName   = 256
	maxJSONText   = 4 << 10 // of one string
)

// JSON returns the first value in b as JSON, nil if there is none. Of a value that
// is damaged or goes over the bounds, what came before that is kept. What JSON has
// no word for is null, and long strings are cut. Of two members of one name both
// are there.
func JSON(b []byte) []byte {
	r := Reader{Rest: b, MaxDepth: maxJSONDepth, MaxValues: maxJSONValues}
	w := &jsonWriter{}
	_ = r.Value(w) // what could be read counts
	for len(w.open) > 0 {
		w.End(w.open[len(w.open)-1] == ']')
	}
	return w.b
}

// jsonWriter is a Visitor.
type jsonWriter struct {
	b     []byte
	open  []byte // what closes the containers that are open
	first bool   // nothing is in the innermost one yet
}

func (w *jsonWriter) name(name []byte) {
	if len(w.open) == 0 {
		return
	}
	if !w.first {
		w.b = append(w.b, ',')
	}
	w.first = false
	if w.open[len(w.open)-1] == '}' {
		w.b = append(appendString(w.b, name, maxJSONName), ':')
	}
}

// Begin implements Visitor.
func (w *jsonWriter) Begin(name []byte, list bool) {
	w.name(name)
	begin, end := byte('{'), byte('}')
	if list {
		begin, end = '[', ']'
	}
	w.b, w.open, w.first = append(w.b, begin), append(w.open, end), true
}

// End implements Visitor.
func (w *jsonWriter) End(bool) {
	last := len(w.open) - 1
	w.b, w.open, w.first = append(w.b, w.open[last]), w.open[:last], false
}

// Scalar implements Visitor.
func (w *jsonWriter) Scalar(name []byte, s Scalar) error {
	w.name(name)
	switch {
	case s.Type == String:
		w.b = appendString(w.b, s.Text, maxJSONText)
	case s.Type == Null, bytes.ContainsAny(s.Text, "NI"): // NaN, Inf
		w.b = append(w.b, "null"...)
	default:
		w.b = append(w.b, s.Text...)
	}
	return nil
}

func appendString(dst, text []byte, most int) []byte {
	quoted, err := json.Marshal(string(bytes.ToValidUTF8(text[:min(len(text), most)], []byte("\uFFFD"))))
	if err != nil { // there is none for a string
		return append(dst, `""`...)
	}
	return append(dst, quoted...)
}
