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
// goroutine appends; cursors copy frames out of it.
type log struct {
	head Watch[position]

	mu       sync.Mutex // guards what follows
	last     *block     // where the newest frame is
	ring     []*block   // power of two; block n is at n & (len-1)
	first    uint64     // number of the oldest frame held
	next     uint64
	bytes    uint64 // of all frames ever appended, frameCost included
	gone     uint64 // and of those that are no longer held
	start    uint64 // newest frame at which a viewer can begin
	startOK  bool   // start is valid and still held
	metadata []byte // newest onMetaData tag
	ended    bool   // as head says
	watchers []chan<- struct{}
}

// block is frames that are allocated, and so let go, together: one pointer for the
// garbage collector to follow, and one place in memory to fetch, for all of them.
type block struct {
	pack
	room struct { // of pack
		configs [1]*av.Config
		memory  [7][]byte
		frames  [blockFrames]packed
	}
	before [blockFrames]uint64 // bytes of all frames appended before
}

const blockFrames = 32

// newBlock returns a block whose first frames are missing.
func newBlock(missing uint64) *block {
	b := &block{}
	b.pack = pack{b.room.configs[:0], b.room.memory[:0], b.room.frames[:missing]}
	return b
}

// append adds a frame; f.Start says that a new viewer can begin with it. Those above
// maxBytes in all are let go, and now and then those older than keep.
func (l *log) append(f *av.Frame, keep time.Duration, maxBytes int64) {
	l.mu.Lock()
	b, i := l.place(l.next)
	b.before[i] = l.bytes
	b.add(f)
	if f.Start {
		l.start, l.startOK = l.next, true
	}
	l.next++
	l.bytes += uint64(len(f.Tag)) + frameCost
	if i == 0 || l.bytes-l.gone > uint64(maxBytes) {
		l.evict(f.DTS-keep, l.bytes-min(l.bytes, uint64(maxBytes)))
	}
	next := l.next
	l.notify()
	l.mu.Unlock()
	l.head.Store(position{next: next})
}

// place returns where frame n, the next one, goes.
func (l *log) place(n uint64) (b *block, i uint64) {
	i = n % blockFrames
	if i > 0 && n > l.first {
		return l.last, i
	}
	if held := n/blockFrames - l.first/blockFrames; held == uint64(len(l.ring)) {
		l.grow()
	}
	b = newBlock(i)
	*l.slot(n), l.last = b, b
	return b, i
}

// evict lets the oldest frames go, but for the newest: those from before a time, and
// those of which no byte lies behind the given number.
func (l *log) evict(oldest time.Duration, bytes uint64) {
	for l.first < l.next-1 {
		dts, before := l.when(l.first)
		if dts >= oldest && before >= bytes {
			break
		}
		if l.first++; l.first%blockFrames == 0 {
			*l.slot(l.first - 1) = nil
		}
	}
	_, l.gone = l.when(l.first)
	if l.start < l.first {
		l.startOK = false
	}
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
	l.ring, l.last, l.first, l.startOK = nil, nil, l.next, false
}

func (l *log) setMetadata(tag []byte) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.metadata = tag
}

// at returns frame n, which is held.
func (l *log) at(n uint64) av.Frame { return l.block(n).at(int(n % blockFrames)) }

// when returns the DTS of frame n, which is held, and the bytes of all frames before it.
func (l *log) when(n uint64) (dts time.Duration, before uint64) {
	b, i := l.block(n), n%blockFrames
	return b.frames[i].dts, b.before[i]
}

func (l *log) block(n uint64) *block { return *l.slot(n) }

func (l *log) slot(n uint64) **block { return &l.ring[n/blockFrames&uint64(len(l.ring)-1)] }

// grow makes room for twice as many blocks.
func (l *log) grow() {
	old := l.ring
	l.ring = make([]*block, max(16, 2*len(old)))
	for i := range uint64(len(old)) {
		n := l.first + i*blockFrames
		*l.slot(n) = old[n/blockFrames&uint64(len(old)-1)]
	}
}
