//go:build e2e

package conformance

import (
	"os"
	"testing"

	"headwater/scripts/lib/rig"
)

var (
	serverBinary string // the server under test
	workDir      string // of this run
)

// long makes streams long enough for everything that takes minutes.
var long = os.Getenv("CONFORMANCE_LONG") != ""

// parallel is how many tests run at once: nearly all of their time is spent
// waiting for media to pass.
const parallel = "20"

func TestMain(m *testing.M) {
	os.Exit(rig.WithServer(m, "CONFORMANCE_BINARY", parallel, func(binary, dir string) { serverBinary, workDir = binary, dir }))
}
