package remux

import (
	"time"

	"headwater/remux/av"
	"headwater/remux/hls"
)

// timeline cuts a stream's samples into parts and segments and keeps those that
// can still be asked for. It belongs to whoever publishes; what readers see of
// it is the Index that changed returns.
type timeline struct {
	options Options
	epoch   string // in the names of all that is to come, and of nothing else ever
	cutter  hls.Cutter
	sorter  hls.Interleaver
	config  *av.Config // of the samples pushed last

	open          *Segment
	video, audio  pack          // of open, which gets them when it ends
	openBytes     int64         // likewise
	partVideo     int           // first video sample of the open part in video
	partAudio     int           // and audio
	partStart     time.Duration // DTS
	partKey       bool
	videoEnd      int64 // where the last closed part's video ended on its clock
	audioEnd      int64
	wallAnchor    time.Time     // wall clock …
	streamAnchor  time.Duration // … at this stream time
	ahead         time.Duration // how much later than on the stream's clock all is that is rendered
	since         time.Time     // what ahead is to make it count from; zero once it does. See State
	broken        bool          // a discontinuity lies in front of the next segment
	resumed       bool          // the first segment follows those of an earlier timeline
	joins         bool          // the next one follows the one before, if there is no discontinuity
	earliest      time.Duration // the lowest composition time since the last one
	nextSequence  uint64
	nextPart      uint64
	nextInit      uint64
	discontinuity uint64
	initialize    *initSection

	clock     *clock      // of the publisher; nil where nobody asks for joints
	soundNext sampleClock // where its sound ends, as far as it is placed
	borrowed  bool        // epoch is a twin's

	metadata []av.Frame // tags that wait for their part, oldest first
	timed    bool       // there has been one
	extra    uint64     // discontinuities that only MPEG-TS has had

	held   []*Segment // oldest first; replaced, never changed in place
	listed int        // held[listed:] is in the playlist
	bytes  int64      // cost of held
	slow   *slowTexts // of held and listed

	gaps              []hls.Entry // listed in front of all segments; see Past
	gapsDiscontinuity uint64      // sequence number in front of them
	served            *servedMark
}

// init begins at a state; goesOn says that it is a continuation, which a
// discontinuity marks.
func (t *timeline) init(o Options, from State, goesOn bool, served *servedMark) {
	*t = timeline{
		options: o,
		epoch:   newEpoch(),
		cutter: hls.Cutter{
			SegmentDuration:    o.SegmentDuration,
			MaxSegmentDuration: o.MaxSegmentDuration,
			MaxSegmentBytes:    o.MaxSegmentBytes,
			PartDuration:       o.PartDuration,
			Target:             from.Target,
			PartTarget:         from.PartTarget,
		},
		nextSequence:  from.Sequence,
		discontinuity: from.Discontinuity,
		resumed:       goesOn,
		since:         from.Since,
		slow:          &slowTexts{},
		served:        served,
	}
	t.gaps, t.gapsDiscontinuity = from.gaps()
}

// state is what has to outlive the timeline.
func (t *timeline) state(now time.Time) State {
	s := State{
		Sequence:      t.nextSequence,
		Discontinuity: t.discontinuity + t.extra, // above that of either format
		Target:        t.cutter.Target,
		PartTarget:    t.cutter.PartTarget,
		At:            now,
		Past:          t.past(),
		Broken:        t.open != nil && t.open.Discontinuity,
		Epoch:         t.epoch,
	}
	if n := len(t.held); n > 0 {
		s.Listed = t.held[n-1].Sequence + 1
	}
	return s
}

// push adds a sample and reports whether the index has changed. Few samples need to
// know the time.
func (t *timeline) push(s *av.Frame, now func() time.Time) bool {
	changed := false
	if t.config != s.Config {
		if t.config != nil {
			changed = t.breakOff(now())
			if t.config.Audio != s.Config.Audio {
				t.soundNext = sampleClock{} // it may count in other units now
			}
		}
		t.config = s.Config
	}
	t.sorter.Push(s)
	return t.drain(now) || changed
}

func (t *timeline) drain(now func() time.Time) bool {
	changed := false
	for s, ok := t.sorter.Pop(); ok; s, ok = t.sorter.Pop() {
		changed = t.place(&s, now) || changed
	}
	return changed
}

func (t *timeline) place(s *av.Frame, now func() time.Time) bool {
	moved := false
	for cut := t.cutter.Late(s); cut != hls.Continue; cut = t.cutter.Late(s) {
		t.cutBeforeLast(cut, now())
		moved = true
	}
	hole := t.cutter.Hole(s.DTS)
	if hole {
		t.abandon(now())
	}
	cut := t.cutter.Next(s)
	switch cut {
	case hls.Drop:
		return hole || moved
	case hls.NewSegment:
		at := now()
		t.endSegment(t.cutter.At(), s, at)
		t.beginSegment(s, t.cutter.At(), at)
	case hls.NewPart:
		t.endPart(t.cutter.At(), s, now())
		t.partStart, t.partKey = t.cutter.At(), s.Key && (s.Kind == av.Video || s.Config.Video == nil)
	}
	t.add(s)
	return cut != hls.Continue || moved
}

// cutBeforeLast ends the open part, or segment, in front of its last picture, which
// begins the next.
func (t *timeline) cutBeforeLast(cut hls.Cut, now time.Time) {
	at, n := t.cutter.At(), t.video.len()-1
	last := t.video.at(n)
	t.video = t.video.slice(0, n)
	if cut == hls.NewSegment {
		t.openBytes -= int64(len(last.Tag))
		t.endSegment(at, &last, now)
		t.beginSegment(&last, at, now)
		t.add(&last)
		return
	}
	t.endPart(at, &last, now)
	t.partStart, t.partKey = at, last.Key
	t.video.add(&last)
}

// breakOff ends the open segment where its samples end; a discontinuity follows.
func (t *timeline) breakOff(now time.Time) bool {
	t.sorter.Flush()
	t.drain(func() time.Time { return now })
	return t.abandon(now)
}

// abandon ends the open segment where its samples end.
func (t *timeline) abandon(now time.Time) bool {
	t.broken = true
	if t.open == nil {
		return false
	}
	end := min(t.lastEnd(), t.cutter.Latest())
	t.endSegment(end, nil, now)
	t.cutter.End(end)
	return true
}

// lastEnd is the stream time at which the open segment's samples end.
func (t *timeline) lastEnd() time.Duration {
	least := t.partStart
	end := least + time.Millisecond
	if t.video.len() > t.partVideo {
		least = t.video.last().dts
		end = least + t.cutter.Frame
	} else if n := t.audio.len(); n > t.partAudio { // a part of sound alone ends with its sound
		last, track := t.audio.at(n-1), t.open.Config.Audio
		length := time.Duration(track.Samples(last.Data)) * time.Second / time.Duration(track.Timescale)
		end = max(end, last.DTS+length)
	}
	if t.cutter.PartTarget > 0 {
		end = min(end, t.partStart+t.cutter.PartTarget)
	}
	return max(end, least+time.Millisecond)
}

func (t *timeline) beginSegment(s *av.Frame, at time.Duration, now time.Time) {
	if !t.since.IsZero() {
		t.ahead = max(0, now.Sub(t.since).Truncate(time.Millisecond)-at)
		t.since = time.Time{}
	}
	if t.wallAnchor.IsZero() || t.broken {
		t.wallAnchor, t.streamAnchor = now, at
	}
	if t.initialize == nil || t.initialize.config != s.Config {
		t.initialize = &initSection{epoch: t.epoch, number: t.nextInit, config: s.Config, made: now}
		t.nextInit++
		t.videoEnd, t.audioEnd = 0, 0 // the clocks may have other units now
	}
	discontinuity := t.resumed // state has counted that one
	if t.broken && len(t.held) > 0 {
		discontinuity = true
		t.discontinuity++
	}
	if discontinuity || t.broken {
		t.joins, t.earliest = false, 0
	}
	t.broken, t.resumed = false, false
	t.open = &Segment{
		Sequence:              t.nextSequence,
		Discontinuity:         discontinuity,
		DiscontinuitySequence: t.discontinuity,
		Independent:           t.cutter.Independent(),
		Config:                s.Config,
		Start:                 at,
		ProgramTime:           t.wallAnchor.Add(at - t.streamAnchor),
		epoch:                 t.epoch,
		ahead:                 t.ahead,
		init:                  t.initialize,
		joins:                 t.joins,
		earliest:              t.earliest,
	}
	if n := len(t.held); n > 0 { // about as many as in the last one
		t.video.frames = make([]packed, 0, t.held[n-1].video.len()+8)
		t.audio.frames = make([]packed, 0, t.held[n-1].audio.len()+8)
	}
	t.open.joint = t.joint(t.open, s)
	t.nextSequence++
	t.partVideo, t.partAudio = 0, 0
	t.partStart, t.partKey = at, t.open.Independent
}

// add puts a sample into the open part. Where a track's last part ended at a
// guess and the next samples turn out to begin before that, they are moved up: on a
// track's clock nothing overlaps.
func (t *timeline) add(s *av.Frame) {
	t.openBytes += int64(len(s.Tag))
	if s.Kind == av.Video {
		t.video.addFrom(s, t.partVideo, t.videoEnd)
		return
	}
	t.soundNext.begun, t.soundNext.next = true, s.Time+int64(s.Config.Audio.Samples(s.Data))
	t.audio.addFrom(s, t.partAudio, t.audioEnd)
}

// addFrom adds a frame to a part that begins with frame from, behind what the part has
// of the track, or where the part before ended: a frame lasts a tick at least. MPEG-TS
// has no two of one time, and where it had to tell them apart itself the next segment
// would not know.
func (p *pack) addFrom(s *av.Frame, from int, end int64) {
	if p.len() > from {
		end = p.last().time + 1
	}
	p.add(s)
	p.last().time = max(s.Time, end)
}

// endPart closes the open part at a stream time; next is the sample behind it,
// nil at the end. A part that a single picture makes longer than parts may be (4.4.4.9)
// is said to be as long as they may: its segment says the rest when it is complete.
func (t *timeline) endPart(at time.Duration, next *av.Frame, now time.Time) {
	seg := t.open
	p := &Part{
		Number:      t.nextPart,
		Independent: t.partKey,
		Start:       t.partStart,
		Duration:    at - t.partStart,
		epoch:       seg.epoch,
		ahead:       seg.ahead,
		config:      seg.Config,
		video:       t.video.slice(t.partVideo, t.video.len()),
		audio:       t.audio.slice(t.partAudio, t.audio.len()),
	}
	if t.cutter.PartTarget > 0 {
		p.Duration = min(p.Duration, t.cutter.PartTarget)
	}
	if p.video.len() > 0 {
		guess := scale(at, seg.Config.Video.Timescale)
		p.videoEnd = t.trackEnd(av.Video, p.video.last().time, guess, next)
		t.videoEnd = p.videoEnd
	}
	if n := p.audio.len(); n > 0 {
		last := p.audio.at(n - 1)
		p.audioEnd = t.trackEnd(av.Audio, last.Time, last.Time+int64(seg.Config.Audio.Samples(last.Data)), next)
		t.audioEnd = p.audioEnd
	}
	t.partVideo, t.partAudio = t.video.len(), t.audio.len()
	if next == nil {
		at = forever // nothing comes behind it that could hold a tag
	}
	p.metadata = t.takeMetadata(at)
	if p.video.len()+p.audio.len() > 0 {
		p.modified = now
		seg.Parts = append(seg.Parts, p)
		t.nextPart++
	}
}

// trackEnd is where a track's last sample in a part ends: where its next one
// begins if that is known, else the guess.
func (t *timeline) trackEnd(k av.Kind, last, guess int64, next *av.Frame) int64 {
	end := guess
	if next != nil && next.Kind == k {
		end = next.Time
	} else if at, ok := t.sorter.Peek(k); ok && next != nil {
		end = at
	}
	return max(end, last+1)
}

func (t *timeline) endSegment(at time.Duration, next *av.Frame, now time.Time) {
	if t.open == nil {
		return
	}
	t.endPart(at, next, now)
	seg := t.open
	seg.video, seg.audio, seg.Bytes = t.video, t.audio, t.openBytes
	t.open, t.video, t.audio, t.openBytes = nil, pack{}, pack{}, 0
	seg.Duration = at - seg.Start
	seg.modified = now
	t.joins = true
	for i := range seg.video.frames {
		t.earliest = min(t.earliest, seg.video.frames[i].cts)
	}
	seg.Independent = seg.Independent || seg.video.len() == 0 // sound needs no key frame
	t.listMetadata(seg)
	held := make([]*Segment, 0, len(t.held)+1)
	held = append(append(held, t.held...), seg)
	t.bytes += seg.cost()
	t.held = t.evict(held, now)
	t.slow = &slowTexts{}
}
