package remux

import (
	"math"
	"time"

	"headwater/remux/av"
	"headwater/remux/id3"
)

// Timed metadata: the data messages that package id3 knows go to HLS viewers as ID3
// tags, at the stream time at which they came. Each is part of the part and the
// segment that hold that time.
//
// In fMP4 a tag needs no preparation. In MPEG-TS a segment has to list the stream
// that carries it, and that is a change of tracks (rfc8216bis 4.4.4.3). It is made
// once, with the segment that has the first tag, and never taken back: the TS
// playlist has a discontinuity there, which the fMP4 playlist has not, unless it is
// the first segment or there is one anyway. Streams without metadata, and segments
// before the first tag, are as if there were no such thing.

const (
	// maxMetadataRate is how many messages a second of stream time may hold.
	maxMetadataRate = 50
	// maxMetadataWaiting bounds the tags whose part is still open, or whose segment
	// has not begun: more than the second for which a track is waited for can hold.
	maxMetadataWaiting = 128
)

// pace bounds how often something may happen in stream time.
type pace struct {
	since time.Duration
	count int
}

func (p *pace) add(at time.Duration) (tooMany bool) {
	if at-p.since >= time.Second {
		p.since, p.count = at, 0
	}
	p.count++
	return p.count > maxMetadataRate
}

// timed gives HLS those data messages that it carries.
func (p *Publisher) timed(at time.Duration, body []byte) {
	if !id3.Carries(body) {
		return
	}
	if p.pace.add(at) {
		p.stats.MetadataDropped++
		return
	}
	tag, err := id3.New(body)
	if err != nil {
		p.stats.MetadataDropped++
		return
	}
	p.stats.Metadata++
	if p.stream.timeline.annotate(at, tag) {
		p.stats.MetadataDropped++
	}
}

// annotate adds an ID3 tag. It waits until the part is closed that holds its time;
// where no segment is open, for the next one to begin. It reports whether another
// had to go for it.
func (t *timeline) annotate(at time.Duration, tag []byte) (dropped bool) {
	if dropped = len(t.metadata) >= maxMetadataWaiting; dropped {
		t.metadata = t.metadata[1:]
	}
	t.metadata = append(t.metadata, av.Frame{Kind: av.Data, DTS: at, Time: scale(at, metadataTimescale), Data: tag})
	return dropped
}

// metadataTimescale is the clock of tags in both formats, in hertz.
const metadataTimescale = 90000

// forever is later than any time of a stream.
const forever time.Duration = math.MaxInt64

// takeMetadata moves the tags before a stream time into the open segment, and
// returns them. What came before the segment began is moved up to its beginning.
func (t *timeline) takeMetadata(before time.Duration) []av.Frame {
	seg, first := t.open, len(t.open.metadata)
	for len(t.metadata) > 0 && t.metadata[0].DTS < before {
		s := t.metadata[0]
		t.metadata = t.metadata[1:]
		s.Time = max(s.Time, scale(seg.Start, metadataTimescale))
		seg.metadata = append(seg.metadata, s)
		seg.Bytes += int64(len(s.Data))
	}
	return seg.metadata[first:len(seg.metadata):len(seg.metadata)]
}

// listMetadata decides whether a finished segment lists the stream of metadata.
func (t *timeline) listMetadata(seg *Segment) {
	if !t.timed && len(seg.metadata) > 0 {
		t.timed = true
		seg.timedFrom = len(t.held) > 0 && !seg.Discontinuity
		if seg.timedFrom {
			t.extra++
		}
	}
	seg.timed, seg.extra = t.timed, t.extra
}

// discontinuity says whether there is one in front of the segment in a format, and
// gives its discontinuity sequence number there.
func (s *Segment) discontinuity(f Format) (here bool, sequence uint64) {
	if f == TS {
		return s.Discontinuity || s.timedFrom, s.DiscontinuitySequence + s.extra
	}
	return s.Discontinuity, s.DiscontinuitySequence
}
