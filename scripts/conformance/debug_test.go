//go:build e2e

package conformance

import "testing"

func debugRuns(t *testing.T, rec *Recording) {
	v := newView(rec)
	for _, n := range v.renditions {
		for _, run := range n.runs() {
			t.Logf("%s run", n.Format)
			for _, e := range run {
				t.Logf("   %d dsn %d %s map %s first %s mp4 %v ts %v init %v obj %v", e.MSN, e.DSN, e.URI, e.Map, e.first.list.Done.Format("05.000"), e.mp4 != nil, e.ts != nil, e.init != nil, e.object != nil)
			}
		}
	}
}
