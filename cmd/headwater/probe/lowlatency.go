package probe

import (
	"context"
	"fmt"
	"io"
	"time"

	"headwater/cmd/headwater/probe/playlist"
	"headwater/origin/checkup"
)

// lowLatency watches what rfc8216bis adds for low latency (appendix B).
type lowLatency struct {
	// Of the question that was asked last.
	askedSequence uint64
	askedPart     int // -1: for a whole segment

	blocked    int
	blockedSum time.Duration
	blockedMax time.Duration
	refused    int
	early      int // answers without what was asked for

	counted place // parts before it have been
	parts   int
	partMin time.Duration
	partMax time.Duration
	partSum time.Duration

	hint    string // that was followed last, and is to become a part
	hints   int
	hintMax time.Duration
}

// place is a part of a segment.
type place struct {
	sequence uint64
	part     int
}

func (p place) before(o place) bool {
	return p.sequence < o.sequence || p.sequence == o.sequence && p.part < o.part
}

// answered looks at the answer to a blocking reload.
func (b *lowLatency) answered(w *watcher, l *playlist.Playlist, took time.Duration) {
	b.blocked++
	b.blockedSum += took
	b.blockedMax = max(b.blockedMax, took)
	w.hist.held(l, took)
	has := l.Next() > b.askedSequence || l.End
	if b.askedPart >= 0 && l.Next() == b.askedSequence {
		has = has || len(l.Open) > b.askedPart
	}
	if !has {
		b.early++
		w.add("ll.reload_early", checkup.Problem, "A blocking reload was answered without the part it asked for.", "The server, or a cache whose key leaves _HLS_msn and _HLS_part out, answers too early: players then ask over and over.")
	}
}

// look measures parts, and sees whether a hint came true.
func (b *lowLatency) look(w *watcher, l *playlist.Playlist) {
	if l.PartTarget == 0 {
		return
	}
	b.terms(w, l)
	listed := b.hint == ""
	each := func(at place, p playlist.Part, last bool) {
		listed = listed || p.URI == b.hint
		if !at.before(b.counted) {
			b.part(w, l, p, last)
			b.counted = place{at.sequence, at.part + 1}
		}
	}
	for _, s := range l.Segments {
		for i, p := range s.Parts {
			each(place{s.Sequence, i}, p, i == len(s.Parts)-1)
		}
	}
	for i, p := range l.Open {
		each(place{l.Next(), i}, p, false)
	}
	if !listed && l.Hint != b.hint {
		w.add("ll.hint_wrong", checkup.Warning, "A part that was hinted at never came to be listed.", "Players fetched it for nothing. EXT-X-PRELOAD-HINT must name the part that comes next.")
	}
	if listed || l.Hint != b.hint {
		b.hint = ""
	}
}

func (b *lowLatency) part(w *watcher, l *playlist.Playlist, p playlist.Part, last bool) {
	b.parts++
	b.partSum += p.Duration
	b.partMax = max(b.partMax, p.Duration)
	if b.partMin == 0 || p.Duration < b.partMin {
		b.partMin = p.Duration
	}
	switch {
	case p.Duration > l.PartTarget+time.Millisecond:
		w.add("ll.part_long", checkup.Problem, fmt.Sprintf("A part of %s is longer than PART-TARGET, %s.", seconds(p.Duration), seconds(l.PartTarget)), "Raise the packager's part length, to no less than the distance of two pictures.")
	case p.Duration < l.PartTarget*85/100-time.Millisecond && !last && !p.Independent:
		w.add("ll.part_short", checkup.Info, fmt.Sprintf("A part of %s is shorter than 85 %% of PART-TARGET, %s; Apple's players mind.", seconds(p.Duration), seconds(l.PartTarget)), "Let PART-TARGET be the longest part that comes, which is a whole number of pictures.")
	}
}

// terms looks at what a low-latency playlist has to promise.
func (b *lowLatency) terms(w *watcher, l *playlist.Playlist) {
	if l.End {
		return
	}
	if !l.Control.CanBlock {
		w.add("ll.no_blocking", checkup.Problem, "There are parts, and no CAN-BLOCK-RELOAD: players poll, and come late.", "Turn blocking playlist reload on.")
	}
	switch hold := l.Control.PartHoldBack; {
	case hold == 0:
		w.add("ll.hold_back", checkup.Problem, "There are parts, and no PART-HOLD-BACK: players do not use them.", "Add PART-HOLD-BACK with three times PART-TARGET to EXT-X-SERVER-CONTROL.")
	case hold < 2*l.PartTarget:
		w.add("ll.hold_back", checkup.Problem, fmt.Sprintf("PART-HOLD-BACK is %s, less than two PART-TARGETs.", seconds(hold)), "Three times PART-TARGET is what players want.")
	case hold < 3*l.PartTarget-time.Millisecond:
		w.add("ll.hold_back", checkup.Warning, fmt.Sprintf("PART-HOLD-BACK is %s, less than three PART-TARGETs.", seconds(hold)), "Three times PART-TARGET is what players want.")
	}
}

// followHint asks for the part that is hinted at, as players do, a few times.
func (w *watcher) followHint(ctx context.Context) {
	b := &w.low
	hint := w.list.Hint
	if hint == "" || w.list.PartTarget == 0 || b.hints >= hints || b.hint != "" || ctx.Err() != nil {
		return
	}
	u, err := resolve(w.url, hint)
	if err != nil {
		w.add("playlist.uri", checkup.Problem, fmt.Sprintf("EXT-X-PRELOAD-HINT has %v.", err), "")
		return
	}
	within, cancel := context.WithTimeout(ctx, maxHoldWait)
	defer cancel()
	a, err := w.client.get(within, part, u, "", maxSegment)
	if err == nil {
		defer a.close()
		if _, err = io.Copy(io.Discard, a.body); err == nil && a.status/100 != 2 {
			err = statusError(a.status)
		}
	}
	if ctx.Err() != nil {
		return
	}
	b.hints++
	if err != nil {
		w.add("ll.hint_failed", checkup.Problem, fmt.Sprintf("The part that EXT-X-PRELOAD-HINT names could not be fetched: %v.", plain(err)), "The server must hold the request until the part is there; caches and proxies in front must let it.")
		return
	}
	b.hint, b.hintMax = hint, max(b.hintMax, a.first)
}
