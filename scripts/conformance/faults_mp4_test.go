//go:build e2e

package conformance

import (
	"bytes"
	"encoding/binary"
	"slices"
)

var be = binary.BigEndian

// mp4Faults break initialization sections and fragments.
var mp4Faults = []fault{
	{rule: "mp4.init", name: "a duration", plant: func(f *faulty) {
		f.init(func(b []byte) []byte { return patch(f, b, "mvhd", 20, 0, 0, 1, 0) })
	}},
	{rule: "mp4.init", name: "old brands", plant: func(f *faulty) {
		f.init(func(b []byte) []byte { return bytes.ReplaceAll(b, []byte("iso6"), []byte("isom")) })
	}},
	{rule: "mp4.init", name: "no trex", plant: func(f *faulty) {
		f.init(func(b []byte) []byte { return bytes.Replace(b, []byte("trex"), []byte("free"), 1) })
	}},
	{rule: "mp4.entry", name: "two sample entries said", plant: func(f *faulty) {
		f.init(func(b []byte) []byte { return patch(f, b, "stsd", 8, 0, 0, 0, 2) })
	}},
	{rule: "mp4.edits", name: "an empty edit", plant: func(f *faulty) {
		f.init(func(b []byte) []byte {
			elst := be.AppendUint32(nil, 36)
			elst = append(append(elst, "edtsxxxxelst"...), 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 21, 0xff, 0xff, 0xff, 0xff, 0, 1, 0, 0)
			be.PutUint32(elst[8:], 28)
			return insertInTrak(b, elst)
		})
	}},
	{rule: "mp4.brand", name: "claims to be CMAF", plant: func(f *faulty) {
		f.init(func(b []byte) []byte { return bytes.Replace(b, []byte("mp41"), []byte("cmfc"), 1) })
	}},
	{rule: "mp4.boxes", name: "one that does not belong there", plant: func(f *faulty) {
		e := f.quiet("fmp4")
		f.fragment(e, len(e.parts)-1, func(b []byte, _ *Fragment) []byte { return append(b, 0, 0, 0, 8, 'm', 'o', 'o', 'v') })
	}},
	{rule: "mp4.boxes", name: "samples that do not fill the mdat", plant: func(f *faulty) {
		e := f.quiet("fmp4")
		f.fragment(e, len(e.parts)-1, func(b []byte, _ *Fragment) []byte {
			at := bytes.Index(b, []byte("mdat")) - 4
			be.PutUint32(b[at:], be.Uint32(b[at:])+3)
			return append(b, 1, 2, 3)
		})
	}},
	{rule: "mp4.traf", name: "offsets from elsewhere", plant: func(f *faulty) {
		f.fragment(f.quiet("fmp4"), 1, func(b []byte, _ *Fragment) []byte {
			b[bytes.Index(b, []byte("tfhd"))+5] &^= 2
			return b
		})
	}},
	{rule: "mp4.sequence", name: "not counted up", plant: func(f *faulty) {
		f.fragment(f.quiet("fmp4"), 1, func(b []byte, x *Fragment) []byte {
			be.PutUint32(b[bytes.Index(b, []byte("mfhd"))+8:], x.Sequence-1)
			return b
		})
	}},
	{rule: "mp4.tfdt", name: "a tick", plant: func(f *faulty) {
		f.fragment(f.quiet("fmp4"), 2, func(b []byte, x *Fragment) []byte { return shiftRun(b, x.Runs[0], 1) })
	}},
	{rule: "mp4.tfdt", name: "a sample of sound at the joint", plant: func(f *faulty) {
		f.fragment(f.quiet("fmp4"), 0, func(b []byte, x *Fragment) []byte { return shiftRun(b, x.Runs[1], 1) })
	}},
	{rule: "mp4.sync", name: "all pictures", plant: func(f *faulty) {
		f.fragment(f.quiet("fmp4"), 1, func(b []byte, x *Fragment) []byte {
			be.PutUint32(b[x.Runs[0].SecondFlags:], 2<<24)
			return b
		})
	}},
	{rule: "mp4.starts-sync", name: "a slice instead", plant: func(f *faulty) {
		f.fragment(f.quiet("fmp4"), 0, func(b []byte, x *Fragment) []byte {
			s := x.Runs[0].Samples[0]
			for at := s.At; at < s.At+len(s.Data); at += 4 + int(be.Uint32(b[at:])) {
				if h264Type(b[at+4:]) == nalIDR {
					b[at+4] ^= nalIDR ^ 1
				}
			}
			return b
		})
	}, also: []string{"mp4.sync", "list.independent", "ll.independent"}},
	{rule: "mp4.samples", name: "two shown at one time", plant: func(f *faulty) {
		f.fragment(f.quiet("fmp4"), 1, func(b []byte, x *Fragment) []byte {
			// in a trun the last four bytes of a sample are its composition time
			at := bytes.Index(b, []byte("trun"))
			end := at - 4 + int(be.Uint32(b[at-4:]))
			n := len(x.Runs[0].Samples)
			before := x.Runs[0].Samples[n-2]
			be.PutUint32(b[end-4:], uint32(before.Composition-int32(before.Duration)))
			return b
		})
	}},
	{rule: "mp4.id3", name: "another scheme", plant: func(f *faulty) {
		e := f.quiet("fmp4")
		for i, p := range e.parts {
			if len(f.v.format("fmp4").parts[resolve(f.v.format("fmp4").Path, p.URI)].Messages) > 0 {
				f.fragment(e, i, func(b []byte, _ *Fragment) []byte {
					return bytes.Replace(b, []byte("/emsg/ID3"), []byte("/emsg/xxx"), 1)
				})
				return
			}
		}
		f.t.Fatal("no event message")
	}},
	{rule: "media.video", name: "one that nobody sees", plant: func(f *faulty) { f.alsoSent(true) }},
	{rule: "media.audio", name: "many that nobody hears", plant: func(f *faulty) {
		for range 25 {
			f.alsoSent(false)
		}
	}},
	{rule: "mp4.cut", name: "half a second apart", plant: func(f *faulty) {
		for _, e := range f.v.format("fmp4").entries {
			if !e.whole || e.init == nil {
				continue
			}
			track := e.init.Track("soun")
			for i := range e.parts {
				f.fragment(e, i, func(b []byte, x *Fragment) []byte {
					for _, r := range x.Runs {
						if r.TrackID == track.ID {
							return shiftRun(b, r, uint64(track.Timescale)/2)
						}
					}
					return b
				})
			}
		}
	}},
}

// alsoSent makes the publisher send another frame in the middle of things.
func (f *faulty) alsoSent(video bool) {
	for i, s := range f.Sent {
		if s.Time > 6000 && s.Video == video && !s.Key == video {
			s.Time++
			f.Sent = slices.Insert(f.Sent, i+1, s)
			return
		}
	}
}

// init edits all initialization sections.
func (f *faulty) init(edit func([]byte) []byte) {
	f.t.Helper()
	seen := map[string]bool{}
	for _, e := range f.v.format("fmp4").entries {
		if !seen[e.Map] && e.init != nil {
			seen[e.Map] = true
			f.body("fmp4", e.Map, edit)
		}
	}
}

// patch writes bytes at an offset from a box's type.
func patch(f *faulty, b []byte, box string, at int, with ...byte) []byte {
	i := bytes.Index(b, []byte(box))
	if i < 0 {
		f.t.Fatalf("no %s", box)
	}
	copy(b[i+at:], with)
	return b
}

// insertInTrak puts a box at the beginning of the first trak.
func insertInTrak(b, box []byte) []byte {
	moov, trak := bytes.Index(b, []byte("moov")), bytes.Index(b, []byte("trak"))
	for _, at := range []int{moov, trak} {
		be.PutUint32(b[at-4:], be.Uint32(b[at-4:])+uint32(len(box)))
	}
	return slices.Concat(b[:trak+4], box, b[trak+4:])
}

func shiftRun(b []byte, r *Run, by uint64) []byte {
	if r.TimeSize == 8 {
		be.PutUint64(b[r.TimeAt:], r.Time+by)
	} else {
		be.PutUint32(b[r.TimeAt:], uint32(r.Time+by))
	}
	return b
}
