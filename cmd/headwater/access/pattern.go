package access

import (
	"strings"

	"headwater/remux"
)

// everything matches every name.
var everything, _ = remux.ParsePattern("*/*")

// parsePublicName reads APP/NAME, or NAME alone, which then stays in app.
func parsePublicName(s, app string) (remux.Name, error) {
	if first, rest, ok := strings.Cut(s, "/"); ok {
		app, s = first, rest
	}
	return remux.ParseName(app, s)
}
