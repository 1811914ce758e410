package remux

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// everything is all that can be asked of an index below its playlists, by name.
func everything(t *testing.T, ix *Index) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	get := func(f Format, name string) {
		o, err := ix.Object(f, name)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		all[name] = o.Body
	}
	for _, s := range ix.held {
		get(FMP4, segmentName(s.epoch, s.Sequence, FMP4))
		get(FMP4, initName(s.init.epoch, s.init.number))
		for _, p := range s.Parts {
			get(FMP4, partName(p.epoch, p.Number))
		}
		if TS.Supports(s.Config) == nil {
			get(TS, segmentName(s.epoch, s.Sequence, TS))
		}
	}
	return all
}

// playlists are the texts of an index, of those formats that it has.
func playlists(t *testing.T, ix *Index) (all []string) {
	t.Helper()
	for _, f := range []Format{FMP4, TS} {
		media, err := ix.Playlist(f, Ask{Known: true})
		if err != nil {
			t.Fatal(err)
		}
		multi, err := ix.Multivariant(f, "x")
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, string(media.Body), string(multi.Body))
	}
	return all
}

// withoutHint leaves out what names the part that comes next: that will be another's.
func withoutHint(list string) string {
	before, rest, found := strings.Cut(list, "#EXT-X-PRELOAD-HINT")
	if !found {
		return list
	}
	_, rest, _ = strings.Cut(rest, "\n")
	return before + rest
}

// window returns a registry with a stream that is watched and has lost its publisher,
// and one that nobody watches, and the file that its process leaves.
func window(t *testing.T) (r *Registry, s *Stream, messages []rtmpMessage, path string) {
	t.Helper()
	_, messages = testSource(t, 24)
	for _, at := range []uint32{7000, 7100, 18_000, 22_900} {
		messages = with(messages, at, textMessage(fmt.Sprint(at)))
	}
	dir := t.TempDir()
	r = NewRegistry(DefaultOptions(), OpenMemory(filepath.Join(dir, "streams.json"), slog.New(slog.DiscardHandler)))
	p := publish(t, r, "x", messages[:at(messages, 12_000)])
	playlists(t, p.Stream().Index())
	for _, m := range messages[at(messages, 12_000):] {
		if err := p.Write(m.typ, m.ts, m.tag()); err != nil {
			t.Fatal(err)
		}
	}
	p.Close()
	s = p.Stream()
	playlists(t, s.Index())
	publish(t, r, "unwatched", messages).Close()
	r.Close()
	flush(r.memory)
	path = filepath.Join(dir, "window")
	if n, err := r.SaveWindow(t.Context(), path); n != 1 || err != nil {
		t.Fatalf("%d streams, %v", n, err)
	}
	return r, s, messages, path
}

// successor is the registry of the process that comes after r's.
func successor(r *Registry) *Registry {
	return NewRegistry(r.options, OpenMemory(r.memory.path, slog.New(slog.DiscardHandler)))
}

// A process that ends in order leaves all that its viewers know to the next one, which
// goes on behind it with one discontinuity.
func TestWindow(t *testing.T) {
	before, old, messages, path := window(t)
	r := successor(before)
	if n, err := r.RestoreWindow(path); n != 1 || err != nil {
		t.Fatalf("%d streams, %v", n, err)
	}
	s := r.Stream(old.Name)
	want, got := everything(t, old.Index()), everything(t, s.Index())
	if len(old.Index().held) <= len(old.Index().Segments) {
		t.Error("no segment that has left the list is held")
	}
	if !maps.EqualFunc(want, got, bytes.Equal) {
		t.Errorf("%d objects, want %d, or others", len(got), len(want))
	}
	oldTexts := playlists(t, old.Index())
	for i, text := range playlists(t, s.Index()) {
		if withoutHint(text) != withoutHint(oldTexts[i]) {
			t.Errorf("was\n%s\nis\n%s", oldTexts[i], text)
		}
	}
	if live, _ := s.Live(); live || s.Index().Ended {
		t.Error("it has a publisher, or has ended")
	}
	if !bytes.Equal(s.Metadata(), old.Metadata()) {
		t.Error("onMetaData is another")
	}

	newest := s.Index().newest()
	p := publish(t, r, "x", messages[:at(messages, 9000)])
	ix := p.Stream().Index()
	if p.Stream() != s {
		t.Fatal("another stream has begun")
	}
	i := slices.Index(ix.Segments, newest)
	if i < 0 || i+1 == len(ix.Segments) {
		t.Fatalf("the newest segment is at %d of %d", i, len(ix.Segments))
	}
	next := ix.Segments[i+1]
	if next.Sequence != newest.Sequence+1 || !next.Discontinuity || next.DiscontinuitySequence != newest.DiscontinuitySequence+1 {
		t.Errorf("%d, %v, %d follows %d, %d", next.Sequence, next.Discontinuity, next.DiscontinuitySequence, newest.Sequence, newest.DiscontinuitySequence)
	}
	if next.Start < newest.Start+newest.Duration || next.epoch == newest.epoch || next.init != newest.init {
		t.Errorf("at %v behind %v; epoch %s behind %s; init %+v", next.Start, newest.Start+newest.Duration, next.epoch, newest.epoch, next.init)
	}
	if list := playlists(t, ix)[0]; strings.Contains(list, "EXT-X-GAP") || strings.Count(list, "#EXT-X-DISCONTINUITY\n") != 1 {
		t.Errorf("gaps, or not one discontinuity:\n%s", list)
	}
	decodes(t, download(t, ix, TS))
	all := everything(t, ix)
	for name, b := range want {
		if now, ok := all[name]; ok && !bytes.Equal(now, b) {
			t.Errorf("%s has changed", name)
		}
	}
}

// Where there is a twin its list is newer: one that stands still sends caches there at
// once, for segments they may still come here.
func TestWindowOfATwin(t *testing.T) {
	before, old, _, path := window(t)
	r := successor(before)
	r.SetTwin("a", func(context.Context, Name) (TwinState, error) { return TwinState{}, errors.New("away") })
	if n, err := r.RestoreWindow(path); n != 1 || err != nil {
		t.Fatalf("%d streams, %v", n, err)
	}
	ix := r.Stream(old.Name).Index()
	if ix.Quiet() < sameLife {
		t.Errorf("the list has stood still for %v only", ix.Quiet())
	}
	if !maps.EqualFunc(everything(t, old.Index()), everything(t, ix), bytes.Equal) {
		t.Error("there are other objects")
	}
}

// The file is read once, and by no one who would make other bytes of it, or whose
// players have gone.
func TestWindowIsReadOnce(t *testing.T) {
	before, _, _, path := window(t)
	saved, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	restored := func(what string, file []byte, options Options, want error) {
		t.Helper()
		if err := os.WriteFile(path, file, 0o600); err != nil {
			t.Fatal(err)
		}
		before.options = options
		r := successor(before)
		n, err := r.RestoreWindow(path)
		if n != 0 || (err == nil) != (want == nil) || want != nil && !strings.Contains(err.Error(), want.Error()) {
			t.Errorf("%s: %d streams, %v, want %v", what, n, err, want)
		}
		if len(r.Streams()) > 0 {
			t.Errorf("%s: there are streams", what)
		}
		if _, err := os.Stat(path); !os.IsNotExist(err) {
			t.Errorf("%s: the file is still there: %v", what, err)
		}
	}
	o := before.options
	for i := 0; i < len(saved); i += 1 + len(saved)/60 {
		damaged := bytes.Clone(saved)
		damaged[i] ^= 0x10
		restored(fmt.Sprintf("byte %d changed", i), damaged, o, errSome)
		restored(fmt.Sprintf("cut at %d", i), saved[:i], o, errSome)
	}
	restored("more behind it", append(bytes.Clone(saved), 0), o, errDamaged)
	o.Reconnect = 0
	restored("nobody waits for publishers", saved, o, nil)

	if n, err := successor(before).RestoreWindow(path); n != 0 || err != nil {
		t.Errorf("no file: %d, %v", n, err)
	}
	r := successor(before)
	for _, test := range []struct {
		head windowHeader
		want error
	}{
		{windowHeader{rendering + 1, time.Now()}, errOtherRendering},
		{windowHeader{rendering, time.Now().Add(-time.Hour)}, errOld},
		{windowHeader{rendering, time.Now().Add(time.Hour)}, errOld},
	} {
		var b bytes.Buffer
		if err := newWindowWriter(t.Context(), &b).Encode(test.head); err != nil {
			t.Fatal(err)
		}
		if _, err := readWindow(&b, r, time.Now()); err != test.want {
			t.Errorf("%v, want %v", err, test.want)
		}
	}
}

// errSome is any error: its text is part of every one.
var errSome = fmt.Errorf("read window")

// Whoever ends has no time for ever, and what cannot be written harms nobody.
func TestWindowThatCannotBeWritten(t *testing.T) {
	before, old, _, path := window(t)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	dir := t.TempDir()
	if _, err := before.SaveWindow(ended, filepath.Join(dir, "window")); err == nil {
		t.Error("it is written in no time")
	}
	if left, _ := os.ReadDir(dir); len(left) > 0 {
		t.Errorf("%v is left", left)
	}
	if _, err := before.SaveWindow(t.Context(), filepath.Join(dir, "none", "window")); err == nil {
		t.Error("it is written to no folder")
	}
	if _, err := before.Publish(old.Name, Claim{}); err != nil {
		t.Fatal(err)
	}
	if n, err := before.SaveWindow(t.Context(), path+"2"); n != 0 || err != nil {
		t.Errorf("with a publisher: %d, %v", n, err)
	}
	if _, err := os.Stat(path + "2"); !os.IsNotExist(err) {
		t.Errorf("a file without streams: %v", err)
	}
}

// What is rendered must not change without rendering: a new version would make other
// bytes of what the old one has published.
func TestRendering(t *testing.T) {
	const want = "2baab07cec8404fb"
	sum := sha256.New()
	for _, name := range []string{"av1_opus", "h264_aac_aac", "h264_ac3", "h264_eac3", "h264_flac", "hevc_aac", "hevc10_opus", "vp9_opus", "opus51"} {
		r := NewRegistry(DefaultOptions(), nil)
		r.memory.remember(Name{"live", "x"}, State{Sequence: 5_000_000_000, At: time.Now().Add(-time.Hour)}) // not the time
		messages := fixture(t, name)
		p := publish(t, r, "x", with(messages, messages[len(messages)/2].ts, textMessage("metadata")))
		p.Close()
		all := everything(t, p.Stream().Index())
		for i, s := range p.Stream().Index().held { // names have chance in them
			for _, f := range []Format{FMP4, TS} {
				_, _ = fmt.Fprintf(sum, "%s %d %v %x\n", name, i, f, sha256.Sum256(all[segmentName(s.epoch, s.Sequence, f)]))
			}
			_, _ = sum.Write(all[initName(s.init.epoch, s.init.number)])
		}
	}
	if got := hex.EncodeToString(sum.Sum(nil))[:16]; got != want {
		t.Errorf("the sum is %s, not %s: if it is meant to be, raise rendering and put the new sum here", got, want)
	}
}
