package access

import (
	"errors"
	"path"
	"strings"

	"headwater/remux"
)

// Pattern is APP/NAME, where * stands for any run of characters within its
// half: live/show, live/*, */cam-*. The zero value matches nothing.
type Pattern struct{ text string }

// everything matches every name.
var everything = Pattern{"*/*"}

// ParsePattern checks a pattern. Its halves are names as streams have them, but
// for the stars.
func ParsePattern(s string) (Pattern, error) {
	app, name, ok := strings.Cut(strings.ReplaceAll(s, "*", "x"), "/")
	if !ok {
		return Pattern{}, errors.New("is neither APP/NAME nor a pattern such as live/*")
	}
	if _, err := remux.ParseName(app, name); err != nil {
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

// halves returns both halves as they were written. A pattern that Match finds
// them to fit allows all that this one does: only a star takes a star.
func (p Pattern) halves() (app, name string) {
	app, name, _ = strings.Cut(p.text, "/")
	return app, name
}

// String returns the pattern as it was written.
func (p Pattern) String() string { return p.text }

// parsePublicName reads APP/NAME, or NAME alone, which then stays in app.
func parsePublicName(s, app string) (remux.Name, error) {
	if first, rest, ok := strings.Cut(s, "/"); ok {
		app, s = first, rest
	}
	return remux.ParseName(app, s)
}
