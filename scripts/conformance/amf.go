package conformance

import (
	"encoding/binary"
	"errors"
	"math"
)

// AMF 0, as much of it as a publisher needs.
const (
	amfNumber    = 0
	amfBoolean   = 1
	amfString    = 2
	amfObject    = 3
	amfNull      = 5
	amfUndefined = 6
	amfECMAArray = 8
	amfObjectEnd = 9
	amfArray     = 10
)

// amfField is a member of an object: order matters to some servers.
type amfField struct {
	key   string
	value any
}

// appendAMF appends a string, float64, bool, nil or []amfField.
func appendAMF(b []byte, value any) []byte {
	switch v := value.(type) {
	case string:
		return appendAMFKey(append(b, amfString), v)
	case float64:
		return binary.BigEndian.AppendUint64(append(b, amfNumber), math.Float64bits(v))
	case bool:
		if v {
			return append(b, amfBoolean, 1)
		}
		return append(b, amfBoolean, 0)
	case []amfField:
		b = append(b, amfObject)
		for _, f := range v {
			b = appendAMF(appendAMFKey(b, f.key), f.value)
		}
		return append(b, 0, 0, amfObjectEnd)
	}
	return append(b, amfNull)
}

func appendAMFKey(b []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(b, uint16(len(s))), s...)
}

var errAMF = errors.New("damaged AMF")

// readAMF reads one value; objects become maps.
func readAMF(b []byte) (value any, rest []byte, err error) {
	if len(b) == 0 {
		return nil, nil, errAMF
	}
	kind, b := b[0], b[1:]
	switch kind {
	case amfNumber:
		if len(b) < 8 {
			return nil, nil, errAMF
		}
		return math.Float64frombits(binary.BigEndian.Uint64(b)), b[8:], nil
	case amfBoolean:
		if len(b) < 1 {
			return nil, nil, errAMF
		}
		return b[0] != 0, b[1:], nil
	case amfString:
		return readAMFKey(b)
	case amfECMAArray:
		if len(b) < 4 {
			return nil, nil, errAMF
		}
		return readAMFObject(b[4:])
	case amfObject:
		return readAMFObject(b)
	case amfArray:
		return readAMFArray(b)
	case amfNull, amfUndefined:
		return nil, b, nil
	}
	return nil, nil, errAMF
}

func readAMFArray(b []byte) (any, []byte, error) {
	if len(b) < 4 {
		return nil, nil, errAMF
	}
	var all []any
	n, b := binary.BigEndian.Uint32(b), b[4:]
	for range n {
		v, rest, err := readAMF(b)
		if err != nil {
			return nil, nil, err
		}
		all, b = append(all, v), rest
	}
	return all, b, nil
}

func readAMFKey(b []byte) (string, []byte, error) {
	if len(b) < 2 || len(b)-2 < int(binary.BigEndian.Uint16(b)) {
		return "", nil, errAMF
	}
	n := 2 + int(binary.BigEndian.Uint16(b))
	return string(b[2:n]), b[n:], nil
}

func readAMFObject(b []byte) (any, []byte, error) {
	object := map[string]any{}
	for {
		key, rest, err := readAMFKey(b)
		if err != nil {
			return nil, nil, err
		}
		if key == "" && len(rest) > 0 && rest[0] == amfObjectEnd {
			return object, rest[1:], nil
		}
		if object[key], b, err = readAMF(rest); err != nil {
			return nil, nil, err
		}
	}
}
