package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
)

// Problem is an error as its client sees it (RFC 9457). Its type is about:blank: the
// status says what kind it is, and the detail is for people.
type Problem struct {
	Type   string `json:"type"`
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
}

func (p *Problem) Error() string { return p.Detail }

// NewProblem returns a problem with a status; the detail is shown to the client.
func NewProblem(status int, detail string, args ...any) *Problem {
	if len(args) > 0 {
		detail = fmt.Sprintf(detail, args...)
	}
	return &Problem{"about:blank", http.StatusText(status), status, detail}
}

// answerProblem answers with an error. What is no Problem is ours, and the client
// learns no more of it.
func answerProblem(w http.ResponseWriter, log *slog.Logger, r *http.Request, err error) {
	p, ok := errors.AsType[*Problem](err)
	if !ok {
		log.Error("request failed", "method", r.Method, "path", r.URL.Path, "error", err)
		p = NewProblem(http.StatusInternalServerError, "internal error; the server's log says more")
	}
	body, err := json.Marshal(p)
	if err != nil { // there are only strings in it
		body = []byte(`{}`)
	}
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(p.Status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n')) // the client may have left: nobody to tell
	}
}

// answerJSON answers with a value.
func answerJSON(w http.ResponseWriter, r *http.Request, status int, v any) error {
	body, err := json.Marshal(v)
	if err != nil {
		return fmt.Errorf("encode answer: %w", err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(append(body, '\n')) // likewise
	}
	return nil
}
