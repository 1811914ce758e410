package mpegts

import (
	"encoding/binary"
	"math/bits"

	"headwater/remux/av"
)

// NAL unit types (H.264 table 7-1).
const (
	nalLastSlice = 5 // 1–5 are slices and their partitions
	nalIDR       = 5
	nalSPS       = 7
	nalPPS       = 8
	nalDelimiter = 9
)

var (
	startCode = []byte{0, 0, 0, 1}
	// delimiter is an access unit delimiter with its start code. It allows all
	// slice types (primary_pic_type 7).
	delimiter = []byte{0, 0, 0, 1, nalDelimiter, 0xf0}
)

func nalType(nal []byte) byte { return nal[0] & 0x1f }

// accessUnit is one frame of H.264 as a byte stream (H.264 annex B): a delimiter,
// at a key frame the parameter sets, and the NAL units of the frame, each with a
// start code of 4 bytes.
//
// The parameter sets are the track's, but where the frame has one of the same
// type and id itself, that one is taken; SPS come before PPS.
type accessUnit struct {
	track *av.Track
	data  []byte
	key   bool // a decoder can start here
	sets  bool // the frame has parameter sets of its own
	size  int  // of the byte stream; 0 if the frame has no slice
}

// newAccessUnit measures a frame of t.
func newAccessUnit(t *av.Track, f *av.Frame) accessUnit {
	u := accessUnit{track: t, data: f.Data, key: f.Key}
	size, hasSlice := len(delimiter), false
	for nal, err := range av.NALUnits(u.data, t.LengthSize) {
		if err != nil {
			break
		}
		switch typ := nalType(nal); {
		case typ == nalDelimiter:
			continue
		case typ == nalSPS || typ == nalPPS:
			u.sets = true
		case typ >= 1 && typ <= nalLastSlice:
			hasSlice = true
			u.key = u.key || typ == nalIDR
		}
		size += len(startCode) + len(nal)
	}
	if !hasSlice {
		return u
	}
	if u.key {
		for _, set := range t.ParameterSets {
			if u.wants(set, nalSPS) || u.wants(set, nalPPS) {
				size += len(startCode) + len(set)
			}
		}
	}
	u.size = size
	return u
}

// write appends the byte stream.
func (u *accessUnit) write(w *packetWriter) {
	w.write(delimiter)
	if u.key {
		u.writeSets(w, nalSPS)
		u.writeSets(w, nalPPS)
	}
	for nal, err := range av.NALUnits(u.data, u.track.LengthSize) {
		if err != nil {
			break
		}
		typ := nalType(nal)
		if typ == nalDelimiter || u.key && (typ == nalSPS || typ == nalPPS) {
			continue
		}
		writeNAL(w, nal)
	}
}

// writeSets appends the parameter sets of one type.
func (u *accessUnit) writeSets(w *packetWriter, typ byte) {
	for _, set := range u.track.ParameterSets {
		if u.wants(set, typ) {
			writeNAL(w, set)
		}
	}
	if !u.sets {
		return
	}
	for nal, err := range av.NALUnits(u.data, u.track.LengthSize) {
		if err != nil {
			break
		}
		if nalType(nal) == typ {
			writeNAL(w, nal)
		}
	}
}

func writeNAL(w *packetWriter, nal []byte) {
	w.write(startCode)
	w.write(nal)
}

// wants says whether one of the track's parameter sets is of type typ and missing
// from the frame.
func (u *accessUnit) wants(set []byte, typ byte) bool {
	if len(set) == 0 || nalType(set) != typ {
		return false
	}
	if !u.sets {
		return true
	}
	id := setID(set)
	for nal, err := range av.NALUnits(u.data, u.track.LengthSize) {
		if err != nil {
			break
		}
		if nalType(nal) == typ && setID(nal) == id {
			return false
		}
	}
	return true
}

// setID returns the id of an SPS or PPS, an ue(v) behind the NAL unit's header
// and, in an SPS, profile and level (H.264 7.3.2.1, 7.3.2.2); -1 if it cannot be
// read.
func setID(nal []byte) int {
	rest := nal[1:]
	if nalType(nal) == nalSPS {
		rest = rest[min(3, len(rest)):]
	}
	var word [4]byte
	copy(word[:], rest)
	v := binary.BigEndian.Uint32(word[:])
	zeros := bits.LeadingZeros32(v)
	if zeros > 15 {
		return -1
	}
	return int(v>>(31-2*zeros)) - 1
}
