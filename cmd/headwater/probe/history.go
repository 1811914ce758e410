package probe

import (
	"fmt"
	"time"

	"headwater/cmd/headwater/probe/playlist"
	"headwater/origin/checkup"
)

// maxKnown bounds the segments that are remembered, besides those that are listed.
const maxKnown = 1024

// lateFactor is how many target durations a playlist may stand still: by
// rfc8216bis, 6.2.1 a new one comes within one and a half.
const lateFactor = 1.5

// history is what playlists said before.
type history struct {
	known    map[uint64]known // by media sequence
	last     *playlist.Playlist
	sum      [32]byte
	changed  time.Time // when the last change was seen
	reloads  int
	updates  int
	longest  time.Duration // that it was seen to stay as it is
	failures int
	late     int

	latency    time.Duration // sum
	latencyMax time.Duration
	latencyMin time.Duration
	timed      int
}

// known is a segment that was listed.
type known struct {
	uri    string
	sum    [32]byte
	hashed bool
}

// take compares a playlist with those before, and reports whether it is a new one.
func (h *history) take(w *watcher, l *playlist.Playlist, sum [32]byte, now time.Time) (changed bool) {
	h.reloads++
	if h.last != nil && sum == h.sum {
		h.unchanged(l, now)
		return false
	}
	if h.last != nil {
		h.updates++
		h.compare(w, h.last, l)
	}
	h.remember(w, l)
	h.timing(l, now)
	h.last, h.sum, h.changed = l, sum, now
	checkTarget(w, l)
	return true
}

// unchanged counts only what was seen: a change between two looks is not late.
func (h *history) unchanged(l *playlist.Playlist, now time.Time) {
	since := now.Sub(h.changed)
	h.longest = max(h.longest, since)
	if l.End || l.Target == 0 || since < time.Duration(lateFactor*float64(l.Target)) {
		return
	}
	h.late++
}

// held counts an answer that was held back, as long as it was.
func (h *history) held(l *playlist.Playlist, took time.Duration) {
	if l.Target > 0 && took > time.Duration(lateFactor*float64(l.Target)) {
		h.late++
		h.longest = max(h.longest, took)
	}
}

// finding says how late it was at worst.
func (h *history) finding(w *watcher, target time.Duration) {
	switch {
	case h.late == 0:
	case h.longest > 3*target:
		w.add("playlist.stalled", checkup.Problem, fmt.Sprintf("The playlist stood still for %s, at a target duration of %s: viewers ran out of media.", seconds(h.longest), seconds(target)), "The encoder, the line from it or the packager stopped; or a cache holds the playlist for too long.")
	default:
		w.add("playlist.late", checkup.Warning, fmt.Sprintf("The playlist came late: it stood still for %s, at a target duration of %s.", seconds(h.longest), seconds(target)), "A new segment must be listed within one and a half target durations. Look at the encoder's line, and at how long caches hold playlists.")
	}
}

// compare finds what a new playlist may not do (6.2.1, 6.2.2).
func (h *history) compare(w *watcher, before, l *playlist.Playlist) {
	switch {
	case l.Sequence < before.Sequence:
		w.add("sequence.back", checkup.Problem, fmt.Sprintf("EXT-X-MEDIA-SEQUENCE went back from %d to %d: players stop or start over.", before.Sequence, l.Sequence), "The packager was restarted and counts anew, or two of them that do not agree answer under one name.")
		h.known = map[uint64]known{}
		return
	case l.Next() < before.Next():
		w.add("sequence.shorter", checkup.Problem, "Segments that the playlist listed at its end are gone from it.", "Servers or caches that answer under one name do not agree. Let caches keep playlists more briefly.")
		return
	}
	if l.Target != before.Target {
		w.add("target.changed", checkup.Problem, fmt.Sprintf("EXT-X-TARGETDURATION changed from %s to %s: it must not.", seconds(before.Target), seconds(l.Target)), "Set it to the longest segment that may come.")
	}
	if l.Sequence >= before.Next() {
		return // all are gone: what was between is not known
	}
	left := 0
	for _, s := range before.Segments {
		if s.Sequence < l.Sequence && s.Discontinuity {
			left++
		}
	}
	if want := before.DiscontinuitySequence + uint64(left); l.DiscontinuitySequence != want {
		w.add("discontinuity.sequence", checkup.Problem, fmt.Sprintf("EXT-X-DISCONTINUITY-SEQUENCE is %d where %d is due, after %d discontinuities left the playlist: players take media for that of another time.", l.DiscontinuitySequence, want, left), "Count each EXT-X-DISCONTINUITY that leaves the playlist.")
	}
}

// remember checks each segment against what was listed under its number.
func (h *history) remember(w *watcher, l *playlist.Playlist) {
	for _, s := range l.Segments {
		before, ok := h.known[s.Sequence]
		switch {
		case ok && before.uri != s.URI+s.Range:
			w.add("sequence.renamed", checkup.Problem, fmt.Sprintf("Segment %d has another name than before.", s.Sequence), "A segment keeps its number: EXT-X-MEDIA-SEQUENCE must count those that left.")
			h.known[s.Sequence] = known{uri: s.URI + s.Range}
		case !ok:
			h.known[s.Sequence] = known{uri: s.URI + s.Range}
		}
	}
	for n := range h.known {
		if len(h.known) <= maxKnown {
			return
		}
		if n < l.Sequence || n >= l.Next() {
			delete(h.known, n)
		}
	}
}

func (h *history) hashed(s playlist.Segment, sum [32]byte) {
	if k, ok := h.known[s.Sequence]; ok {
		k.sum, k.hashed = sum, true
		h.known[s.Sequence] = k
	}
}

// timing measures how old the newest media is.
func (h *history) timing(l *playlist.Playlist, now time.Time) {
	edge := l.Edge()
	if edge.IsZero() || l.End {
		return
	}
	age := now.Sub(edge)
	if h.timed == 0 || age < h.latencyMin {
		h.latencyMin = age
	}
	if h.timed == 0 || age > h.latencyMax {
		h.latencyMax = age
	}
	h.latency += age
	h.timed++
}

// checkTarget holds segments against the target duration (4.4.3.1).
func checkTarget(w *watcher, l *playlist.Playlist) {
	for _, s := range l.Segments {
		if l.Target > 0 && s.Duration.Round(time.Second) > l.Target {
			w.add("segment.too_long", checkup.Problem, fmt.Sprintf("A segment of %s is longer than EXT-X-TARGETDURATION, %s: players may run out of media.", seconds(s.Duration), seconds(l.Target)), "Shorten the key frame interval, or raise the packager's segment length.")
			return
		}
	}
}
