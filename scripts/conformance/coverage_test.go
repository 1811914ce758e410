//go:build e2e

package conformance

import (
	"testing"
)

func logCoverage(t *testing.T, r Result) {
	for _, rule := range Rules() {
		t.Logf("%-22s %d", rule.ID, r.Checked[rule.ID])
	}
}
