//go:build e2e

package conformance

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// stage is a server, one stream on it, and a recorder of that stream.
type stage struct {
	t      *testing.T
	server *server
	rec    *Recorder
	name   string // of the stream, in the application "live"

	ctx     context.Context
	cancel  context.CancelFunc
	players sync.WaitGroup
	pushes  int
}

// short is a configuration with short segments: more of everything in less time.
var short = []string{"HLS_SEGMENT_DURATION=1s", "HLS_WINDOW=6s", "HLS_PART_DURATION=200ms"}

const shortWindow = 6 * time.Second

// newStage starts a server for one stream. A speed of 1 is real time.
func newStage(t *testing.T, window time.Duration, env ...string) *stage {
	t.Helper()
	return newStageOn(t, startServer(t, env...), "x", window)
}

// newStageOn is a stage for another stream of a server.
func newStageOn(t *testing.T, s *server, name string, window time.Duration) *stage {
	t.Helper()
	st := &stage{t: t, server: s, name: name, rec: NewRecorder(t.Name(), "http://"+s.HTTP, "live/"+name)}
	st.rec.Rec.Window = window
	limit := 5 * time.Minute
	if long {
		limit = 30 * time.Minute
	}
	st.ctx, st.cancel = context.WithTimeout(t.Context(), limit)
	t.Cleanup(func() {
		st.cancel()
		st.players.Wait()
		st.rec.Wait()
	})
	return st
}

// play begins to record: a low latency player, a plain one, and one that is
// behind.
func (st *stage) play(every time.Duration, again ...time.Duration) {
	st.players.Go(func() { st.rec.FollowLive(st.ctx) })
	st.players.Go(func() { st.rec.FollowPlain(st.ctx, "ts", every) })
	st.players.Go(func() { st.rec.CheckDeparted(st.ctx, again...) })
}

// publish begins a session.
func (st *stage) publish(feed *Feed, speed float64) *Push {
	st.t.Helper()
	chunk := []int{128, 4096, 65536}[st.pushes%3]
	p, err := Publish(st.ctx, st.server.RTMP, "live", st.name, chunk)
	if err != nil {
		st.t.Fatal(err)
	}
	st.t.Cleanup(func() { _ = p.conn.Close() })
	push := &Push{Publisher: p, Feed: feed, Speed: speed, Session: st.pushes, Rec: st.rec.Rec}
	st.pushes++
	st.rec.Rec.Note(Came)
	return push
}

// until pushes on to a time of the feed.
func (st *stage) until(p *Push, to time.Duration) {
	st.t.Helper()
	if err := p.Until(st.ctx, to); err != nil {
		st.t.Fatalf("push: %v\n%s", err, st.server.Log.Tail(2000))
	}
}

// close ends a session as an encoder does, or as a crash does.
func (st *stage) close(p *Push, crash bool) {
	st.t.Helper()
	leave := p.Publisher.Close
	if crash {
		leave = p.Publisher.Abort
	}
	st.rec.Rec.Note(Left)
	if err := leave(); err != nil {
		st.t.Fatalf("close: %v", err)
	}
}

// awaitEnd waits for ENDLIST in both playlists.
func (st *stage) awaitEnd(within time.Duration) {
	st.t.Helper()
	end := time.Now().Add(within)
	for !st.rec.Ended("fmp4") || !st.rec.Ended("ts") && st.rec.State("ts") != nil {
		if time.Now().After(end) {
			st.t.Errorf("no ENDLIST %v after the publisher left", within)
			return
		}
		pause(st.ctx, 50*time.Millisecond)
	}
}

// finish ends the recording and returns it.
func (st *stage) finish() *Recording {
	st.rec.CheckAll(st.ctx, st.rec.Rec.Window)
	pause(st.ctx, 100*time.Millisecond)
	st.cancel()
	st.players.Wait()
	st.rec.Wait()
	return st.rec.Rec
}

// judge holds the recording against all rules and fails the test where one is
// broken. Rules named in seen have to have had something to look at; those with a
// minus in front need not.
func judge(t *testing.T, rec *Recording, seen ...string) Result {
	t.Helper()
	result := Check(rec)
	if len(result.Findings) > 0 {
		t.Errorf("%s breaks %d rules:\n%s%s", rec.Name, len(result.Broken()), result, keep(rec))
	}
	for _, id := range seen {
		if result.Checked[id] == 0 && id[0] != '-' && !slices.Contains(seen, "-"+id) {
			t.Errorf("rule %s had nothing to look at", id)
		}
	}
	return result
}

// keep leaves the playlists and media of a recording in CONFORMANCE_KEEP.
func keep(rec *Recording) string {
	root := os.Getenv("CONFORMANCE_KEEP")
	if root == "" {
		return "(CONFORMANCE_KEEP=folder keeps the playlists)"
	}
	dir := filepath.Join(root, strings.ReplaceAll(rec.Name, "/", "_"))
	write := func(name string, b []byte) {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			_ = os.WriteFile(path, b, 0o644) // a courtesy
		}
	}
	for _, n := range rec.Renditions {
		var b strings.Builder
		for _, l := range n.Lists {
			fmt.Fprintf(&b, "===== %s  %s  %d %s\n%s\n", l.Done.Format("15:04:05.000"), l.Path, l.Status, l.Err, l.Body)
		}
		write(n.Format+".txt", []byte(b.String()))
		for path, o := range n.Objects {
			write(filepath.Join(n.Format, filepath.Base(path)), o.Body())
		}
	}
	var b strings.Builder
	for _, e := range rec.Events {
		fmt.Fprintf(&b, "%s %s\n", e.At.Format("15:04:05.000"), e.Kind)
	}
	for _, p := range rec.Probes {
		for _, x := range p.Exchanges {
			fmt.Fprintf(&b, "%s %-16s %s %s: %d after %v %s\n%v\n", x.Done.Format("15:04:05.000"), p.Kind, x.Method, x.Path, x.Status, x.Took(), x.Err, x.Header)
		}
	}
	for _, m := range rec.Multis {
		fmt.Fprintf(&b, "%s %s: %d\n%s\n", m.Done.Format("15:04:05.000"), m.Path, m.Status, m.Body)
	}
	write("events.txt", []byte(b.String()))
	return "kept in " + dir
}

// rulesOf lists the ids of all rules that begin with one of the prefixes.
func rulesOf(prefixes ...string) (ids []string) {
	for _, r := range Rules() {
		if slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(r.ID, p) }) {
			ids = append(ids, r.ID)
		}
	}
	return ids
}
