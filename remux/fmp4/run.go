package fmp4

import (
	"fmt"
	"math"
	"time"

	"headwater/remux/av"
)

// Sample flags (14496-12, 8.8.3.1): sample_depends_on says whether a sample can
// be decoded alone, and sample_is_non_sync_sample repeats it for seeking.
const (
	flagsSync    = 2 << 24
	flagsNonSync = 1<<24 | 1<<16
)

// Which fields tfhd gives for all samples of a run (8.8.7.1) …
const (
	tfhdDuration          = 0x000008
	tfhdSize              = 0x000010
	tfhdFlags             = 0x000020
	tfhdDefaultBaseIsMoof = 0x020000
)

// … and which trun gives, for each sample but the first two (8.8.8.1).
const (
	trunDataOffset  = 0x000001
	trunFirstFlags  = 0x000004
	trunDuration    = 0x000100
	trunSize        = 0x000200
	trunFlags       = 0x000400
	trunComposition = 0x000800
)

// run is what one track has in a fragment: a traf, and bytes of the mdat.
type run struct {
	id      uint32
	samples []av.Frame
	end     int64 // decode time of the sample after the last
	ahead   int64 // added to the decode time

	// set by measure
	bytes    int    // payload
	trun     uint32 // trun flags: the fields that differ between samples
	duration uint32 // of each sample unless trun has trunDuration
	size     uint32 // of each sample unless trun has trunSize
}

// measure finds which fields all samples share, and how many bytes they have.
func (r *run) measure() error {
	if len(r.samples) == 0 {
		return nil
	}
	at := r.samples[0].Time
	if at < 0 || r.end < at {
		return fmt.Errorf("samples from %d to %d", at, r.end)
	}
	r.trun = trunDataOffset
	for i := range r.samples {
		s := &r.samples[i]
		next := r.next(i, at)
		if next-at > math.MaxUint32 {
			return fmt.Errorf("sample of %d ticks", next-at)
		}
		duration, size := uint32(next-at), uint32(len(s.Data))
		if i == 0 {
			r.duration, r.size = duration, size
		}
		if duration != r.duration {
			r.trun |= trunDuration
		}
		if size != r.size {
			r.trun |= trunSize
		}
		if composition(s, at) != 0 {
			r.trun |= trunComposition
		}
		if i > 0 && r.id == videoTrackID && s.Key {
			r.trun |= trunFlags
		}
		r.bytes += len(s.Data)
		at = next
	}
	if r.id == videoTrackID && r.samples[0].Key && r.trun&trunFlags == 0 {
		r.trun |= trunFirstFlags
	}
	return nil
}

// next returns where sample i ends, given that it is decoded at the time at:
// where the next one begins, but a tick later at least, and early enough to
// leave a tick for each that follows.
func (r *run) next(i int, at int64) int64 {
	next := r.end
	if i+1 < len(r.samples) {
		next = r.samples[i+1].Time
	}
	following := int64(len(r.samples) - 1 - i)
	return max(at, min(max(next, at+1), r.end-following))
}

// composition returns what to add to the decode time at for the presentation
// time of s, in ticks. A video tick is 1/90 ms, so that an encoder's
// milliseconds come out exactly.
func composition(s *av.Frame, at int64) int32 {
	const unit = 100 * time.Nanosecond // 9/1000 of a tick: no product below can overflow
	offset := s.Time - at + int64(s.CTS/unit)*9/1000
	return int32(max(math.MinInt32, min(offset, math.MaxInt32)))
}

const (
	trafHeader = 8
	tfdtLen    = 20
)

func (r *run) tfhdLen() int {
	size := 16 + 4 // track id, default flags
	if r.trun&trunDuration == 0 {
		size += 4
	}
	if r.trun&trunSize == 0 {
		size += 4
	}
	return size
}

func (r *run) trunLen() int {
	size, each := 20, 0
	if r.trun&trunFirstFlags != 0 {
		size += 4
	}
	for _, field := range [...]uint32{trunDuration, trunSize, trunFlags, trunComposition} {
		if r.trun&field != 0 {
			each += 4
		}
	}
	return size + each*len(r.samples)
}

// trafLen is 0 for a track without samples, which has no traf.
func (r *run) trafLen() int {
	if len(r.samples) == 0 {
		return 0
	}
	return trafHeader + r.tfhdLen() + tfdtLen + r.trunLen()
}

// appendTraf appends the track fragment of a measured run whose payload begins
// offset bytes after the beginning of the moof.
func (r *run) appendTraf(dst []byte, offset int) []byte {
	if len(r.samples) == 0 {
		return dst
	}
	dst = appendBox(dst, r.trafLen(), "traf")
	dst = r.appendTfhd(dst)
	dst = appendFullBox(dst, tfdtLen, "tfdt", 1, 0)
	dst = be.AppendUint64(dst, uint64(r.samples[0].Time+r.ahead))
	return r.appendTrun(dst, offset)
}

// appendTfhd gives what samples share. Video samples are no sync samples by
// default and audio samples always are.
func (r *run) appendTfhd(dst []byte) []byte {
	flags := uint32(tfhdDefaultBaseIsMoof | tfhdFlags)
	if r.trun&trunDuration == 0 {
		flags |= tfhdDuration
	}
	if r.trun&trunSize == 0 {
		flags |= tfhdSize
	}
	dst = be.AppendUint32(appendFullBox(dst, r.tfhdLen(), "tfhd", 0, flags), r.id)
	if flags&tfhdDuration != 0 {
		dst = be.AppendUint32(dst, r.duration)
	}
	if flags&tfhdSize != 0 {
		dst = be.AppendUint32(dst, r.size)
	}
	if r.id == audioTrackID {
		return be.AppendUint32(dst, flagsSync)
	}
	return be.AppendUint32(dst, flagsNonSync)
}

// appendTrun gives what samples do not share. Version 1: composition offsets
// are signed.
func (r *run) appendTrun(dst []byte, offset int) []byte {
	dst = appendFullBox(dst, r.trunLen(), "trun", 1, r.trun)
	dst = be.AppendUint32(dst, uint32(len(r.samples)))
	dst = be.AppendUint32(dst, uint32(offset))
	if r.trun&trunFirstFlags != 0 {
		dst = be.AppendUint32(dst, flagsSync)
	}
	at := r.samples[0].Time
	for i := range r.samples {
		s := &r.samples[i]
		next := r.next(i, at)
		if r.trun&trunDuration != 0 {
			dst = be.AppendUint32(dst, uint32(next-at))
		}
		if r.trun&trunSize != 0 {
			dst = be.AppendUint32(dst, uint32(len(s.Data)))
		}
		if r.trun&trunFlags != 0 {
			flags := uint32(flagsNonSync)
			if s.Key {
				flags = flagsSync
			}
			dst = be.AppendUint32(dst, flags)
		}
		if r.trun&trunComposition != 0 {
			dst = be.AppendUint32(dst, uint32(composition(s, at)))
		}
		at = next
	}
	return dst
}

func (r *run) appendPayload(dst []byte) []byte {
	for i := range r.samples {
		dst = append(dst, r.samples[i].Data...)
	}
	return dst
}
