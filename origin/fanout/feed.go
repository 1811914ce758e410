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
	packer  packer
	turn    int64  // the newest that was taken
	newest  *block // never nil
	failed  bool   // it ended in a panic
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

// packer turns frames into the bytes of a format.
type packer interface {
	// headers returns what a viewer needs in front of frames of the Config c who has
	// had those of the Config old; nil: none. Any goroutine may call it.
	headers(old, c *av.Config) []byte
	// lead returns what a viewer needs beside that who skips to what is appended next.
	lead() []byte
	// append adds frames that are all of one Config; start says that viewers may begin
	// with them. An error ends the feed.
	append(dst []byte, frames []av.Frame, start bool) ([]byte, error)
}

func newFeed(key feedKey) *feed {
	f := &feed{key: key, cursor: key.stream.NewCursor(), packer: key.format.packer(key.stream), turn: -1, newest: &block{}}
	f.maxLag, f.maxBytes = key.stream.MaxLag()
	return f
}

// advance takes what is new, if nobody has done so in this turn, and returns the
// newest block and the newest to begin with.
func (f *feed) advance(turn int64) (newest, start *block) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if turn > f.turn && !f.newest.ended {
		f.turn = turn
		f.take()
	}
	return f.newest, f.start
}

func (f *feed) take() {
	for {
		b := f.cursor.Take(f.room[:])
		err := f.add(b.Frames)
		clear(b.Frames)
		if err != nil || b.Ended {
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
// who begin there do not get.
func (f *feed) pack(frames []av.Frame) error {
	first := frames[0]
	if old := f.newest.config; old != nil && old != first.Config {
		if headers := f.packer.headers(old, first.Config); len(headers) > 0 {
			b := &block{config: first.Config, dts: first.DTS}
			b.setPayload(append(noLine[:maxChunkLine:maxChunkLine], headers...))
			f.link(b)
		}
	}
	b := &block{config: first.Config, dts: first.DTS, start: first.Start}
	for i := range frames {
		b.media += len(frames[i].Tag)
	}
	if b.start {
		b.lead = f.packer.lead()
	}
	// The bytes are gathered in room that is used again, so that those which are kept
	// are as long as they have to be.
	payload, err := f.packer.append(append(f.payload[:0], noLine[:]...), frames, b.start)
	if err != nil {
		return err
	}
	if f.payload = payload[:0]; cap(payload) > 4*maxBlock {
		f.payload = nil
	}
	if len(payload) > maxChunkLine { // a format may have no place for any of the frames
		b.setPayload(append(make([]byte, 0, len(payload)+len(crlf)), payload...))
		f.link(b)
	}
	return nil
}

// link makes b the newest block. Who comes when the newest key frame is further back than
// any viewer may be has to wait for the next.
func (f *feed) link(b *block) {
	b.number = f.newest.number + 1
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
