package remux

import (
	"bytes"
	"encoding/binary"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// intake is one track's state.
type intake struct {
	track     *av.Track // in force
	next      *av.Track // takes over at the next key frame
	described uint64    // the frame header that track or next was made from
	samples   sampleClock
	keyed     bool // a key frame has been seen in this session
	open      openGroups
}

// openGroups notices an encoder that sends an IDR picture only once.
type openGroups struct {
	begun bool
	idr   time.Duration // when the newest came, or the first picture
	found bool
}

// sequenceStart learns a track. The same header again changes nothing.
func (t *intake) sequenceStart(m message) error {
	if sameHeader(t.newest(), m) {
		return nil
	}
	if sameHeader(t.track, m) {
		t.next = nil // back to what is in force
		return nil
	}
	read := av.NewAudioTrack
	if m.kind == av.Video {
		read = av.NewVideoTrack
	}
	track, err := read(m.packet.Codec, m.packet.Data)
	if err != nil {
		return err
	}
	if t.track != nil && sameFLAC(t.track, track) {
		return nil
	}
	track.Header = m.tag
	t.next = track
	return nil
}

// sameHeader says whether a sequence header is the one that a track was made from.
func sameHeader(t *av.Track, m message) bool {
	if t == nil || t.Codec != m.packet.Codec {
		return false
	}
	return bytes.Equal(flv.Body(t.Header), flv.Body(m.tag))
}

// sameFLAC compares what a decoder needs of two STREAMINFO blocks: not the sizes of
// frames, the number of samples and their checksum, which an encoder knows only when
// it ends and then sends again (RFC 9639, 8.2).
func sameFLAC(a, b *av.Track) bool {
	if a.Codec != av.FLAC || b.Codec != av.FLAC {
		return false
	}
	x, y := a.Record, b.Record
	return bytes.Equal(x[:4], y[:4]) && bytes.Equal(x[10:13], y[10:13]) && x[13]&0xf0 == y[13]&0xf0
}

// sealHeaders gives the tags that describe a track the time from which they hold.
func sealHeaders(t *av.Track, typ uint8, dts time.Duration) {
	if t.Header == nil {
		return
	}
	flv.Seal(t.Header, typ, wireTime(dts))
	for _, note := range t.Notes {
		flv.Seal(note, typ, wireTime(dts))
	}
}

// key says whether a decoder can start at a frame, and learns from one that does
// what the track's record left open.
//
// Browsers fail at the first pictures behind a recovery point, so that it counts only where no
// IDR picture has come for so long that segments ended without: then there is nowhere
// else to begin, and many players can.
func (t *intake) key(m message, at, longest time.Duration) (bool, error) {
	if m.kind != av.Video {
		return true, nil
	}
	track := t.newest()
	idr, err := track.HasKeyNALUnit(m.packet.Data)
	if err != nil {
		return false, err
	}
	o := &t.open
	if !o.begun || idr {
		o.begun, o.idr = true, at
	}
	if !m.packet.Key || !idr && (!o.found && at-o.idr < longest || !track.IsRecoveryPoint(m.packet.Data)) {
		return false, nil
	}
	o.found = o.found || !idr
	if track.Width == 0 || track.Codec == av.VP9 {
		if full, err := track.WithKeyFrame(m.packet.Data); err == nil && full != track {
			t.next = full
		}
	}
	return true, nil
}

// newest is the track that the next frames should belong to.
func (t *intake) newest() *av.Track {
	if t.next != nil {
		return t.next
	}
	return t.track
}

// learn makes a track from a frame whose codec has no sequence header, where that
// frame says something new.
func (t *intake) learn(m message) error {
	if !selfDescribing(m.packet.Codec) {
		return nil
	}
	mark := describes(m.packet.Codec, m.packet.Data)
	known := t.newest()
	if known != nil && known.Codec == m.packet.Codec && mark == t.described {
		return nil
	}
	track, err := av.NewAudioTrack(m.packet.Codec, m.packet.Data)
	if err != nil {
		return err
	}
	t.described = mark
	if !sameTrack(known, track) {
		t.next = track
	}
	return nil
}

// goesOn says that frames of the track that takes over may come before it does: a
// decoder finds in each how many channels it has, and they last as long as before.
func (t *intake) goesOn() bool {
	return t.track != nil && selfDescribing(t.track.Codec) && t.track.Codec == t.next.Codec && t.track.SampleRate == t.next.SampleRate
}

// describes returns those bits of a frame's header that say how to decode it, and
// not how long it is: what is equal needs no second look.
func describes(c av.Codec, data []byte) uint64 {
	if len(data) < 8 {
		return 0
	}
	b := binary.BigEndian.Uint64(data)
	switch c {
	case av.MP3: // version, layer; sampling rate; mono or not (ISO 11172-3, 2.4.2.3)
		mono := b >> 38 & 3
		if mono != 3 {
			mono = 0
		}
		return b&0x001e_0c00_0000_0000 | mono
	case av.AC3: // fscod, bsid, acmod (ATSC A/52, 5.3)
		return b & 0x0000_0000_c0f8_e000
	}
	return b & 0x0000_0000_cff8_0000 // E-AC-3: fscod, acmod, lfeon, bsid (A/52 E.1.2)
}

// selfDescribing codecs have no sequence header in FLV: each frame says it all.
func selfDescribing(c av.Codec) bool {
	return c == av.MP3 || c == av.AC3 || c == av.EAC3
}

func sameTrack(a, b *av.Track) bool {
	if a == nil || b == nil {
		return a == b
	}
	return a.Codec == b.Codec && a.SampleRate == b.SampleRate && a.Channels == b.Channels &&
		bytes.Equal(a.Record, b.Record)
}
