//go:build e2e

package conformance

import (
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestReconnect: publishers come and go under one name, with the same parameters
// and with others. The recording goes on until all the discontinuities have left
// the list.
func TestReconnect(t *testing.T) {
	t.Parallel()
	st := newStage(t, shortWindow, append(short, "STREAM_RECONNECT_WINDOW=4s")...)
	st.play(50 * time.Millisecond)
	sessions := []struct {
		clip  *recipe
		feed  Feed
		to    time.Duration
		crash bool
	}{
		{plain, Feed{}, 9200 * time.Millisecond, true},
		{plain, Feed{}, 5 * time.Second, false},
		{plain, Feed{Start: 77_000}, 4700 * time.Millisecond, true},
		{pal, Feed{}, 5 * time.Second, true},
		{sound, Feed{}, 4 * time.Second, false},
		{silent, Feed{}, 4 * time.Second, true},
		{ntsc, Feed{}, 500 * time.Millisecond, true}, // a segment cut short
		{ntsc, Feed{AudioEarly: 600 * time.Millisecond}, 14 * time.Second, false},
	}
	for i, s := range sessions {
		s.feed.Clip = s.clip.ready(t)
		p := st.publish(&s.feed, 4)
		st.until(p, s.to)
		if i == 1 || i == 3 {
			st.rec.Multivariant(st.ctx)
		}
		st.close(p, s.crash)
		pause(st.ctx, 300*time.Millisecond)
	}
	st.rec.Multivariant(st.ctx)
	st.awaitEnd(10 * time.Second)
	judge(t, st.finish(), "list.discontinuity", "list.dsn", "list.end")
}

// TestEnd: without a reconnect window a publisher's leave is the end, at once,
// and whoever waits is told. A stream that begins under the same name counts on.
func TestEnd(t *testing.T) {
	t.Parallel()
	st := newStage(t, shortWindow, append(short, "STREAM_RECONNECT_WINDOW=0s")...)
	st.play(50 * time.Millisecond)
	p := st.publish(&Feed{Clip: film.ready(t)}, 4)
	st.until(p, 12*time.Second+400*time.Millisecond)
	pause(st.ctx, 300*time.Millisecond)
	m := st.rec.State("fmp4")
	var waiting sync.WaitGroup
	waiting.Go(func() { st.rec.Ask(st.ctx, "reload-left-at-once", fmt.Sprintf("_HLS_msn=%d", m.Last()+1)) })
	waiting.Go(func() { st.rec.Ask(st.ctx, "reload-left-at-once", fmt.Sprintf("_HLS_msn=%d", m.Last()+2)) })
	waiting.Go(func() { st.rec.AskHint(st.ctx, "reload-left-at-once") })
	pause(st.ctx, 100*time.Millisecond)
	st.close(p, false)
	waiting.Wait()
	st.awaitEnd(3 * time.Second)
	st.askEnded()
	first := st.finish()
	judge(t, first, "reload.released", "reload.ended", "list.end")
	countsOn(t, st.server, first, "")
}

// countsOn plays another stream under the name of one that has ended.
func countsOn(t *testing.T, s *server, first *Recording, suffix string) {
	t.Helper()
	st := newStageOn(t, s, "x", shortWindow)
	st.rec.Rec.Name += "/another" + suffix
	p := st.publish(&Feed{Clip: film.ready(t)}, 4)
	st.until(p, 4*time.Second)
	st.play(50 * time.Millisecond)
	st.until(p, 8*time.Second)
	second := st.finish()
	judge(t, second)
	for _, n := range second.Renditions {
		before, now := newRenditionView(first.Rendition(n.Format)), newRenditionView(n)
		if len(now.entries) == 0 {
			t.Errorf("%s: nothing behind the end", n.Path)
			continue
		}
		last, next := before.entries[len(before.entries)-1], now.entries[0]
		if next.MSN <= last.MSN || next.DSN <= last.DSN {
			t.Errorf("%s: segment %d, discontinuity %d, behind %d and %d", n.Path, next.MSN, next.DSN, last.MSN, last.DSN)
		}
		for path := range n.Objects {
			if before.Objects[path] != nil {
				t.Errorf("%s: a name for the second time", path)
			}
		}
	}
}

// TestRestart kills the server twice while players and a publisher are there, and
// starts it again on its data.
func TestRestart(t *testing.T) {
	t.Parallel()
	restarts(t, 10*time.Second, 7200*time.Millisecond, 12*time.Second)
}

// TestCrashLoop is TestRestart on a server that dies again before it has been
// there for a second.
func TestCrashLoop(t *testing.T) {
	t.Parallel()
	restarts(t, 10*time.Second, 3200*time.Millisecond, 2500*time.Millisecond, 8*time.Second)
}

func restarts(t *testing.T, lives ...time.Duration) {
	st := newStage(t, shortWindow, short...)
	st.play(50 * time.Millisecond)
	for i, to := range lives {
		if i > 0 {
			st.restart()
		}
		p := st.publish(&Feed{Clip: plain.ready(t), Start: int64(i) * 1000}, 4)
		st.until(p, to)
	}
	judge(t, st.finish(), "list.discontinuity", "list.sequence", "list.names")
}

// TestRestartWithoutData is TestRestart on a server that loses everything it
// wrote. It has only the clock to count on from, so media passes as it plays.
func TestRestartWithoutData(t *testing.T) {
	t.Parallel()
	st := newStage(t, shortWindow, short...)
	st.play(50 * time.Millisecond)
	for i := range 3 {
		if i > 0 {
			st.restart("everything")
		}
		p := st.publish(&Feed{Clip: ntsc.ready(t)}, 1)
		st.until(p, 5*time.Second)
	}
	judge(t, st.finish(), "list.discontinuity", "list.sequence", "list.names")
}

// restart kills the server and starts it again; with anything in lose, on an
// empty data folder.
func (st *stage) restart(lose ...string) {
	st.t.Helper()
	st.rec.Rec.Note(Restarted)
	st.server.End(os.Kill)
	if len(lose) > 0 {
		st.rec.Rec.Note(LostData)
		all, err := filepath.Glob(filepath.Join(st.server.Data, "*"))
		if err != nil {
			st.t.Fatal(err)
		}
		for _, path := range all {
			if err := os.RemoveAll(path); err != nil {
				st.t.Fatal(err)
			}
		}
	}
	st.server = st.server.again(st.t)
	st.rec.Rec.Note(Restarted)
}
