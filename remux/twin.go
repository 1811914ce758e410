package remux

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync/atomic"
	"time"

	"headwater/remux/av"
)

// Two servers that get the same tags are twins: they publish the same bytes under
// the same names, so that a cache may ask either, and goes on with one when the other
// is gone.
//
// What a server publishes follows from the tags and from where it began. So it is
// enough that one of them tells the other where a segment of its begins: a Joint.
// Whoever gets a publisher asks its twin first, and meanwhile holds the frames back.
// Where the twin has the stream live, it looks for the beginning of one of the twin's
// newest segments among its own frames, and begins there. Where it has not, or cannot
// be reached, or no frame is the same for twinPatience, the server goes on by itself.
// If both have just got the stream, the one with the smaller id begins.
//
// Names never come to mean other bytes: who goes on by himself behind a joint gives
// new ones, with an epoch of his own.
const (
	twinPatience = 6 * time.Second
	twinBytes    = 32 << 20
)

// twinPoll is the pause between two questions; tests have no time.
var twinPoll = 200 * time.Millisecond

// TwinPhase is how a server has a stream.
type TwinPhase string

const (
	TwinAway   TwinPhase = "away"   // it has no publisher
	TwinAsking TwinPhase = "asking" // it waits for what its own twin says
	TwinLive   TwinPhase = "live"
)

// TwinState is what a server tells its twin about a stream.
type TwinState struct {
	ID     string    `json:"id"` // of the server, different from its twin's
	Phase  TwinPhase `json:"phase"`
	Joints []Joint   `json:"joints"` // the newest segments, the open one first
}

// Joint is the beginning of a segment. Durations are in nanoseconds.
type Joint struct {
	Epoch         string        `json:"epoch"`
	Sequence      uint64        `json:"sequence"`
	Discontinuity uint64        `json:"discontinuity"` // sequence number
	Tagged        bool          `json:"tagged"`        // the segment has one in front
	Timed         bool          `json:"timed"`         // MPEG-TS lists a stream of ID3 tags
	Extra         uint64        `json:"extra"`         // discontinuities of MPEG-TS alone
	Part          uint64        `json:"part"`          // number of its first part
	InitEpoch     string        `json:"init_epoch"`
	Init          uint64        `json:"init"`
	Target        time.Duration `json:"target"`
	PartTarget    time.Duration `json:"part_target"`
	Frame         time.Duration `json:"frame"` // distance of the last two pictures
	Start         time.Duration `json:"start"` // on the stream's clock
	Ahead         time.Duration `json:"ahead"` // how much later the playlists' media is
	ProgramTime   time.Time     `json:"program_time"`
	VideoEnd      int64         `json:"video_end"` // where the segment before ends on its tracks' clocks
	AudioEnd      int64         `json:"audio_end"`
	Joins         bool          `json:"joins"`      // MPEG-TS: that segment's decode times go on
	Earliest      time.Duration `json:"earliest"`   // and the lowest composition time up to there
	AudioNext     *int64        `json:"audio_next"` // where its sound does; null where that has no say
	Skew          time.Duration `json:"skew"`       // how much further the other track's clock was moved than the leading one's
	Timestamp     uint32        `json:"timestamp"`  // of the first frame, as it came
	Hash          string        `json:"hash"`       // of its payload

	first []byte // its payload
}

// Twin asks another server for its state of a stream. An error means that it has
// none.
type Twin func(ctx context.Context, name Name) (TwinState, error)

// SetTwin has the registry's streams share names and bytes with those of a twin. id
// is this server's. It must be called before the first Publish.
func (r *Registry) SetTwin(id string, ask Twin) {
	r.twin = func(s *twinSearch, name Name) {
		defer s.cancel()
		s.run(id, func() (TwinState, error) { return ask(s.ctx, name) })
	}
}

// TwinState returns what there is to tell a twin, as the server with that id.
func (s *Stream) TwinState(id string) TwinState {
	state := TwinState{ID: id, Phase: TwinAway, Joints: []Joint{}}
	s.mu.Lock()
	live := s.live
	s.mu.Unlock()
	switch {
	case live == nil:
		return state
	case live.search != nil && !live.search.over.Load():
		state.Phase = TwinAsking
		return state
	}
	state.Phase = TwinLive
	ix := s.Index()
	for _, j := range ix.joints() {
		told := *j
		told.Hash = hashOf(j.first)
		state.Joints = append(state.Joints, told)
	}
	return state
}

// joints are those of the open segment and of the newest finished ones.
func (ix *Index) joints() (all []*Joint) {
	if ix.Open != nil && ix.Open.joint != nil {
		all = append(all, ix.Open.joint)
	}
	for i := len(ix.Segments) - 1; i >= 0 && i >= len(ix.Segments)-2; i-- {
		if j := ix.Segments[i].joint; j != nil {
			all = append(all, j)
		}
	}
	return all
}

func hashOf(payload []byte) string {
	sum := sha256.Sum256(payload)
	return hex.EncodeToString(sum[:16])
}

// twinSearch is a publisher's question to the twin.
type twinSearch struct {
	ctx    context.Context
	cancel context.CancelFunc
	alone  atomic.Bool // nothing to wait for
	over   atomic.Bool // the publisher has begun
	joints atomic.Pointer[[]Joint]
}

func newTwinSearch() *twinSearch {
	t := &twinSearch{}
	t.ctx, t.cancel = context.WithTimeout(context.Background(), twinPatience)
	return t
}

func (t *twinSearch) run(id string, ask func() (TwinState, error)) {
	defer t.alone.Store(true)
	for absent := 0; ; {
		state, err := ask()
		switch {
		case err != nil || state.Phase == TwinAway:
			// An encoder comes to both at about the same time: the twin that has not
			// got it yet may be asking in this very moment, and see that this one asks.
			if absent++; absent == 2 {
				return
			}
		case state.Phase == TwinAsking && id < state.ID:
			return
		default:
			absent = 0
			t.joints.Store(&state.Joints)
		}
		select {
		case <-t.ctx.Done():
			return
		case <-time.After(twinPoll):
		}
	}
}

// begin says whether the publisher has waited long enough for its twin. If it is to
// follow it, the frames held are those from the joint on. Callers hold mu.
func (p *Publisher) begin() bool {
	if p.search == nil || p.search.over.Load() {
		return true
	}
	if joints := p.search.joints.Load(); joints != nil {
		for i := range *joints {
			if j := &(*joints)[i]; p.follow(j) {
				p.endSearch()
				return true
			}
		}
	}
	if !p.search.alone.Load() && p.bytes < twinBytes {
		return false
	}
	p.stream.timeline.own()
	p.endSearch()
	return true
}

func (p *Publisher) endSearch() {
	p.search.cancel()
	p.search.over.Store(true)
}

// follow begins at a joint, if its first frame is among those held.
func (p *Publisher) follow(j *Joint) bool {
	lead, other := &p.clock.video, &p.clock.audio
	kind := av.Video
	if p.video.next == nil {
		lead, other, kind = other, lead, av.Audio
	}
	if p.clock.resumed && j.Start < p.clock.origin {
		return false // time would go back for those who watch
	}
	for _, m := range p.held {
		if m.kind != kind || !m.packet.Key || m.stamp != j.Timestamp && m.stamp != wireTime(j.Start) || hashOf(m.packet.Data) != j.Hash {
			continue
		}
		skew := j.Skew
		if m.stamp != j.Timestamp { // it comes from the twin itself, which has done that
			skew = 0
		}
		if skew != 0 && !other.begun {
			return false
		}
		move := j.Start - m.dts
		moveOther := move + skew - (other.offset - lead.offset)
		lead.move(move)
		if other.begun {
			other.move(moveOther)
		}
		held := p.held[:0]
		for _, h := range p.held {
			if h.kind == kind || h.kind == av.Data {
				h.dts += move
			} else {
				h.dts += moveOther
			}
			if h.dts >= j.Start {
				held = append(held, h)
			}
		}
		clear(p.held[len(held):])
		p.held, p.start, p.joint = held, j.Start, j
		p.stream.follow(j, &p.clock)
		return true
	}
	return false
}

func (t *trackClock) move(d time.Duration) {
	t.offset += d
	t.last += d
}

// follow begins a new timeline at a joint. What was there before it is not listed any
// more: the twin has it.
func (s *Stream) follow(j *Joint, c *clock) {
	t := &s.timeline
	t.init(s.options, State{
		Sequence: j.Sequence, Discontinuity: j.Discontinuity, Target: j.Target, PartTarget: j.PartTarget,
	}, j.Tagged, &s.served)
	t.epoch, t.borrowed, t.clock = j.Epoch, true, c
	t.cutter.Frame = j.Frame
	t.wallAnchor, t.streamAnchor, t.ahead = j.ProgramTime, j.Start, j.Ahead
	t.nextPart, t.nextInit = j.Part, j.Init
	t.timed, t.extra, t.joins, t.earliest = j.Timed, j.Extra, j.Joins, j.Earliest
	if j.AudioNext != nil {
		t.soundNext = sampleClock{begun: true, next: *j.AudioNext}
	}
	s.publish(time.Now(), false)
}

// joined puts what a joint says of the tracks into force, once there is a Config.
func (p *Publisher) joined() {
	j, t := p.joint, &p.stream.timeline
	p.joint = nil
	t.initialize = &initSection{epoch: j.InitEpoch, number: j.Init, config: p.config, made: p.now()}
	t.nextInit = j.Init + 1
	t.videoEnd, t.audioEnd = j.VideoEnd, j.AudioEnd
	if j.AudioNext != nil {
		p.audio.samples = sampleClock{track: p.audio.track, begun: true, next: *j.AudioNext}
	}
}

// own makes sure that the names to come are nobody else's.
func (t *timeline) own() {
	if t.borrowed {
		t.epoch, t.borrowed = newEpoch(), false
	}
}

// joint tells where the segment begins that s is the first sample of; nil where that
// cannot be told.
func (t *timeline) joint(seg *Segment, s *av.Frame) *Joint {
	if t.clock == nil || !seg.Independent || seg.Start != s.DTS {
		return nil
	}
	lead, other := &t.clock.video, &t.clock.audio
	if s.Kind == av.Audio {
		lead, other = other, lead
	}
	j := &Joint{
		Epoch: seg.epoch, Sequence: seg.Sequence, Discontinuity: seg.DiscontinuitySequence, Tagged: seg.Discontinuity,
		Timed: t.timed, Extra: t.extra, Part: t.nextPart, InitEpoch: seg.init.epoch, Init: seg.init.number,
		Target: t.cutter.Target, PartTarget: t.cutter.PartTarget, Frame: t.cutter.Frame,
		Start: seg.Start, Ahead: seg.ahead, ProgramTime: seg.ProgramTime, VideoEnd: t.videoEnd, AudioEnd: t.audioEnd,
		Joins: seg.joins, Earliest: seg.earliest,
		Timestamp: uint32((seg.Start - lead.offset) / time.Millisecond),
		first:     s.Data,
	}
	if t.soundNext.begun {
		next := t.soundNext.next
		j.AudioNext = &next
	}
	if other.begun {
		j.Skew = other.offset - lead.offset
	}
	return j
}

// attach tells the timeline whose samples come next.
func (t *timeline) attach(c *clock) {
	t.clock, t.soundNext = c, sampleClock{}
}
