// Package console holds the web page of the admin listener, as scripts/console builds
// it from src into dist. It has no logic of its own: everything that the page shows
// comes from the API, and origin/admin serves it.
//
// dist is not kept in git but for the folder itself, so that Go alone builds the
// server, then without the page.
package console

import (
	"embed"
	"io/fs"
)

//go:embed all:dist
var dist embed.FS

// Files returns the page's files, index.html among them; none where it has not been
// built.
func Files() fs.FS {
	files, err := fs.Sub(dist, "dist")
	if err != nil {
		return embed.FS{} // the name is a valid one
	}
	return files
}
