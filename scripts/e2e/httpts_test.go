//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"
)

// TestHTTPTS: MPEG-TS without an end is read for as long as one likes: by a strict
// checker, by FFmpeg without a warning, by VLC without a loss; with B-frames, with
// other frame rates, with sound alone.
func TestHTTPTS(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"bframes", "ntsc", "mp3", "audio"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			src := sourceNamed(t, name)
			s := startServer(t)
			flv := pullFLV(t, s.url("/live/x.flv"))
			src.publish(t, s.publishURL("x"), "-stream_loop", "5")
			waitFLV(t, flv, 100_000)
			url := s.url("/live/x.ts")
			t.Run("checker", func(t *testing.T) {
				t.Parallel()
				c := &tsChecker{counters: map[int]byte{}, pmt: -1, pcrPID: -1, types: map[int]byte{}}
				c.check("x.ts", pullFor(t, url, 20*time.Second))
				report(t, c.errs)
			})
			t.Run("ffmpeg", func(t *testing.T) {
				t.Parallel()
				if _, err := quiet("ffmpeg", "-hide_banner", "-nostdin", "-v", "warning", "-t", "30", "-i", url, "-f", "null", "-"); err != nil {
					t.Error(err)
				}
			})
			if name == "bframes" {
				t.Run("vlc", func(t *testing.T) {
					t.Parallel()
					need(t, "sh", "-c", "command -v vlc")
					playVLC(t, url)
				})
			}
		})
	}
}

// pullFor reads an endless transport stream for a while, and returns it up to the
// last tables: in front of them nothing is cut off.
func pullFor(t *testing.T, url string, length time.Duration) []byte {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), length)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if got := fmt.Sprint(resp.StatusCode, resp.Header["Content-Type"], resp.Header["Cache-Control"]); got != "200 [video/mp2t] [no-store]" {
		t.Fatalf("answered %s", got)
	}
	b, err := io.ReadAll(resp.Body)
	if err != nil && !errors.Is(err, context.DeadlineExceeded) {
		t.Fatal(err)
	}
	b = b[:len(b)-len(b)%tsPacket]
	for end := len(b) - tsPacket; end > 100*tsPacket; end -= tsPacket {
		if b[end+1]&0x1f == 0 && b[end+2] == pidPAT {
			return b[:end]
		}
	}
	t.Fatalf("%d bytes in %v", len(b), length)
	return nil
}
