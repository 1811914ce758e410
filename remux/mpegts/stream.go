package mpegts

import (
	"math"

	"headwater/remux/av"
)

// Stream writes a transport stream without an end, for players and recorders that
// read one over HTTP. The zero value is ready. What Append returns, one call after
// the other, is the stream; a reader may also begin at any call with tables.
//
// It is written like a segment with these differences: samples are not sorted beyond
// one call, nothing is rounded up to 16 packets, for the counters run on by
// themselves, and the version of the PMT counts its changes: those of the Config, and the
// first metadata. Where the Config changes, packets with the discontinuity_indicator come
// first.
type Stream struct {
	mux     muxer
	config  *av.Config
	version byte // of the PMT, 5 bits
}

// maxGap is how far the clock may jump before that is a discontinuity, in place of
// PCRs in between.
const maxGap = 10 * clockRate

// Append appends samples, which come behind those of the calls before, are all of
// one Config and in decode order within each track, and the ID3 tags among them, with
// their times at 90 kHz. With tables, PAT, PMT and a PCR go first: so it has to be at the
// first key frame, and should be at each. It fails, and returns dst as it was, if Supports
// does not take the Config.
func (s *Stream) Append(dst []byte, c *av.Config, video, audio, metadata []av.Frame, tables bool) ([]byte, error) {
	m := &s.mux
	begun := s.config != nil
	if s.config != c {
		p, err := newProgram(c)
		if err != nil {
			return dst, err
		}
		if begun {
			dst = s.AppendSkip(dst)
			s.version = (s.version + 1) & 31
		}
		p.metadata = m.program.metadata
		s.config, m.program, m.video.track = c, p, p.video
		tables = true
	}
	if m.program.video == nil {
		video = nil
	}
	if m.program.audio == nil {
		audio = nil
	}
	if len(video)+len(audio) == 0 {
		tables = false
	}
	if len(metadata) > 0 && !m.program.metadata {
		m.program.metadata = true
		s.version = (s.version + 1) & 31
		tables = true
	}
	m.metadata.rest = metadata
	m.video.rest = video
	m.video.shift = min(m.video.shift, m.video.shiftFor(video))
	if m.audio = (audioQueue{}); audio != nil {
		m.audio = newAudioQueue(&m.program, audio)
	}
	first := s.first(video, audio)
	if begun && first-m.pcr > maxGap {
		dst, begun = s.AppendSkip(dst), false
	}
	if !begun {
		m.pcr = first - interval
	}
	m.start, m.end = math.MinInt64, math.MaxInt64
	m.w.dst = dst
	if tables {
		m.tables(s.version)
		own := m.program.video == nil || len(video) > 0 && video[0].Time == first
		if !own || first <= m.pcr { // what comes next has none, and a reader may begin here
			m.pcr = max(m.pcr+1, first)
			m.w.clock(m.program.clockStream(), (m.pcr+pcrOffset)&timestampMask)
		}
	}
	m.samples()
	dst, m.w.dst = m.w.dst, nil
	return dst, nil
}

// first is the earliest time of the samples, at 90 kHz; without any that of the
// clock.
func (s *Stream) first(video, audio []av.Frame) int64 {
	first := int64(math.MaxInt64)
	if len(video) > 0 {
		first = video[0].Time
	}
	if len(audio) > 0 {
		first = min(first, ticks(audio[0].Time, s.config.Audio.Timescale))
	}
	if first == math.MaxInt64 {
		return s.mux.pcr
	}
	return first
}

// AppendSkip appends what a reader has to be told who goes on at the next call and
// lacks what came before: a packet for each PID that has the discontinuity_indicator
// and the counter which the next one follows (13818-1 2.4.3.5).
func (s *Stream) AppendSkip(dst []byte) []byte {
	p, w := &s.mux.program, packetWriter{dst: dst, counters: s.mux.w.counters}
	w.discontinuity(patStream)
	w.discontinuity(pmtStream)
	if p.video != nil {
		w.discontinuity(videoStream)
	}
	if p.audio != nil {
		w.discontinuity(audioStream)
	}
	if p.metadata {
		w.discontinuity(metadataStream)
	}
	return w.dst
}
