//go:build e2e

package conformance

import (
	"fmt"
	"net/http"
	"sync"
	"testing"
	"time"
)

// TestLive runs a stream as fast as it plays on a server without any
// configuration, long enough for segments to leave the list and be gone, and asks
// all questions meanwhile.
func TestLive(t *testing.T) {
	t.Parallel()
	const window, target = 12 * time.Second, 2 * time.Second
	length := 38 * time.Second
	if long {
		length = 10 * time.Minute
	}
	st := newStage(t, window)
	st.rec.Rec.Paced = true
	p := st.publish(&Feed{Clip: plain.ready(t), Cues: time.Second}, 1)
	var early sync.WaitGroup
	early.Go(func() { st.askAtStart() })
	st.play(100*time.Millisecond, window+3*target-time.Second)
	var probes sync.WaitGroup
	probes.Go(func() {
		pause(st.ctx, 5*time.Second)
		st.rec.Multivariant(st.ctx)
		st.rec.ProbeReload(st.ctx)
		st.rec.ProbeHTTP(st.ctx)
		st.rec.ProbeReload(st.ctx)
		st.rec.Multivariant(st.ctx)
	})
	st.until(p, length)
	early.Wait()
	probes.Wait()
	st.rec.Multivariant(st.ctx)
	st.close(p, false)
	judge(t, st.finish(), append(rulesOf("http.", "reload.", "ll.", "delta.", "hint.", "multi.", "list.", "ts.", "mp4."),
		"-http.gone", "-hint.timeout", "-reload.timeout", "-reload.released", "-reload.ended", "-list.end")...)
}

// askAtStart asks for every playlist before the publisher has sent anything.
func (st *stage) askAtStart() {
	var wg sync.WaitGroup
	defer wg.Wait()
	for _, q := range []struct{ target, format, path string }{
		{"multi", "fmp4", "/live/" + st.name + ".m3u8"},
		{"multi", "ts", "/live/" + st.name + ".ts.m3u8"},
		{"list", "fmp4", st.rec.Rec.Rendition("fmp4").Path},
		{"list", "ts", st.rec.Rec.Rendition("ts").Path},
	} {
		wg.Go(func() {
			x := st.rec.Do(st.ctx, http.MethodGet, q.path)
			st.rec.add(&Probe{Kind: "start", Target: q.target, Format: q.format, Exchanges: []*Exchange{x}})
			if q.target == "multi" && x.OK() { // what is said first is what caches keep
				st.rec.Rec.mu.Lock()
				st.rec.Rec.Multis = append(st.rec.Rec.Multis, &Multi{*x.clone(), q.format})
				st.rec.Rec.mu.Unlock()
			}
		})
	}
}

// waitInVain asks for the next part of the playlist, its segment, and the part
// itself, while nothing comes.
func (st *stage) waitInVain(reload, hint string) {
	pause(st.ctx, 300*time.Millisecond) // what was on its way
	m := st.rec.State("fmp4")
	var wg sync.WaitGroup
	wg.Go(func() { st.rec.Ask(st.ctx, reload, fmt.Sprintf("_HLS_msn=%d", m.Last()+1)) })
	wg.Go(func() {
		st.rec.Ask(st.ctx, reload, fmt.Sprintf("_HLS_msn=%d&_HLS_part=%d", m.Last()+1, m.OpenParts()))
	})
	wg.Go(func() { st.rec.AskHint(st.ctx, hint) })
	wg.Wait()
}

// askEnded asks an ended playlist with directives.
func (st *stage) askEnded() {
	m := st.rec.State("fmp4")
	if m == nil || !m.Ended {
		return
	}
	for _, q := range []string{"_HLS_msn=%d", "_HLS_msn=%d&_HLS_part=3", "_HLS_msn=%d&_HLS_skip=YES"} {
		for _, ahead := range []uint64{0, 1, 50} {
			st.rec.Ask(st.ctx, "reload-ended", fmt.Sprintf(q, m.Last()+ahead))
		}
	}
	st.rec.Ask(st.ctx, "reload-ended", "_HLS_skip=YES")
}

// askGone asks for the first segment that was ever listed, which is long gone.
func (st *stage) askGone() {
	for _, format := range []string{"fmp4", "ts"} {
		n := st.rec.Rec.Rendition(format)
		first := ParseMedia(n.Lists[0].Body).Segments[0]
		st.rec.ask(st.ctx, "gone", "segment", format, resolve(n.Path, first.URI))
	}
}
