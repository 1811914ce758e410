package ingest

import (
	"encoding/binary"
	"runtime"
	"sync"
	"testing"
	"time"

	"headwater/remux"
)

// avcHeader is a sequence header of H.264, 320 by 240.
var avcHeader = append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, 0x0d, 0xff, 0xe1, 0, 8,
	0x67, 0x42, 0xc0, 0x0d, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80)

// picture is a frame of at least ten bytes.
func picture(key bool, size int) []byte {
	b := make([]byte, max(size, 10))
	b[0], b[1] = 0x27, 1
	n := len(b) - 9
	b[5], b[6], b[7], b[8], b[9] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n), 0x41
	if key {
		b[0], b[9] = 0x17, 0x65
	}
	return b
}

// videoChunk is a video message in one chunk.
func videoChunk(timestamp uint32, body []byte) []byte {
	n, stamp := len(body), min(timestamp, 0xffffff)
	b := []byte{6, byte(stamp >> 16), byte(stamp >> 8), byte(stamp), byte(n >> 16), byte(n >> 8), byte(n), 9, 1, 0, 0, 0}
	if stamp == 0xffffff {
		b = binary.BigEndian.AppendUint32(b, timestamp)
	}
	return append(b, body...)
}

func (e *encoder) video(timestamp uint32, body []byte) {
	e.t.Helper()
	e.send(videoChunk(timestamp, body))
}

// bystander is a publisher in real time with a viewer, who shall notice nothing of
// what others do.
type bystander struct {
	t      *testing.T
	h      *harness
	stream *remux.Stream
	before runtime.MemStats
	quit   chan struct{}
	viewer *encoder
	ended  sync.WaitGroup

	mu     sync.Mutex
	frames int
	gap    time.Duration // the longest between two frames
	last   time.Time
}

// shortHarness is a playHarness whose segments are short, so that a playlist shows soon
// that it goes on, and whose streams are forgotten when their publishers are gone for
// longer than reconnect.
func shortHarness(t *testing.T, reconnect time.Duration, change func(*Config)) *harness {
	t.Helper()
	return playHarness(t, func(c *Config) {
		o := remux.DefaultOptions()
		o.SegmentDuration, o.PartDuration = 500*time.Millisecond, 100*time.Millisecond
		o.Reconnect, o.Linger = reconnect, 0
		c.Registry = remux.NewRegistry(o, nil)
		if change != nil {
			change(c)
		}
		go c.Registry.Run(t.Context())
	})
}

func (h *harness) bystander(t *testing.T) *bystander {
	t.Helper()
	b := &bystander{t: t, h: h, quit: make(chan struct{})}
	e := h.encoder(t, "live", "steady")
	b.stream = h.config.Registry.Stream(remux.Name{App: "live", Stream: "steady"})
	const ahead = 30 // the first second is held back, since sound might come
	e.video(0, avcHeader)
	for i := range ahead {
		e.video(uint32(i*40), picture(i%10 == 0, 2000))
	}
	b.ended.Go(func() {
		tick := time.NewTicker(40 * time.Millisecond)
		defer tick.Stop()
		for i := ahead; ; i++ {
			select {
			case <-tick.C:
				e.video(uint32(i*40), picture(i%10 == 0, 2000))
			case <-b.quit:
				return
			}
		}
	})
	b.viewer = h.player(t, "steady")
	b.viewer.frame() // the header
	b.viewer.frame()
	b.last = time.Now()
	b.ended.Go(b.watch)
	runtime.GC()
	runtime.ReadMemStats(&b.before)
	t.Cleanup(b.stop)
	return b
}

func (b *bystander) watch() {
	for {
		m, err := b.viewer.in.ReadMessage()
		select {
		case <-b.quit:
			return
		default:
		}
		if err != nil {
			b.t.Errorf("the viewer beside: %v", err)
			return
		}
		if m.Type == 9 {
			b.mu.Lock()
			b.gap = max(b.gap, time.Since(b.last))
			b.last = time.Now()
			b.frames++
			b.mu.Unlock()
		}
	}
}

func (b *bystander) stop() {
	select {
	case <-b.quit:
	default:
		close(b.quit)
		_ = b.viewer.conn.Close()
	}
	b.ended.Wait()
}

// unharmed checks that publisher and viewer are as they were, and that nothing is left
// of the others: only the two are connected, and memory is back.
func (b *bystander) unharmed() {
	b.t.Helper()
	want := func(what string, ok func() bool) {
		b.t.Helper()
		for end := time.Now().Add(10 * time.Second); !ok(); time.Sleep(time.Millisecond) {
			if time.Now().After(end) {
				b.t.Fatalf("%s: %+v", what, b.h.Stats())
			}
		}
	}
	want("others are still there", func() bool { return b.h.Stats().Connections == 2 })
	b.mu.Lock()
	frames := b.frames
	b.mu.Unlock()
	sequence := b.stream.Coming()
	want("the viewer gets nothing", func() bool { b.mu.Lock(); defer b.mu.Unlock(); return b.frames > frames+3 })
	want("the playlist stands", func() bool { return b.stream.Coming() > sequence })
	b.mu.Lock()
	gap := b.gap
	b.mu.Unlock()
	if gap > time.Second {
		b.t.Errorf("the viewer beside had a gap of %v", gap)
	}
	if st := b.h.Stats(); st.Publishers != 1 || st.Players != 1 || st.PlaySkips != 0 || st.Ended[Panicked] != 0 {
		b.t.Errorf("stats %+v", st)
	}
	b.stop()
	var after runtime.MemStats
	want("memory is not given back", func() bool {
		runtime.GC()
		runtime.ReadMemStats(&after)
		return after.HeapAlloc < b.before.HeapAlloc+16<<20
	})
}
