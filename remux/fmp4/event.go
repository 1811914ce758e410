package fmp4

import (
	"errors"

	"headwater/remux/av"
)

// id3Scheme and the empty value behind it say that an event message is an ID3 tag
// ("Carriage of ID3 Timed Metadata in CMAF", 2.2.3).
const id3Scheme = "https://aomedia.org/emsg/ID3\x00" + "\x00"

// emsgLen is an event message box around no message.
const emsgLen = 12 + 4 + 8 + 4 + 4 + len(id3Scheme)

// events are the ID3 tags of a fragment: an emsg each, in front of the moof.
type events struct {
	fragment uint32 // its sequence number
	samples  []av.Frame
	ahead    int64 // added to their times
}

// measure returns how many bytes they take.
func (e *events) measure() (size int, err error) {
	for i := range e.samples {
		s := &e.samples[i]
		if s.Time < 0 {
			return 0, errors.New("time below 0")
		}
		size += emsgLen + len(s.Data)
	}
	return size, nil
}

// append appends the boxes (ISO/IEC 23009-1, 5.10.3.3). Version 1 has the time on
// the track's timeline, which is that of the whole stream. How long a tag is of
// interest is not known. The id differs from that of the events around it: players
// take an event with the same one for the same event, however often it comes.
func (e *events) append(dst []byte) []byte {
	const unknownDuration = 0xffff_ffff
	for i := range e.samples {
		s := &e.samples[i]
		dst = appendFullBox(dst, emsgLen+len(s.Data), "emsg", 1, 0)
		dst = be.AppendUint32(dst, videoTimescale)
		dst = be.AppendUint64(dst, uint64(s.Time+e.ahead))
		dst = be.AppendUint32(dst, unknownDuration)
		dst = be.AppendUint32(dst, e.fragment<<12|uint32(i)&0xfff)
		dst = append(dst, id3Scheme...)
		dst = append(dst, s.Data...)
	}
	return dst
}
