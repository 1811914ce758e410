//go:build e2e

package e2e

import (
	"testing"

	"headwater/scripts/lib/rig"
)

// server is one running process of the binary under test.
type server struct{ *rig.Server }

// startServer runs the binary on free ports with a data directory of its own
// and ends it with the test. Extra arguments follow the flags.
func startServer(t *testing.T, args ...string) *server {
	t.Helper()
	return startServerIn(t, t.TempDir(), nil, args...)
}

// startServerIn is startServer with the data directory and more environment
// given.
func startServerIn(t *testing.T, data string, env []string, args ...string) *server {
	t.Helper()
	return &server{rig.Serve(t, serverBinary, data, env, args...)}
}

func (s *server) publishURL(name string) string { return "rtmp://" + s.RTMP + "/live/" + name }
func (s *server) url(path string) string        { return "http://" + s.HTTP + path }
