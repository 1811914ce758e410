package rig

import (
	"fmt"
	"runtime"
	"testing"
	"time"
)

// Run runs the tests of a package, and close behind them unless it is nil. It returns
// what TestMain exits with, which tells of a goroutine that outlives all that.
func Run(m *testing.M, close func()) int {
	code := m.Run()
	if close != nil {
		close()
	}
	for deadline := time.Now().Add(10 * time.Second); runtime.NumGoroutine() > 2; time.Sleep(10 * time.Millisecond) {
		if time.Now().After(deadline) {
			b := make([]byte, 1<<20)
			fmt.Printf("goroutines are left:\n%s\n", b[:runtime.Stack(b, true)])
			return 1
		}
	}
	return code
}
