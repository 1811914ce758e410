//go:build e2e

package e2e

import (
	"io"
	"net"
	"net/http"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"
)

// smallWindow returns a client whose connections hold little in the kernel, so
// that a pause is felt by the server soon.
func smallWindow() *http.Client {
	control := func(_, _ string, c syscall.RawConn) error {
		var err error
		if e := c.Control(func(fd uintptr) {
			err = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVBUF, 4096)
		}); e != nil {
			return e
		}
		return err
	}
	return &http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Control: control}).DialContext, DisableKeepAlives: true}}
}

// openSmall asks for a stream with a smallWindow, and leaves the reading to the test.
func openSmall(t *testing.T, url string) io.Reader {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := smallWindow().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { resp.Body.Close() })
	if resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: status %d", url, resp.StatusCode)
	}
	return resp.Body
}

// TestStalledViewer: viewers that ask and then never read cost neither the
// publisher nor another viewer a frame, at 50 Mbit/s.
func TestStalledViewer(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "fast")
	s := startServerIn(t, t.TempDir(), endSoon)
	flv := pullFLV(t, s.url("/live/x.flv"))
	p := src.publish(t, s.publishURL("x"))
	waitFLV(t, flv, 1_000_000)
	for range 3 {
		openSmall(t, s.url("/live/x.flv"))
	}
	p.wait(t, src.duration()+20*time.Second)
	checkFLV(t, src, flv)
}

// TestPausedViewer: a viewer that stops reading for longer than it may lag
// behind goes on at a key frame, and what it has then decodes.
func TestPausedViewer(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "fast")
	s := startServerIn(t, t.TempDir(), []string{"HEADWATER_STREAM_MAX_LAG=2s", "HEADWATER_HLS_WINDOW=6s"})
	probe := pullFLV(t, s.url("/live/x.flv"))
	src.publish(t, s.publishURL("x"), "-stream_loop", "2")
	waitFLV(t, probe, 1_000_000)
	probe.cancel()

	body := openSmall(t, s.url("/live/x.flv"))
	const part = 8_000_000 // more than a second of the source
	got := make([]byte, part, 16*part)
	if _, err := io.ReadFull(body, got); err != nil {
		t.Fatal(err)
	}
	const pause = 9 * time.Second
	time.Sleep(pause)
	rest, err := io.ReadAll(io.LimitReader(body, 4*part))
	if err != nil {
		t.Fatalf("after the pause: %v", err)
	}
	checkResumed(t, src, append(got, rest...), pause)
}

// checkResumed looks for the one jump in a paused viewer's FLV and checks what
// stands on its far side.
func checkResumed(t *testing.T, src *source, b []byte, pause time.Duration) {
	t.Helper()
	flags, tags, err := parseFLV(b)
	if err != nil {
		t.Fatal(err)
	}
	isPicture := func(tag flvTag) bool { return tag.typ == tagVideo && !tag.header() }
	jump, last := -1, uint32(0)
	for i, tag := range tags {
		if !isPicture(tag) {
			continue
		}
		if last > 0 && tag.time > last+1000 {
			if jump >= 0 {
				t.Errorf("a second jump at tag %d", i)
			}
			jump = i
		}
		if tag.time < last {
			t.Errorf("tag %d: time goes back from %d to %d ms", i, last, tag.time)
		}
		last = tag.time
	}
	if jump < 0 {
		t.Fatalf("no jump in %d ms after a pause of %v: the viewer was waited for, or nothing was sent", last-tags[0].time, pause)
	}
	if !tags[jump].key() {
		t.Error("the first picture after the jump is no key frame")
	}
	file := filepath.Join(t.TempDir(), "resumed.flv")
	writeFile(t, file, joinFLV(flags, tags))
	if err := decode(file); err != nil {
		t.Error(err)
	}
	c, err := readCapture(file)
	if err != nil {
		t.Fatal(err)
	}
	// The source is pushed in a loop: the order of its pictures is a ring.
	before := 0
	for _, tag := range tags[:jump] {
		if isPicture(tag) {
			before++
		}
	}
	for _, run := range []track{c.video[:before], c.video[before:]} {
		if len(run) < int(src.frameRate)/2 {
			t.Errorf("only %d pictures on one side of the jump", len(run))
			continue
		}
		first := slices.IndexFunc(src.sent.video, func(p packet) bool { return p.hash == run[0].hash })
		for i, p := range run {
			if first < 0 || p.hash != src.sent.video[(first+i)%len(src.sent.video)].hash {
				t.Errorf("picture %d of %d is not the one after its predecessor", i, len(run))
				break
			}
		}
	}
}
