package admin

import (
	_ "embed"
	"net/http"
)

// openAPI describes the API (OpenAPI 3.1). A test holds it against the paths and
// against real answers.
//
//go:embed openapi.json
var openAPI []byte

func (a *api) document(w http.ResponseWriter, r *http.Request) error {
	w.Header().Set("Content-Type", "application/json")
	if r.Method != http.MethodHead {
		_, _ = w.Write(openAPI) // the client may have left: nobody to tell
	}
	return nil
}
