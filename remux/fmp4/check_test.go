package fmp4

import (
	"bytes"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
)

// check reads a file of ours, an initialization section and then fragments, and
// holds it against every rule that HLS and the formats it builds on have for
// it. It returns the file, and the first rule that is broken.
func check(b []byte) (*movie, error) {
	m, err := readMovie(b)
	if err != nil {
		return nil, err
	}
	if len(m.boxes) < 2 || m.boxes[0].name != "ftyp" || m.boxes[1].name != "moov" {
		return nil, errors.New("file does not begin with ftyp and moov")
	}
	if err := checkBrands(m.boxes[0].body); err != nil {
		return nil, fmt.Errorf("ftyp: %w", err)
	}
	if err := checkMoov(m, &m.boxes[1]); err != nil {
		return nil, fmt.Errorf("moov: %w", err)
	}
	f := fragments{m: m, ends: map[uint32]int64{}, read: map[uint32]int{}, events: map[uint32]bool{}}
	rest := m.boxes[2:]
	for ; len(rest) >= 2; rest = rest[2:] {
		for ; rest[0].name == "emsg" && len(rest) > 2; rest = rest[1:] {
			if err := f.checkEvent(&rest[0]); err != nil {
				return nil, fmt.Errorf("fragment %d: emsg: %w", f.sequence+1, err)
			}
		}
		if err := f.check(&rest[0], &rest[1]); err != nil {
			return nil, fmt.Errorf("fragment %d: %w", f.sequence+1, err)
		}
	}
	if len(rest) > 0 {
		return nil, fmt.Errorf("%s at the end", rest[0].name)
	}
	return m, nil
}

func checkBrands(b []byte) error {
	if len(b) < 8 || len(b)%4 != 0 {
		return fmt.Errorf("%d bytes", len(b))
	}
	var brands []string
	for brand := range slices.Chunk(b[8:], 4) {
		brands = append(brands, string(brand))
	}
	if major := string(b[:4]); major != "iso6" || !slices.Contains(brands, major) {
		return fmt.Errorf("brands %s %s", major, brands)
	}
	if slices.ContainsFunc(brands, func(s string) bool { return strings.HasPrefix(s, "cmf") }) {
		return errors.New("CMAF brand on a muxed file")
	}
	return nil
}

func names(nodes []node) string {
	var s []string
	for _, n := range nodes {
		s = append(s, n.name)
	}
	return strings.Join(s, " ")
}

func checkMoov(m *movie, moov *node) error {
	want := "mvhd" + strings.Repeat(" trak", len(m.tracks)) + " mvex"
	if names(moov.kids) != want || len(m.tracks) == 0 {
		return fmt.Errorf("holds %s", names(moov.kids))
	}
	mvhd, mvex := moov.kid("mvhd"), moov.kid("mvex")
	if mvhd.u32(16) != 0 || len(mvhd.body) != 100 || mvhd.u32(0) != 0 {
		return fmt.Errorf("mvhd: %d bytes, duration %d", len(mvhd.body), mvhd.u32(16))
	}
	if len(mvex.kids) != len(m.tracks) {
		return fmt.Errorf("mvex holds %s", names(mvex.kids))
	}
	for i, t := range m.tracks {
		if err := checkTrak(t, &moov.kids[1+i]); err != nil {
			return fmt.Errorf("trak %d: %w", t.id, err)
		}
		if t.id == 0 || t.id >= mvhd.u32(96) || i > 0 && t.id <= m.tracks[i-1].id {
			return fmt.Errorf("track id %d, next %d", t.id, mvhd.u32(96))
		}
		trex := mvex.kids[i]
		if trex.name != "trex" || len(trex.body) != 24 || trex.u32(4) != t.id || trex.u32(8) != 1 {
			return fmt.Errorf("%s for track %d", trex.name, trex.u32(4))
		}
	}
	return nil
}

func checkTrak(t *trackInfo, trak *node) error {
	tkhd, mdhd := trak.kid("tkhd"), trak.kid("mdia", "mdhd")
	header := map[string]string{"vide": "vmhd", "soun": "smhd"}[t.handler]
	switch {
	case names(trak.kids) != "tkhd mdia": // an edit list above all
		return fmt.Errorf("holds %s", names(trak.kids))
	case names(trak.kid("mdia").kids) != "mdhd hdlr minf":
		return fmt.Errorf("mdia holds %s", names(trak.kid("mdia").kids))
	case names(trak.kid("mdia", "minf").kids) != header+" dinf stbl":
		return fmt.Errorf("minf of %s holds %s", t.handler, names(trak.kid("mdia", "minf").kids))
	case len(tkhd.body) != 84 || tkhd.u32(0)&3 != 3 || tkhd.u32(20) != 0:
		return fmt.Errorf("tkhd: %d bytes, flags %#x, duration %d", len(tkhd.body), tkhd.u32(0), tkhd.u32(20))
	case len(mdhd.body) != 24 || mdhd.u32(16) != 0 || t.timescale == 0:
		return fmt.Errorf("mdhd: %d bytes, duration %d, timescale %d", len(mdhd.body), mdhd.u32(16), t.timescale)
	case t.handler == "vide" && (t.id != 1 || t.timescale != 90000 || tkhd.u32(76) == 0 || tkhd.u32(80) == 0):
		return fmt.Errorf("video has id %d, clock %d, size %d×%d", t.id, t.timescale, tkhd.u32(76), tkhd.u32(80))
	case t.handler == "soun" && (t.id != 2 || be.Uint16(tkhd.body[36:]) != 0x0100):
		return fmt.Errorf("audio has id %d, volume %#x", t.id, be.Uint16(tkhd.body[36:]))
	case be.Uint16(t.fixed[6:]) != 1:
		return fmt.Errorf("%s: data reference %d", t.entry, be.Uint16(t.fixed[6:]))
	}
	dref := trak.kid("mdia", "minf", "dinf", "dref")
	if want := "\x00\x00\x00\x00\x00\x00\x00\x01\x00\x00\x00\x0curl \x00\x00\x00\x01"; string(dref.body) != want {
		return fmt.Errorf("dref: %x", dref.body)
	}
	stbl := trak.kid("mdia", "minf", "stbl")
	if names(stbl.kids) != "stsd stts stsc stsz stco" {
		return fmt.Errorf("stbl holds %s", names(stbl.kids))
	}
	for _, table := range stbl.kids[1:] {
		size := 8
		if table.name == "stsz" {
			size = 12
		}
		if len(table.body) != size || !bytes.Equal(table.body, make([]byte, size)) {
			return fmt.Errorf("%s is not empty", table.name)
		}
	}
	return nil
}

// fragments checks fragments one after another.
type fragments struct {
	m        *movie
	sequence uint32
	ends     map[uint32]int64 // decode time after the last sample of each track
	read     map[uint32]int   // samples seen
	events   map[uint32]bool  // ids of event messages seen
	last     int64            // presentation time of the last of them
}

// checkEvent checks an event message box: a whole ID3 tag with a time that does
// not go back, on the clock of the stream, and with an id of its own.
func (f *fragments) checkEvent(emsg *node) error {
	e, err := readEvent(emsg)
	switch {
	case err != nil:
		return err
	case e.timescale != 90000 || e.duration != 0xffffffff:
		return fmt.Errorf("timescale %d, duration %d", e.timescale, e.duration)
	case e.scheme != "https://aomedia.org/emsg/ID3" || e.value != "":
		return fmt.Errorf("scheme %q, value %q", e.scheme, e.value)
	case e.time < f.last || f.events[e.id]:
		return fmt.Errorf("id %d at %d after %d", e.id, e.time, f.last)
	case len(e.data) < 10 || string(e.data[:4]) != "ID3\x04" || int(e.data[8])<<7|int(e.data[9]) != len(e.data)-10:
		return fmt.Errorf("holds % x", e.data[:min(10, len(e.data))])
	}
	f.last, f.events[e.id] = e.time, true
	return nil
}

func (f *fragments) check(moof, mdat *node) error {
	if moof.name != "moof" || mdat.name != "mdat" {
		return fmt.Errorf("%s and %s", moof.name, mdat.name)
	}
	trafs := moof.kids[min(1, len(moof.kids)):]
	if want := "mfhd" + strings.Repeat(" traf", len(trafs)); names(moof.kids) != want || len(trafs) == 0 {
		return fmt.Errorf("moof holds %s", names(moof.kids))
	}
	if n := moof.kid("mfhd").u32(4); n <= f.sequence || len(moof.kid("mfhd").body) != 8 {
		return fmt.Errorf("sequence number %d after %d", n, f.sequence)
	}
	f.sequence = moof.kid("mfhd").u32(4)
	at, last := moof.size()+8, uint32(0)
	for i := range trafs {
		id, n, err := f.checkTraf(&trafs[i], at)
		if err != nil {
			return fmt.Errorf("track %d: %w", id, err)
		}
		if id <= last {
			return fmt.Errorf("track %d after track %d", id, last)
		}
		at, last = at+n, id
	}
	if at != moof.size()+mdat.size() {
		return fmt.Errorf("samples end at %d, mdat at %d", at, moof.size()+mdat.size())
	}
	return nil
}

// checkTraf checks one track fragment whose payload has to begin at offset, and
// returns how many bytes it has.
func (f *fragments) checkTraf(traf *node, offset int) (id uint32, size int, err error) {
	if names(traf.kids) != "tfhd tfdt trun" {
		return 0, 0, fmt.Errorf("traf holds %s", names(traf.kids))
	}
	tfhd, tfdt, trun := &traf.kids[0], &traf.kids[1], &traf.kids[2]
	id = tfhd.u32(4)
	i := slices.IndexFunc(f.m.tracks, func(t *trackInfo) bool { return t.id == id })
	switch {
	case i < 0:
		return id, 0, errors.New("is not in the moov")
	case tfhd.u32(0)&^(tfhdDuration|tfhdSize|tfhdFlags) != tfhdDefaultBaseIsMoof:
		return id, 0, fmt.Errorf("tfhd flags %#x", tfhd.u32(0))
	case tfdt.u32(0) != 1<<24:
		return id, 0, fmt.Errorf("tfdt version and flags %#x", tfdt.u32(0))
	case trun.u32(0)>>24 != 1 || trun.u32(0)&(trunFirstFlags|trunFlags) == trunFirstFlags|trunFlags:
		return id, 0, fmt.Errorf("trun version and flags %#x", trun.u32(0))
	case trun.u32(8) != uint32(offset):
		return id, 0, fmt.Errorf("data at %d, want %d", trun.u32(8), offset)
	}
	count := int(trun.u32(4))
	samples := f.m.samples[id][f.read[id]:][:count]
	f.read[id] += count
	if count == 0 {
		return id, 0, errors.New("no samples")
	}
	if end, ok := f.ends[id]; ok && samples[0].dts != end {
		return id, 0, fmt.Errorf("begins at %d, the fragment before ended at %d", samples[0].dts, end)
	}
	for _, s := range samples {
		if err := checkSample(f.m.tracks[i], &s); err != nil {
			return id, 0, fmt.Errorf("sample at %d: %w", s.dts, err)
		}
		f.ends[id] = s.dts + int64(s.duration)
		size += len(s.data)
	}
	return id, size, nil
}

func checkSample(t *trackInfo, s *sample) error {
	switch {
	case s.duration == 0:
		return errors.New("lasts no time")
	case s.flags != flagsSync && s.flags != flagsNonSync:
		return fmt.Errorf("flags %#x", s.flags)
	case t.handler == "soun" && (!s.key() || s.composition != 0):
		return fmt.Errorf("audio with flags %#x and offset %d", s.flags, s.composition)
	}
	return nil
}

// TestCheckRejects breaks a good file in one place after another, so that a
// passing check means something.
func TestCheckRejects(t *testing.T) {
	good := twoFragments(t)
	if _, err := check(good); err != nil {
		t.Fatalf("good file: %v", err)
	}
	// find returns where the nth box of the name begins.
	find := func(b []byte, name string, n int) int {
		at := -4
		for range n {
			at += 4 + bytes.Index(b[at+4:], []byte(name))
		}
		return at - 4
	}
	set := func(name string, n, field int, value uint32) func([]byte) []byte {
		return func(b []byte) []byte {
			be.PutUint32(b[find(b, name, n)+8+field:], value)
			return b
		}
	}
	rename := func(from, to string, n int) func([]byte) []byte {
		return func(b []byte) []byte { copy(b[find(b, from, n)+4:], to); return b }
	}
	for _, c := range []struct {
		name, want string
		breakIt    func([]byte) []byte
	}{
		{"old brand", "brands iso4", set("ftyp", 1, 0, be.Uint32([]byte("iso4")))},
		{"CMAF brand", "CMAF", set("ftyp", 1, 12, be.Uint32([]byte("cmfc")))},
		{"movie duration", "duration 1", set("mvhd", 1, 16, 1)},
		{"track duration", "duration 7", set("tkhd", 1, 20, 7)},
		{"media duration", "duration 9", set("mdhd", 2, 16, 9)},
		{"disabled track", "flags 0x2", set("tkhd", 1, 0, 2)},
		{"edit list", "holds tkhd edts mdia", func(b []byte) []byte {
			const edts = "\x00\x00\x00\x08edts"
			for _, name := range []string{"moov", "trak"} {
				at := find(b, name, 1)
				be.PutUint32(b[at:], be.Uint32(b[at:])+uint32(len(edts)))
			}
			return slices.Insert(b, find(b, "mdia", 1), []byte(edts)...)
		}},
		{"sample table entry", "stts is not empty", set("stts", 1, 4, 1)},
		{"no sync table", "stbl holds", rename("stsc", "stss", 1)},
		{"two sample entries", "stsd", set("stsd", 1, 4, 2)},
		{"no trex", "free for track 2", rename("trex", "free", 2)},
		{"trex of another", "trex for track 5", set("trex", 2, 4, 5)},
		{"next track id", "next 2", set("mvhd", 1, 96, 2)},
		{"data elsewhere", "dref", set("url ", 1, 0, 0)},
		{"sequence stands", "sequence number 1 after 1", set("mfhd", 2, 4, 1)},
		{"unknown track", "not in the moov", set("tfhd", 1, 4, 9)},
		{"base data offset", "tfhd: flags", set("tfhd", 1, 0, 0x020021)},
		{"no default base", "tfhd: flags 0x20", set("tfhd", 1, 0, 0x000020)},
		{"32-bit time", "tfdt", set("tfdt", 1, 0, 0)},
		{"gap", "the fragment before ended at", set("tfdt", 3, 8, 999)},
		{"overlap", "the fragment before ended at", set("tfdt", 4, 8, 0)},
		{"unsigned offsets", "trun version", set("trun", 1, 0, 0x000b05)},
		{"wrong data offset", "want", set("trun", 2, 8, 0x100)},
		{"data beyond file", "beyond the file", set("trun", 4, 8, 1<<20)},
		{"one sample too many", "trun", set("trun", 1, 4, 99)},
		{"duration 0", "lasts no time", set("trun", 1, 16, 0)},
		{"key and not", "flags 0x2010000", set("trun", 1, 12, 0x02010000)},
		{"audio that depends", "audio with flags", func(b []byte) []byte {
			tfhd := find(b, "tfhd", 2)
			be.PutUint32(b[tfhd+int(be.Uint32(b[tfhd:]))-4:], flagsNonSync)
			return b
		}},
		{"two moofs", "moof and free", rename("mdat", "free", 1)},
		{"cut", "size", func(b []byte) []byte { return b[:len(b)-1] }},
		{"stray byte", "stray", func(b []byte) []byte { return append(b, 0) }},
		{"box too many", "free at the end", func(b []byte) []byte { return append(b, "\x00\x00\x00\x08free"...) }},
		{"old event message", "emsg: version", set("emsg", 1, 0, 0)},
		{"clock of an event", "emsg: timescale", set("emsg", 1, 4, 1000)},
		{"event that ends", "duration 5", set("emsg", 1, 16, 5)},
		{"event twice", "emsg: id", func(b []byte) []byte {
			second := find(b, "emsg", 3) // the scheme says it too
			copy(b[second+8+20:][:4], b[find(b, "emsg", 1)+8+20:])
			return b
		}},
		{"event goes back", "emsg: id", set("emsg", 3, 12, 0)},
		{"another scheme", "emsg: scheme", func(b []byte) []byte { b[find(b, "emsg", 1)+8+24] = 'H'; return b }},
		{"scheme without end", "emsg: scheme", func(b []byte) []byte {
			at := find(b, "emsg", 1)
			s := b[at+8+24 : at+int(be.Uint32(b[at:]))]
			copy(s, bytes.ReplaceAll(s, []byte{0}, []byte{1}))
			return b
		}},
		{"no tag", "emsg: holds", func(b []byte) []byte { b[find(b, "emsg", 1)+8+24+30] = 'X'; return b }},
		{"half a tag", "emsg: holds", func(b []byte) []byte { b[find(b, "emsg", 1)+8+24+30+9]++; return b }},
		{"event behind its fragment", "emsg at the end", func(b []byte) []byte {
			at := find(b, "emsg", 1)
			return append(b, b[at:at+int(be.Uint32(b[at:]))]...)
		}},
		{"no moov", "does not begin", func(b []byte) []byte { return b[find(b, "moov", 1):] }},
		{"payload left over", "mdat at", func(b []byte) []byte {
			mdat := find(b, "mdat", 2)
			be.PutUint32(b[mdat:], be.Uint32(b[mdat:])+1)
			return append(b, 0)
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := check(c.breakIt(bytes.Clone(good)))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// twoFragments returns a file whose video needs every field a trun can have in
// the first fragment.
func twoFragments(t *testing.T) []byte {
	t.Helper()
	c := tracks(av.H264, av.AAC)
	file, err := Init(c)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range []*Fragment{
		{
			Config: c, Sequence: 1,
			Video: []av.Frame{videoSample(900, true, 66*time.Millisecond, "KEY"), videoSample(3870, false, 0, "picture"), videoSample(6930, false, -33*time.Millisecond, "b")}, VideoEnd: 9900,
			Audio: []av.Frame{audioSample(10, "one"), audioSample(1034, "three"), audioSample(2058, "x")}, AudioEnd: 3082,
			Metadata: []av.Frame{tagSample(900, "a"), tagSample(900, "b")},
		},
		{Config: c, Sequence: 2, Video: []av.Frame{videoSample(9900, false, 0, "p")}, VideoEnd: 12000, Audio: []av.Frame{audioSample(3082, "y")}, AudioEnd: 4106, Metadata: []av.Frame{tagSample(10000, "c")}},
	} {
		if file, err = AppendFragment(file, f); err != nil {
			t.Fatal(err)
		}
	}
	return file
}
