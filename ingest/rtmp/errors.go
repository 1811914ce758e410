package rtmp

import "errors"

// ErrProtocol is wrapped by every error that says what the peer did wrong.
var ErrProtocol = errors.New("protocol violation")

// ErrLimit is wrapped by every error that says which limit the peer went over.
var ErrLimit = errors.New("limit exceeded")

type violation struct {
	kind error
	text string
}

func (v *violation) Error() string { return v.text }
func (v *violation) Unwrap() error { return v.kind }

func protocolError(text string) error { return &violation{ErrProtocol, text} }
func limitError(text string) error    { return &violation{ErrLimit, text} }
