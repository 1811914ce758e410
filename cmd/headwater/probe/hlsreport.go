package probe

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"time"

	"headwater/origin/checkup"
)

// Bounds of what is seen of a live playlist.
const (
	fewSegments   = 3               // a player begins that many behind
	clocksApart   = 2 * time.Second // media from the future; encoders begin with a burst, which is less
	latencyFactor = 3               // target durations that the newest media may be old, and
	latencySlack  = 3 * time.Second // so much more
)

// watchLists watches playlists side by side and reports on them. The first has the
// pictures, if there are any.
func (p *probe) watchLists(ctx context.Context, all []*watcher) {
	var running sync.WaitGroup
	for _, w := range all {
		running.Go(func() { w.run(ctx) })
	}
	running.Wait()
	first := all[0]
	c := first.meter.measures()
	live := first.list != nil && !first.list.End
	target := time.Duration(0)
	if first.list != nil {
		target = first.list.Target
		c.LowLatency, c.Segment = first.list.PartTarget > 0, target
	}
	for _, w := range all[1:] {
		sound := w.meter.measures()
		if c.Audio == nil && sound.Audio != nil {
			c.Audio = sound.Audio
			first.meter.audio = w.meter.audio
		}
		c.Bitrate.Mean += sound.Bitrate.Mean
		c.Bitrate.Peak += sound.Bitrate.Peak
		c.Bitrate.Lowest += sound.Bitrate.Lowest
		c.Clock.Backward += sound.Clock.Backward
	}
	c.Ended = !live
	p.report.take(&first.meter, c)
	if first.measured.count > 0 && first.kind != "aac" && !p.encrypted(all) {
		p.report.Findings = append(p.report.Findings, checkup.Check(c)...)
	}
	for _, w := range all {
		w.conclude()
		if w != first { // what is well or merely so has been said of the first
			w.found.all = slices.DeleteFunc(w.found.all, func(f checkup.Finding) bool {
				return f.Severity == checkup.OK || f.Severity == checkup.Info
			})
		}
		p.found.all = append(p.found.all, w.found.all...)
		f := w.ts.Faults
		f.Malformed += w.mp4.Malformed
		f.Unknown, f.Encrypted = w.mp4.Unknown, f.Encrypted+w.mp4.Encrypted
		p.faults(f)
		if f.Malformed > 0 {
			p.found.add("media.malformed", checkup.Warning, fmt.Sprintf("%d pieces of media could not be read.", f.Malformed), "The packager or something between it and here damages media.")
		}
		if f.Unknown > 0 {
			p.found.add("media.unsupported", checkup.Warning, "There is a track of a codec that is not known.", "Use H.264 or HEVC and AAC.")
		}
	}
	p.report.HLS.take(first)
	p.found.all = append(p.found.all, p.client.delivery.check(live, target)...)
}

func (p *probe) encrypted(all []*watcher) bool {
	for _, w := range all {
		if w.list != nil && len(w.list.Segments) > 0 && w.list.Segments[len(w.list.Segments)-1].Encrypted {
			return true
		}
	}
	return false
}

// conclude says what shows only at the end.
func (w *watcher) conclude() {
	l := w.list
	if l == nil {
		if len(w.found.all) == 0 {
			w.add("playlist.failed", checkup.Problem, "The playlist could not be fetched in the time.", "Watch for longer with --duration; else the server is far too slow.")
		}
		return
	}
	w.hist.finding(w, l.Target)
	if w.measured.slow > 0 {
		w.add("segment.slow", checkup.Warning, fmt.Sprintf("%d of %d segments took longer to fetch than they last.", w.measured.slow, w.measured.count), "The line from the server to here, or the server, cannot carry the bit rate.")
	}
	if w.measured.count == 0 && len(l.Segments) == 0 {
		w.add("playlist.empty", checkup.Problem, "The playlist lists no segment.", "Is somebody publishing?")
	}
	if w.measured.count == 0 && len(l.Segments) > 0 && len(w.found.all) == 0 {
		w.add("segment.none", checkup.Problem, "Not one segment could be fetched in the time.", "Watch for longer with --duration; else the server or the line to it is far too slow.")
	}
	if l.End {
		w.add("playlist.ended", checkup.Info, "The playlist has ended: this is not live.", "")
		return
	}
	if n := len(l.Segments); n > 0 && n < fewSegments {
		w.add("playlist.short", checkup.Info, fmt.Sprintf("The playlist lists %d segments; players want at least three.", n), "It fills up when the stream has just begun; else raise the packager's window.")
	}
	if b := &w.low; b.refused > 0 {
		w.add("ll.reload_refused", checkup.Problem, fmt.Sprintf("Blocking reloads were refused %d times.", b.refused), "The server says CAN-BLOCK-RELOAD and does not do it; or a cache in front gives up first.")
	}
	w.latency(l.Target, l.PartTarget)
}

func (w *watcher) latency(target, partTarget time.Duration) {
	h := &w.hist
	if h.timed == 0 {
		w.add("latency.unknown", checkup.Info, "There is no EXT-X-PROGRAM-DATE-TIME: how far behind live it is cannot be told.", "Turn it on in the packager; players use it to keep together.")
		return
	}
	limit := latencyFactor*target + latencySlack
	if partTarget > 0 {
		limit = latencyFactor*partTarget + latencySlack
	}
	switch mean := h.latency / time.Duration(h.timed); {
	case h.latencyMin < -clocksApart:
		w.add("latency.clock", checkup.Warning, fmt.Sprintf("The newest media is from %s in the future: this clock and the server's differ.", seconds(-h.latencyMin)), "Let NTP set both. Players that keep to a latency by EXT-X-PROGRAM-DATE-TIME play wrongly.")
	case mean > limit:
		w.add("latency.high", checkup.Warning, fmt.Sprintf("The newest media in the playlist is %s old.", seconds(mean)), "Beside the encoder's own delay, look for a cache that holds playlists too long, and for clocks that differ.")
	default:
		w.add("latency.good", checkup.OK, fmt.Sprintf("The newest media in the playlist is %s old.", seconds(mean)), "")
	}
}

// take fills in what a watcher saw.
func (r *HLS) take(w *watcher) {
	if w.list == nil {
		return
	}
	l, m, h, b := w.list, &w.measured, &w.hist, &w.low
	r.Live, r.LowLatency, r.Container, r.Target = !l.End, l.PartTarget > 0, w.kind, Seconds(l.Target)
	r.Segments, r.SegmentMin, r.SegmentMax = m.count, Seconds(m.min), Seconds(m.max)
	if m.count > 0 {
		r.SegmentMean = Seconds(m.sum / time.Duration(m.count))
	}
	r.Reloads, r.Updates, r.LongestUnchanged = h.reloads, h.updates, Seconds(h.longest)
	if h.timed > 0 {
		mean, most := Seconds(h.latency/time.Duration(h.timed)), Seconds(h.latencyMax)
		r.Latency, r.LatencyMax = &mean, &most
	}
	r.PartTarget, r.Parts, r.PartMin, r.PartMax = Seconds(l.PartTarget), b.parts, Seconds(b.partMin), Seconds(b.partMax)
	if b.parts > 0 {
		r.PartMean = Seconds(b.partSum / time.Duration(b.parts))
	}
	r.BlockedReloads, r.BlockedReloadMax = b.blocked, Seconds(b.blockedMax)
	if b.blocked > 0 {
		r.BlockedReloadMean = Seconds(b.blockedSum / time.Duration(b.blocked))
	}
	r.Hints, r.HintMax = b.hints, Seconds(b.hintMax)
}
