package remux

import (
	"bytes"
	"errors"
	"sync"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
	"headwater/remux/id3"
)

// Publisher is the only way to write to a stream. It belongs to one goroutine.
//
// The first frames of a session are held back until both tracks are known, or
// until one has gone on for a second without the other, so that the stream's
// first Config is right. Pictures change their parameters only where a decoder can
// start, at a key frame, and are dropped until then. Sound does so at once for those
// who read tags. HLS changes its Config at a key frame alone, or at any frame if there is
// no video: until then it has no sound that changed, but for frames that say themselves
// how they are to be decoded.
type Publisher struct {
	stream  *Stream
	evicted func(error)
	search  *twinSearch // nil: there is no twin

	mu   sync.Mutex // held while the stream is written to, and while it is taken away
	lost error      // why it was; guarded by mu

	// guarded by mu, and of no interest to others before they hold the stream
	clock     clock
	video     intake
	audio     intake
	extras    []*extraIntake
	joint     *Joint     // where it is to begin; nil once it has
	config    *av.Config // given to frames; nil while the tracks are being learned
	shown     *av.Config // what HLS goes on with until the next key frame; nil: config
	held      []message  // frames that wait for it, or for another one
	bytes     int        // of held
	start     time.Duration
	switching bool          // a key frame waits for the sound of its time
	switchAt  time.Duration // its DTS
	patient   bool          // it has waited
	faults    faults
	pace      pace // of timed metadata
	stats     PublisherStats
	now       func() time.Time
}

// PublisherStats counts what a publisher has sent.
type PublisherStats struct {
	VideoFrames, AudioFrames uint64
	Bytes                    uint64
	Discontinuities          uint64
	Malformed                uint64 // messages that could not be read
	Unsupported              uint64 // codecs and packet types unknown here
	OtherTracks              uint64 // packets of tracks beside the first of their kind
	BeforeHeader             uint64 // frames before their sequence header or first key frame
	Metadata                 uint64 // data messages for HLS to carry as ID3
	MetadataDropped          uint64 // and those it does not: too many, too long, damaged
}

// message is a frame on its way in.
type message struct {
	kind   av.Kind
	typ    uint8
	tag    []byte
	packet flv.Packet
	stamp  uint32 // the timestamp as it came
	dts    time.Duration
	cts    time.Duration
}

// What one may have to wait for before the tracks of a session are known.
const (
	maxHeldTime  = time.Second
	maxHeldBytes = 2 << 20
)

// maxNotes bounds the Notes of a track.
const maxNotes = 4

// ErrBadMedia says that a publisher sends little but damaged frames.
var ErrBadMedia = errors.New("too many damaged frames")

func newPublisher(s *Stream, evicted func(error)) *Publisher {
	return &Publisher{stream: s, evicted: evicted, now: time.Now}
}

// Stream returns the stream that the publisher writes to.
func (p *Publisher) Stream() *Stream { return p.stream }

// Stats returns the counts so far.
func (p *Publisher) Stats() PublisherStats {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.stats
}

// Write appends one RTMP message. msgType is its type (8 audio, 9 video, 18
// data), timestamp its 32-bit milliseconds as they came, and tag a buffer from
// flv.NewTag with the payload as its body. Write takes the buffer over, whatever
// it returns. A damaged message is dropped and counted; an error means that the
// publisher has to go.
func (p *Publisher) Write(msgType uint8, timestamp uint32, tag []byte) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.lost != nil {
		return p.lost
	}
	body := flv.Body(tag)
	p.stats.Bytes += uint64(len(body))
	var packet flv.Packet
	var err error
	kind := av.Video
	switch msgType {
	case flv.TypeVideo:
		packet, err = flv.ParseVideo(body)
	case flv.TypeAudio:
		kind = av.Audio
		packet, err = flv.ParseAudio(body)
	case flv.TypeScript:
		return p.script(tag)
	default:
		return nil
	}
	if err != nil {
		return p.reject(err)
	}
	m := message{kind: kind, typ: msgType, tag: tag, packet: packet, stamp: timestamp}
	if packet.Type == flv.Multitrack {
		return p.multitrack(m, timestamp)
	}
	return p.media(m, timestamp)
}

// Close ends the session: the stream waits for another publisher. It may be
// called twice.
func (p *Publisher) Close() {
	p.stream.detach(p, p.now())
}

// finish writes out what has been held back. Callers hold mu.
func (p *Publisher) finish() {
	_ = p.goOn() // the session is over anyway
	if p.config == nil && p.learned() && p.begin() {
		_ = p.decide() // likewise
	}
}

// multitrack takes the tracks of a multitrack message apart, each as a tag of its
// own: few players read more than one. Track 0 is the stream's; what is wrong with
// another harms nobody.
func (p *Publisher) multitrack(m message, timestamp uint32) error {
	for t, err := range m.packet.Tracks() {
		one := m
		if err == nil {
			one, err = single(m, t)
		}
		switch {
		case t.Track != 0:
			p.stats.OtherTracks++
			if err == nil {
				p.extra(t.Track, one, timestamp)
			}
		case err != nil:
			err = p.reject(err)
		default:
			err = p.media(one, timestamp)
		}
		if err != nil && t.Track == 0 {
			return err
		}
	}
	return nil
}

// single returns a message of one track of m alone.
func single(m message, t flv.Packet) (message, error) {
	tag := t.Tag()
	if tag == nil { // nothing that decoding needs
		m.tag, m.packet = nil, flv.Packet{Type: flv.Ignored}
		return m, nil
	}
	m.tag = tag
	var err error
	if m.kind == av.Video {
		m.packet, err = flv.ParseVideo(flv.Body(tag))
	} else {
		m.packet, err = flv.ParseAudio(flv.Body(tag))
	}
	return m, err
}

func (p *Publisher) media(m message, timestamp uint32) error {
	t := p.intake(m.kind)
	switch m.packet.Type {
	case flv.SequenceStart:
		if m.kind == av.Video {
			if err := p.goOn(); err != nil {
				return err
			}
		}
		if err := t.sequenceStart(m); err != nil {
			return p.reject(err)
		}
		return nil
	case flv.Frame:
	default:
		p.pass(m)
		return nil
	}
	if err := t.learn(m); err != nil {
		return p.reject(err)
	}
	var jumped bool
	m.dts, m.cts, jumped = p.clock.stamp(m.kind, timestamp, m.packet.CTS)
	m.cts += m.packet.Offset
	if p.config == nil {
		return p.hold(m)
	}
	if jumped {
		if err := p.goOn(); err != nil {
			return err
		}
		p.stats.Discontinuities++
		p.stream.breakOff(p.now())
	}
	return p.accept(m)
}

// pass hands on what decoding does not need to those who read tags: the end of a
// sequence, colours, the layout of channels. What describes a track that is not yet
// in force goes with that track's header, to late viewers too.
func (p *Publisher) pass(m message) {
	if m.tag == nil {
		return
	}
	if t := p.intake(m.kind).next; t != nil && t.Header != nil && m.packet.Type != flv.SequenceEnd {
		if len(t.Notes) < maxNotes {
			t.Notes = append(t.Notes, m.tag)
		}
		return
	}
	if p.config == nil {
		return
	}
	dts := max(p.clock.video.last, p.clock.audio.last)
	flv.Seal(m.tag, m.typ, wireTime(dts))
	p.stream.append(av.Frame{Kind: av.Data, DTS: dts, Config: p.config, Tag: m.tag, Data: flv.Body(m.tag)}, 0, false, nil, p.now)
}

func (p *Publisher) intake(k av.Kind) *intake {
	if k == av.Video {
		return &p.video
	}
	return &p.audio
}

// hold keeps a frame until the tracks are known.
func (p *Publisher) hold(m message) error {
	if len(p.held) == 0 {
		p.start = m.dts
	}
	p.held = append(p.held, m)
	p.bytes += len(m.tag)
	both := p.video.next != nil && p.audio.next != nil
	waited := m.dts-p.start > maxHeldTime || p.bytes > maxHeldBytes
	switch {
	case both, waited && p.learned():
		if !p.begin() {
			return nil
		}
		return p.decide()
	case waited: // no header so far: these can be of no use
		p.stats.BeforeHeader += uint64(len(p.held))
		p.held, p.bytes = nil, 0
	}
	return nil
}

func (p *Publisher) learned() bool { return p.video.next != nil || p.audio.next != nil }

// decide makes the session's first Config and lets the held frames go on. A
// publisher that comes back with the same parameters gets the stream's own
// Config again.
func (p *Publisher) decide() error {
	old := p.stream.config.Load()
	if old != nil && sameTrack(old.Video, p.video.next) && sameTrack(old.Audio, p.audio.next) {
		p.config = old
		p.video.track, p.audio.track = old.Video, old.Audio
		p.video.next, p.audio.next = nil, nil
	} else {
		p.switchConfig(p.start, &p.video, &p.audio)
	}
	if p.joint != nil {
		p.joined()
	}
	held := p.held
	p.held, p.bytes = nil, 0
	for _, m := range held {
		if err := p.accept(m); err != nil {
			return err
		}
	}
	return nil
}

// switchConfig puts those tracks into force that wait among these, from dts on.
func (p *Publisher) switchConfig(dts time.Duration, tracks ...*intake) {
	for _, t := range tracks {
		if t.next == nil {
			continue
		}
		t.track, t.next = t.next, nil
		typ := uint8(flv.TypeAudio)
		if t == &p.video {
			typ = flv.TypeVideo
		}
		sealHeaders(t.track, typ, dts)
	}
	p.config = &av.Config{Video: p.video.track, Audio: p.audio.track}
	p.stream.config.Store(p.config)
}

// accept looks into a frame, gives it its Config and its place on its track's
// clock, and appends it.
func (p *Publisher) accept(m message) error {
	if p.switching {
		if held, err := p.wait(m); held {
			return err
		}
	}
	if m.kind == av.Data {
		p.data(m)
		return nil
	}
	t := p.intake(m.kind)
	track := t.newest()
	if track == nil || track.Codec != m.packet.Codec {
		p.stats.BeforeHeader++
		return nil
	}
	key, err := t.key(m, m.dts, p.stream.options.MaxSegmentDuration)
	if err != nil {
		return p.reject(err)
	}
	startable := key && (m.kind == av.Video || p.config.Video == nil)
	if startable && (p.video.next != nil || p.audio.next != nil) {
		if p.waits(m) {
			p.await(m)
			return nil
		}
		p.switchConfig(m.dts, &p.video, &p.audio)
	}
	if startable && p.shown != nil {
		p.showAll()
	}
	if m.kind == av.Audio && t.next != nil && !t.goesOn() {
		p.switchSound(m.dts)
	}
	t.keyed = t.keyed || key
	if t.next != nil && !t.goesOn() || !t.keyed {
		p.stats.BeforeHeader++
		return nil
	}
	f := av.Frame{Kind: m.kind, Key: key, DTS: m.dts, CTS: m.cts, Config: p.config, Tag: m.tag, Data: m.packet.Data}
	flv.Seal(m.tag, m.typ, wireTime(m.dts))
	start := key && m.kind == av.Video
	if m.kind == av.Video {
		p.stats.VideoFrames++
	} else {
		p.stats.AudioFrames++
		if p.config.Video == nil && (p.stats.AudioFrames == 1 || m.dts-p.start >= p.stream.options.SegmentDuration) {
			start, p.start = true, m.dts
		}
	}
	p.stream.append(f, t.samples.place(&f, t.track), start, p.shown, p.now)
	return nil
}

// wireTime is a stream time as RTMP and FLV carry it: milliseconds modulo 2^32.
func wireTime(d time.Duration) uint32 { return uint32(d / time.Millisecond) }

// script takes a data message: onMetaData is kept for viewers to come, and goes to
// those who are there each time it changes; all others do as they come.
func (p *Publisher) script(tag []byte) error {
	dts := max(p.clock.video.last, p.clock.audio.last, p.clock.origin)
	flv.Seal(tag, flv.TypeScript, wireTime(dts))
	if isMetadata(flv.Body(tag)) {
		if old := p.stream.Metadata(); old != nil && bytes.Equal(flv.Body(old), flv.Body(tag)) {
			return nil
		}
		p.stream.log.setMetadata(tag)
	}
	m := message{kind: av.Data, typ: flv.TypeScript, tag: tag, dts: dts}
	switch {
	case p.config != nil:
		return p.accept(m)
	case len(p.held) > 0 && id3.Carries(flv.Body(tag)):
		return p.hold(m) // it belongs among these frames
	}
	return nil
}

// data appends a data message.
func (p *Publisher) data(m message) {
	f := av.Frame{Kind: av.Data, DTS: m.dts, Config: p.config, Tag: m.tag, Data: flv.Body(m.tag)}
	p.stream.append(f, 0, false, nil, p.now)
	p.timed(m.dts, f.Data)
}

// isMetadata says whether a script body begins with the AMF0 string "onMetaData".
func isMetadata(body []byte) bool {
	return bytes.HasPrefix(body, []byte("\x02\x00\x0aonMetaData"))
}

// reject counts a message that cannot be used.
func (p *Publisher) reject(err error) error {
	switch {
	case errors.Is(err, flv.ErrEmpty):
		return nil
	case errors.Is(err, flv.ErrUnsupported), errors.Is(err, av.ErrUnsupported):
		p.stats.Unsupported++
		return nil
	}
	p.stats.Malformed++
	if p.faults.add(p.now()) {
		return ErrBadMedia
	}
	return nil
}

// faults bounds how often something may happen.
type faults struct {
	since time.Time
	count int
}

const (
	maxFaults    = 50
	faultsWithin = 10 * time.Second
)

func (f *faults) add(now time.Time) (tooMany bool) {
	if now.Sub(f.since) > faultsWithin {
		f.since, f.count = now, 0
	}
	f.count++
	return f.count > maxFaults
}
