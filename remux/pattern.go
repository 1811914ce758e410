package remux

import (
	"errors"
	"path"
	"strings"
)

// Pattern is APP/NAME, where * stands for any run of characters within its
// half: live/show, live/*, */cam-*. The zero value matches nothing.
type Pattern struct{ text string }

// ErrPattern says that there are no two halves.
var ErrPattern = errors.New("is neither APP/NAME nor a pattern such as live/*")

// ParsePattern checks a pattern. Its halves are names as streams have them, but
// for the stars; else it fails with ErrPattern or ParseName's error.
func ParsePattern(s string) (Pattern, error) {
	app, name, ok := strings.Cut(strings.ReplaceAll(s, "*", "x"), "/")
	if !ok {
		return Pattern{}, ErrPattern
	}
	if _, err := ParseName(app, name); err != nil {
		return Pattern{}, err
	}
	return Pattern{s}, nil
}

// Match reports whether app/name fits.
func (p Pattern) Match(app, name string) bool {
	// No character of a pattern but the star means anything to path.Match.
	ok, err := path.Match(p.text, app+"/"+name)
	return ok && err == nil && p.text != ""
}

// Halves returns both halves as they were written. A pattern that Match finds
// them to fit allows all that this one does: only a star takes a star.
func (p Pattern) Halves() (app, name string) {
	app, name, _ = strings.Cut(p.text, "/")
	return app, name
}

// Single returns the one name that fits, if the pattern has no star.
func (p Pattern) Single() (Name, bool) {
	app, name := p.Halves()
	return Name{app, name}, p.text != "" && !strings.Contains(p.text, "*")
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }
