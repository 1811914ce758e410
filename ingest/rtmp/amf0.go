package rtmp

import (
	"encoding/binary"
	"math"
	"strings"
)

// Bounds of what is decoded: no encoder comes near them.
const (
	maxAMFDepth  = 16
	maxAMFValues = 1000
	maxAMFString = 8 << 10
)

// AMF 0 type markers (AMF 0, 2.1).
const (
	amfNumber      = 0x00
	amfBoolean     = 0x01
	amfString      = 0x02
	amfObject      = 0x03
	amfNull        = 0x05
	amfUndefined   = 0x06
	amfReference   = 0x07
	amfECMAArray   = 0x08
	amfObjectEnd   = 0x09
	amfStrictArray = 0x0a
	amfDate        = 0x0b
	amfLongString  = 0x0c
	amfUnsupported = 0x0d
	amfXML         = 0x0f
	amfTypedObject = 0x10
)

// Object is an AMF object in the order in which its members came. An ECMA array
// is one too.
type Object []Member

// Member is one named value of an Object.
type Member struct {
	Name  string
	Value any
}

// Get returns the first member of that name, or nil.
func (o Object) Get(name string) any {
	for _, m := range o {
		if m.Name == name {
			return m.Value
		}
	}
	return nil
}

// String returns the member of that name if it is a string, and else "".
func (o Object) String(name string) string {
	s, _ := o.Get(name).(string)
	return s
}

// Array is an AMF strict array.
type Array []any

// Undefined is AMF's undefined; null is nil. Values without a use here
// (references, unsupported) are Undefined too.
type Undefined struct{}

// DecodeAMF decodes the AMF 0 values in b: float64, bool, string, nil, Undefined,
// Object and Array; a date is the number of its milliseconds. It stops quietly
// where the bytes end or make no sense, since every value of a command but its
// name is optional; of an object that is cut it keeps what came before. It fails with ErrLimit only if b is built to exhaust the
// reader.
func DecodeAMF(b []byte) ([]any, error) {
	d := amfDecoder{b: b, limit: maxAMFValues}
	return d.values()
}

// harmless reports whether b is not built to exhaust whoever decodes it: script
// data goes to players as it is, and may hold long lists but not deep ones.
func harmless(b []byte) bool {
	d := amfDecoder{b: b, limit: len(b)}
	_, err := d.values()
	return err == nil
}

// values decodes all of b.
func (d *amfDecoder) values() ([]any, error) {
	var values []any
	for len(d.b) > 0 {
		v := d.value(0)
		if d.err != nil {
			return values, d.err
		}
		if o, ok := v.(Object); d.stop && (!ok || len(o) == 0) {
			break
		}
		values = append(values, v)
		if d.stop {
			break
		}
	}
	return values, nil
}

// amfDecoder takes values from the front of b until something stops it.
type amfDecoder struct {
	b     []byte
	limit int   // of count
	count int   // values so far
	stop  bool  // the bytes ended, or make no sense
	err   error // they are hostile
}

func (d *amfDecoder) done() bool { return d.stop || d.err != nil }

// take returns the next n bytes, or nil if there are not so many.
func (d *amfDecoder) take(n int) []byte {
	if d.done() || n > len(d.b) {
		d.stop = true
		return nil
	}
	b := d.b[:n]
	d.b = d.b[n:]
	return b
}

func (d *amfDecoder) uint(n int) (v int) {
	for _, c := range d.take(n) {
		v = v<<8 | int(c)
	}
	return v
}

func (d *amfDecoder) number() float64 {
	b := d.take(8)
	if b == nil {
		return 0
	}
	return math.Float64frombits(binary.BigEndian.Uint64(b))
}

// string reads n bytes of text, and cuts what is too long.
func (d *amfDecoder) string(n int) string {
	b := d.take(n)
	return strings.ToValidUTF8(string(b[:min(len(b), maxAMFString)]), "\uFFFD")
}

func (d *amfDecoder) value(depth int) any {
	marker := d.take(1)
	if marker == nil {
		return nil
	}
	if d.count++; d.count > d.limit {
		d.err = limitError("too many AMF values")
		return nil
	}
	if depth > maxAMFDepth {
		d.err = limitError("AMF values nested too deep")
		return nil
	}
	switch marker[0] {
	case amfNumber:
		return d.number()
	case amfBoolean:
		return d.uint(1) != 0
	case amfString:
		return d.string(d.uint(2))
	case amfLongString, amfXML:
		return d.string(d.uint(4))
	case amfNull:
		return nil
	case amfUndefined, amfUnsupported:
		return Undefined{}
	case amfReference:
		d.take(2)
		return Undefined{}
	case amfDate:
		ms := d.number()
		d.take(2) // time zone, reserved
		return ms
	case amfObject:
		return d.object(depth)
	case amfTypedObject:
		d.string(d.uint(2)) // class name
		return d.object(depth)
	case amfECMAArray:
		d.take(4) // the count is a hint (AMF 0, 2.10)
		return d.object(depth)
	case amfStrictArray:
		return d.array(depth)
	}
	d.stop = true
	return nil
}

// object reads members up to the object end. What came before a cut is kept.
func (d *amfDecoder) object(depth int) Object {
	o := Object{}
	for !d.done() {
		name := d.string(d.uint(2))
		if d.done() {
			break
		}
		if name == "" && len(d.b) > 0 && d.b[0] == amfObjectEnd {
			d.take(1)
			break
		}
		v := d.value(depth + 1)
		if d.done() {
			break
		}
		o = append(o, Member{name, v})
	}
	return o
}

func (d *amfDecoder) array(depth int) Array {
	n := d.uint(4)
	if n > len(d.b) { // a value has at least one byte
		d.err = limitError("AMF array longer than its message")
		return nil
	}
	a := Array{}
	for range n {
		v := d.value(depth + 1)
		if d.done() {
			break
		}
		a = append(a, v)
	}
	return a
}

// AppendAMF appends values as AMF 0. It takes what DecodeAMF returns, and int.
// A value of any other type becomes undefined.
func AppendAMF(dst []byte, values ...any) []byte {
	for _, v := range values {
		dst = appendValue(dst, v)
	}
	return dst
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, amfNull)
	case float64:
		return binary.BigEndian.AppendUint64(append(dst, amfNumber), math.Float64bits(v))
	case int:
		return appendValue(dst, float64(v))
	case bool:
		if v {
			return append(dst, amfBoolean, 1)
		}
		return append(dst, amfBoolean, 0)
	case string:
		if len(v) > math.MaxUint16 {
			dst = binary.BigEndian.AppendUint32(append(dst, amfLongString), uint32(len(v)))
			return append(dst, v...)
		}
		return appendName(append(dst, amfString), v)
	case Object:
		dst = append(dst, amfObject)
		for _, m := range v {
			dst = appendValue(appendName(dst, m.Name), m.Value)
		}
		return append(dst, 0, 0, amfObjectEnd)
	case Array:
		dst = binary.BigEndian.AppendUint32(append(dst, amfStrictArray), uint32(len(v)))
		return AppendAMF(dst, v...)
	}
	return append(dst, amfUndefined)
}

// appendName appends a string without its marker, cut at what 16 bits can state.
func appendName(dst []byte, s string) []byte {
	s = s[:min(len(s), math.MaxUint16)]
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}
