package remux

import (
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
