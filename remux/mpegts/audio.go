package mpegts

import "headwater/remux/av"

// audioQueue hands out a segment's audio in PES packets of several frames. The
// frames of one follow each other without a gap, because only the first gets a
// PTS.
type audioQueue struct {
	track  *av.Track
	format *audioFormat
	adts   adts
	header int // bytes in front of each frame
	most   int // frames in a PES packet
	rest   []av.Frame

	ok     bool // the fields below hold the next PES packet
	frames []av.Frame
	size   int // of its payload
	pts    int64
}

func newAudioQueue(p *program, samples []av.Frame) audioQueue {
	q := audioQueue{track: p.audio, format: p.format, adts: p.adts, most: 1, rest: samples}
	if p.audio.Codec == av.AAC {
		q.header = adtsLen
	}
	if n := int64(p.audio.FrameSamples); n > 0 {
		q.most = max(1, int(interval*p.audio.Timescale/clockRate/n))
	}
	return q
}

// advance moves on to the next frames that can be written.
func (q *audioQueue) advance() {
	for len(q.rest) > 0 && !q.usable(0) {
		q.rest = q.rest[1:]
	}
	q.ok = len(q.rest) > 0
	if !q.ok {
		return
	}
	q.pts = ticks(q.rest[0].Time, q.track.Timescale)
	q.size = q.header + len(q.rest[0].Data)
	n := 1
	for n < min(q.most, len(q.rest)) && q.usable(n) && q.follows(n) {
		size := q.size + q.header + len(q.rest[n].Data)
		if size > maxPESPayload {
			break
		}
		q.size = size
		n++
	}
	q.frames, q.rest = q.rest[:n], q.rest[n:]
}

// usable says whether the framing can carry frame i of the rest.
func (q *audioQueue) usable(i int) bool {
	n := len(q.rest[i].Data)
	return n >= q.format.minFrame && n <= q.format.maxFrame
}

// follows says whether frame i of the rest begins where the one before ends.
func (q *audioQueue) follows(i int) bool {
	return q.rest[i].Time-q.rest[i-1].Time == int64(q.track.FrameSamples)
}

// write appends the frames of the PES packet with their headers.
func (q *audioQueue) write(w *packetWriter) {
	for i := range q.frames {
		data := q.frames[i].Data
		if q.header > 0 {
			h := q.adts.header(len(data))
			w.write(h[:])
		}
		w.write(data)
	}
}
