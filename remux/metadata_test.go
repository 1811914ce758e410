package remux

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// textMessage is onTextData {text: …}.
func textMessage(text string) []byte {
	b := []byte("\x02\x00\x0aonTextData\x03\x00\x04text\x02")
	b = binary.BigEndian.AppendUint16(b, uint16(len(text)))
	return append(append(b, text...), 0, 0, 9)
}

// textOf returns what stands in a tag that was made from a textMessage.
func textOf(t *testing.T, tag []byte) string {
	t.Helper()
	description, text, ok := bytes.Cut(tag[min(21, len(tag)):], []byte{0})
	if !ok || string(tag[:5]) != "ID3\x04\x00" || string(description) != "onTextData.text" {
		t.Fatalf("tag %q", tag)
	}
	return string(text)
}

// cue is a tag as a player finds it: its time on the stream's clock, its text, and
// the number of the segment.
type cue struct {
	at      time.Duration
	text    string
	segment int
}

// eventCues returns what the event messages of a file in fMP4 say.
func eventCues(t *testing.T, b []byte, segment int) (cues []cue) {
	t.Helper()
	for len(b) > 0 {
		n := int(binary.BigEndian.Uint32(b))
		if n < 8 || n > len(b) {
			t.Fatalf("box of %d bytes in %d", n, len(b))
		}
		if string(b[4:8]) == "emsg" {
			const fixed, scheme = 12 + 20, "https://aomedia.org/emsg/ID3\x00\x00"
			if binary.BigEndian.Uint32(b[12:]) != 90000 || !bytes.HasPrefix(b[fixed:n], []byte(scheme)) {
				t.Fatalf("emsg %q", b[:n])
			}
			at := time.Duration(binary.BigEndian.Uint64(b[16:])) * time.Millisecond / 90
			cues = append(cues, cue{at.Round(time.Millisecond), textOf(t, b[fixed+len(scheme):n]), segment})
		}
		b = b[n:]
	}
	return cues
}

// tsCues returns what the PES packets of metadata in a transport stream say, and
// whether its PMT lists them.
func tsCues(t *testing.T, b []byte, segment int) (cues []cue, listed bool) {
	t.Helper()
	var open []byte
	end := func() {
		if open != nil {
			p := open[9:]
			ticks := int64(p[0]>>1&7)<<30 | int64(p[1])<<22 | int64(p[2]>>1)<<15 | int64(p[3])<<7 | int64(p[4]>>1)
			at := time.Duration(ticks-126000) * time.Millisecond / 90
			cues = append(cues, cue{at.Round(time.Millisecond), textOf(t, open[14:]), segment})
		}
		open = nil
	}
	for ; len(b) >= 188; b = b[188:] {
		payload := b[4:188]
		if b[3]&0x20 != 0 {
			payload = payload[1+int(payload[0]):]
		}
		switch pid := binary.BigEndian.Uint16(b[1:]) & 0x1fff; {
		case pid == 0x1000:
			listed = bytes.Contains(payload, []byte{0x15, 0xe1, 0x02})
		case pid == 0x102 && b[1]&0x40 != 0:
			end()
			open = slices.Clone(payload)
		case pid == 0x102:
			open = append(open, payload...)
		}
	}
	end()
	return cues, listed
}

// cues fetches all segments of an index in both formats and the parts, holds them
// against each other, and returns what there is.
func cues(t *testing.T, ix *Index) (all []cue) {
	t.Helper()
	for i, s := range ix.Segments {
		get := func(f Format, file string) []byte {
			o, err := ix.Object(f, file)
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			return o.Body
		}
		whole := onClock(s, eventCues(t, get(FMP4, segmentName(ix.epoch, s.Sequence, FMP4)), i))
		var parts []cue
		broken := i+1 == len(ix.Segments) || ix.Segments[i+1].Discontinuity
		for k, p := range s.Parts {
			last := broken && k+1 == len(s.Parts) // it has what comes behind its end
			in := onClock(s, eventCues(t, get(FMP4, partName(ix.epoch, p.Number)), i))
			for _, c := range in {
				if c.at < p.Start || c.at >= p.Start+p.Duration && !last {
					t.Errorf("%v is in the part from %v to %v", c, p.Start, p.Start+p.Duration)
				}
			}
			parts = append(parts, in...)
		}
		ts, listed := tsCues(t, get(TS, segmentName(ix.epoch, s.Sequence, TS)), i)
		if ts = onClock(s, ts); !slices.Equal(whole, parts) || !slices.Equal(whole, ts) {
			t.Errorf("segment %d: fMP4 has %v, its parts %v, TS %v", i, whole, parts, ts)
		}
		if listed != s.timed || len(ts) > 0 && !listed {
			t.Errorf("segment %d: metadata listed %v, want %v; %d tags", i, listed, s.timed, len(ts))
		}
		all = append(all, whole...)
	}
	return all
}

// onClock returns a segment's cues at their times on the stream's clock.
func onClock(s *Segment, cues []cue) []cue {
	for i := range cues {
		cues[i].at -= s.ahead
	}
	return cues
}

// with sends a message's body behind the first media message at or after a time.
func with(messages []rtmpMessage, at uint32, bodies ...[]byte) []rtmpMessage {
	i := slices.IndexFunc(messages, func(m rtmpMessage) bool { return m.typ != flv.TypeScript && m.ts >= at && len(m.body) > 100 })
	more := make([]rtmpMessage, len(bodies))
	for k, b := range bodies {
		more[k] = rtmpMessage{flv.TypeScript, at, b}
	}
	return slices.Insert(slices.Clone(messages), i+1, more...)
}

// Tags come at the stream time at which they were sent, in the segment and the part
// that hold it, in both formats alike; viewers of FLV get the messages.
func TestMetadata(t *testing.T) {
	_, messages := testSource(t, 10)
	var want []string
	for _, at := range []uint32{0, 40, 1960, 2000, 2500, 3333, 5999, 9900} {
		text := strings.Repeat(fmt.Sprint("at ", at, " "), 1+int(at)/50)
		messages = with(messages, at, textMessage(text), textMessage(text))
		want = append(want, text, text) // a message that is repeated is another
	}
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", messages)
	p.Close()
	ix := p.Stream().Index()
	got := cues(t, ix)
	if len(got) != len(want) {
		t.Fatalf("%d tags, want %d", len(got), len(want))
	}
	for i, c := range got {
		at, _ := strconv.Atoi(strings.Fields(want[i])[1])
		sent := time.Duration(at) * time.Millisecond
		if c.text != want[i] || c.at < sent || c.at > sent+50*time.Millisecond || c.segment != int(c.at/(2*time.Second)) {
			t.Errorf("%.20q at %v in segment %d, want %.20q from %v on", c.text, c.at, c.segment, want[i], sent)
		}
	}
	if st := p.Stats(); st.Metadata != uint64(len(want)) || st.MetadataDropped != 0 {
		t.Errorf("%d tags counted and %d dropped", st.Metadata, st.MetadataDropped)
	}
	for i, s := range ix.Segments {
		if here, n := s.discontinuity(TS); here || n != s.DiscontinuitySequence {
			t.Errorf("segment %d has a discontinuity", i)
		}
	}
	for _, f := range []Format{FMP4, TS} {
		decodes(t, download(t, ix, f))
	}
	out, err := exec.Command("ffprobe", "-v", "error", "-select_streams", "d", "-show_entries", "stream=codec_name:packet=pts", "-of", "csv=p=0", download(t, ix, TS)).Output()
	if err != nil || strings.Count(string(out), "\n") < len(want) || !strings.Contains(string(out), "timed_id3") {
		t.Errorf("ffprobe: %v\n%s", err, out)
	}
	log := &p.Stream().log
	n := 0
	for i := log.first; i < log.next; i++ {
		if f := log.at(i); f.Kind == av.Data && bytes.Contains(f.Tag, []byte("onTextData")) {
			n++
		}
	}
	if n != len(want) {
		t.Errorf("viewers of FLV get %d messages, want %d", n, len(want))
	}
}

// The first tag that comes in the middle of a stream is a discontinuity in MPEG-TS
// and nothing in fMP4. There is no second one, and both formats count on.
func TestMetadataBegins(t *testing.T) {
	_, messages := testSource(t, 10)
	o := DefaultOptions()
	o.Window = time.Hour
	r := NewRegistry(o, nil)
	publish(t, r, "x", with(messages, 4500, textMessage("first"))).Close() // in the third of 5 segments
	publish(t, r, "x", messages).Close()
	p := publish(t, r, "x", with(messages, 4500, textMessage("second")))
	p.Close()
	ix := p.Stream().Index()
	if len(ix.Segments) != 15 {
		t.Fatalf("%d segments, want 15", len(ix.Segments))
	}
	base := ix.Segments[0].DiscontinuitySequence
	for i, s := range ix.Segments {
		for f, wantAt := range map[Format][]int{FMP4: {5, 10}, TS: {2, 5, 10}} {
			var before uint64
			for _, at := range wantAt {
				if at <= i {
					before++
				}
			}
			if here, n := s.discontinuity(f); here != slices.Contains(wantAt, i) || n != base+before {
				t.Errorf("%s segment %d: discontinuity %v, number %d, want %v, %d", f.folder(), i, here, n, slices.Contains(wantAt, i), base+before)
			}
		}
		if s.timed != (i >= 2) {
			t.Errorf("segment %d: timed %v", i, s.timed)
		}
	}
	if got := cues(t, ix); len(got) != 2 || got[0].segment != 2 || got[1].segment != 12 {
		t.Errorf("tags %v", got)
	}
	if n := p.Stream().timeline.state(time.Now()).Discontinuity; n != base+3 {
		t.Errorf("what a restart begins behind is %d, want %d", n, base+3)
	}
	for f, want := range map[Format]int{FMP4: 2, TS: 3} {
		text, err := ix.Playlist(f, Ask{})
		if err != nil {
			t.Fatal(err)
		}
		header := fmt.Sprintf("#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", base)
		if n := bytes.Count(text.Body, []byte("#EXT-X-DISCONTINUITY\n")); n != want || !bytes.Contains(text.Body, []byte(header)) {
			t.Errorf("%s: %d discontinuities, want %d and %s\n%s", f.folder(), n, want, header, text.Body)
		}
	}
	decodes(t, download(t, ix, FMP4))
}

// The number in the TS playlist's header rises when the segment leaves it in front
// of which its own discontinuity was.
func TestMetadataLeavesTheWindow(t *testing.T) {
	_, messages := testSource(t, 40)
	o := DefaultOptions()
	r := NewRegistry(o, nil)
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		t.Fatal(err)
	}
	base, in, out := uint64(0), false, false
	for _, m := range with(messages, 4500, textMessage("first")) {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
		ix := p.Stream().Index()
		if len(ix.Segments) == 0 {
			continue
		}
		if base == 0 {
			base = ix.Segments[0].DiscontinuitySequence
		}
		text, err := ix.Playlist(TS, Ask{})
		if err != nil {
			t.Fatal(err)
		}
		tags := bytes.Count(text.Body, []byte("#EXT-X-DISCONTINUITY\n"))
		in = in || tags == 1
		out = in && tags == 0
		number := base
		if out {
			number++
		}
		if tags > 1 || !bytes.Contains(text.Body, fmt.Appendf(nil, "#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", number)) {
			t.Fatalf("want number %d:\n%s", number, text.Body)
		}
	}
	if !out {
		t.Error("the discontinuity never left the list")
	}
	p.Close()
}

// A stream that has no metadata is what it was before there was any.
func TestNoMetadata(t *testing.T) {
	_, messages := testSource(t, 5)
	r := NewRegistry(DefaultOptions(), nil)
	p := publish(t, r, "x", messages)
	p.Close()
	ix := p.Stream().Index()
	if got := cues(t, ix); len(got) > 0 {
		t.Errorf("tags %v", got)
	}
	for i, s := range ix.Segments {
		if s.timed || s.timedFrom || s.extra != 0 {
			t.Errorf("segment %d lists metadata", i)
		}
	}
	b, err := os.ReadFile(download(t, ix, FMP4))
	if err != nil || bytes.Contains(b, []byte("emsg")) {
		t.Errorf("event messages, %v", err)
	}
}

// What is too much, too long or damaged is left out of HLS and counted, and harms
// neither the publisher nor the viewers of FLV.
func TestMetadataLimits(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	s := newSynthetic(t, r)
	s.frame(true)
	send := func(n int, body []byte) {
		for range n {
			s.write(flv.TypeScript, body)
		}
	}
	send(60, textMessage("x")) // 10 too many
	for range 31 {
		s.frame(false)
	}
	damaged := textMessage("damaged")
	send(5, damaged[:20])
	send(1, textMessage(strings.Repeat("x", 9000)))
	send(1, textMessage("y"))
	send(3, []byte("\x02\x00\x07onOther\x02\x00\x01z")) // not timed: not counted
	for range 60 {
		s.frame(false)
	}
	s.frame(true)
	s.p.Close()
	if st := s.p.Stats(); st.Metadata != 51 || st.MetadataDropped != 16 || st.Malformed != 0 {
		t.Errorf("%d tags, %d dropped, %d malformed; want 51, 16, 0", st.Metadata, st.MetadataDropped, st.Malformed)
	}
	if got := cues(t, s.p.Stream().Index()); len(got) != 51 || got[50].text != "y" {
		t.Errorf("%d tags, the last %v", len(got), got[len(got)-1])
	}
}

// Tags that come while no segment can begin wait for the next, the newest of them,
// and not without bound.
func TestMetadataWaits(t *testing.T) {
	r := NewRegistry(DefaultOptions(), nil)
	s := newSynthetic(t, r)
	s.frame(true)
	s.frame(false)
	s.p.Close()
	s.publish(r)
	s.frame(false) // decides, and is of no use: no key frame yet
	const sent = 400
	for i := range sent {
		s.write(flv.TypeScript, textMessage(fmt.Sprint(i)))
		s.frame(false)
	}
	if n := len(s.p.Stream().timeline.metadata); n != maxMetadataWaiting {
		t.Errorf("%d tags wait, want %d", n, maxMetadataWaiting)
	}
	s.frame(true)
	s.frame(false)
	s.p.Close()
	ix := s.p.Stream().Index()
	got := cues(t, ix)
	start := ix.newest().Start
	if len(got) != maxMetadataWaiting || got[len(got)-1].text != fmt.Sprint(sent-1) || got[0].at != start || got[len(got)-1].at != start {
		t.Errorf("%d tags, from %v to %v, want %d at %v", len(got), got[0], got[len(got)-1], maxMetadataWaiting, start)
	}
	if st := s.p.Stats(); st.Metadata-st.MetadataDropped != uint64(len(got)) {
		t.Errorf("%d tags counted, %d dropped", st.Metadata, st.MetadataDropped)
	}
}

// synthetic is a publisher of 30 pictures a second that no decoder would take.
type synthetic struct {
	t  *testing.T
	p  *Publisher
	ms uint32
}

func newSynthetic(t *testing.T, r *Registry) *synthetic {
	s := &synthetic{t: t}
	s.publish(r)
	return s
}

// publish begins a session.
func (s *synthetic) publish(r *Registry) {
	p, err := r.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		s.t.Fatal(err)
	}
	s.p = p
	s.write(flv.TypeVideo, append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
		0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80))
}

func (s *synthetic) write(typ uint8, body []byte) {
	if err := s.p.Write(typ, s.ms, rtmpMessage{body: body}.tag()); err != nil {
		s.t.Fatal(err)
	}
}

// frame sends a picture.
func (s *synthetic) frame(key bool) {
	s.ms += 33
	body := []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 2, 0x41, 0x80}
	if key {
		body[0], body[9] = 0x17, 0x65
	}
	s.write(flv.TypeVideo, body)
}

// FuzzMetadata plays streams of any order of pictures, sound, tags, jumps and
// sessions. No tag may be lost, change places with another, or differ between the
// formats.
func FuzzMetadata(f *testing.F) {
	f.Add([]byte("KpamappmampmaKpampappmKapmpRmKpmpJmKpmaFpm"))
	f.Add([]byte("mmmKmmmmpmmRmamRmKmppp"))
	f.Add([]byte("hKpaamaamaamaamaamaamaappppmppppKmRhamKpam"))
	f.Fuzz(func(t *testing.T, script []byte) {
		o := DefaultOptions()
		o.Window, o.SegmentDuration = time.Hour, time.Second
		r := NewRegistry(o, nil)
		s := newSynthetic(t, r)
		sent, metadata, dropped := 0, uint64(0), uint64(0)
		leave := func() {
			s.p.Close()
			metadata += s.p.Stats().Metadata
			dropped += s.p.Stats().MetadataDropped
		}
		for _, c := range script[:min(len(script), 1000)] {
			switch c {
			case 'K', 'p':
				s.frame(c == 'K')
			case 'h':
				s.write(flv.TypeAudio, []byte{0xaf, 0, 0x12, 0x10})
			case 'a':
				s.write(flv.TypeAudio, []byte{0xaf, 1, 0x21, 0x10})
			case 'm':
				s.write(flv.TypeScript, textMessage(fmt.Sprint(sent)))
				sent++
			case 'J':
				s.ms -= min(s.ms, 60_000)
			case 'F':
				s.ms += 60_000
			case 'R':
				leave()
				s.publish(r)
			}
		}
		leave()
		got := cues(t, s.p.Stream().Index())
		waiting := uint64(len(s.p.Stream().timeline.metadata))
		// One that had to go for another is counted as both, one that came too fast
		// as dropped only.
		if n := uint64(len(got)) + waiting; n > metadata || n+dropped < metadata {
			t.Errorf("%d tags in segments and %d wait, of %d without %d", len(got), waiting, metadata, dropped)
		}
		last := cue{at: -1, text: "-1"}
		for _, c := range got {
			a, _ := strconv.Atoi(last.text)
			b, err := strconv.Atoi(c.text)
			if err != nil || b <= a || c.at < last.at {
				t.Errorf("%v behind %v", c, last)
			}
			last = c
		}
	})
}
