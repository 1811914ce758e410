package mpegts

import (
	"math"
	"time"

	"headwater/remux/av"
)

const clockRate = 90000

const (
	// Offset is the PTS and DTS, at 90 kHz, of time 0 on the stream's clock.
	Offset = 126000 // 1.4 s
	// pcrOffset is the same for the PCR.
	pcrOffset = Offset / 2
	// interval is the longest distance between two PCRs, and what a PES packet
	// of several audio frames may last. 13818-1 2.7.2 wants 100 ms at most.
	interval = 90 * clockRate / 1000
	// maxShift is how far decode times are put back for composition times below
	// 0. The rest of what lies between DTS and PCR is for late samples.
	maxShift = clockRate / 2
)

// muxer writes one segment: tables, PES packets in order of decode time, clock.
type muxer struct {
	w        packetWriter
	program  program
	video    videoQueue
	audio    audioQueue
	metadata metadataQueue

	// The PCR, in stream time at 90 kHz.
	pcr   int64 // the last one written
	start int64 // the first one
	end   int64 // all are below

	ahead int64 // added to all times as they are written
}

func newMuxer(w packetWriter, p program, s *Segment, start time.Duration) muxer {
	m := muxer{
		w:        w,
		program:  p,
		video:    videoQueue{track: p.video, rest: s.Video},
		metadata: metadataQueue{rest: s.Metadata},
		start:    ticks(int64(start), int64(time.Second)),
		ahead:    ticks(int64(s.Ahead), int64(time.Second)),
	}
	m.video.shift = m.video.shiftFor(s.Video)
	if s.Joins && len(s.Video) > 0 {
		m.video.follow(s.Video[0].Time, min(max(ticks(int64(s.Earliest), int64(time.Second)), -maxShift), 0))
	}
	m.w.counters[patStream] = uint8(s.Sequence & 15)
	m.w.counters[pmtStream] = uint8(s.Sequence & 15)
	m.end = max(m.start+1, ticks(int64(s.End), int64(time.Second)))
	m.pcr = m.start - interval // so that the first is due
	if p.audio != nil {
		m.audio = newAudioQueue(&p, s.Audio)
	}
	return m
}

// run writes the segment.
func (m *muxer) run() {
	m.tables(m.program.version())
	m.samples()
	m.advanceClock(m.end)
}

// samples writes what the queues hold.
func (m *muxer) samples() {
	m.video.advance()
	m.audio.advance()
	m.metadata.advance()
	for m.video.ok || m.audio.ok {
		if m.video.ok && (!m.audio.ok || m.video.dts <= m.audio.pts) {
			m.writeMetadata(m.video.dts)
			m.writeVideo()
			m.video.advance()
		} else {
			m.writeMetadata(m.audio.pts)
			m.writeAudio()
			m.audio.advance()
		}
	}
	m.writeMetadata(math.MaxInt64)
}

// tables writes PAT and PMT.
func (m *muxer) tables(version byte) {
	var buf [bodySize]byte
	m.w.section(patStream, appendPAT(buf[:0]))
	m.w.section(pmtStream, appendPMT(buf[:0], &m.program, version))
}

func (m *muxer) writeVideo() {
	q := &m.video
	pcr := m.clock(videoStream, q.dts)
	dts := q.decodeTime()
	dts += Offset + m.ahead
	header := pes{streamID: streamIDVideo, payload: q.unit.size, pts: max(q.pts+Offset+m.ahead, dts), dts: dts}
	if m.begin(videoStream, &header, pcr, q.unit.key) {
		q.unit.write(&m.w)
	}
}

func (m *muxer) writeAudio() {
	q := &m.audio
	pcr := m.clock(audioStream, q.pts)
	pts := q.pts + Offset + m.ahead
	header := pes{streamID: q.format.streamID, payload: q.size, pts: pts, dts: pts}
	if m.begin(audioStream, &header, pcr, m.program.video == nil) {
		q.write(&m.w)
	}
}

// writeMetadata writes the tags that come before the time of what is written next.
func (m *muxer) writeMetadata(before int64) {
	q := &m.metadata
	for ; q.ok && q.pts < before; q.advance() {
		pcr := m.clock(metadataStream, q.pts)
		pts := q.pts + Offset + m.ahead
		header := pes{streamID: streamIDPrivate, payload: len(q.data), pts: pts, dts: pts}
		if m.begin(metadataStream, &header, pcr, false) {
			m.w.write(q.data)
		}
	}
}

// begin writes the header of a PES packet, and says whether its payload is to be
// written.
func (m *muxer) begin(st stream, p *pes, pcr int64, randomAccess bool) bool {
	m.w.begin(st, p.headerLen()+p.payload, pcr, randomAccess)
	if m.w.dry {
		return false
	}
	var buf [pesHeaderLen + pesTimestampLen]byte
	m.w.write(p.appendHeader(buf[:0]))
	return true
}

// clock brings the PCR up to the time t of what is written next, and returns the
// PCR that goes with it, if any.
func (m *muxer) clock(st stream, t int64) int64 {
	t = min(max(t, m.start), m.end-1)
	if st != m.program.clockStream() {
		m.advanceClock(t + 1)
		return noPCR
	}
	m.advanceClock(t)
	if t <= m.pcr {
		return noPCR
	}
	m.pcr = t
	return (t + pcrOffset + m.ahead) & timestampMask
}

// advanceClock writes the PCRs that are due before a next one at t.
func (m *muxer) advanceClock(t int64) {
	for t-m.pcr > interval {
		m.pcr += interval
		m.w.clock(m.program.clockStream(), (m.pcr+pcrOffset+m.ahead)&timestampMask)
	}
}

// ticks converts a time in units of 1/timescale to 90 kHz, to the nearest.
// Timescales up to 2^31 and a second in nanoseconds do not overflow.
func ticks(t, timescale int64) int64 {
	seconds, rest := t/timescale, t%timescale
	if rest < 0 {
		seconds, rest = seconds-1, rest+timescale
	}
	return seconds*clockRate + (rest*clockRate+timescale/2)/timescale
}

// videoQueue hands out a segment's access units.
type videoQueue struct {
	track *av.Track
	rest  []av.Frame
	shift int64 // to be added to each dts when it is written; not above 0

	wrote   bool // written holds
	written int64

	ok    bool // the fields below hold the next access unit
	begun bool // dts is that of the one before, if not of this one
	unit  accessUnit
	pts   int64
	dts   int64
}

// advance moves on to the next frame that can be written.
func (q *videoQueue) advance() {
	q.ok = false
	for len(q.rest) > 0 && !q.ok {
		s := &q.rest[0]
		q.rest = q.rest[1:]
		q.unit = newAccessUnit(q.track, s)
		if q.unit.size > 0 {
			q.dts = decodeTime(s, q.dts, !q.begun)
			q.pts = s.Time + ticks(int64(s.CTS), int64(time.Second))
			q.ok, q.begun = true, true
		}
	}
}

// follow has the decode times, the first of which this is, go on behind those of a
// segment with at most that shift, which stays.
func (q *videoQueue) follow(first, shift int64) {
	q.shift = min(q.shift, shift)
	q.wrote, q.written = true, first+shift-1
}

// decodeTime returns the decode time as it is written. A shift that grows in the
// middle of a stream must not turn it back.
func (q *videoQueue) decodeTime() int64 {
	dts := q.dts + q.shift
	if q.wrote {
		dts = max(dts, q.written+1)
	}
	q.wrote, q.written = true, dts
	return dts
}

// decodeTime is the sample's, except that of two samples with one time the later
// is decoded a tick later.
func decodeTime(s *av.Frame, before int64, first bool) int64 {
	if first {
		return s.Time
	}
	return max(s.Time, before+1)
}

// shiftFor returns what to add to all decode times of the samples, which come next,
// so that none is after its presentation: an encoder may send composition times
// below 0, and the transport stream cannot. Presentation times stay exact.
func (q *videoQueue) shiftFor(samples []av.Frame) (by int64) {
	dts := q.dts
	for i := range samples {
		s := &samples[i]
		dts = decodeTime(s, dts, i == 0 && !q.begun)
		by = min(by, s.Time+ticks(int64(s.CTS), int64(time.Second))-dts)
	}
	return max(by, -maxShift)
}
