//go:build e2e

package conformance

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// recordEverything records a stream on which every rule has something to look at:
// publishers that come, fall silent, go on, crash and come back as others, players
// that wait for all of that, and the end.
func recordEverything(t *testing.T) *Recording {
	t.Helper()
	st := newStage(t, shortWindow, append(short, "STREAM_RECONNECT_WINDOW=2500ms")...)
	st.rec.Rec.Paced = true
	p := st.publish(&Feed{Clip: plain.ready(t), Cues: 400 * time.Millisecond}, 1)
	var probes sync.WaitGroup
	probes.Go(st.askAtStart)
	pause(st.ctx, 100*time.Millisecond)
	st.play(50*time.Millisecond, shortWindow+2*time.Second)
	st.until(p, 3*time.Second)
	st.rec.probeMissing(st.ctx)
	probes.Go(func() {
		st.rec.Multivariant(st.ctx)
		st.rec.ProbeHTTP(st.ctx)
		pause(st.ctx, 3*time.Second)
		st.rec.ProbeReload(st.ctx)
		st.rec.Multivariant(st.ctx)
	})
	st.until(p, 15*time.Second)
	probes.Wait()
	st.rec.Rec.Note(Stalled)
	st.waitInVain("reload-timeout", "hint-timeout")
	st.rec.Rec.Note(Resumed)
	p.Rest()
	st.until(p, 17*time.Second+300*time.Millisecond)
	st.leaveWaiting(p)
	for i, clip := range []*recipe{plain, pal} {
		p = st.publish(&Feed{Clip: clip.ready(t), Start: int64(i) * 5000}, 2)
		st.until(p, 5*time.Second)
		st.close(p, i == 0)
		pause(st.ctx, 300*time.Millisecond)
	}
	st.awaitEnd(10 * time.Second)
	st.askEnded()
	st.askGone()
	return st.finish()
}

// leaveWaiting makes the publisher crash while players wait for its segments.
func (st *stage) leaveWaiting(p *Push) {
	m := st.rec.State("fmp4")
	st.players.Go(func() { st.rec.Ask(st.ctx, "reload-left-at-once", fmt.Sprintf("_HLS_msn=%d", m.Last()+1)) })
	st.players.Go(func() { st.rec.Ask(st.ctx, "reload-left", fmt.Sprintf("_HLS_msn=%d", m.Last()+2)) })
	pause(st.ctx, 100*time.Millisecond)
	st.close(p, true)
	pause(st.ctx, 200*time.Millisecond)
	st.players.Go(func() { st.rec.AskHint(st.ctx, "reload-left") })
	pause(st.ctx, 500*time.Millisecond)
}

// TestRules holds a recording of everything against the rules, wants each of them
// to have had something to look at, and then plants one fault after the other.
func TestRules(t *testing.T) {
	t.Parallel()
	rec := recordEverything(t)
	result := judge(t, rec, rulesOf("")...)
	plantFaults(t, rec, result.Broken())
}
