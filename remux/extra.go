package remux

import (
	"slices"
	"sync/atomic"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// Extra is a track beside the first of its kind: another language, another size of
// the picture. It is kept apart from the stream, in a log of its own on the stream's
// clock, and nobody sees it but a cursor that asks for it.
type Extra struct {
	Kind   av.Kind
	Number uint8 // as the encoder counts, not 0

	stream *Stream
	log    log
	config atomic.Pointer[av.Config]
}

// maxExtras bounds the extra tracks of a stream. Together they hold at most as many
// bytes as the stream itself may.
const maxExtras = 8

// Config returns the parameters in force, nil before the first frame. It has one
// track.
func (e *Extra) Config() *av.Config { return e.config.Load() }

// NewCursor returns a cursor that has read nothing of the track.
func (e *Extra) NewCursor() Cursor { return Cursor{stream: e.stream, log: &e.log} }

// Extras returns the extra tracks in order of their first message.
func (s *Stream) Extras() []*Extra {
	if all := s.extras.Load(); all != nil {
		return *all
	}
	return nil
}

// extra finds or makes an extra track; nil where there are too many. Only the
// publisher calls it.
func (s *Stream) extra(k av.Kind, number uint8) *Extra {
	all := s.Extras()
	for _, e := range all {
		if e.Kind == k && e.Number == number {
			return e
		}
	}
	if len(all) == maxExtras {
		return nil
	}
	e := &Extra{Kind: k, Number: number, stream: s}
	all = append(slices.Clone(all), e)
	s.extras.Store(&all)
	return e
}

// logs are the stream's own and those of its extra tracks.
func (s *Stream) logs() []*log {
	logs := []*log{&s.log}
	for _, e := range s.Extras() {
		logs = append(logs, &e.log)
	}
	return logs
}

// extraIntake is an extra track on its way in.
type extraIntake struct {
	intake
	to     *Extra
	config *av.Config
	last   time.Duration // DTS of the newest frame
	start  time.Duration // and of the newest that viewers of sound may begin at
}

// extra takes one track's packet out of a multitrack message, as m of its own. What
// is wrong with it harms nobody and is not told.
func (p *Publisher) extra(number uint8, m message, timestamp uint32) {
	x := p.extraIntake(m.kind, number)
	if x == nil {
		return
	}
	if m.packet.Type == flv.SequenceStart {
		_ = x.sequenceStart(m)
	}
	if m.packet.Type != flv.Frame || x.learn(m) != nil {
		return
	}
	dts, ok := p.clock.follow(m.kind, timestamp)
	track := x.newest()
	if !ok || track == nil || track.Codec != m.packet.Codec {
		return
	}
	key, err := x.key(m, dts, p.stream.options.MaxSegmentDuration)
	if err != nil {
		return
	}
	m.dts = max(dts, x.last)
	m.cts = m.packet.CTS + dts - m.dts + m.packet.Offset
	if key && x.next != nil {
		x.switchTo(m)
	}
	if x.keyed = x.keyed || key; !x.keyed || x.next != nil {
		return
	}
	begins := key
	if m.kind == av.Audio {
		begins = x.last == 0 || m.dts-x.start >= p.stream.options.SegmentDuration
	}
	if begins {
		x.start = m.dts
	}
	x.last = m.dts
	flv.Seal(m.tag, m.typ, wireTime(m.dts))
	f := av.Frame{Kind: m.kind, Key: key, Start: begins, DTS: m.dts, CTS: m.cts, Config: x.config, Tag: m.tag, Data: m.packet.Data}
	x.to.log.append(&f, p.stream.options.Window, p.stream.options.MaxBytes/maxExtras)
}

func (p *Publisher) extraIntake(k av.Kind, number uint8) *extraIntake {
	for _, x := range p.extras {
		if x.to.Kind == k && x.to.Number == number {
			return x
		}
	}
	e := p.stream.extra(k, number)
	if e == nil {
		return nil
	}
	x := &extraIntake{to: e, last: p.clock.origin}
	p.extras = append(p.extras, x)
	return x
}

// switchTo puts the track that waits into force.
func (x *extraIntake) switchTo(m message) {
	x.track, x.next = x.next, nil
	sealHeaders(x.track, m.typ, m.dts)
	x.config = &av.Config{Video: x.track}
	if m.kind == av.Audio {
		x.config = &av.Config{Audio: x.track}
	}
	x.to.config.Store(x.config)
}
