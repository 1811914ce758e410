package admin

import (
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"slices"
	"strings"
)

// maxBody bounds the body of a request.
const maxBody = 1 << 20

// api answers below /api/v1.
type api struct {
	config Config
	log    *slog.Logger
	events subscriptions
}

// operations are the methods of one path.
type operations map[string]func(w http.ResponseWriter, r *http.Request) error

// paths are what the API has; openapi.json describes each of them.
func (a *api) paths() map[string]operations {
	return map[string]operations{
		"/api/v1/openapi.json":                 {"GET": a.document},
		"/api/v1/server":                       {"GET": a.server},
		"/api/v1/streams":                      {"GET": a.streams},
		"/api/v1/streams/{app}/{name}":         {"GET": a.stream, "DELETE": a.kick},
		"/api/v1/streams/{app}/{name}/history": {"GET": a.history},
		"/api/v1/streams/{app}/{name}/checkup": {"GET": a.checkup},
		"/api/v1/streams/{app}/{name}/twin":    {"GET": a.twin},
		"/api/v1/publishers":                   {"GET": a.publishers},
		"/api/v1/viewers":                      {"GET": a.viewers},
		"/api/v1/viewers/{id}":                 {"DELETE": a.kickViewer},
		"/api/v1/relays":                       {"GET": a.relays},
		"/api/v1/keys":                         {"GET": a.keys, "POST": a.createKey},
		"/api/v1/keys/{id}":                    {"DELETE": a.revokeKey},
		"/api/v1/reload":                       {"POST": a.reload},
		"/api/v1/events":                       {"GET": a.changes},
	}
}

// register adds the API to a mux.
func (a *api) register(mux *http.ServeMux) {
	for path, ops := range a.paths() {
		mux.HandleFunc(path, a.handle(ops))
	}
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		answerProblem(w, a.log, r, NewProblem(http.StatusNotFound, "no such path; /api/v1/openapi.json lists them"))
	})
}

// crossOrigin refuses what a page of another site sends: without a token nothing
// else would stop it from changing things on its visitor's own machine.
var crossOrigin = http.NewCrossOriginProtection()

func (a *api) handle(ops operations) http.HandlerFunc {
	allowed := []string{"OPTIONS"}
	for method := range ops {
		allowed = append(allowed, method)
	}
	if ops["GET"] != nil {
		allowed = append(allowed, "HEAD")
	}
	slices.Sort(allowed)
	return func(w http.ResponseWriter, r *http.Request) {
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		serve := ops[method]
		var err error
		switch {
		case method == http.MethodOptions:
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			w.WriteHeader(http.StatusNoContent)
			return
		case serve == nil:
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			err = NewProblem(http.StatusMethodNotAllowed, "only %s here", strings.Join(allowed, ", "))
		default:
			if err = acceptable(w, r); err == nil {
				err = serve(w, r)
			}
		}
		if err != nil {
			answerProblem(w, a.log, r, err)
		}
	}
}

// acceptable refuses requests that change things and are not plainly meant to.
func acceptable(w http.ResponseWriter, r *http.Request) error {
	if err := crossOrigin.Check(r); err != nil {
		return NewProblem(http.StatusForbidden, "the request comes from a page of another origin")
	}
	if r.Header.Get("Content-Encoding") != "" {
		return NewProblem(http.StatusUnsupportedMediaType, "bodies are taken as they are, without Content-Encoding")
	}
	if r.ContentLength != 0 && r.Method != http.MethodGet && r.Method != http.MethodHead {
		if kind, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || kind != "application/json" {
			return NewProblem(http.StatusUnsupportedMediaType, "a body has to be application/json")
		}
	}
	if r.ContentLength > maxBody {
		return NewProblem(http.StatusRequestEntityTooLarge, "a body has at most %d bytes", maxBody)
	}
	r.Body = http.MaxBytesReader(w, r.Body, maxBody)
	return nil
}

// readJSON reads a body that is one JSON object, without members that v has not.
func readJSON(r *http.Request, v any) error {
	d := json.NewDecoder(r.Body)
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		if _, err = d.Token(); errors.Is(err, io.EOF) {
			return nil
		}
		err = errors.New("something follows the object")
	}
	if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
		return NewProblem(http.StatusRequestEntityTooLarge, "a body has at most %d bytes", maxBody)
	}
	if errors.Is(err, io.EOF) {
		err = errors.New("there is none")
	}
	return NewProblem(http.StatusBadRequest, "the body cannot be read: %v", err)
}
