package config

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// Size is a number of bytes.
type Size int64

// Sizes as they may be written: powers of ten, and powers of two with an i.
const (
	Kilobyte Size = 1000
	Megabyte Size = 1000 * Kilobyte
	Gigabyte Size = 1000 * Megabyte
	Kibibyte Size = 1 << 10
	Mebibyte Size = 1 << 20
	Gibibyte Size = 1 << 30
)

// sizeUnits is ordered so that the largest unit that fits is found first and no
// unit hides behind the end of another.
var sizeUnits = []struct {
	suffix string
	size   Size
}{
	{"GiB", Gibibyte}, {"GB", Gigabyte},
	{"MiB", Mebibyte}, {"MB", Megabyte},
	{"KiB", Kibibyte}, {"KB", Kilobyte}, {"kB", Kilobyte},
	{"B", 1},
}

// ParseSize reads a whole number and its unit: 256MB, 64KiB. Without a unit the
// number counts bytes.
func ParseSize(s string) (Size, error) {
	digits, unit := s, Size(1)
	for _, u := range sizeUnits {
		if head, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, unit = strings.TrimRight(head, " "), u.size
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64/uint64(unit) {
		return 0, fmt.Errorf("%q is not a size such as 256MB or 64KiB", s)
	}
	return Size(n) * unit, nil
}

// String returns the size in the largest unit that leaves a whole number.
func (s Size) String() string {
	for _, u := range sizeUnits {
		if s != 0 && s%u.size == 0 {
			return strconv.FormatInt(int64(s/u.size), 10) + u.suffix
		}
	}
	return "0B"
}

// Secret is a value that no log, error or dump shows. Convert it to a string
// where it is compared, nowhere else.
type Secret string

// String hides the value.
func (s Secret) String() string {
	if s == "" {
		return ""
	}
	return "(secret)"
}

// GoString hides the value from %#v.
func (s Secret) GoString() string { return strconv.Quote(s.String()) }

// MarshalText hides the value from JSON and from structured logs.
func (s Secret) MarshalText() ([]byte, error) { return []byte(s.String()), nil }
