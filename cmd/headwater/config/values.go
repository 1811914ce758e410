package config

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"headwater/origin/peer"
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

// Bitrate is a number of bits a second.
type Bitrate int64

// Bit rates as they may be written: powers of ten.
const (
	Kilobit Bitrate = 1000
	Megabit Bitrate = 1000 * Kilobit
	Gigabit Bitrate = 1000 * Megabit
)

// bitrateUnits is ordered as sizeUnits is.
var bitrateUnits = []struct {
	suffix string
	rate   Bitrate
}{
	{"Gbit/s", Gigabit}, {"Mbit/s", Megabit}, {"kbit/s", Kilobit},
	{"Gbps", Gigabit}, {"Mbps", Megabit}, {"kbps", Kilobit},
	{"bit/s", 1}, {"bps", 1},
}

// ParseBitrate reads a whole number and its unit: 60Mbit/s, 800kbit/s, or with
// bps. Without a unit the number counts bits a second.
func ParseBitrate(s string) (Bitrate, error) {
	digits, unit := s, Bitrate(1)
	for _, u := range bitrateUnits {
		if head, ok := strings.CutSuffix(s, u.suffix); ok {
			digits, unit = strings.TrimRight(head, " "), u.rate
			break
		}
	}
	n, err := strconv.ParseUint(digits, 10, 63)
	if err != nil || n > math.MaxInt64/uint64(unit) {
		return 0, fmt.Errorf("%q is not a bit rate such as 60Mbit/s or 800kbit/s", s)
	}
	return Bitrate(n) * unit, nil
}

// String returns the rate in the largest unit that leaves a whole number.
func (b Bitrate) String() string {
	for _, u := range bitrateUnits {
		if b != 0 && b%u.rate == 0 {
			return strconv.FormatInt(int64(b/u.rate), 10) + u.suffix
		}
	}
	return "0bit/s"
}

// parseNetworks reads addresses and networks with commas between them.
func parseNetworks(s string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' }) {
		n, err := peer.ParseNetwork(text)
		if err != nil {
			return nil, err
		}
		all = append(all, n)
	}
	return all, nil
}
