package conformance

import (
	"bytes"
	"fmt"
	"slices"
)

// tsRules hold for MPEG-TS segments as transport streams.
var tsRules = []Rule{
	{"ts.packets", "ISO 13818-1 2.4.3.2", "whole, undamaged transport packets", segmentProblems("ts.packets")},
	{"ts.tables", "ISO 13818-1 2.4.4", "tables with a right CRC, and all PIDs in them", segmentProblems("ts.tables")},
	{"ts.pes", "ISO 13818-1 2.4.3.6", "PES packets have whole headers", segmentProblems("ts.pes")},
	{"ts.straddle", "HLS.md 2", "no PES packet goes on in the next segment", segmentProblems("ts.straddle")},
	{"ts.tables-first", "bis 3.1.1", "PAT and PMT are the first two packets, one program, nothing that no table names", checkTablesFirst},
	{"ts.counters", "bis 3; APL 7.2; ISO 13818-1 2.4.3.3", "continuity counters of every PID run on over segments", checkCounters},
	{"ts.pcr", "ISO 13818-1 2.7.2", "PCR at most 100 ms apart, over the joint too, and never back", checkPCR},
	{"ts.pcr-ahead", "ISO 13818-1 2.4.2.7", "nothing is decoded before the PCR reaches it", checkPCRAhead},
	{"ts.tracks-fixed", "bis 4.4.4.3", "PIDs, types and PMT version change at discontinuities only", checkTracksFixed},
	{"ts.types", "APL 1.5; HLS.md 2", "only stream types that HLS has, and no HEVC", checkStreamTypes},
	{"ts.id3", "HLS.md 2; Timed Metadata for HLS 2", "ID3 in private_stream_1 with PTS and length, and the metadata descriptors", checkID3},
	{"ts.tracks-there", "HLS.md 2", "the PMT lists the tracks that are there", checkTracksThere},
}

func segmentProblems(rule string) func(*view, *report) {
	return func(v *view, r *report) {
		v.eachRead("ts", func(e, _ *entry) {
			r.checked++
			for _, p := range e.ts.Problems {
				if p.Rule == rule {
					r.findings = append(r.findings, e.URI+": "+p.Text)
				}
			}
		})
	}
}

func checkTablesFirst(v *view, r *report) {
	v.eachRead("ts", func(e, _ *entry) {
		p := e.ts.Packets
		r.want(len(p) > 2 && p[0].PID == 0 && p[1].PID == e.ts.PMTPID, "%s does not begin with PAT and PMT", e.URI)
		r.want(e.ts.Programs == 1, "%s has %d programs", e.URI, e.ts.Programs)
		for i, p := range p {
			_, elementary := e.ts.Streams[p.PID]
			if !elementary && p.PID != 0 && p.PID != e.ts.PMTPID && p.PID != pidNull {
				r.want(false, "%s: packet %d has PID %d", e.URI, i, p.PID)
			}
		}
	})
}

func checkCounters(v *view, r *report) {
	last := map[int]Packet{}
	v.eachRead("ts", func(e, prev *entry) {
		if prev == nil {
			clear(last)
		}
		for i, p := range e.ts.Packets {
			if p.PID == pidNull {
				continue
			}
			if was, ok := last[p.PID]; ok {
				want := was.Counter
				if p.HasPayload {
					want = (was.Counter + 1) & 15
				}
				r.want(p.Counter == want, "%s: packet %d: PID %d counts %d after %d", e.URI, i, p.PID, p.Counter, was.Counter)
			}
			last[p.PID] = p
		}
	})
}

const pcrWrap = 300 << 33

func pcrSince(later, earlier int64) int64 { return ((later-earlier)%pcrWrap + pcrWrap) % pcrWrap }

func checkPCR(v *view, r *report) {
	const limit = 27_000_000 / 10
	last := int64(noClock)
	v.eachRead("ts", func(e, prev *entry) {
		if prev == nil {
			last = noClock
		}
		_, ok := e.ts.Streams[e.ts.PCRPID]
		r.want(ok, "%s: the PCR is on PID %d", e.URI, e.ts.PCRPID)
		found := false
		for i, p := range e.ts.Packets {
			if p.PCR == noClock {
				continue
			}
			r.want(p.PID == e.ts.PCRPID, "%s: packet %d: a PCR on PID %d", e.URI, i, p.PID)
			if last != noClock {
				step := pcrSince(p.PCR, last)
				r.want(step <= limit, "%s: packet %d: PCR steps by %.1f ms (backwards if huge)", e.URI, i, float64(step)/27000)
			}
			last, found = p.PCR, true
		}
		r.want(found, "%s has no PCR", e.URI)
	})
}

// checkPCRAhead also bounds how far decoding may be behind the PCR: ten seconds
// are more than any buffer of the standard holds.
func checkPCRAhead(v *view, r *report) {
	const most = 10 * 90000
	v.eachRead("ts", func(e, _ *entry) {
		pcr, next := int64(noClock), 0
		for _, p := range e.ts.PES {
			for ; next <= p.First; next++ {
				if c := e.ts.Packets[next].PCR; c != noClock {
					pcr = c
				}
			}
			if pcr == noClock || !p.HasPTS {
				continue
			}
			ahead := since(p.DTS, pcr/300)
			r.want(0 <= ahead && ahead < most, "%s: packet %d: decoded %d ticks of 90 kHz after the PCR", e.URI, p.First, ahead)
		}
	})
}

func checkTracksFixed(v *view, r *report) {
	v.eachRead("ts", func(e, prev *entry) {
		if prev == nil {
			return
		}
		said := func(t *TS) string {
			return fmt.Sprintf("PMT on %d, version %d, PCR on %d, streams %v", t.PMTPID, t.PMTVersion, t.PCRPID, t.Streams)
		}
		r.want(said(e.ts) == said(prev.ts), "%s: %s after %s", e.URI, said(e.ts), said(prev.ts))
	})
}

func checkStreamTypes(v *view, r *report) {
	allowed := map[byte]bool{typeH264: true, typeADTS: true, typeMPEG1Audio: true, typeMPEG2Audio: true, typeAC3: true, typeEAC3: true, typeID3: true}
	v.eachRead("ts", func(e, _ *entry) {
		for pid, typ := range e.ts.Streams {
			r.want(allowed[typ], "%s: PID %d is of type %#x", e.URI, pid, typ)
		}
	})
}

func checkTracksThere(v *view, r *report) {
	n := v.format("ts")
	if n == nil {
		return
	}
	for _, run := range n.mediaRuns() {
		has := map[int]bool{}
		for _, e := range run {
			for _, p := range e.ts.PES {
				has[p.PID] = true
			}
		}
		for pid, typ := range run[0].ts.Streams {
			if typ == typeID3 {
				continue // whose next tag may come at any time
			}
			r.want(has[pid], "%s and what follows: PID %d of type %#x is never sent", run[0].URI, pid, typ)
		}
	}
}

// checkID3 wants a metadata_pointer_descriptor of the program and a
// metadata_descriptor of the stream (ISO 13818-1 2.6.58, 2.6.60).
func checkID3(v *view, r *report) {
	const pointer, metadata, privateStream1 = 0x25, 0x26, 0xbd
	v.eachRead("ts", func(e, _ *entry) {
		for pid, typ := range e.ts.Streams {
			if typ == typeID3 {
				r.want(slices.Contains(e.ts.Described[0], pointer) && slices.Contains(e.ts.Described[pid], metadata),
					"%s: PID %d: descriptors %x, of the program %x", e.URI, pid, e.ts.Described[pid], e.ts.Described[0])
			}
		}
		for _, p := range e.ts.PES {
			if p.Type == typeID3 {
				r.want(p.HasPTS && p.StreamID == privateStream1 && p.Announced == p.Carried && bytes.HasPrefix(p.Payload, []byte("ID3")),
					"%s: packet %d: stream id %#x, PTS %v, %d of %d bytes: %.20q", e.URI, p.First, p.StreamID, p.HasPTS, p.Announced, p.Carried, p.Payload)
			}
		}
	})
}
