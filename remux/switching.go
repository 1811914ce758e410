package remux

import (
	"time"

	"headwater/remux/av"
)

// waits says that a key frame with which other parameters would come into force has to
// wait for the sound of its time: what that sound is decoded with may change too, which
// some codecs say in their frames alone, and what comes in front of it belongs to the
// parameters that are in force. Otherwise one change would be two, and sound that
// arrives late would be lost.
func (p *Publisher) waits(m message) bool {
	if p.config.Video == nil || p.config.Audio == nil || p.patient {
		return false
	}
	late := m.dts - p.clock.audio.last
	return late > 0 && late <= maxHeldTime
}

// wait holds a frame back while parameters wait to come into force, and says whether it
// has done so.
func (p *Publisher) wait(m message) (held bool, err error) {
	sound := m.kind == av.Audio
	if sound && m.dts < p.switchAt {
		return false, nil
	}
	p.held = append(p.held, m)
	p.bytes += len(m.tag)
	if sound || m.dts-p.switchAt > maxHeldTime || p.bytes > maxHeldBytes {
		err = p.goOn()
	}
	return true, err
}

// goOn ends the waiting.
func (p *Publisher) goOn() error {
	if !p.switching {
		return nil
	}
	held := p.held
	p.held, p.bytes, p.switching = nil, 0, false
	p.patient = true // it has waited
	defer func() { p.patient = false }()
	for _, m := range held {
		if err := p.accept(m); err != nil {
			return err
		}
	}
	return nil
}

// await begins the waiting at a key frame.
func (p *Publisher) await(m message) {
	p.switching, p.switchAt = true, m.dts
	p.held, p.bytes = append(p.held[:0], m), len(m.tag)
}

// switchSound puts sound with other parameters into force in front of a frame of it. A
// reader of tags gets its header and goes on. A segment that says so can begin at a key
// frame only: until then HLS goes on with what it has, without sound.
func (p *Publisher) switchSound(dts time.Duration) {
	if p.shown == nil {
		p.shown = p.config
	}
	p.switchConfig(dts, &p.audio)
	if sameTrack(p.shown.Audio, p.audio.track) { // it is as it was
		p.audio.track, p.config, p.shown = p.shown.Audio, p.shown, nil
		p.stream.config.Store(p.config)
	}
}

// showAll has HLS go on with what is in force, from a key frame on. Its sound is counted
// anew there, since nothing that came before is of any use to who begins there.
func (p *Publisher) showAll() {
	p.shown, p.audio.samples = nil, sampleClock{}
}
