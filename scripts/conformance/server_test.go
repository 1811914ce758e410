//go:build e2e

package conformance

import (
	"testing"

	"headwater/scripts/lib/rig"
)

// server is one running process of the binary under test.
type server struct {
	*rig.Server
	env []string
}

// startServer runs the binary on free ports with a data folder of its own, and
// ends it with the test. env is NAME=VALUE without the prefix HEADWATER_.
func startServer(t *testing.T, env ...string) *server {
	t.Helper()
	var named []string
	for _, e := range env {
		named = append(named, "HEADWATER_"+e)
	}
	return &server{rig.Serve(t, serverBinary, t.TempDir(), named), named}
}

// again starts another process that takes over from s, which has to be dead: the
// same data, the same public address.
func (s *server) again(t *testing.T) *server {
	t.Helper()
	return &server{rig.Serve(t, serverBinary, s.Data, s.env, "--http", s.HTTP), s.env}
}
