package relay

import (
	"bytes"
	"errors"
	"log/slog"
	"strings"
	"testing"

	"headwater/ingest/rtmp"
)

// TestPanicIsSurvived: a fault of ours interrupts one relay, and is in the log with the
// place where it is.
func TestPanicIsSurvived(t *testing.T) {
	var log bytes.Buffer
	j := &job{log: slog.New(slog.NewTextHandler(&log, nil))}
	err := j.survive(func() error {
		var none []int
		return errors.New(string(rune(none[0])))
	})
	if _, ok := errors.AsType[*rtmp.PanicError](err); !ok {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(log.String(), "survive_test.go") {
		t.Errorf("log:\n%s", log.String())
	}
	if err := j.survive(func() error { return errIdle }); err != errIdle {
		t.Errorf("got %v", err)
	}
}
