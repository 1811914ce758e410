package probe

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"headwater/cmd/headwater/probe/media"
	"headwater/origin/checkup"
	"headwater/remux/av"
)

// paceAfter is left out of the pace: servers send what they have at once, so that
// players begin.
const paceAfter = 2 * time.Second

// pauseAfter is how long a time without media is a stall and not slowness.
const pauseAfter = time.Second

// endlessWatch watches a body without an end: FLV or MPEG-TS. It is the sink of
// their readers.
type endlessWatch struct {
	meter
	asked     time.Time
	video     *media.Frame // the newest picture
	firstKey  time.Time
	lastSeen  time.Time
	stall     time.Duration // longest
	paused    time.Duration // all stalls since the anchor: they are said by themselves
	anchored  bool
	anchor    time.Time     // from where the pace is measured
	anchorDTS time.Duration // of the newest media then
	newest    time.Duration
	jumpsThen int
}

// Track implements media.Sink.
func (e *endlessWatch) Track(kind av.Kind, t media.Track) { e.setTrack(kind, t) }

// Frame implements media.Sink.
func (e *endlessWatch) Frame(f media.Frame) {
	now := time.Now()
	e.add(f)
	if !e.lastSeen.IsZero() {
		since := now.Sub(e.lastSeen)
		e.stall = max(e.stall, since)
		if since > pauseAfter {
			e.paused += since
		}
	}
	e.lastSeen = now
	switch {
	case f.Kind == av.Video:
		if f.Key && e.firstKey.IsZero() {
			e.firstKey = now
		}
		e.video = &f
	case e.video != nil:
		e.Offset(f.DTS, f.DTS-e.video.DTS)
	}
	if e.Breaks() != e.jumpsThen {
		e.jumpsThen, e.anchored, e.newest = e.Breaks(), false, f.DTS
	}
	e.newest = max(e.newest, f.DTS)
	if !e.anchored && now.Sub(e.asked) > paceAfter {
		e.anchored, e.anchor, e.anchorDTS, e.paused = true, now, e.newest, 0
	}
}

// pace returns seconds of media in a second; 0 where there was too little of it.
func (e *endlessWatch) pace() float64 {
	wall := e.lastSeen.Sub(e.anchor) - e.paused
	if !e.anchored || wall < 2*paceAfter {
		return 0
	}
	return (e.newest - e.anchorDTS).Seconds() / wall.Seconds()
}

// watchEndless reads a until the time is over. ctx ends its body too.
func (p *probe) watchEndless(ctx context.Context, a *answer, r *bufio.Reader, isFLV bool) {
	e := &endlessWatch{asked: a.asked}
	end := time.AfterFunc(p.watch, a.close)
	defer end.Stop()
	var faults media.Faults
	var err error
	if isFLV {
		var f *media.FLV
		if f, err = media.NewFLV(r, e); err == nil {
			for err == nil {
				err = f.Next()
			}
			faults = f.Faults
		}
	} else {
		t := media.NewTS(e)
		if err = t.Read(r); err == nil {
			err = io.EOF
		}
		faults = t.Faults
	}
	ended := time.Since(a.asked) < p.watch-100*time.Millisecond && ctx.Err() == nil
	p.endlessReport(e, faults, err, ended)
}

func (p *probe) endlessReport(e *endlessWatch, faults media.Faults, err error, ended bool) {
	now := time.Now()
	if !ended && !e.lastSeen.IsZero() {
		e.stall = max(e.stall, now.Sub(e.lastSeen))
	}
	c := e.measures()
	c.Arrival = checkup.Arrival{Pace: e.pace(), Stall: e.stall}
	c.Malformed, c.Unsupported = faults.Malformed, faults.Unknown
	c.LowLatency = true // that is what such a stream is for
	p.report.take(&e.meter, c)
	s := &Stream{Pace: round3(c.Arrival.Pace), Stall: Seconds(e.stall)}
	if !e.firstKey.IsZero() {
		s.FirstPicture = Seconds(e.firstKey.Sub(e.asked))
	}
	p.report.Stream = s
	p.report.Findings = append(p.report.Findings, checkup.Check(c)...)
	p.faults(faults)
	p.found.all = append(p.found.all, p.client.delivery.check(true, 0)...)
	if c.Video != nil && time.Duration(s.FirstPicture) > 2*time.Second {
		p.found.add("start.slow", checkup.Warning, fmt.Sprintf("The first picture that can be shown came %s after the request.", s.FirstPicture), "The server should begin with its newest key frame; with long key frame intervals that is old, so shorten them.")
	}
	switch {
	case !ended:
	case errors.Is(err, io.EOF):
		p.found.add("stream.ended", checkup.Problem, fmt.Sprintf("The stream ended after %s.", seconds(now.Sub(e.asked))), "Its publisher has left, or the server closed this viewer; its log says why.")
	default:
		p.found.add("stream.broke", checkup.Problem, fmt.Sprintf("The stream broke after %s: %v.", seconds(now.Sub(e.asked)), plain(err)), "")
	}
}

// faults says what containers had wrong.
func (p *probe) faults(f media.Faults) {
	if f.Continuity > 0 {
		p.found.add("ts.continuity", checkup.Problem, fmt.Sprintf("MPEG-TS packets are missing: %d times a continuity counter skipped.", f.Continuity), "Something between encoder and here loses packets, or a packager does not carry its counters on.")
	}
	if f.Sync > 0 {
		p.found.add("media.framing", checkup.Warning, fmt.Sprintf("Sizes and sync bytes do not fit %d times.", f.Sync), "Something cuts the stream or mixes it up.")
	}
	if f.Encrypted > 0 {
		p.found.add("media.encrypted", checkup.Info, "It is encrypted: pictures and sound could not be looked at.", "")
	}
}
