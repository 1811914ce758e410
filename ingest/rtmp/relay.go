package rtmp

import (
	"context"
	"errors"
	"slices"
)

// A relay that connects to a server says where its stream has come through, and
// the server answers what it is called itself. Servers that know nothing of this
// ignore it. It is the one thing that tells a relay that it has reached the server
// where it began, whatever the names and addresses in between.
const (
	relayVia = "headwaterVia" // in connect: the ids, separated by commas
	relayID  = "headwaterId"  // in its answer
)

// ErrLoop says that a relay has reached a server that its stream comes from.
var ErrLoop = errors.New("the stream comes from there: relays go in a circle")

type viaKey struct{}

// WithVia returns a context that carries the ids of the servers that ask for
// something, one for another.
func WithVia(ctx context.Context, ids []string) context.Context {
	return context.WithValue(ctx, viaKey{}, slices.Clone(ids))
}

// Via returns what WithVia has put into ctx.
func Via(ctx context.Context) []string {
	ids, _ := ctx.Value(viaKey{}).([]string)
	return ids
}
