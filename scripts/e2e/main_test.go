//go:build e2e

package e2e

import (
	"os"
	"testing"

	"headwater/scripts/lib/rig"
)

var (
	serverBinary string // the server under test
	sourceDir    string // where encoded sources live for this run
)

// parallel is how many tests run at once. Nearly all of a test's time is spent
// waiting for a source to be pushed in real time, so it does not follow the
// number of processors.
const parallel = "6"

func TestMain(m *testing.M) {
	os.Exit(rig.WithServer(m, "E2E_BINARY", parallel, func(binary, dir string) { serverBinary, sourceDir = binary, dir }))
}
