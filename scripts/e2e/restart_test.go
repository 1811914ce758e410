//go:build e2e

package e2e

import (
	"errors"
	"net/http"
	"strings"
	"syscall"
	"testing"
	"time"
)

const takeoverKey = "e2e-takeover-key"

// TestPublisherRestarts kills the publisher 20 times while viewers of HTTP-FLV and
// of both kinds of HLS stay: none of them ends, the playlist keeps one sequence,
// and there are 20 discontinuities in it, no more and no fewer.
func TestPublisherRestarts(t *testing.T) {
	t.Parallel()
	const restarts = 20
	src := sourceNamed(t, "bframes")
	s := startServerIn(t, t.TempDir(), []string{"HEADWATER_STREAM_RECONNECT_WINDOW=8s"})
	flv := pullFLV(t, s.url("/live/x.flv"))
	fmp4 := pullHLS(t, s.url("/live/x/fmp4/index.m3u8"), true)
	ts := pullHLS(t, s.url("/live/x/ts/index.m3u8"), false)
	began := time.Now()
	for i := range restarts + 1 {
		before := flv.buf.Len()
		p := src.publish(t, s.publishURL("x"))
		waitFLV(t, flv, before+60_000) // about half a second of media
		checkStillPlaying(t, flv, fmp4, ts)
		sig := syscall.SIGKILL
		if i%2 == 1 {
			sig = syscall.SIGTERM // in order
		}
		if err := p.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
		select {
		case <-p.done:
		case <-time.After(10 * time.Second):
			t.Fatalf("publisher %d does not end", i)
		}
	}
	t.Logf("%d restarts in %v", restarts, time.Since(began).Round(100*time.Millisecond))
	checkStillPlaying(t, flv, fmp4, ts)
	for _, p := range []*hlsPull{fmp4, ts} {
		checkJoints(t, p, restarts)
	}
	checkOneFLV(t, flv, restarts+1)
}

// checkStillPlaying: no viewer has been sent away.
func checkStillPlaying(t *testing.T, flv *flvPull, lists ...*hlsPull) {
	t.Helper()
	select {
	case <-flv.done:
		t.Fatalf("the FLV viewer was ended: %v", flv.err)
	default:
	}
	for _, p := range lists {
		p.mu.Lock()
		ended, err := len(p.lists) > 0 && p.lists[len(p.lists)-1].ended, errors.Join(p.errs...)
		p.mu.Unlock()
		if ended || err != nil {
			t.Fatalf("%s: ended %v, %v", p.url, ended, err)
		}
	}
}

// checkJoints reads a playlist to its end: its segments are one sequence, with
// joints discontinuities in it.
func checkJoints(t *testing.T, p *hlsPull, joints int) {
	t.Helper()
	p.finish(t, 20*time.Second)
	report(t, checkHistory(p.lists))
	if !p.lists[len(p.lists)-1].ended {
		t.Errorf("%s: no EXT-X-ENDLIST", p.url)
	}
	n, first := 0, p.segments[0]
	for i, e := range p.segments {
		if e.discontinuity {
			n++
		}
		if e.msn != first.msn+i || e.dsn != first.dsn+n {
			t.Errorf("%s: segment %d after the first has MSN %d after %d, DSN %d after %d", p.url, i, e.msn, first.msn, e.dsn, first.dsn)
		}
		if e.duration() <= 0 || len(e.body) == 0 {
			t.Errorf("%s: %s is empty", p.url, e.uri)
		}
	}
	if n != joints || first.discontinuity {
		t.Errorf("%s: %d discontinuities in %d segments, want %d", p.url, n, len(p.segments), joints)
	}
}

// checkOneFLV: one file from its header to the end of the stream, in which time
// does not go back, with a key frame of each of the publishers in it.
func checkOneFLV(t *testing.T, p *flvPull, publishers int) {
	t.Helper()
	file, flags, tags := p.finish(t)
	if p.err != nil {
		t.Errorf("the viewer's answer ends with %v", p.err)
	}
	if err := checkFLVStart(flags, tags, true, true, false); err != nil {
		t.Error(err)
	}
	keys, last := 0, uint32(0)
	for i, tag := range tags {
		if tag.time < last {
			t.Fatalf("tag %d: time goes back from %d to %d ms", i, last, tag.time)
		}
		last = tag.time
		if tag.key() {
			keys++
		}
	}
	if keys < publishers {
		t.Errorf("%d key frames of %d publishers", keys, publishers)
	}
	// Two pictures of different publishers may be due at the same time.
	if _, err := ffmpeg("-xerror", "-i", file, "-map", "0", "-fps_mode", "vfr", "-f", "null", "-"); err != nil {
		t.Error(err)
	}
}

// TestTakeover: a second publisher that shows the key replaces the first, which is
// told so and does not come back, even if the first has died without a word. The
// viewers stay, after one discontinuity.
func TestTakeover(t *testing.T) {
	for _, c := range []struct {
		name   string
		before func(t *testing.T, first *push)
	}{
		{"live", func(*testing.T, *push) {}},
		{"half open", func(t *testing.T, first *push) {
			if err := first.cmd.Process.Signal(syscall.SIGSTOP); err != nil {
				t.Fatal(err)
			}
			time.Sleep(3 * time.Second) // nothing comes and nothing ends
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			src := sourceNamed(t, "bframes")
			s := startServerIn(t, t.TempDir(), append([]string{"HEADWATER_PUBLISH_KEY=" + takeoverKey}, endSoon...))
			url := s.publishURL("x?key=" + takeoverKey)
			flv := pullFLV(t, s.url("/live/x.flv"))
			fmp4 := pullHLS(t, s.url("/live/x/fmp4/index.m3u8"), true)
			ts := pullHLS(t, s.url("/live/x/ts/index.m3u8"), false)
			first := src.publish(t, url)
			fmp4.waitSegments(t, 2, 30*time.Second)
			c.before(t, first)

			before, began := flv.buf.Len(), time.Now()
			second := src.publish(t, url, "-t", "6")
			waitFLV(t, flv, before+60_000)
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("the second plays after %v", d)
			}
			checkTold(t, first)
			checkStillPlaying(t, flv, fmp4, ts)
			second.wait(t, 20*time.Second)
			for _, p := range []*hlsPull{fmp4, ts} {
				checkJoints(t, p, 1)
			}
			checkOneFLV(t, flv, 2)
			if n := strings.Count(s.Log.String(), "reason=replaced"); n != 1 {
				t.Errorf("%d publishers were replaced, want 1", n)
			}
			if strings.Contains(s.Log.String(), takeoverKey) {
				t.Error("the log shows the key")
			}
		})
	}
}

// checkTold: a publisher that was replaced ends and shows why, also one that was
// stopped and goes on now.
func checkTold(t *testing.T, first *push) {
	t.Helper()
	_ = first.cmd.Process.Signal(syscall.SIGCONT) // it may have ended by itself
	select {
	case <-first.done:
	case <-time.After(10 * time.Second):
		t.Fatalf("the first goes on\n%s", first.log.Tail(4000))
	}
	if first.err == nil {
		t.Error("the first ends as if all were well")
	}
	if said := first.log.String(); !strings.Contains(said, "another publisher has taken the stream over") {
		t.Errorf("the first does not say why:\n%s", said)
	}
}

// TestBeginAfterRestart: VLC, which does not begin at a playlist with gaps, begins at
// that of a server that has just been killed and started again.
func TestBeginAfterRestart(t *testing.T) {
	t.Parallel()
	need(t, "sh", "-c", "command -v vlc")
	src := sourceNamed(t, "bframes")
	data := t.TempDir()
	s := startServerIn(t, data, nil)
	fmp4 := pullHLS(t, s.url("/live/x/fmp4/index.m3u8"), true)
	p := src.publish(t, s.publishURL("x"), "-stream_loop", "3")
	fmp4.waitSegments(t, 4, 30*time.Second)
	fmp4.cancel()
	s.End(syscall.SIGKILL)
	_ = p.cmd.Process.Kill()
	s = startServerIn(t, data, nil)
	src.publish(t, s.publishURL("x"), "-stream_loop", "3")
	if r := ask(t, http.MethodGet, s.url("/live/x/fmp4/index.m3u8")); r.status != http.StatusOK {
		t.Errorf("a playlist of a stream that was there: %d, %s", r.status, r.body)
	}
	playVLC(t, s.url("/live/x.m3u8"))
}
