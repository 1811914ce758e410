package conformance

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"time"
)

// mp4Rules hold for initialization sections and fMP4 segments.
var mp4Rules = []Rule{
	{"mp4.init", "bis 3.1.2", "ftyp of iso6 or later, moov with mvex and a trex each, no duration, no samples, no mdat", checkInit},
	{"mp4.entry", "APL 1.10; ISO 14496-15; HLS.md 3", "sample entries with everything that a decoder needs", checkEntry},
	{"mp4.edits", "HLS.md 3", "no empty edit", checkEdits},
	{"mp4.brand", "CMAF 23000-19 7.2", "a file with several tracks does not claim to be CMAF", checkBrand},
	{"mp4.boxes", "ISO 14496-12 8.8", "moof and mdat by turns, samples that fill the mdat", checkBoxes},
	{"mp4.traf", "bis 3.1.2; ISO 14496-12 8.8.7", "default-base-is-moof, no base-data-offset, tracks of the initialization section", checkTraf},
	{"mp4.sequence", "ISO 14496-12 8.8.5", "mfhd sequence numbers go up", checkFragmentSequence},
	{"mp4.tfdt", "APL 7.3", "tfdt is exactly where the track's last fragment ended", checkTfdt},
	{"mp4.sync", "ISO 14496-12 8.8.3.1", "sync flags agree with the samples", checkSync},
	{"mp4.starts-sync", "APL 7.4", "a segment's first picture can be decoded by itself", checkStartsSync},
	{"mp4.samples", "ISO 14496-12 8.6.1", "each sample lasts some time, and is shown at a time of its own", checkSamples},
	{"mp4.id3", "Carriage of ID3 in CMAF 2.2", "ID3 in event messages of version 1, at a time within the segment", checkMessages},
	{"mp4.cut", "HLS.md 2", "audio and video are cut at the same time", checkMP4Cut},
}

func (v *view) eachInit(f func(path string, i *MP4Init)) {
	for _, n := range v.renditions {
		for path, i := range n.inits {
			f(path, i)
		}
	}
}

// brands that a reader has to know to read what HLS asks for; hlsf is Apple's own.
var brands = []string{"iso6", "iso7", "iso8", "iso9", "isoa", "isob", "isoc", "cmfc", "cmf2", "hlsf"}

func checkInit(v *view, r *report) {
	v.eachInit(func(path string, i *MP4Init) {
		for _, p := range i.Problems {
			r.want(false, "%s: %s", path, p.Text)
		}
		r.want(slices.ContainsFunc(i.Brands, func(b string) bool { return slices.Contains(brands, b) }), "%s: brands %q", path, i.Brands)
		r.want(i.Duration == 0, "%s: mvhd has the duration %d", path, i.Duration)
		r.want(len(i.Tracks) > 0 && len(i.Extends) == len(i.Tracks), "%s: %d tracks, %d trex", path, len(i.Tracks), len(i.Extends))
		for _, t := range i.Tracks {
			r.want(t.Duration == 0 && t.Samples == 0 && i.Extends[t.ID] && t.Timescale > 0,
				"%s: track %d: duration %d, %d entries in sample tables, trex %v", path, t.ID, t.Duration, t.Samples, i.Extends[t.ID])
		}
	})
}

func checkEntry(v *view, r *report) {
	v.eachInit(func(path string, i *MP4Init) {
		for _, t := range i.Tracks {
			err := t.complete()
			r.want(err == nil && t.Entries == 1, "%s: track %d, %q: %v; %d entries", path, t.ID, t.Entry, err, t.Entries)
		}
	})
}

// complete says what a sample entry lacks.
func (t *MP4Track) complete() error {
	switch t.Entry {
	case "avc1":
		return avcComplete(t.Boxes["avcC"])
	case "hvc1":
		return hevcComplete(t.Boxes["hvcC"])
	case "av01":
		b := t.Boxes["av1C"]
		if len(b) < 4 || b[0] != 0x81 {
			return fmt.Errorf("av1C is % x", b)
		}
		if obus, err := splitOBU(b[4:]); err != nil || len(obus) == 0 || obus[0].typ != obuSequenceHeader {
			return errors.New("av1C without sequence header")
		}
	case "vp09":
		if len(t.Boxes["vpcC"]) < 12 {
			return errors.New("no vpcC")
		}
	case "mp4a":
		if audioConfig(t.Boxes["esds"]) == nil && objectType(t.Boxes["esds"]) == 0x40 {
			return errors.New("esds without AudioSpecificConfig")
		}
	case "Opus":
		if b := t.Boxes["dOps"]; len(b) < 11 || b[0] != 0 || t.Timescale != 48000 {
			return fmt.Errorf("dOps is % x, timescale %d", b, t.Timescale)
		}
	case "fLaC":
		if b := t.Boxes["dfLa"]; len(b) < 4+4+34 || b[4]&0x7f != 0 {
			return errors.New("dfLa without STREAMINFO")
		}
	case "ac-3", "ec-3":
		if len(t.Boxes["dac3"])+len(t.Boxes["dec3"]) < 3 {
			return errors.New("neither dac3 nor dec3")
		}
	default:
		return errors.New("a sample entry that HLS does not have")
	}
	return nil
}

func avcComplete(b []byte) error {
	sps, pps := parameterSets(b)
	if len(sps) == 0 || len(pps) == 0 {
		return errors.New("avcC without parameter sets")
	}
	return nil
}

// parameterSets of an avcC (14496-15 5.3.3.1).
func parameterSets(b []byte) (sps, pps [][]byte) {
	if len(b) < 7 || b[0] != 1 {
		return nil, nil
	}
	list := func(n int) (all [][]byte) {
		for ; n > 0 && len(b) >= 2 && int(binary.BigEndian.Uint16(b)) <= len(b)-2; n-- {
			end := 2 + int(binary.BigEndian.Uint16(b))
			all, b = append(all, b[2:end]), b[end:]
		}
		return all
	}
	n := int(b[5] & 31)
	b = b[6:]
	sps = list(n)
	if len(b) > 0 {
		n = int(b[0])
		b = b[1:]
		pps = list(n)
	}
	return sps, pps
}

// hevcSets are the parameter sets of an hvcC by type (14496-15 8.3.3.1).
func hevcSets(b []byte) map[byte][]byte {
	sets := map[byte][]byte{}
	if len(b) < 23 {
		return sets
	}
	arrays := int(b[22])
	b = b[23:]
	for range arrays {
		if len(b) < 3 {
			return sets
		}
		typ, n := b[0]&0x3f, int(binary.BigEndian.Uint16(b[1:]))
		b = b[3:]
		for ; n > 0 && len(b) >= 2 && int(binary.BigEndian.Uint16(b)) <= len(b)-2; n-- {
			end := 2 + int(binary.BigEndian.Uint16(b))
			sets[typ], b = b[2:end], b[end:]
		}
	}
	return sets
}

func hevcComplete(b []byte) error {
	sets := hevcSets(b)
	if sets[hevcVPS] == nil || sets[hevcSPS] == nil || sets[hevcPPS] == nil {
		return errors.New("hvcC without parameter sets")
	}
	return nil
}

// descriptor finds an MPEG-4 descriptor (14496-1 8.3.3) in an esds.
func descriptor(esds []byte, tag byte) []byte {
	if len(esds) < 4 {
		return nil
	}
	for b := esds[4:]; len(b) > 1; {
		typ, n, at := b[0], 0, 1
		for at < len(b) && at < 5 {
			n = n<<7 | int(b[at]&0x7f)
			at++
			if b[at-1]&0x80 == 0 {
				break
			}
		}
		if n > len(b)-at {
			return nil
		}
		body := b[at : at+n]
		if typ == tag {
			return body
		}
		switch typ { // these hold others
		case 3:
			b = body[min(3, n):]
		case 4:
			b = body[min(13, n):]
		default:
			b = b[at+n:]
		}
	}
	return nil
}

func objectType(esds []byte) byte {
	if d := descriptor(esds, 4); len(d) > 0 {
		return d[0]
	}
	return 0
}

func audioConfig(esds []byte) []byte { return descriptor(esds, 5) }

func checkEdits(v *view, r *report) {
	v.eachInit(func(path string, i *MP4Init) {
		for _, t := range i.Tracks {
			r.want(!t.EmptyEdit && t.Edits <= 1, "%s: track %d: %d edits, an empty one: %v", path, t.ID, t.Edits, t.EmptyEdit)
		}
	})
}

func checkBrand(v *view, r *report) {
	v.eachInit(func(path string, i *MP4Init) {
		r.want(len(i.Tracks) < 2 || !slices.Contains(i.Brands, "cmfc"), "%s: %d tracks, brands %q", path, len(i.Tracks), i.Brands)
	})
}

func checkBoxes(v *view, r *report) {
	v.eachRead("fmp4", func(e, _ *entry) {
		r.checked++
		for _, p := range e.mp4.Problems {
			r.findings = append(r.findings, e.URI+": "+p.Text)
		}
	})
}

func checkTraf(v *view, r *report) {
	v.eachRead("fmp4", func(e, _ *entry) {
		for i, f := range e.mp4.Fragments {
			for _, run := range f.Runs {
				known := slices.ContainsFunc(e.init.Tracks, func(t *MP4Track) bool { return t.ID == run.TrackID })
				r.want(run.BaseIsMoof && !run.BaseOffset && known, "%s: fragment %d: track %d (known: %v), default-base-is-moof %v, base-data-offset %v",
					e.URI, i, run.TrackID, known, run.BaseIsMoof, run.BaseOffset)
			}
		}
	})
}

func checkFragmentSequence(v *view, r *report) {
	var last uint32
	v.eachRead("fmp4", func(e, prev *entry) {
		if prev == nil {
			last = 0
		}
		for i, f := range e.mp4.Fragments {
			r.want(f.Sequence > last, "%s: fragment %d has the number %d after %d", e.URI, i, f.Sequence, last)
			last = f.Sequence
		}
	})
}

func checkTfdt(v *view, r *report) {
	end := map[uint32]uint64{}
	v.eachRead("fmp4", func(e, prev *entry) {
		if prev == nil {
			clear(end)
		}
		for i, f := range e.mp4.Fragments {
			for _, run := range f.Runs {
				if want, ok := end[run.TrackID]; ok {
					r.want(run.Time == want, "%s: fragment %d: track %d begins at %d, what came before ended at %d", e.URI, i, run.TrackID, run.Time, want)
				}
				end[run.TrackID] = run.End()
			}
		}
	})
}

// eachSample calls f for all samples.
func (v *view) eachSample(f func(e *entry, t *MP4Track, i int, s MP4Sample)) {
	v.eachRead("fmp4", func(e, _ *entry) {
		for _, t := range e.init.Tracks {
			i := 0
			for _, run := range e.mp4.Runs(t.ID) {
				for _, s := range run.Samples {
					f(e, t, i, s)
					i++
				}
			}
		}
	})
}

func checkSync(v *view, r *report) {
	v.eachSample(func(e *entry, t *MP4Track, i int, s MP4Sample) {
		sync, err := t.sync(s.Data)
		r.want(err == nil && sync == s.Sync(), "%s: track %d: sample %d is marked %v and is %v, %v", e.URI, t.ID, i, s.Sync(), sync, err)
	})
}

func checkStartsSync(v *view, r *report) {
	v.eachSample(func(e *entry, t *MP4Track, i int, s MP4Sample) {
		if sync, _ := t.sync(s.Data); i == 0 {
			r.want(sync, "%s begins without a key frame", e.URI)
		}
	})
}

func checkSamples(v *view, r *report) {
	v.eachRead("fmp4", func(e, _ *entry) {
		for _, t := range e.init.Tracks {
			shown := map[int64]bool{}
			for _, run := range e.mp4.Runs(t.ID) {
				at := int64(run.Time)
				for i, s := range run.Samples {
					pts := at + int64(s.Composition)
					r.want(s.Duration > 0 && !shown[pts], "%s: track %d: sample %d lasts %d and is shown at %d", e.URI, t.ID, i, s.Duration, pts)
					shown[pts] = true
					at += int64(s.Duration)
				}
			}
		}
	})
}

func checkMP4Cut(v *view, r *report) {
	begin := func(e *entry, handler string) (time.Duration, bool) {
		t := e.init.Track(handler)
		if t == nil || t.Timescale == 0 {
			return 0, false
		}
		runs := e.mp4.Runs(t.ID)
		if len(runs) == 0 {
			return 0, false
		}
		return time.Duration(float64(runs[0].Time) / float64(t.Timescale) * float64(time.Second)), true
	}
	v.eachRead("fmp4", func(e, prev *entry) {
		if prev == nil {
			return
		}
		video, ok := begin(e, "vide")
		if _, before := begin(prev, "soun"); !ok || !before {
			return
		}
		audio, ok := begin(e, "soun")
		if !ok {
			r.want(e.Duration < 300*time.Millisecond, "%s has no sound", e.URI)
			return
		}
		r.want((audio-video).Abs() <= apart, "%s: sound begins %v after the picture", e.URI, audio-video)
	})
}

func checkMessages(v *view, r *report) {
	v.eachRead("fmp4", func(e, _ *entry) {
		s := mp4Span(e)
		for _, m := range e.mp4.Messages {
			at := time.Duration(0)
			if m.Timescale > 0 {
				at = time.Duration(float64(m.Time) / float64(m.Timescale) * float64(time.Second))
			}
			within := s != nil && s.start-time.Second <= at && at <= s.sound+time.Second
			r.want(m.Version == 1 && m.Scheme == "https://aomedia.org/emsg/ID3" && bytes.HasPrefix(m.Data, []byte("ID3")) && within,
				"%s: version %d, %q, at %v: %.20q", e.URI, m.Version, m.Scheme, at, m.Data)
		}
	})
}
