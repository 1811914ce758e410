package remux

import (
	"fmt"
	"strings"
)

// Name is a stream's public name: what is published to rtmp://HOST/APP/NAME is
// played from /APP/NAME.m3u8 and its like.
type Name struct {
	App, Stream string
}

// maxNameLength bounds each half of a Name.
const maxNameLength = 128

// ParseName checks both halves of a name. Each is 1–128 characters of
// A–Z a–z 0–9 . _ ~ - and neither "." nor "..", so that a name is safe in a
// URL, a file name, a log line and a metric label without any escaping. Nothing
// that came from outside becomes a map key before it has passed here.
func ParseName(app, stream string) (Name, error) {
	if err := checkName(app); err != nil {
		return Name{}, fmt.Errorf("application name: %w", err)
	}
	if err := checkName(stream); err != nil {
		return Name{}, fmt.Errorf("stream name: %w", err)
	}
	return Name{App: app, Stream: stream}, nil
}

func checkName(s string) error {
	switch {
	case s == "":
		return fmt.Errorf("is empty")
	case len(s) > maxNameLength:
		return fmt.Errorf("is longer than %d characters", maxNameLength)
	case s == "." || s == "..":
		return fmt.Errorf("%q is not a name", s)
	}
	for _, c := range s {
		if c > 0x7f || !isNameByte(byte(c)) {
			return fmt.Errorf("holds %q; only A-Z a-z 0-9 . _ ~ - are allowed", c)
		}
	}
	return nil
}

func isNameByte(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("._~-", c) >= 0
}

// String returns APP/NAME.
func (n Name) String() string { return n.App + "/" + n.Stream }
