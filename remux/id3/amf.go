package id3

import (
	"encoding/binary"
	"errors"
	"math"
	"strconv"
)

// Bounds of what is read; no cue point comes near them. What is read is never
// longer than MaxSize.
const (
	maxDepth  = 8
	maxValues = 512
)

// AMF 0 type markers (AMF 0, 2.1).
const (
	amfNumber      = 0x00
	amfBoolean     = 0x01
	amfString      = 0x02
	amfObject      = 0x03
	amfNull        = 0x05
	amfUndefined   = 0x06
	amfECMAArray   = 0x08
	amfObjectEnd   = 0x09
	amfStrictArray = 0x0a
	amfDate        = 0x0b
	amfLongString  = 0x0c
	amfUnsupported = 0x0d
	amfXML         = 0x0f
	amfTypedObject = 0x10
)

var (
	errCut    = errors.New("AMF value is cut")
	errMarker = errors.New("unknown AMF marker")
	errDepth  = errors.New("AMF values nested too deep")
	errValues = errors.New("too many AMF values")
)

// reader takes AMF 0 values from the front of rest and adds what they say to tag.
// Nothing is built in between.
type reader struct {
	rest   []byte
	path   []byte // to the value that is read
	values int    // read so far
	tag    tag
}

// take returns the next n bytes.
func (r *reader) take(n int) ([]byte, error) {
	if n > len(r.rest) {
		return nil, errCut
	}
	b := r.rest[:n]
	r.rest = r.rest[n:]
	return b, nil
}

// text returns the next string, whose length is in front of it in size bytes.
func (r *reader) text(size int) ([]byte, error) {
	b, err := r.take(size)
	if err != nil {
		return nil, err
	}
	var n uint32
	for _, c := range b {
		n = n<<8 | uint32(c)
	}
	if n > uint32(len(r.rest)) {
		return nil, errCut
	}
	return r.take(int(n))
}

func (r *reader) value(depth int) error {
	marker, err := r.take(1)
	if err != nil {
		return err
	}
	if r.values++; r.values > maxValues {
		return errValues
	}
	if depth > maxDepth {
		return errDepth
	}
	switch marker[0] {
	case amfNull, amfUndefined, amfUnsupported:
		return nil
	case amfTypedObject:
		if _, err := r.text(2); err != nil { // class name
			return err
		}
		return r.object(depth)
	case amfECMAArray:
		if _, err := r.take(4); err != nil { // the count is a hint (2.10)
			return err
		}
		return r.object(depth)
	case amfObject:
		return r.object(depth)
	case amfStrictArray:
		return r.array(depth)
	}
	text, err := r.scalar(marker[0])
	if err != nil {
		return err
	}
	return r.tag.add(r.path, text)
}

// scalar reads a value that is no container, as text.
func (r *reader) scalar(marker byte) ([]byte, error) {
	switch marker {
	case amfString:
		return r.text(2)
	case amfLongString, amfXML:
		return r.text(4)
	case amfBoolean:
		b, err := r.take(1)
		if err != nil {
			return nil, err
		}
		return strconv.AppendBool(nil, b[0] != 0), nil
	case amfNumber, amfDate:
		b, err := r.take(8)
		if err == nil && marker == amfDate {
			_, err = r.take(2) // time zone, reserved (2.13)
		}
		if err != nil {
			return nil, err
		}
		return number(math.Float64frombits(binary.BigEndian.Uint64(b))), nil
	}
	return nil, errMarker
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
func (r *reader) object(depth int) error {
	for len(r.rest) > 0 {
		name, err := r.text(2)
		if err != nil {
			return err
		}
		if len(name) == 0 && (len(r.rest) == 0 || r.rest[0] == amfObjectEnd) {
			r.rest = r.rest[min(1, len(r.rest)):]
			return nil
		}
		if err := r.member(name, depth); err != nil {
			return err
		}
	}
	return nil
}

func (r *reader) array(depth int) error {
	b, err := r.take(4)
	if err != nil {
		return err
	}
	n := binary.BigEndian.Uint32(b)
	if n > uint32(len(r.rest)) { // a value has at least one byte
		return errCut
	}
	for i := range int(n) {
		if err := r.member(strconv.AppendInt(nil, int64(i), 10), depth); err != nil {
			return err
		}
	}
	return nil
}

// member reads a value of that name.
func (r *reader) member(name []byte, depth int) error {
	whole := len(r.path)
	r.path = append(append(r.path, '.'), name...)
	err := r.value(depth + 1)
	r.path = r.path[:whole]
	return err
}
