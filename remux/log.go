package remux

import (
	"sync"
	"time"

	"headwater/remux/av"
)

// position is how far a stream's log has come.
type position struct {
	next  uint64 // number of the frame that comes next
	ended bool   // none will
}

// log holds a stream's newest frames in order of arrival, numbered from 0. One
// goroutine appends; cursors copy pointers out of it.
type log struct {
	head Watch[position]

	mu       sync.Mutex // guards what follows
	ring     []entry    // power of two; frame n is at n & (len-1)
	first    uint64     // number of the oldest frame held
	next     uint64
	bytes    uint64 // of all frames ever appended, frameCost included
	start    uint64 // newest frame at which a viewer can begin
	startOK  bool   // start is valid and still held
	metadata []byte // newest onMetaData tag
	ended    bool   // as head says
	watchers []chan<- struct{}
}

type entry struct {
	frame *av.Frame
	bytes uint64 // of all frames appended before this one
}

// append adds a frame; start says that a new viewer can begin with it. Frames
// older than keep, and those above maxBytes in all, are let go.
func (l *log) append(f *av.Frame, start bool, keep time.Duration, maxBytes int64) {
	l.mu.Lock()
	if l.next-l.first == uint64(len(l.ring)) {
		l.grow()
	}
	l.ring[l.next&uint64(len(l.ring)-1)] = entry{f, l.bytes}
	if start {
		l.start, l.startOK = l.next, true
	}
	l.next++
	l.bytes += uint64(len(f.Tag)) + frameCost
	for l.first < l.next-1 {
		oldest := l.at(l.first)
		if f.DTS-oldest.frame.DTS <= keep && l.bytes-oldest.bytes <= uint64(maxBytes) {
			break
		}
		*oldest = entry{}
		l.first++
	}
	if l.start < l.first {
		l.startOK = false
	}
	next := l.next
	l.notify()
	l.mu.Unlock()
	l.head.Store(position{next: next})
}

// notify tells those who watch many streams at a time. Callers hold mu.
func (l *log) notify() {
	for _, w := range l.watchers {
		select {
		case w <- struct{}{}:
		default: // it has not yet seen that it was told
		}
	}
}

// frameCost is what a frame costs beside its tag, about: without it frames of a few
// bytes would be held by the million.
const frameCost = 160

// end lets every cursor run out once it has read what there is.
func (l *log) end() {
	l.mu.Lock()
	l.ended = true
	l.notify()
	l.mu.Unlock()
	l.head.Store(position{next: l.head.Load().next, ended: true})
}

// release drops all frames: nobody can read any more.
func (l *log) release() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.ring, l.first, l.startOK = nil, l.next, false
}

func (l *log) setMetadata(tag []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.metadata = tag
}

func (l *log) at(n uint64) *entry { return &l.ring[n&uint64(len(l.ring)-1)] }

func (l *log) grow() {
	ring := make([]entry, max(256, 2*len(l.ring)))
	for n := l.first; n < l.next; n++ {
		ring[n&uint64(len(ring)-1)] = *l.at(n)
	}
	l.ring = ring
}
