package mpegts

import (
	"errors"
	"fmt"
	"time"

	"headwater/remux/av"
)

// Segment is one media segment's samples. AppendSegment only reads them.
//
// Samples of each track are in decode order. A sample's Time may lie up to 0.2 s
// before its segment's first DTS, which covers what audio that counts samples
// differs from its DTS: beyond that the PCR would be ahead of it.
type Segment struct {
	Config   *av.Config
	Sequence uint64        // media sequence number; its low 4 bits are the PAT's and PMT's continuity counters
	Video    []av.Frame    // Time on 90 kHz; may be empty
	Audio    []av.Frame    // Time on the track's Timescale; may be empty
	Timed    bool          // the PMT has a stream of metadata, with or without samples in this segment
	Metadata []av.Frame    // an ID3 tag each, Time on 90 kHz, not before the segment's first DTS; may be empty
	End      time.Duration // DTS of the first sample of the next segment: the PCR runs on up to here
	Ahead    time.Duration // added to all that is written
	Joins    bool          // its pictures follow those of the segment before, without a discontinuity
	Earliest time.Duration // if it does: the lowest composition time of all segments since the last one; not above 0
}

// maxDuration bounds how long a clock AppendSegment writes for samples that are
// few and far apart.
const maxDuration = 10 * time.Minute

// AppendSegment appends s to dst and returns the longer slice, like append; it
// allocates once at most, and exactly what it needs. It fails, and returns dst
// as it was, if Supports does not take the Config, if there are samples of a
// track that is not there, or if it lasts more than 10 minutes.
func AppendSegment(dst []byte, s *Segment) ([]byte, error) {
	measure, err := s.measure()
	if err != nil {
		return dst, err
	}
	m := newMuxer(measure.w.planned(dst), measure.program, s, s.start())
	m.run()
	return m.w.dst, nil
}

// Size returns how many bytes AppendSegment appends, and fails like it.
func Size(s *Segment) (int, error) {
	m, err := s.measure()
	if err != nil {
		return 0, err
	}
	return m.w.plannedPackets() * packetSize, nil
}

// measure writes the segment to nowhere.
func (s *Segment) measure() (muxer, error) {
	p, err := newProgram(s.Config)
	if err != nil {
		return muxer{}, err
	}
	if len(s.Video) > 0 && p.video == nil {
		return muxer{}, errors.New("video samples without a video track")
	}
	if len(s.Audio) > 0 && p.audio == nil {
		return muxer{}, errors.New("audio samples without an audio track")
	}
	if len(s.Metadata) > 0 && !s.Timed {
		return muxer{}, errors.New("metadata without a metadata stream")
	}
	p.metadata = s.Timed
	start := s.start()
	if d := s.End - start; d > maxDuration {
		return muxer{}, fmt.Errorf("segment of %v", d)
	}
	m := newMuxer(packetWriter{dry: true}, p, s, start)
	m.run()
	return m, nil
}

// start is the DTS of the first sample.
func (s *Segment) start() time.Duration {
	start := s.End
	if len(s.Video) > 0 {
		start = s.Video[0].DTS
	}
	if len(s.Audio) > 0 && (len(s.Video) == 0 || s.Audio[0].DTS < start) {
		start = s.Audio[0].DTS
	}
	return start
}
