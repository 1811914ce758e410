package ingest

import (
	"time"

	"headwater/remux"
)

// Grant is the permission to publish.
type Grant struct {
	Name   remux.Name // the public one: registry and logs know no other
	Key    string     // the id of the secret that was shown, for logs; "": none
	Proved bool       // a secret or somebody who was asked spoke for the publisher
	// Done is told once when the publication has ended, also if it never began. It
	// must not wait. nil: nobody is told.
	Done func(End)
}

// End is how a publication ended.
type End struct {
	Reason   Reason
	Bytes    uint64 // of media taken in
	Duration time.Duration
}

func (g Grant) done(e End) {
	if g.Done != nil {
		g.Done(e)
	}
}
