package remux

import (
	"time"

	"headwater/remux/av"
	"headwater/remux/fmp4"
	"headwater/remux/mpegts"
)

// Segment is a finished media segment: where it lies on the timeline and, once
// somebody has asked, its bytes. It never changes.
type Segment struct {
	Sequence              uint64 // media sequence number
	Discontinuity         bool   // what came before does not lead up to it
	DiscontinuitySequence uint64 // of this segment, its own discontinuity counted
	Independent           bool   // it starts with a key frame, or is all sound
	Config                *av.Config
	Start                 time.Duration // DTS of the first sample on the stream's clock
	Duration              time.Duration
	ProgramTime           time.Time // wall clock at Start
	Parts                 []*Part
	Bytes                 int64 // of its frames

	epoch     string // in its name
	init      *initSection
	ahead     time.Duration // of the stream's clock, in what is rendered; see timeline
	joint     *Joint        // nil where no twin could begin
	modified  time.Time
	video     pack
	audio     pack
	metadata  []av.Frame    // ID3 tags
	timed     bool          // MPEG-TS lists a stream of them
	timedFrom bool          // and did not before: a discontinuity there
	extra     uint64        // discontinuities that only MPEG-TS has had, that one counted
	joins     bool          // it follows the segment before, without a discontinuity
	earliest  time.Duration // the lowest composition time of all since the last discontinuity, if so
	fmp4, ts  lazy
	retiredAt time.Time // owned by the timeline: when it left the playlist
	whole     bool      // owned by the timeline: a playlist has had its EXTINF
}

// cost is the memory that a segment takes, about.
func (s *Segment) cost() int64 {
	return s.Bytes + frameCost*int64(s.video.len()+s.audio.len()+len(s.metadata))
}

// Part is a slice of a segment short enough for low latency.
type Part struct {
	Number      uint64 // counts all parts of the stream, over segments
	Independent bool   // it starts with a key frame
	Start       time.Duration
	Duration    time.Duration

	epoch              string
	ahead              time.Duration
	config             *av.Config
	video, audio       pack
	videoEnd, audioEnd int64
	metadata           []av.Frame
	modified           time.Time
	object             lazy
}

// append adds the part as one fragment.
func (p *Part) append(dst []byte) ([]byte, error) {
	return fmp4.AppendFragment(dst, &fmp4.Fragment{
		Config:   p.config,
		Sequence: uint32(p.Number) + 1, // from 1
		Video:    p.video.all(),
		VideoEnd: p.videoEnd,
		Audio:    p.audio.all(),
		AudioEnd: p.audioEnd,
		Metadata: p.metadata,
		Ahead:    p.ahead,
	})
}

func (p *Part) render(tag string, c *renderCounts) (*Object, error) {
	return p.object.get(func() (*Object, error) {
		c.parts.Add(1)
		body, err := p.append(nil)
		return &Object{Body: body, Tag: tag, Modified: p.modified}, err
	})
}

// initSection is the fMP4 initialization section of one Config.
type initSection struct {
	epoch  string
	number uint64 // part of its name: a stream never uses one twice
	config *av.Config
	made   time.Time
	object lazy
}

func (i *initSection) is(epoch string, number uint64) bool {
	return i.epoch == epoch && i.number == number
}

func (i *initSection) get(tag string, c *renderCounts) (*Object, error) {
	return i.object.get(func() (*Object, error) {
		c.inits.Add(1)
		body, err := fmp4.Init(i.config)
		return &Object{Body: body, Tag: tag, Modified: i.made}, err
	})
}

// renderFMP4 returns the segment as the concatenation of its parts (3.1.2).
func (s *Segment) renderFMP4(tag string, c *renderCounts) (*Object, error) {
	return s.fmp4.get(func() (*Object, error) {
		c.segments.Add(1)
		// Fragment headers come to some 300 bytes a part and 16 a sample, and tags
		// have 62 in front of them.
		body := make([]byte, 0, int(s.Bytes)+16*(s.video.len()+s.audio.len())+64*len(s.metadata)+512*len(s.Parts))
		var err error
		for _, p := range s.Parts {
			if body, err = p.append(body); err != nil {
				return nil, err
			}
		}
		return &Object{Body: body, Tag: tag, Modified: s.modified}, nil
	})
}

func (s *Segment) renderTS(tag string, c *renderCounts) (*Object, error) {
	return s.ts.get(func() (*Object, error) {
		c.segments.Add(1)
		body, err := mpegts.AppendSegment(nil, s.mpegts())
		return &Object{Body: body, Tag: tag, Modified: s.modified}, err
	})
}

func (s *Segment) mpegts() *mpegts.Segment {
	return &mpegts.Segment{
		Config: s.Config, Sequence: s.Sequence, End: s.Start + s.Duration,
		Video: s.video.all(), Audio: s.audio.all(), Timed: s.timed, Metadata: s.metadata, Ahead: s.ahead,
		Joins: s.joins, Earliest: s.earliest,
	}
}
