package remux

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// flush writes a memory as its Run does at the end.
func flush(m *Memory) {
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	m.Run(ctx)
}

func TestStreamGoesOnOverARestart(t *testing.T) {
	_, messages := testSource(t, 5)
	path := filepath.Join(t.TempDir(), "streams.json")
	var last *Index
	for run := range 3 {
		m := OpenMemory(path, slog.New(slog.DiscardHandler))
		r := NewRegistry(DefaultOptions(), m)
		publish(t, r, "x", messages)
		ix := r.Stream(Name{"live", "x"}).Index()
		text, err := ix.Playlist(FMP4, Ask{})
		if err != nil {
			t.Fatal(err)
		}
		first := ix.Segments[0]
		if run > 0 {
			before := last.newest()
			if first.Sequence <= before.Sequence {
				t.Errorf("sequence %d after %d", first.Sequence, before.Sequence)
			}
			if first.DiscontinuitySequence <= before.DiscontinuitySequence || !first.Discontinuity {
				t.Errorf("discontinuity sequence %d (%v) after %d", first.DiscontinuitySequence, first.Discontinuity, before.DiscontinuitySequence)
			}
			if ix.Target != last.Target || ix.PartTarget != last.PartTarget {
				t.Errorf("targets %v, %v became %v, %v", last.Target, last.PartTarget, ix.Target, ix.PartTarget)
			}
			if !bytes.Contains(text.Body, []byte("#EXT-X-DISCONTINUITY\n")) {
				t.Errorf("no discontinuity in\n%s", text.Body)
			}
		}
		if first.DiscontinuitySequence > 1_000_000 {
			t.Errorf("discontinuity sequence %d: players keep arrays of that length", first.DiscontinuitySequence)
		}
		last = ix
		flush(m)
	}
}

// Who loses the memory as well, and has the publisher back within a unit of the
// discontinuity sequence, goes on with the time of the media as the wall clock does.
func TestStreamGoesOnWithoutAMemory(t *testing.T) {
	_, messages := testSource(t, 3)
	life := func(name string, began time.Time, late uint32) *Segment {
		t.Helper()
		r := NewRegistry(DefaultOptions(), nil)
		s := newStream(Name{"live", name}, DefaultOptions(), r.memory, began)
		p := newPublisher(s, nil)
		p.now = func() time.Time { return began.Add(time.Second) }
		if err := s.attach(p, false); err != nil {
			t.Fatal(err)
		}
		for _, m := range messages {
			if err := p.Write(m.typ, m.ts+late, m.tag()); err != nil {
				t.Fatal(err)
			}
		}
		p.Close()
		return s.Index().Segments[0]
	}
	unit := time.Date(2027, 3, 4, 5, 0, 0, 0, time.UTC)
	first := life("x", unit.Add(20*time.Second), 0)
	for _, test := range []struct {
		name  string
		after time.Duration
		late  uint32 // ms on the publisher's clock
		want  time.Duration
		anew  bool // there is a discontinuity
	}{
		{"its timestamps begin anew", 40 * time.Second, 0, 40 * time.Second, false},
		{"its timestamps go on", 40 * time.Second, 40_000, 40 * time.Second, false},
		{"it lasts until the next unit", floorUnit - 20*time.Second - time.Millisecond, 0, floorUnit - 20*time.Second - time.Millisecond, false},
		{"the next unit", floorUnit - 20*time.Second, 0, -20 * time.Second, true},
		{"its timestamps are high", 40 * time.Second, 7_200_000, 7200*time.Second - 21*time.Second, false},
	} {
		again := life(test.name, unit.Add(20*time.Second+test.after), test.late)
		if got := again.Start + again.ahead - first.Start - first.ahead; got != test.want {
			t.Errorf("%s: %v later, want %v", test.name, got, test.want)
		}
		if anew := again.DiscontinuitySequence != first.DiscontinuitySequence; anew != test.anew {
			t.Errorf("%s: discontinuity sequence %d after %d", test.name, again.DiscontinuitySequence, first.DiscontinuitySequence)
		}
		for _, f := range []Format{FMP4, TS} {
			// What is rendered has that time.
			if moved, want := mediaTime(t, again, f)-mediaTime(t, first, f), test.want; moved != want {
				t.Errorf("%s: format %d is %v later, want %v", test.name, f, moved, want)
			}
		}
	}
}

// mediaTime reads when a segment's first video sample is decoded.
func mediaTime(t *testing.T, s *Segment, f Format) time.Duration {
	t.Helper()
	render := s.renderFMP4
	if f == TS {
		render = s.renderTS
	}
	o, err := render("", &renderCounts{})
	if err != nil {
		t.Fatal(err)
	}
	b := o.Body
	if f == FMP4 {
		at := bytes.Index(b, []byte("tfdt")) + 8
		return time.Duration(binary.BigEndian.Uint64(b[at:])) * time.Millisecond / 90
	}
	p := b[bytes.Index(b, []byte{0, 0, 1, 0xe0})+14:] // the DTS stands behind the PTS
	ticks := int64(p[0]>>1&7)<<30 | int64(p[1])<<22 | int64(p[2]>>1)<<15 | int64(p[3])<<7 | int64(p[4]>>1)
	return time.Duration(ticks) * time.Millisecond / 90
}

func TestMemorySurvivesDamageAndClocks(t *testing.T) {
	path := filepath.Join(t.TempDir(), "streams.json")
	n := Name{"live", "x"}
	now := time.Now()
	floor, _ := discontinuityFloor(now)
	for _, content := range []string{"", "{", "null", "[]", `{"live/x":{"sequence":"y"}}`} {
		if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
		m := OpenMemory(path, slog.New(slog.DiscardHandler))
		// A stream may have been there a moment ago, and players with it.
		if s, goesOn := m.start(n, now); !goesOn || s.Sequence != uint64(now.Unix()) || s.Discontinuity <= floor {
			t.Errorf("%q: %+v, %v", content, s, goesOn)
		}
		if _, goesOn := m.start(n, now.Add(2*sameLife)); goesOn {
			t.Errorf("%q: goes on long after", content)
		}
		m.remember(n, State{Sequence: 1, At: now})
		flush(m)
		if s, ok := OpenMemory(path, slog.New(slog.DiscardHandler)).recall(n); !ok || s.Sequence != 1 {
			t.Errorf("after %q the memory does not keep", content)
		}
	}
	m := OpenMemory("", nil)
	m.remember(n, State{Sequence: 5_000_000_000, Discontinuity: 700_000, Target: 4 * time.Second, At: now.Add(100 * time.Hour)})
	s, goesOn := m.start(n, now) // the clock was set back by days
	if s.Sequence != 5_000_000_000+spareSequences || s.Discontinuity != 700_001 || goesOn {
		t.Errorf("after the clock was set back: %+v, %v", s, goesOn)
	}
}

func TestMemoryIsBounded(t *testing.T) {
	m := OpenMemory("", nil)
	for i := range maxStates + 10 {
		m.remember(Name{"live", fmt.Sprint(i)}, State{At: time.Unix(int64(i), 0)})
	}
	if len(m.states) != maxStates {
		t.Errorf("%d states", len(m.states))
	}
	if _, ok := m.recall(Name{"live", "0"}); ok {
		t.Error("the oldest is still there")
	}
}

func TestMemoryWithoutADisk(t *testing.T) {
	m := OpenMemory(filepath.Join(t.TempDir(), "gone", "streams.json"), slog.New(slog.DiscardHandler))
	m.remember(Name{"live", "x"}, State{Sequence: 7, At: time.Now()})
	flush(m) // logs, and that is all
	if s, ok := m.recall(Name{"live", "x"}); !ok || s.Sequence != 7 {
		t.Error("forgotten")
	}
}

// TestMemorySweeps: what was left behind by a process that was killed goes, and nothing
// that somebody may still write.
func TestMemorySweeps(t *testing.T) {
	dir := t.TempDir()
	old := time.Now().Add(-time.Hour)
	for name, at := range map[string]time.Time{"streams.json": old, "streams.json.1234": old, "streams.json.5678": time.Now(), "publish.key": old, "other.streams.json.1": old} {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte("{}"), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	flush(OpenMemory(filepath.Join(dir, "streams.json"), slog.New(slog.DiscardHandler)))
	left, _ := filepath.Glob(filepath.Join(dir, "*"))
	if len(left) != 4 || slices.Contains(left, filepath.Join(dir, "streams.json.1234")) {
		t.Errorf("there are %q", left)
	}
}

// TestMemoryWritesAll: what has not changed since the file was written last stands in it
// too, and what is forgotten does not.
func TestMemoryWritesAll(t *testing.T) {
	path := filepath.Join(t.TempDir(), "state.json")
	m := OpenMemory(path, slog.New(slog.DiscardHandler))
	for round := range 3 {
		for i := range maxStates / 2 {
			if i%(round+1) == 0 {
				m.remember(Name{"live", fmt.Sprint(round, i)}, State{Sequence: uint64(round), At: time.Now()})
			}
		}
		if err := m.write(); err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		var got map[string]State
		if err := json.Unmarshal(b, &got); err != nil {
			t.Fatal(err)
		}
		want, err := json.Marshal(m.states)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := json.Marshal(got); err != nil || !bytes.Equal(again, want) {
			t.Errorf("round %d: %d states in the file, want %d", round, len(got), len(m.states))
		}
	}
	again := OpenMemory(path, slog.New(slog.DiscardHandler))
	again.remember(Name{"live", "new"}, State{Sequence: 7})
	if err := again.write(); err != nil {
		t.Fatal(err)
	}
	if all := OpenMemory(path, slog.New(slog.DiscardHandler)).states; len(all) != len(again.states) {
		t.Errorf("%d states in the file, want %d", len(all), len(again.states))
	}
}
