//go:build e2e

package conformance

import (
	"bytes"
	"slices"
)

// tsFaults break transport streams.
var tsFaults = []fault{
	{rule: "ts.packets", name: "marked as damaged", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) { packet(b, 9)[1] |= 0x80 })
	}},
	{rule: "ts.tables", name: "wrong CRC", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			pmt(b, ts, func(s []byte) []byte { return s })
			p := packet(b, 1)
			at := payloadAt(p) + 1
			p[at+3+int(p[at+2])-1] ^= 1
		})
	}},
	{rule: "ts.pes", name: "marker bits", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			p := packet(b, ts.track(isAudio)[2].First)
			p[payloadAt(p)+6] |= 0xc0
		})
	}},
	{rule: "ts.straddle", name: "the rest of the segment before", plant: func(f *faulty) {
		f.insert(f.quiet("ts"), 2, func(ts *TS, before map[int]Packet) (all []byte) {
			pid := ts.track(isAudio)[0].PID
			for i := range 16 { // so that the counters behind them are right
				all = append(all, continuation(pid, before[pid].Counter+1+byte(i))...)
			}
			return all
		})
	}},
	{rule: "ts.tables-first", name: "a null packet in front", plant: func(f *faulty) {
		f.insert(f.quiet("ts"), 0, func(*TS, map[int]Packet) []byte { return continuation(pidNull, 0) })
	}},
	{rule: "ts.counters", name: "repeated", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			p := packet(b, pictures(ts)[3].First)
			p[3] = p[3]&0xf0 | (p[3]-1)&0x0f
		})
	}},
	{rule: "ts.counters", name: "begun anew with a segment", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			p := packet(b, 0)
			p[3] = p[3]&0xf0 | (p[3]+5)&0x0f
		})
	}},
	{rule: "ts.pcr", name: "a jump", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			for i, p := range ts.Packets[40:] {
				if p.PCR != noClock {
					setPCR(packet(b, 40+i), p.PCR/300+90*150)
					return
				}
			}
		})
	}},
	{rule: "ts.pcr-ahead", name: "a second too early", plant: func(f *faulty) {
		f.allPackets(func(b []byte, ts *TS) {
			for i, p := range ts.Packets {
				if p.PCR != noClock {
					setPCR(packet(b, i), p.PCR/300+90000)
				}
			}
		})
	}},
	{rule: "ts.tracks-fixed", name: "another version", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			pmt(b, ts, func(s []byte) []byte {
				s[5] ^= 2
				return s
			})
		})
	}},
	{rule: "ts.types", name: "LATM", plant: func(f *faulty) {
		f.allPackets(func(b []byte, ts *TS) {
			pmt(b, ts, func(s []byte) []byte {
				return bytes.Replace(s, []byte{typeADTS, 0xe0 | s[8]&0x1f}, []byte{0x11, 0xe0 | s[8]&0x1f}, 1)
			})
		})
	}, also: []string{"multi.codecs"}},
	{rule: "ts.tracks-there", name: "a track that is not", plant: func(f *faulty) {
		f.allPackets(func(b []byte, ts *TS) {
			pmt(b, ts, func(s []byte) []byte { return append(s, typeMPEG1Audio, 0xe1, 0xff, 0xf0, 0) })
		})
	}},
	{rule: "ts.id3", name: "no descriptor", plant: func(f *faulty) {
		f.allPackets(func(b []byte, ts *TS) {
			if ts.timed() {
				pmt(b, ts, func(s []byte) []byte { return bytes.Replace(s, []byte{0x25}, []byte{0x99}, 1) })
			}
		})
	}},
	{rule: "ts.id3", name: "no tag", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			p := ts.track(func(typ byte) bool { return typ == typeID3 })[0]
			at := p.First * packetSize
			b[at+bytes.Index(b[at:], []byte("ID3"))] = 'X'
		})
	}},
	{rule: "ts.delimiter", name: "none", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			b[nal(f.t, b, pictures(ts)[5].First*packetSize, nalAUD)] = 12
		})
	}},
	{rule: "ts.parameter-sets", name: "no SPS", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) { b[nal(f.t, b, 0, nalSPS)] = 12 })
	}},
	{rule: "ts.starts-idr", name: "a slice instead", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) { b[nal(f.t, b, 0, nalIDR)] ^= nalIDR ^ 1 })
	}, also: []string{"ts.random-access", "list.independent"}},
	{rule: "ts.random-access", name: "not told", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) { packet(b, pictures(ts)[0].First)[5] &^= 0x40 })
	}},
	{rule: "ts.video-times", name: "shown before decoded", plant: func(f *faulty) {
		f.stamp(f.quiet("ts"), func(ts *TS) *PES { return pictures(ts)[4] }, func(p *PES) (int64, int64) { return p.DTS - 1, p.DTS })
	}},
	{rule: "ts.video-steps", name: "late by 18 ms", plant: func(f *faulty) {
		f.stamp(f.quiet("ts"), func(ts *TS) *PES { return ahead(ts) }, func(p *PES) (int64, int64) { return p.PTS, p.DTS + 18*90 })
	}, also: []string{"media.video"}},
	{rule: "ts.audio-length", name: "not said", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			p := packet(b, ts.track(isAudio)[3].First)
			at := payloadAt(p)
			p[at+4], p[at+5] = 0, 0
		})
	}},
	{rule: "ts.adts", name: "another profile", plant: func(f *faulty) {
		f.packets(f.quiet("ts"), func(b []byte, ts *TS) {
			p := packet(b, ts.track(isAudio)[3].First)
			p[payloadAt(p)+14+2] ^= 0x80
		})
	}, also: []string{"ts.audio-steps", "media.audio"}},
	{rule: "ts.audio-steps", name: "ten milliseconds", plant: func(f *faulty) {
		f.stamp(f.quiet("ts"), func(ts *TS) *PES { return ts.track(isAudio)[3] }, func(p *PES) (int64, int64) { return p.PTS + 900, 0 })
	}},
	{rule: "ts.audio-steps", name: "a millisecond at the joint", plant: func(f *faulty) {
		f.stamp(f.quiet("ts"), func(ts *TS) *PES { return ts.track(isAudio)[0] }, func(p *PES) (int64, int64) { return p.PTS + 90, 0 })
	}},
	{rule: "ts.cut", name: "half a second apart", plant: func(f *faulty) {
		f.allPackets(func(b []byte, ts *TS) {
			for _, p := range ts.track(isAudio) {
				restamp(b, p, p.PTS+45000, 0)
			}
		})
	}},
}

// ahead is a picture that is shown some frames after it is decoded.
func ahead(ts *TS) *PES {
	all := pictures(ts)
	for _, p := range all[2:] {
		if since(p.PTS, p.DTS) > 90*60 {
			return p
		}
	}
	return all[0]
}

// stamp gives a PES packet other times.
func (f *faulty) stamp(e *entry, which func(*TS) *PES, times func(*PES) (pts, dts int64)) {
	f.packets(e, func(b []byte, ts *TS) {
		p := which(ts)
		pts, dts := times(p)
		restamp(b, p, pts, dts)
	})
}

func restamp(b []byte, p *PES, pts, dts int64) {
	raw := packet(b, p.First)
	at := payloadAt(raw)
	setTimestamp(raw[at+9:], pts)
	if raw[at+7]>>6 == 3 {
		setTimestamp(raw[at+14:], dts)
	}
}

func setPCR(p []byte, base int64) {
	p[6], p[7], p[8], p[9] = byte(base>>25), byte(base>>17), byte(base>>9), byte(base>>1)
	p[10] = p[10]&0x7f | byte(base<<7)
}

// continuation is a packet that goes on with something.
func continuation(pid int, counter byte) []byte {
	p := bytes.Repeat([]byte{0xff}, packetSize)
	p[0], p[1], p[2], p[3] = 0x47, byte(pid>>8), byte(pid), 0x10|counter&0x0f
	return p
}

// insert puts packets into a segment. make gets the last packet of each PID in the
// segments before.
func (f *faulty) insert(e *entry, at int, make func(ts *TS, before map[int]Packet) []byte) {
	before := map[int]Packet{}
	for _, prev := range f.v.format("ts").entries {
		if prev == e {
			break
		}
		for _, p := range prev.ts.Packets {
			before[p.PID] = p
		}
	}
	f.body("ts", e.URI, func(b []byte) []byte {
		return slices.Concat(b[:at*packetSize], make(e.ts, before), b[at*packetSize:])
	})
}
