package mpegts

import (
	"bytes"
	"encoding/binary"
)

const (
	packetSize = 188
	// bodySize is what a packet holds besides its header: adaptation field and
	// payload.
	bodySize = packetSize - 4
)

// Bits of a packet's header as one big-endian word (13818-1 2.4.3.2), and of the
// flags in the adaptation field (2.4.3.4).
const (
	headerSync       = 0x47 << 24
	headerUnitStart  = 1 << 22
	headerPIDShift   = 8
	headerAdaptation = 0x20
	headerPayload    = 0x10

	adaptationDiscontinuity = 0x80
	adaptationRandomAccess  = 0x40
	adaptationPCR           = 0x10
)

// adaptationLen is an adaptation field without stuffing: its length and flags.
const adaptationLen = 2

// pcrLen is what a PCR adds to an adaptation field.
const pcrLen = 6

// noPCR stands where a packet has no PCR.
const noPCR = -1

var stuffing = bytes.Repeat([]byte{0xff}, packetSize)

// packetWriter appends transport packets to dst and keeps the continuity
// counters, which run on for as long as it is used. It writes one PES packet at a
// time: begin says how long it is, and write takes its bytes in pieces.
type packetWriter struct {
	dst      []byte
	dry      bool               // only measure: for planned
	packets  int                // written, or measured
	counters [streamCount]uint8 // of each stream's next packet with payload; only the low 4 bits are written
	units    [streamCount]int   // PES packets begun
	spread   [streamCount]spread

	// The PES packet in progress.
	stream       stream
	first        bool  // its next packet is its first
	pcr          int64 // for the first packet, 33 bits at 90 kHz; or noPCR
	randomAccess bool  // for the first packet
	ahead        int   // packets not begun yet
	left         int   // bytes for them
	room         int   // bytes that fit into the packet which is open
}

// spread is a PES packet that takes more transport packets than it needs, so that
// the stream has a multiple of 16 in the end.
type spread struct {
	unit  int // which one, counted from 1: the longest, so that its header stays whole
	size  int // its bytes
	extra int // packets
}

// begin starts a PES packet of size bytes, header included, in as few packets as
// hold it, unless it is the one to be spread.
func (w *packetWriter) begin(st stream, size int, pcr int64, randomAccess bool) {
	w.stream, w.first, w.pcr, w.randomAccess = st, true, pcr, randomAccess
	w.left, w.room = size, 0
	w.ahead = (headLen(pcr, randomAccess) + size + bodySize - 1) / bodySize
	w.units[st]++
	spread := &w.spread[st]
	switch {
	case w.dry:
		w.packets += w.ahead
		w.counters[st] += uint8(w.ahead)
		if size > spread.size {
			spread.unit, spread.size = w.units[st], size
		}
	case w.units[st] == spread.unit:
		w.ahead += spread.extra
	}
}

// planned returns a writer for what w has measured. It appends to dst, which has
// or is given the room, and each stream of PES packets gets a multiple of 16
// packets. The longest PES packet of each has 16 bytes at least.
func (w *packetWriter) planned(dst []byte) packetWriter {
	if need := len(dst) + w.plannedPackets()*packetSize; need > cap(dst) {
		dst = append(make([]byte, 0, need), dst...)
	}
	spread := w.spread
	for st := range spread {
		spread[st].extra = w.extra(st)
	}
	return packetWriter{dst: dst, spread: spread}
}

// plannedPackets is how many packets the writer that planned returns will write.
func (w *packetWriter) plannedPackets() int {
	n := w.packets
	for st := range w.spread {
		n += w.extra(st)
	}
	return n
}

// extra is how many packets a stream lacks to a multiple of 16.
func (w *packetWriter) extra(st int) int {
	if w.spread[st].unit == 0 {
		return 0
	}
	return int(-w.counters[st] & 15)
}

// headLen is how much of its first packet a PES packet leaves to the adaptation
// field.
func headLen(pcr int64, randomAccess bool) int {
	switch {
	case pcr != noPCR:
		return adaptationLen + pcrLen
	case randomAccess:
		return adaptationLen
	}
	return 0
}

// write appends the next bytes of the PES packet.
func (w *packetWriter) write(p []byte) {
	for len(p) > 0 {
		if w.room == 0 {
			w.open()
		}
		n := min(len(p), w.room)
		w.dst = append(w.dst, p[:n]...)
		w.room -= n
		p = p[n:]
	}
}

// open appends the next packet up to its payload. Each packet is filled, except
// that it leaves a byte for each that follows.
func (w *packetWriter) open() {
	head := 0
	header := uint32(headerPayload)
	if w.first {
		head = headLen(w.pcr, w.randomAccess)
		header |= headerUnitStart
	}
	w.ahead--
	w.room = min(bodySize-head, w.left-w.ahead)
	w.left -= w.room
	if w.room < bodySize {
		header |= headerAdaptation
	}
	w.header(w.stream, header, w.counters[w.stream])
	w.counters[w.stream]++
	if w.room < bodySize {
		if w.first {
			w.adaptation(bodySize-w.room, w.pcr, w.randomAccess)
		} else {
			w.adaptation(bodySize-w.room, noPCR, false)
		}
	}
	w.first = false
}

func (w *packetWriter) header(st stream, bits uint32, counter uint8) {
	w.packets++
	w.dst = binary.BigEndian.AppendUint32(w.dst,
		headerSync|bits|uint32(pids[st])<<headerPIDShift|uint32(counter&15))
}

// adaptation appends an adaptation field of size bytes, its length byte and
// stuffing included.
func (w *packetWriter) adaptation(size int, pcr int64, randomAccess bool) {
	w.dst = append(w.dst, byte(size-1))
	if size == 1 {
		return
	}
	var flags byte
	if randomAccess {
		flags |= adaptationRandomAccess
	}
	rest := size - adaptationLen
	if pcr == noPCR {
		w.dst = append(w.dst, flags)
	} else {
		w.dst = appendPCR(append(w.dst, flags|adaptationPCR), pcr)
		rest -= pcrLen
	}
	w.dst = append(w.dst, stuffing[:rest]...)
}

// clock appends a packet that has nothing but a PCR. Without payload it repeats
// the counter of the one before (2.4.3.3).
func (w *packetWriter) clock(st stream, pcr int64) {
	if w.dry {
		w.packets++
		return
	}
	w.header(st, headerAdaptation, w.counters[st]-1)
	w.adaptation(bodySize, pcr, false)
}

// discontinuity appends a packet that has nothing but the discontinuity_indicator,
// and the counter of the packet with payload that should have been before the next.
func (w *packetWriter) discontinuity(st stream) {
	w.header(st, headerAdaptation, w.counters[st]-1)
	w.dst = append(w.dst, bodySize-1, adaptationDiscontinuity)
	w.dst = append(w.dst, stuffing[:bodySize-adaptationLen]...)
}

// section appends a packet with one whole PSI section (2.4.4).
func (w *packetWriter) section(st stream, section []byte) {
	if w.dry {
		w.packets++
		return
	}
	w.header(st, headerUnitStart|headerPayload, w.counters[st])
	w.counters[st]++
	w.dst = append(w.dst, 0) // pointer_field
	w.dst = append(w.dst, section...)
	w.dst = append(w.dst, stuffing[:bodySize-1-len(section)]...)
}

// appendPCR appends a program clock reference: 33 bits at 90 kHz, 6 reserved
// bits, and 9 bits at 27 MHz, which are 0 here (2.4.3.5).
func appendPCR(dst []byte, base int64) []byte {
	v := uint64(base)<<15 | 0x3f<<9
	return append(dst, byte(v>>40), byte(v>>32), byte(v>>24), byte(v>>16), byte(v>>8), byte(v))
}
