package fanout

import (
	"sync"
	"time"

	"headwater/remux"
	"headwater/remux/av"
)

const (
	// maxFrames bounds the frames that are taken out of a stream at a time.
	maxFrames = 64
	// maxBlock is the payload behind which a block ends. What a slow viewer holds on
	// to is whole blocks.
	maxBlock = 256 << 10
)

// feed is one stream in one format, as all its viewers get it.
type feed struct {
	// fixed
	key      feedKey
	maxLag   time.Duration
	maxBytes int64

	users int // guarded by Fanout.mu

	mu      sync.Mutex // guards what follows
	cursor  remux.Cursor
	packer  Packer
	turn    int64  // the newest that was taken
	newest  *block // never nil
	late    bool   // the next block is
	fault   error  // what has ended it before the stream did
	start   *block // the newest to begin with; nil while there is none
	room    [maxFrames]av.Frame
	payload []byte // room for what the next block is made of
}

// noLine is room for the line in front of a chunk.
var noLine [maxChunkLine]byte

type feedKey struct {
	stream *remux.Stream
	format Format
}

func newFeed(key feedKey) *feed {
	f := &feed{key: key, cursor: key.stream.NewCursor(), packer: key.format.Packer(key.stream), turn: -1, newest: &block{}}
	f.maxLag, f.maxBytes = key.stream.MaxLag()
	return f
}

// advance takes what is new, if nobody has done so in this turn, and returns the
// newest block and the newest to begin with. Every is that of the cursor.
func (f *feed) advance(turn int64, every time.Duration) (newest, start *block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if turn > f.turn && !f.newest.ended {
		f.turn, f.cursor.Every = turn, every
		f.take()
	}
	return f.newest, f.start
}

func (f *feed) take() {
	for {
		b := f.cursor.Take(f.room[:])
		f.late = f.late || b.Skipped
		f.fault = f.add(b.Frames)
		clear(b.Frames)
		if f.fault != nil || b.Ended {
			f.end()
			return
		}
		if !b.More {
			return
		}
	}
}

// end says that nothing follows. Callers hold mu.
func (f *feed) end() { f.link(&block{ended: true, config: f.newest.config, dts: f.newest.dts}) }

// add makes blocks of frames.
func (f *feed) add(frames []av.Frame) error {
	for len(frames) > 0 {
		n, size := 1, len(frames[0].Tag)
		for n < len(frames) && !frames[n].Start && frames[n].Config == frames[0].Config && size < maxBlock {
			size += len(frames[n].Tag)
			n++
		}
		if err := f.pack(frames[:n]); err != nil {
			return err
		}
		frames = frames[n:]
	}
	return nil
}

// pack makes one block, and where the Config changes one in front of it that those
// who begin or go on there do not get.
func (f *feed) pack(frames []av.Frame) error {
	first := frames[0]
	if old := f.newest.config; old != nil && old != first.Config && !f.late {
		if headers := f.packer.Headers(old, first.Config, first.DTS); len(headers) > 0 {
			b := &block{config: first.Config, dts: first.DTS}
			b.setPayload(append(noLine[:maxChunkLine:maxChunkLine], headers...))
			f.link(b)
		}
	}
	b := &block{config: first.Config, dts: first.DTS, start: first.Start, frames: len(frames)}
	for i := range frames {
		b.media += len(frames[i].Tag)
	}
	if b.start {
		b.lead = f.packer.Lead()
	}
	// The bytes are gathered in room that is used again, so that those which are kept
	// are as long as they have to be.
	payload, err := f.packer.Append(append(f.payload[:0], noLine[:]...), frames, b.start)
	if err != nil {
		return err
	}
	if f.payload = payload[:0]; cap(payload) > 4*maxBlock {
		f.payload = nil
	}
	if len(payload) > maxChunkLine {
		b.setPayload(append(make([]byte, 0, len(payload)+len(crlf)), payload...))
	} else if !b.start {
		return nil // the format has no place for any of the frames
	}
	f.link(b)
	return nil
}

// link makes b the newest block. Who comes when the newest key frame is further back than
// any viewer may be has to wait for the next.
func (f *feed) link(b *block) {
	b.number = f.newest.number + 1
	if b.late, f.late = f.late, false; b.late {
		b.number++ // nobody goes on with it as if nothing were missing
	}
	b.before = f.newest.before + uint64(f.newest.media)
	f.newest.next.Store(b)
	f.newest = b
	switch {
	case b.start:
		f.start = b
	case f.start != nil && f.lags(f.start, b, 2):
		f.start = nil // or all that came behind the last key frame of a stream would be held
	}
}

// lags says that b is further behind the newest block than a viewer may be, or that
// many times as far.
func (f *feed) lags(b, newest *block, times int) bool {
	return newest.dts-b.dts > time.Duration(times)*f.maxLag || int64(newest.before-b.before) > int64(times)*f.maxBytes
}
