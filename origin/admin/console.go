package admin

import (
	_ "embed"
	"io/fs"
	"net/http"
	"strings"
)

// The console's files carry no secret and answer without the token: the page asks for
// it and sends it to the API.

// consolePolicy lets the page run its own scripts and nothing else (CSP level 3). It
// plays streams from the public listener, whose address only its user knows.
const consolePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; " +
	"connect-src 'self' http: https: ws: wss:; media-src 'self' blob: http: https:; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"

// unbuilt is what there is to see without the console.
//
//go:embed page.html
var unbuilt []byte

// registerConsole adds the console's files to a mux, or a plain page where the binary
// was built without them.
func (a *api) registerConsole(mux *http.ServeMux, files fs.FS) {
	if _, err := fs.Stat(files, "index.html"); err != nil {
		mux.Handle("GET /{$}", a.meantForUs(servePlain))
		return
	}
	_ = fs.WalkDir(files, ".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || strings.HasPrefix(d.Name(), ".") {
			return err
		}
		pattern := "GET /" + path
		if path == "index.html" {
			pattern = "GET /{$}"
		}
		mux.Handle(pattern, a.meantForUs(serveFile(files, path)))
		return nil
	})
}

// serveFile answers with one of the console's files. What Vite put into assets has a
// hash in its name.
func serveFile(files fs.FS, path string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Security-Policy", consolePolicy)
		w.Header().Set("Referrer-Policy", "no-referrer")
		if strings.HasPrefix(path, "assets/") {
			w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		}
		body, err := fs.ReadFile(files, path)
		if err != nil {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Type", contentType(path))
		_, _ = w.Write(body) // the client may have left: nobody to tell
	}
}

// contentType does not depend on what the machine knows of types.
func contentType(path string) string {
	switch path[strings.LastIndexByte(path, '.')+1:] {
	case "html":
		return "text/html; charset=utf-8"
	case "js":
		return "text/javascript; charset=utf-8"
	case "css":
		return "text/css; charset=utf-8"
	case "md":
		return "text/plain; charset=utf-8"
	case "svg":
		return "image/svg+xml"
	default:
		return "application/octet-stream"
	}
}

func servePlain(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/html; charset=utf-8")
	_, _ = w.Write(unbuilt) // likewise
}

// meantForUs asks for no token, but otherwise does as guard.
func (a *api) meantForUs(next http.HandlerFunc) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if a.config.Token() == "" && !localHost(r.Host) {
			a.refuseHost(w, r)
			return
		}
		next(w, r)
	})
}

// refuseHost answers a request that was lured here by a name (DNS rebinding).
func (a *api) refuseHost(w http.ResponseWriter, r *http.Request) {
	answerProblem(w, a.log, r, NewProblem(http.StatusMisdirectedRequest, "this listener answers to localhost and IP addresses only"))
}
