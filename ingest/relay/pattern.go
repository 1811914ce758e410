package relay

import (
	"errors"
	"path"
	"strings"

	"headwater/remux"
)

// pattern is APP/NAME, where * stands for any run of characters within its half.
type pattern struct{ text string }

func parsePattern(s string) (pattern, error) {
	app, name, ok := strings.Cut(strings.ReplaceAll(s, "*", "x"), "/")
	if !ok {
		return pattern{}, errors.New("name: is neither APP/NAME nor a pattern such as live/*")
	}
	if _, err := remux.ParseName(app, name); err != nil {
		return pattern{}, err
	}
	return pattern{s}, nil
}

// match reports whether a name fits.
func (p pattern) match(n remux.Name) bool {
	// No character of a pattern but the star means anything to path.Match.
	ok, err := path.Match(p.text, n.String())
	return ok && err == nil
}

// single reports whether only one name fits.
func (p pattern) single() bool { return !strings.Contains(p.text, "*") }

// name returns the name that fits, if it is single.
func (p pattern) name() remux.Name {
	app, stream, _ := strings.Cut(p.text, "/")
	return remux.Name{App: app, Stream: stream}
}
