package remux

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// twin is a server with a stream that is fed tag by tag.
type twin struct {
	t        *testing.T
	id       string
	options  Options
	registry *Registry
	other    *twin
	down     bool
	p        *Publisher
	objects  map[string][]byte // all that its playlists have named
	lists    [][]uint64        // media sequence numbers of each playlist
	tagged   map[uint64]bool   // those with a discontinuity
}

func newTwins(t *testing.T) (a, b *twin) { return newTwinsWith(t, DefaultOptions()) }

func newTwinsWith(t *testing.T, o Options) (a, b *twin) {
	pause := twinPoll
	twinPoll = time.Millisecond
	t.Cleanup(func() { twinPoll = pause })
	a = &twin{t: t, id: "a", options: o}
	b = &twin{t: t, id: "b", options: o, other: a}
	a.other = b
	a.restart()
	b.restart()
	return a, b
}

// restart begins without anything: no memory, no frames.
func (w *twin) restart() {
	w.registry = NewRegistry(w.options, nil)
	w.objects, w.tagged, w.lists, w.p, w.down = map[string][]byte{}, map[uint64]bool{}, nil, nil, false
	w.registry.SetTwin(w.id, func(_ context.Context, n Name) (TwinState, error) {
		if s := w.other.registry.Stream(n); s != nil && !w.other.down {
			return s.TwinState(w.other.id), nil
		}
		return TwinState{}, errors.New("no such stream")
	})
}

func (w *twin) publish() {
	w.t.Helper()
	p, err := w.registry.Publish(Name{"live", "x"}, Claim{})
	if err != nil {
		w.t.Fatal(err)
	}
	w.p = p
}

func (w *twin) write(m rtmpMessage) {
	w.t.Helper()
	if err := w.p.Write(m.typ, m.ts, m.tag()); err != nil {
		w.t.Fatal(err)
	}
	if s := w.p.search; !s.over.Load() && m.typ == 9 {
		time.Sleep(2 * time.Millisecond) // the twin answers meanwhile
	}
	w.look()
}

// look downloads what is new.
func (w *twin) look() {
	ix := w.p.Stream().Index()
	for _, f := range []Format{FMP4, TS} {
		o, err := ix.Playlist(f, Ask{})
		if errors.Is(err, ErrNotReady) {
			return
		}
		if err != nil {
			w.t.Fatal(err)
		}
		for line := range strings.Lines(string(o.Body)) {
			line = strings.TrimSpace(line)
			if _, uri, ok := strings.Cut(line, `URI="`); ok && !strings.Contains(line, "PRELOAD") {
				w.download(ix, f, strings.TrimSuffix(strings.Split(uri, `"`)[0], `"`))
			} else if line != "" && line[0] != '#' {
				w.download(ix, f, line)
			}
		}
	}
	var list []uint64
	for _, s := range ix.Segments {
		list = append(list, s.Sequence)
		w.tagged[s.Sequence] = s.Discontinuity
	}
	if n := len(w.lists); n == 0 || !slices.Equal(list, w.lists[n-1]) {
		w.lists = append(w.lists, list)
	}
}

func (w *twin) download(ix *Index, f Format, name string) {
	w.t.Helper()
	if w.objects[name] != nil {
		return
	}
	o, err := ix.Object(f, name)
	if err != nil {
		w.t.Fatalf("%s: %v", name, err)
	}
	w.objects[name] = o.Body
}

// common counts the objects that both have, and fails where one differs.
func common(t *testing.T, a, b *twin) (segments, parts, inits int) {
	t.Helper()
	for name, body := range a.objects {
		other, ok := b.objects[name]
		if !ok {
			continue
		}
		if !bytes.Equal(body, other) {
			t.Errorf("%s: %d and %d bytes, not the same", name, len(body), len(other))
		}
		switch {
		case strings.Contains(name, "-p"):
			parts++
		case strings.Contains(name, "-init"):
			inits++
		default:
			segments++
		}
	}
	return segments, parts, inits
}

// clip is a minute of a stream with frames out of order, ready to be sent again
// later in time.
func clip(t *testing.T) []rtmpMessage {
	_, m := testSource(t, 30)
	return m
}

// headers are the messages without which a decoder cannot begin.
func headers(messages []rtmpMessage) (h []rtmpMessage) {
	for _, m := range messages {
		if header, _, _ := role(m); header {
			h = append(h, m)
		}
	}
	return h
}

// at is the index of the first message of a time.
func at(messages []rtmpMessage, ms uint32) int {
	return slices.IndexFunc(messages, func(m rtmpMessage) bool { return m.ts >= ms && m.typ != 18 })
}

// Two servers with the same tags publish the same bytes under the same names, from
// their first segment on, and again after either of them was killed and has come
// back in the middle of the stream with nothing but its twin to ask.
func TestTwins(t *testing.T) {
	messages := clip(t)
	a, b := newTwins(t)
	a.publish()
	b.publish()
	first, second, third := at(messages, 9300), at(messages, 13100), at(messages, 20400)
	for _, m := range messages[:first] {
		a.write(m)
		b.write(m)
	}
	if s, p, i := common(t, a, b); s < 6 || p < 20 || i != 1 || len(a.objects) != len(b.objects) {
		t.Fatalf("%d segments, %d parts, %d init sections are the same; %d and %d objects", s, p, i, len(a.objects), len(b.objects))
	}

	b.restart() // kill -9: its frames, its epoch, its clock are gone
	for _, m := range messages[first:second] {
		a.write(m)
	}
	b.publish()
	for _, m := range headers(messages) { // an encoder that reconnects begins with these
		m.ts = messages[second].ts
		b.write(m)
	}
	for _, m := range messages[second:third] {
		a.write(m)
		b.write(m)
	}
	if s, p, i := common(t, a, b); s < 4 || p < 10 || i != 1 {
		t.Errorf("after b was killed: %d segments, %d parts, %d init sections are the same", s, p, i)
	}
	for name := range b.objects {
		if a.objects[name] == nil {
			t.Errorf("b has %s, which a has not", name)
		}
	}

	a.restart()
	a.publish()
	for _, m := range headers(messages) {
		m.ts = messages[third].ts
		a.write(m)
	}
	for _, m := range messages[third:] {
		a.write(m)
		b.write(m)
	}
	if s, p, _ := common(t, a, b); s < 4 || p < 10 {
		t.Errorf("after a was killed: %d segments and %d parts are the same", s, p)
	}
	for _, w := range []*twin{a, b} {
		for i, list := range w.lists {
			if i > 0 && list[len(list)-1] < w.lists[i-1][len(w.lists[i-1])-1] {
				t.Errorf("%s: the playlist went back from %v to %v", w.id, w.lists[i-1], list)
			}
		}
		for sequence := range maps.Keys(w.tagged) {
			if w.tagged[sequence] {
				t.Errorf("%s: a discontinuity before %d", w.id, sequence)
			}
		}
	}
}

// Segments that end because of their bytes end at the same pictures, on one that came
// later too.
func TestTwinsCutBytesAlike(t *testing.T) {
	messages := clip(t)
	o := DefaultOptions()
	var bytes int64
	for _, m := range messages {
		bytes += int64(len(m.body))
	}
	o.MaxSegmentBytes = bytes / 20 // of 30 s, with a key frame each 2 s
	a, b := newTwinsWith(t, o)
	a.publish()
	second := at(messages, 9300)
	for _, m := range messages[:second] {
		a.write(m)
	}
	b.publish()
	for _, m := range headers(messages) {
		m.ts = messages[second].ts
		b.write(m)
	}
	uncut := 0
	for _, m := range messages[second:] {
		a.write(m)
		b.write(m)
		if ix := b.p.Stream().Index(); ix.Open != nil && !ix.Open.Independent {
			uncut++
		}
	}
	if s, p, i := common(t, a, b); s < 16 || p < 30 || i != 1 || uncut == 0 {
		t.Errorf("%d segments, %d parts, %d init sections are the same", s, p, i)
	}
	for name := range b.objects {
		if a.objects[name] == nil {
			t.Errorf("b has %s, which a has not", name)
		}
	}
}

// One that comes while sound has changed in mid-stream begins with its twin where HLS
// has that sound, and counts it as its twin does.
func TestTwinsWhereSoundChanges(t *testing.T) {
	const change, join, end = 11_700, 11_800, 20_000 // ms; the next key frame is at 12 s
	messages := slices.DeleteFunc(clip(t), func(m rtmpMessage) bool { return m.typ != 9 || m.ts >= end })
	before, after := aac(t, "48000", "1", 0, change), aac(t, "44100", "2", change, end)
	messages = append(messages, append(before, after...)...)
	slices.SortStableFunc(messages, func(a, b rtmpMessage) int { return int(a.ts) - int(b.ts) })
	a, b := newTwins(t)
	a.publish()
	now := at(messages, join)
	for _, m := range messages[:now] {
		a.write(m)
	}
	b.publish()
	for _, m := range append(headers(after), headers(messages)...) {
		if m.typ == 9 || m.ts >= change {
			m.ts = messages[now].ts
			b.write(m)
		}
	}
	for _, m := range messages[now:] {
		a.write(m)
		b.write(m)
	}
	if s, p, i := common(t, a, b); s < 5 || p < 12 || i != 1 {
		t.Errorf("%d segments, %d parts, %d init sections are the same", s, p, i)
	}
	for name := range b.objects {
		if a.objects[name] == nil {
			t.Errorf("b has %s, which a has not", name)
		}
	}
}

// One that cannot reach its twin goes on by itself, at once, and never under names
// that the twin may be using for other bytes.
func TestTwinIsDown(t *testing.T) {
	messages := clip(t)
	a, b := newTwins(t)
	a.publish()
	b.publish()
	half := at(messages, 10000)
	for _, m := range messages[:half] {
		a.write(m)
		b.write(m)
	}
	if a.p.Stream().timeline.epoch != b.p.Stream().timeline.epoch {
		t.Fatal("no twins")
	}
	a.down, b.down = true, true // they do not see each other any more
	for _, w := range []*twin{a, b} {
		w.p.Close()
		w.publish()
	}
	for i, m := range messages {
		if i%20 == 3 {
			b.write(messages[at(messages, 5000)+i/20]) // b is sent something else
		}
		a.write(m)
		b.write(m)
	}
	if a.p.Stream().timeline.epoch == b.p.Stream().timeline.epoch {
		t.Error("both go on with the same names")
	}
	common(t, a, b) // fails where a name means two things
	for _, w := range []*twin{a, b} {
		last := w.lists[len(w.lists)-1]
		if list := w.lists[len(w.lists)/2]; last[len(last)-1] <= list[len(list)-1] || last[0] < list[0] {
			t.Errorf("%s: playlists %v, then %v", w.id, list, last)
		}
	}
}

// A twin that has another stream under the name, or the same one at other times, is
// waited for in vain, but not for ever, and no frame is lost meanwhile.
func TestTwinHasSomethingElse(t *testing.T) {
	messages := clip(t)
	synctest.Test(t, func(t *testing.T) {
		a, b := newTwins(t)
		a.publish()
		b.publish()
		begun := time.Now()
		sent := 0
		for _, m := range messages[:at(messages, 10000)] {
			a.write(m)
			m.ts += 7
			b.write(m)
			sent++
			time.Sleep(time.Until(begun.Add(time.Duration(m.ts) * time.Millisecond)))
			if b.p.search.over.Load() && time.Since(begun) < twinPatience-time.Second {
				t.Fatalf("goes on after %v", time.Since(begun))
			}
		}
		if len(b.objects) == 0 || len(a.objects) == 0 {
			t.Fatalf("%d and %d objects", len(a.objects), len(b.objects))
		}
		if s, p, i := common(t, a, b); s+p+i != 0 {
			t.Errorf("%d segments, %d parts and %d init sections have the same name", s, p, i)
		}
		if s := b.p.Stats(); int(s.VideoFrames+s.AudioFrames) < sent-10 {
			t.Errorf("%+v of %d messages", s, sent)
		}
		a.p.Close()
		b.p.Close()
	})
}
