//go:build e2e

package e2e

import (
	"bytes"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// TestSecondPublisher: without takeover a name is taken. The second is told so, the first goes
// on as if nothing had been.
func TestSecondPublisher(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	s := startServerIn(t, t.TempDir(), append([]string{"HEADWATER_PUBLISH_TAKEOVER=false"}, endSoon...))
	flv := pullFLV(t, s.url("/live/x.flv"))
	first := src.publish(t, s.publishURL("x"))
	waitFLV(t, flv, 100_000)
	for range 2 {
		checkRefused(t, src, s, "x")
	}
	if !first.running() {
		t.Fatalf("the first publisher ended: %v\n%s", first.err, first.log.Tail(4000))
	}
	first.wait(t, src.duration()+20*time.Second)
	checkFLV(t, src, flv)
}

// TestBadName: what is not a stream name is refused with a reason.
func TestBadName(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	s := startServer(t)
	for _, name := range []string{"..", "x<y>", "x*", strings.Repeat("a", 129)} {
		checkRefused(t, src, s, name)
	}
}

// checkRefused publishes through a relay that keeps what the server says:
// ffmpeg itself shows the description of an error, not its code.
func checkRefused(t *testing.T, src *source, s *server, name string) {
	t.Helper()
	relay, said := recordingRelay(t, s.RTMP)
	p := src.publish(t, "rtmp://"+relay+"/live/"+name)
	select {
	case <-p.done:
	case <-time.After(15 * time.Second):
		t.Fatalf("publishing %q is accepted\n%s", name, p.log.Tail(4000))
	}
	if p.err == nil || !strings.Contains(p.log.String(), "Server error") {
		t.Errorf("publishing %q: %v, and ffmpeg shows no reason\n%s", name, p.err, p.log.Tail(4000))
	}
	if !strings.Contains(said.String(), "NetStream.Publish.BadName") {
		t.Errorf("publishing %q: no NetStream.Publish.BadName in %q", name, said.Tail(500))
	}
}

// recordingRelay passes one connection on to addr and keeps the answers.
func recordingRelay(t *testing.T, addr string) (string, *rig.Log) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	said := &rig.Log{}
	var wg sync.WaitGroup
	wg.Go(func() {
		client, err := l.Accept()
		if err != nil {
			return
		}
		defer client.Close()
		server, err := net.Dial("tcp", addr)
		if err != nil {
			return
		}
		defer server.Close()
		wg.Go(func() {
			_, _ = io.Copy(server, client)
			server.Close()
		})
		_, _ = io.Copy(io.MultiWriter(client, said), server)
	})
	t.Cleanup(func() {
		l.Close()
		wg.Wait()
	})
	return l.Addr().String(), said
}

// TestKilledPublisher: the name is free the moment the connection breaks, and
// within the reconnect window the playlist goes on after one discontinuity.
func TestKilledPublisher(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	s := startServerIn(t, t.TempDir(), []string{"HEADWATER_STREAM_RECONNECT_WINDOW=10s"})
	fmp4 := pullHLS(t, s.url("/live/x/fmp4/index.m3u8"), true)
	ts := pullHLS(t, s.url("/live/x/ts/index.m3u8"), false)
	first := src.publish(t, s.publishURL("x"))
	fmp4.waitSegments(t, 2, 30*time.Second)
	if err := first.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	<-first.done
	again := src.publish(t, s.publishURL("x"), "-t", "7")
	again.wait(t, 30*time.Second)
	for _, p := range []*hlsPull{fmp4, ts} {
		p.finish(t, 12*time.Second)
		report(t, checkHistory(p.lists))
		joint := slices.IndexFunc(p.segments, func(s segmentPull) bool { return s.discontinuity })
		if joint < 1 {
			t.Fatalf("%s: no discontinuity after the publisher came back: %d segments", p.url, len(p.segments))
		}
		report(t, checkTSIf(!p.fmp4, p.segments[:joint]))
		for _, part := range [][2]int{{0, joint}, {joint, len(p.segments)}} {
			f := p.join(t, part[0], part[1])
			if err := decode(f.file); err != nil {
				t.Errorf("%s: segments %d to %d: %v", p.url, part[0], part[1], err)
			}
			if _, err := src.sent.video.follow(f.video, exact); err != nil {
				t.Errorf("%s: segments %d to %d: video: %v", p.url, part[0], part[1], err)
			}
			if _, err := src.sent.audio.follow(f.audio, rounded); err != nil {
				t.Errorf("%s: segments %d to %d: audio: %v", p.url, part[0], part[1], err)
			}
			report(t, f.checkCuts())
		}
	}
}

func checkTSIf(ts bool, segments []segmentPull) []error {
	if !ts {
		return nil
	}
	return checkTS(segments)
}

// TestRestart: whether the server is asked to end or killed, after a restart under the
// same URL the media sequence number goes on upwards behind one discontinuity, and no name
// comes to mean other bytes. Where it was asked, its segments are there still.
func TestRestart(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	data := t.TempDir()
	known := map[string]segmentPull{}
	next, dsn := -1, -1
	for run, sig := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL, 0} {
		s := startServerIn(t, data, nil)
		p := pullHLS(t, s.url("/live/x/fmp4/index.m3u8"), true)
		src.publish(t, s.publishURL("x"))
		var fresh []segmentPull
		kept, joints := 0, 0
		for end := time.Now().Add(30 * time.Second); len(fresh) < 2 || run > 0 && joints == 0; time.Sleep(50 * time.Millisecond) {
			if time.Now().After(end) {
				t.Fatalf("run %d: %d new segments, %d discontinuities", run, len(fresh), joints)
			}
			fresh, kept, joints = nil, 0, 0
			p.mu.Lock()
			for _, e := range p.segments {
				old, ok := known[e.uri]
				switch {
				case !ok:
					fresh = append(fresh, e)
					if e.discontinuity {
						joints++
					}
				case e.msn != old.msn || !bytes.Equal(e.body, old.body):
					t.Errorf("run %d: %s is another", run, e.uri)
				default:
					kept++
				}
			}
			p.mu.Unlock()
		}
		p.cancel()
		ordered := run == 1
		if first, last := fresh[0], fresh[len(fresh)-1]; run > 0 && (joints != 1 || first.msn < next || last.dsn <= dsn) {
			t.Errorf("run %d: goes on from MSN %d to %d with DSN %d and %d discontinuities behind %d and %d", run, first.msn, last.msn, last.dsn, joints, next-1, dsn)
		}
		if ordered != (kept > 0) || ordered && fresh[0].msn != next {
			t.Errorf("run %d: %d segments of the process before, and then %d behind %d", run, kept, fresh[0].msn, next-1)
		}
		if sig != 0 {
			s.End(sig)
		}
		for _, e := range fresh {
			known[e.uri], next, dsn = e, e.msn+1, e.dsn
		}
	}
}

// TestRemovedSegment: a segment can still be had for the window and three target
// durations after it has left the playlist, for caches that serve an older one;
// then it is gone.
func TestRemovedSegment(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	const window = 6 * time.Second
	s := startServerIn(t, t.TempDir(), []string{"HEADWATER_HLS_WINDOW=" + window.String(), "HEADWATER_HLS_MAX_SEGMENT_DURATION=2s"})
	p := pullHLS(t, s.url("/live/x/ts/index.m3u8"), false)
	src.publish(t, s.publishURL("x"), "-stream_loop", "5")
	oldest, left := waitRemoved(t, p)
	p.mu.Lock()
	retention := window + time.Duration(3*p.lists[0].target)*time.Second
	p.mu.Unlock()
	if r := ask(t, http.MethodGet, p.resolve(oldest.uri)); r.status != http.StatusOK || !bytes.Equal(r.body, oldest.body) {
		t.Errorf("a segment that just left the playlist: status %d", r.status)
	}
	for ask(t, http.MethodGet, p.resolve(oldest.uri)).status == http.StatusOK {
		if time.Since(left) > retention+30*time.Second {
			t.Fatalf("a segment is still there %v after it left the playlist", time.Since(left))
		}
		time.Sleep(100 * time.Millisecond)
	}
	if kept := time.Since(left); kept < retention-time.Second {
		t.Errorf("a segment is gone %v after it left the playlist, want %v", kept, retention)
	}
	checkMissing(t, p.resolve(oldest.uri))
}

// waitRemoved waits until the playlist has lost its first segment and returns
// that and the time it was missed.
func waitRemoved(t *testing.T, p *hlsPull) (segmentPull, time.Time) {
	t.Helper()
	for end := time.Now().Add(60 * time.Second); time.Now().Before(end); time.Sleep(50 * time.Millisecond) {
		p.mu.Lock()
		lists, segments, changed := p.lists, p.segments, p.changed
		p.mu.Unlock()
		if len(lists) > 0 && lists[len(lists)-1].msn > lists[0].msn {
			return segments[0], changed
		}
	}
	t.Fatal("no segment leaves the playlist in a minute")
	return segmentPull{}, time.Time{}
}

func waitFLV(t *testing.T, p *flvPull, bytes int) {
	t.Helper()
	for end := time.Now().Add(30 * time.Second); p.buf.Len() < bytes; time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("the FLV viewer has %d bytes after 30 s", p.buf.Len())
		}
	}
}
