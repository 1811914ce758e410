// Package amf reads AMF 0, the values that FLV's script data is made of. What it
// reads comes from anybody: nothing is built from it here, and how deep and how many
// its values are is bounded.
package amf

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

// AMF 0 type markers (AMF 0, 2.1).
const (
	markerNumber      = 0x00
	markerBoolean     = 0x01
	markerString      = 0x02
	markerObject      = 0x03
	markerNull        = 0x05
	markerUndefined   = 0x06
	markerECMAArray   = 0x08
	markerObjectEnd   = 0x09
	markerStrictArray = 0x0a
	markerDate        = 0x0b
	markerLongString  = 0x0c
	markerUnsupported = 0x0d
	markerXML         = 0x0f
	markerTypedObject = 0x10
)

var (
	errCut    = errors.New("AMF value is cut")
	errMarker = errors.New("unknown AMF marker")
	errDepth  = errors.New("AMF values nested too deep")
	errValues = errors.New("too many AMF values")
)

// A Visitor is told of what a Reader reads, in order. Names are nil in front of a
// value that is no member; elements of a list have their numbers, from 0. No slice
// may be kept.
type Visitor interface {
	Begin(name []byte, list bool) // an object or a list; what follows is in it, up to its End
	End(list bool)
	// Scalar is a value that is no container. An error ends the reading.
	Scalar(name []byte, s Scalar) error
}

// Scalar is a value as text: numbers as JavaScript writes them, a date as its
// milliseconds since 1970, booleans as true and false; nothing for null.
type Scalar struct {
	Type Type
	Text []byte
}

// Type says what a Scalar is.
type Type uint8

const (
	Null Type = iota // or undefined, or what has no use here
	Boolean
	Number // also a date
	String
)

// Reader takes values from the front of Rest.
type Reader struct {
	Rest      []byte
	MaxDepth  int // of values within values
	MaxValues int // in all

	values int
}

// Value reads one value. Behind an error what was read before it stands, and no End
// is told of what was open.
func (r *Reader) Value(v Visitor) error { return r.value(v, nil, 0) }

// take returns the next n bytes.
func (r *Reader) take(n int) ([]byte, error) {
	if n > len(r.Rest) {
		return nil, errCut
	}
	b := r.Rest[:n]
	r.Rest = r.Rest[n:]
	return b, nil
}

// text returns the next string, whose length is in front of it in size bytes.
func (r *Reader) text(size int) ([]byte, error) {
	b, err := r.take(size)
	if err != nil {
		return nil, err
	}
	var n uint32
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	if n > uint32(len(r.Rest)) {
		return nil, errCut
	}
	return r.take(int(n))
}

func (r *Reader) value(v Visitor, name []byte, depth int) error {
	marker, err := r.take(1)
	if err != nil {
		return err
	}
	if r.values++; r.values > r.MaxValues {
		return errValues
	}
	if depth > r.MaxDepth {
		return errDepth
	}
	switch marker[0] {
	case markerTypedObject:
		if _, err := r.text(2); err != nil { // class name
			return err
		}
		return r.object(v, name, depth)
	case markerECMAArray:
		if _, err := r.take(4); err != nil { // the count is a hint (2.10)
			return err
		}
		return r.object(v, name, depth)
	case markerObject:
		return r.object(v, name, depth)
	case markerStrictArray:
		return r.array(v, name, depth)
	}
	s, err := r.scalar(marker[0])
	if err != nil {
		return err
	}
	return v.Scalar(name, s)
}

func (r *Reader) scalar(marker byte) (s Scalar, err error) {
	switch marker {
	case markerNull, markerUndefined, markerUnsupported:
	case markerString:
		s.Type = String
		s.Text, err = r.text(2)
	case markerLongString, markerXML:
		s.Type = String
		s.Text, err = r.text(4)
	case markerBoolean:
		var b []byte
		if b, err = r.take(1); err == nil {
			s = Scalar{Boolean, strconv.AppendBool(nil, b[0] != 0)}
		}
	case markerNumber, markerDate:
		var b []byte
		if b, err = r.take(8); err == nil {
			s = Scalar{Number, number(math.Float64frombits(binary.BigEndian.Uint64(b)))}
		}
		if err == nil && marker == markerDate {
			_, err = r.take(2) // time zone, reserved (2.13)
		}
	default:
		err = errMarker
	}
	return s, err
}

// number writes a number as JavaScript does, near enough: without an exponent
// where that is not too long.
func number(f float64) []byte {
	if a := math.Abs(f); a != 0 && (a < 1e-6 || a >= 1e21) {
		return strconv.AppendFloat(nil, f, 'g', -1, 64)
	}
	return strconv.AppendFloat(nil, f, 'f', -1, 64)
}

// object reads members up to the object end. The end of the message is one too,
// with or without the empty name that is part of it.
func (r *Reader) object(v Visitor, name []byte, depth int) error {
	v.Begin(name, false)
	for len(r.Rest) > 0 {
		member, err := r.text(2)
		if err != nil {
			return err
		}
		if len(member) == 0 && (len(r.Rest) == 0 || r.Rest[0] == markerObjectEnd) {
			r.Rest = r.Rest[min(1, len(r.Rest)):]
			break
		}
		if err := r.value(v, member, depth+1); err != nil {
			return err
		}
	}
	v.End(false)
	return nil
}

func (r *Reader) array(v Visitor, name []byte, depth int) error {
	b, err := r.take(4)
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(b)
	if n > uint32(len(r.Rest)) { // a value has at least one byte
		return errCut
	}
	v.Begin(name, true)
	for i := range int(n) {
		if err := r.value(v, strconv.AppendInt(nil, int64(i), 10), depth+1); err != nil {
			return err
		}
	}
	v.End(true)
	return nil
}
