package access

import "fmt"

// Kind says what a refused publisher or player can do about it.
type Kind string

// The kinds of a Refusal.
const (
	Denied   Kind = "denied"   // the right to it was not shown
	Rejected Kind = "rejected" // it may be tried again another time
	BadName  Kind = "bad_name" // the name cannot be published
)

// A Refusal is every error of Publish and Play. None of its texts holds a
// secret.
type Refusal struct {
	Kind   Kind
	Text   string // for the user of the encoder
	Detail string // for the operator's log; may be empty
	Name   string // what was asked for, for the log; what may be a secret is a fingerprint
}

// Error returns the text for the user.
func (r *Refusal) Error() string { return r.Text }

// maxDetail bounds what a log line says of another server's answer.
const maxDetail = 300

func denied(text string) *Refusal { return &Refusal{Kind: Denied, Text: text} }

func rejected(text, detail string, args ...any) *Refusal {
	return &Refusal{Kind: Rejected, Text: text, Detail: printable(fmt.Sprintf(detail, args...), maxDetail)}
}
