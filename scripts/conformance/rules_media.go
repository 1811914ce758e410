package conformance

import (
	"time"
)

// mediaRules hold what is played against what was published.
var mediaRules = []Rule{
	{"media.video", "HLS.md 2, 3", "each picture that was published is there, once, at its time", checkPictures},
	{"media.audio", "HLS.md 2, 3", "each frame of sound that was published is there, once", checkSounds},
}

// What of a publisher's last media is lost with its connection, and what with the
// server: the segment that was open, and media that came faster than it plays.
const (
	lostOnWire   = 500 * time.Millisecond
	lostOnServer = 3 * time.Second
)

// sessionEnd is what ended the first session; nothing did if its Kind is empty.
func (v *view) sessionEnd() Event {
	for _, e := range v.rec.Events {
		if e.Kind == Left || e.Kind == Restarted {
			return e
		}
	}
	return Event{}
}

// firstSession are the entries of a rendition that hold media of the first
// publisher: those that were known before another one came.
func (v *view) firstSession(n *renditionView) []*entry {
	came := 0
	var next time.Time
	for _, e := range v.rec.Events {
		if e.Kind == Came || e.Kind == Restarted {
			came++
		}
		if came == 2 {
			next = e.At
			break
		}
	}
	for i, e := range n.entries {
		if !next.IsZero() && !e.start().Before(next) {
			return n.entries[:i]
		}
	}
	return n.entries
}

// decodeTimes are the decode times of a rendition's pictures in ms, as far as the
// first session goes: on the publisher's clock in fMP4, from the first one on in
// MPEG-TS.
func (v *view) decodeTimes(n *renditionView) (times []int64) {
	var unwrapped, last int64
	for i, e := range v.firstSession(n) {
		switch {
		case !e.known() || i > 0 && e.MSN != n.entries[i-1].MSN+1:
			return times
		case e.ts != nil:
			for j, p := range e.ts.track(isVideo) {
				if i > 0 || j > 0 {
					unwrapped += since(p.DTS, last)
				}
				last = p.DTS
				times = append(times, (unwrapped+45)/90)
			}
		default:
			video := e.init.Track("vide")
			if video == nil {
				return nil
			}
			for _, run := range e.mp4.Runs(video.ID) {
				at := run.Time
				for _, s := range run.Samples {
					times = append(times, video.milliseconds(at)-n.ahead)
					at += uint64(s.Duration)
				}
			}
		}
	}
	return times
}

// ahead is how many ms later than the publisher's clock that of a rendition in fMP4 is.
// Where the server knows nothing of the stream it begins when the wall clock's hour did,
// so that players who do find it as if it had gone on.
func (v *view) ahead(n *renditionView) int64 {
	const hour = 3_600_000
	all := v.firstSession(n)
	if len(all) == 0 || !all[0].known() || all[0].mp4 == nil {
		return 0
	}
	track, video := all[0].init.Track("vide"), true
	if track == nil {
		track, video = all[0].init.Track("soun"), false
	}
	sent := v.published(video, 0)
	if track == nil || len(sent) == 0 {
		return 0
	}
	runs := all[0].mp4.Runs(track.ID)
	if len(runs) == 0 {
		return 0
	}
	first := track.milliseconds(runs[0].Time)
	if first >= hour {
		return 0
	}
	return max(0, first-sent[0])
}

// published are the times of the first session's frames of one kind; pictures
// from the first key frame on.
func (v *view) published(video bool, from int64) (times []int64) {
	for _, s := range v.rec.Sent {
		if s.Session == 0 && s.Video == video && s.Time >= from && (!video || s.Key || len(times) > 0) {
			times = append(times, s.Time)
		}
	}
	return times
}

func checkPictures(v *view, r *report) {
	want := v.published(true, 0)
	if len(want) == 0 {
		return
	}
	for _, n := range v.renditions {
		got := v.decodeTimes(n)
		if len(got) == 0 {
			continue
		}
		shift := want[0] - got[0]
		r.want(n.Format == "ts" || shift == 0, "%s: the first picture is decoded at %d ms, published was %d", n.Path, got[0], want[0])
		for i := range min(len(got), len(want)) {
			r.want(got[i]+shift == want[i], "%s: picture %d is decoded at %d ms, published was %d", n.Path, i, got[i]+shift, want[i])
			if got[i]+shift != want[i] {
				break // and all that follow
			}
		}
		v.complete(n, "pictures", got, want, r)
	}
}

// complete wants nothing to be missing at the end, but for what a connection that
// broke took along.
func (v *view) complete(n *renditionView, what string, got, want []int64, r *report) {
	missing := time.Duration(0)
	if len(got) < len(want) {
		missing = time.Duration(want[len(want)-1]-want[len(got)]) * time.Millisecond
	}
	ok := len(got) <= len(want)
	switch end := v.sessionEnd(); {
	case v.rec.Whole:
		ok = len(got) == len(want)
	case end.Kind == Left:
		ok = ok && missing <= lostOnWire
	case end.Kind == Restarted:
		ok = ok && missing <= lostOnServer
	}
	r.want(ok, "%s: %d %s are there, %d were published", n.Path, len(got), what, len(want))
}

// checkSounds counts: the times of sound follow from the count.
func checkSounds(v *view, r *report) {
	from := int64(0)
	if video := v.published(true, 0); len(video) > 0 {
		from = video[0] // sound in front of the first picture is nobody's
	}
	want := v.published(false, from)
	if len(want) == 0 {
		return
	}
	for _, n := range v.renditions {
		if got, ok := v.soundFrames(n); ok {
			v.complete(n, "frames of sound", make([]int64, got), want, r)
		}
	}
}

// soundFrames counts them in the first session. In MPEG-TS only ADTS can be told
// apart.
func (v *view) soundFrames(n *renditionView) (count int, ok bool) {
	for i, e := range v.firstSession(n) {
		if !e.known() || i > 0 && e.MSN != n.entries[i-1].MSN+1 {
			return 0, false
		}
		if e.ts != nil {
			for _, p := range e.ts.track(isAudio) {
				_, frames, err := readADTS(p.Payload)
				if p.Type != typeADTS || err != nil {
					return 0, false
				}
				count += frames
			}
			continue
		}
		if audio := e.init.Track("soun"); audio != nil {
			for _, run := range e.mp4.Runs(audio.ID) {
				count += len(run.Samples)
			}
		}
	}
	return count, len(n.entries) > 0
}
