package remux

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"
)

// State is what a stream's playlist must not forget: a stream that begins anew
// under its name, in this process or in the next, goes on from it.
type State struct {
	Sequence      uint64        `json:"sequence"`      // media sequence number that comes next
	Discontinuity uint64        `json:"discontinuity"` // discontinuity sequence number of the newest segment
	Target        time.Duration `json:"target"`        // EXT-X-TARGETDURATION, ns
	PartTarget    time.Duration `json:"part_target"`   // PART-TARGET, ns
	At            time.Time     `json:"at"`            // when this was so

	// What the playlist listed, nothing where the stream is over.
	Past   []Past `json:"past,omitempty"`
	Listed uint64 `json:"listed,omitempty"` // media sequence number behind the newest of Past
	Broken bool   `json:"broken,omitempty"` // the segment with that number has a discontinuity
	Epoch  string `json:"epoch,omitempty"`  // in its name

	// Since is where the time in the playlists' media is to count from, at least, if there
	// is no memory. Players that were at the stream when the memory was lost cannot tell
	// that it began anew, where its discontinuity sequence number is what it was. They do
	// not have to: the time has gone on as theirs has.
	Since time.Time `json:"-"`
}

const (
	// spareSequences is how far media sequence numbers move on from a state, for
	// the segments that came after it was written. Where the process ended in order
	// and left its segments (Registry.SaveWindow) they go on without a leap.
	spareSequences = 8
	// spareDiscontinuities is the same for discontinuity sequence numbers where the
	// memory was damaged.
	spareDiscontinuities = 64
	// sameLife is how long after a state a player may still be at its playlist, so
	// that the target durations have to stay as they were.
	sameLife = 5 * time.Minute
	// writeEvery is how much a crash may forget, where the disk is fast enough and the
	// streams are few: a write takes no more than one part in writeShare of the time, and
	// another one follows within writeLatest.
	writeEvery  = 300 * time.Millisecond
	writeShare  = 100
	writeLatest = time.Second
	// maxStates bounds the names that are remembered; the oldest go first.
	maxStates = 10000
)

// Memory remembers the State of each name, in a small file if it has one. The
// media path only ever touches the copy in memory: a disk that is full, slow or
// gone costs the memory of a restart and nothing else. Where there is no memory,
// sequence numbers come from the wall clock, which is behind no earlier ones
// unless it was set back.
type Memory struct {
	// fixed after OpenMemory
	path string // "" keeps nothing
	log  *slog.Logger
	news chan struct{} // holds one: a name has begun

	opened  time.Time
	damaged bool // there was a file, and nobody knows what it said

	texts map[string][]byte // of states, as they stand in the file; owned by who writes it

	mu      sync.Mutex
	states  map[string]State
	changed bool
	stale   map[string]bool // whose text is old, or that are gone
}

// OpenMemory reads the memory kept in a file that need not be there yet. A file
// that cannot be understood is reported and begun anew: it must not keep the
// server from starting.
func OpenMemory(path string, log *slog.Logger) *Memory {
	m := &Memory{path: path, log: log, news: make(chan struct{}, 1), opened: time.Now(), states: map[string]State{}, texts: map[string][]byte{}, stale: map[string]bool{}}
	m.Reread()
	return m
}

// Reread reads the file again, because another process had it until now. It must be
// called before there are streams.
func (m *Memory) Reread() {
	if m.path == "" {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for name := range m.states {
		m.stale[name] = true
	}
	m.damaged, m.states = false, map[string]State{}
	b, err := os.ReadFile(m.path)
	if err == nil {
		err = json.Unmarshal(b, &m.states)
	}
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		m.log.Warn("stream state not read; sequence numbers come from the clock", "path", m.path, "error", err)
		m.damaged, m.states = true, map[string]State{}
	}
	if m.states == nil { // the file says null
		m.damaged, m.states = true, map[string]State{}
	}
	for name := range m.states {
		m.stale[name] = true
	}
}

func (m *Memory) recall(n Name) (State, bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s, ok := m.states[n.String()]
	return s, ok
}

func (m *Memory) remember(n Name, s State) {
	m.mu.Lock()
	defer m.mu.Unlock()
	old, known := m.states[n.String()]
	if !known && len(m.states) >= maxStates {
		m.forgetOldest()
	}
	m.states[n.String()] = s
	m.changed, m.stale[n.String()] = true, true
	if s.Discontinuity != old.Discontinuity || !known { // not to be lost in a crash within the second
		select {
		case m.news <- struct{}{}:
		default:
		}
	}
}

// forgetPasts drops what no player can be at any more.
func (m *Memory) forgetPasts() {
	for name, s := range m.states {
		if s.Past != nil && time.Since(s.At) > sameLife {
			s.Past = nil
			m.states[name], m.stale[name] = s, true
		}
	}
}

func (m *Memory) forgetOldest() {
	oldest := ""
	for name, s := range m.states {
		if oldest == "" || s.At.Before(m.states[oldest].At) {
			oldest = name
		}
	}
	delete(m.states, oldest)
	m.stale[oldest] = true
}

// Run writes the memory to its file every writeEvery while it changes, and at once
// where a stream begins or has a discontinuity, if it has not just been written, until
// ctx is done, and then once more. What goes wrong is logged once.
func (m *Memory) Run(ctx context.Context) {
	if m.path == "" {
		return
	}
	sweep(m.path)
	tick := time.NewTicker(writeEvery)
	defer tick.Stop()
	failing := false
	for {
		ended := false
		select {
		case <-ctx.Done():
			ended = true
		case <-tick.C:
		case <-m.news:
		}
		began := time.Now()
		err := m.write()
		if err != nil && !failing {
			m.log.Error("stream state not written", "path", m.path, "error", err)
		}
		failing = err != nil
		if ended {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(min(writeShare*time.Since(began), writeLatest)):
		}
	}
}

// write replaces the file in one step, so that a crash leaves the old or the new. Few
// states have changed since it was written last: the texts of the others are kept.
func (m *Memory) write() error {
	m.mu.Lock()
	if !m.changed {
		m.mu.Unlock()
		return nil
	}
	m.forgetPasts()
	stale := m.stale // publishers wait for mu, and must not wait for the text
	m.changed, m.stale = false, map[string]bool{}
	states := make(map[string]State, len(stale))
	for name := range stale {
		if s, ok := m.states[name]; ok {
			states[name] = s
		}
	}
	m.mu.Unlock()
	b, err := m.text(stale, states)
	if err == nil {
		err = replaceFile(m.path, b)
	}
	if err != nil {
		m.mu.Lock()
		m.changed = true // try again
		maps.Copy(m.stale, stale)
		m.mu.Unlock()
	}
	return err
}

// text returns what the file is to say, in which stale states are as they are now, or
// gone.
func (m *Memory) text(stale map[string]bool, states map[string]State) ([]byte, error) {
	for name := range stale {
		delete(m.texts, name)
		s, ok := states[name]
		if !ok {
			continue
		}
		b, err := json.Marshal(map[string]State{name: s})
		if err != nil {
			return nil, err
		}
		m.texts[name] = b[1 : len(b)-1] // without the braces
	}
	all := slices.Collect(maps.Values(m.texts))
	return slices.Concat([]byte("{"), bytes.Join(all, []byte(",")), []byte("}")), nil
}

// leftBehind is how old a file is that nobody still writes.
const leftBehind = time.Minute

// sweep removes what processes that were killed while they wrote a file have left behind.
func sweep(path string) {
	dir, base := filepath.Split(path)
	all, _ := os.ReadDir(filepath.Clean(dir)) // where there is none there is nothing left behind
	for _, f := range all {
		if !strings.HasPrefix(f.Name(), base+".") {
			continue
		}
		if info, err := f.Info(); err == nil && info.Mode().IsRegular() && time.Since(info.ModTime()) > leftBehind {
			_ = os.Remove(filepath.Join(dir, f.Name())) // the next start tries again
		}
	}
}

func replaceFile(path string, b []byte) (err error) {
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*")
	if err != nil {
		return fmt.Errorf("create: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.Write(b)
	if err == nil {
		err = f.Sync()
	}
	if e := f.Close(); err == nil {
		err = e
	}
	if err != nil {
		return fmt.Errorf("write: %w", err)
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return fmt.Errorf("replace: %w", err)
	}
	return nil
}

// start is the state from which a stream begins now, and whether players may
// still be at the playlist that the old state is of.
func (m *Memory) start(n Name, now time.Time) (s State, goesOn bool) {
	old, known := m.recall(n)
	s.Sequence = uint64(max(now.Unix(), 0))
	floor, since := discontinuityFloor(now)
	s.Discontinuity = floor
	if !known {
		s.Since = since
		if m.damaged && now.Sub(m.opened) < sameLife { // there may have been a stream just now
			s.Discontinuity += spareDiscontinuities
			return s, true
		}
		return s, false
	}
	next, broken := old.Sequence+spareSequences, old.Discontinuity+1
	goesOn = old.recent(now)
	if goesOn && len(old.Past) > 0 { // players are at the very list
		s = old
		s.Sequence, s.Discontinuity = next, broken
		return s, true
	}
	s.Sequence, s.Discontinuity = max(s.Sequence, next), max(s.Discontinuity, broken)
	if goesOn {
		s.Target, s.PartTarget = old.Target, old.PartTarget
	}
	return s, goesOn
}

// expects says that a stream was live under a name so short a time ago that its
// publisher may be on the way back, and its players still there.
func (m *Memory) expects(n Name, now time.Time) bool {
	s, ok := m.recall(n)
	return ok && len(s.Past) > 0 && s.recent(now)
}

// recent says that players may still be at the playlist that the state is of.
func (s *State) recent(now time.Time) bool {
	age := now.Sub(s.At)
	return -sameLife < age && age < sameLife
}

// floorUnit is how much later a stream has to begin anew without a memory to get another
// discontinuity sequence number. A finer one would make them too high: hls.js keeps an
// array indexed by them and walks through it at each playlist, which takes a browser
// 0.3 ms at 10 000 and 80 ms at 3 000 000. And in low latency it does not find the way
// from its last part to a list with another number that has nothing else it knows. With
// a coarser one, media time would begin near its end in MPEG-TS, at 26.5 hours.
const floorUnit = time.Hour

// discontinuityFloor is where discontinuity sequence numbers begin without a memory:
// at the units that 2026 has had so far. It rises, and it is small. since is when the
// unit began.
func discontinuityFloor(now time.Time) (floor uint64, since time.Time) {
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	units := max(0, now.Sub(begin)/floorUnit)
	return uint64(units), begin.Add(units * floorUnit)
}
