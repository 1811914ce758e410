package feed

import (
	"bytes"
	"io"
	"net"
	"sync"
	"testing"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/remux/fanout"
	"headwater/remux/flv"
)

// stream is a live stream of pictures without sound.
type stream struct {
	t *testing.T
	r *remux.Registry
	p *remux.Publisher
	n uint32
}

// avcHeader is a sequence header of pictures of the Baseline profile; the level is of no
// matter.
func avcHeader(level byte) []byte {
	return append([]byte{0x17, 0, 0, 0, 0}, 1, 0x42, 0xc0, level, 0xff, 0xe1, 0, 8,
		0x67, 0x42, 0xc0, level, 0xda, 0x05, 0x07, 0xec, 1, 0, 4, 0x68, 0xce, 0x3c, 0x80)
}

func newStream(t *testing.T) *stream {
	t.Helper()
	o := remux.DefaultOptions()
	o.Reconnect = 0
	r := remux.NewRegistry(o, nil)
	p, err := r.Publish(remux.Name{App: "live", Stream: "x"}, remux.Claim{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	s := &stream{t: t, r: r, p: p}
	s.write(avcHeader(13))
	return s
}

func (s *stream) write(body []byte) {
	s.t.Helper()
	tag := flv.NewTag(len(body))
	copy(flv.Body(tag), body)
	if err := s.p.Write(flv.TypeVideo, s.n*40, tag); err != nil {
		s.t.Fatal(err)
	}
}

// frames publishes n pictures of 40 ms, every 25th a key frame. The first second is
// held back, since sound might still come.
func (s *stream) frames(n int) {
	s.t.Helper()
	for range n {
		body := []byte{0x27, 1, 0, 0, 0, 0, 0, 0, 4, 0x41, 1, 2, 3}
		if s.n%25 == 0 {
			body[0], body[9] = 0x17, 0x65
		}
		s.write(body)
		s.n++
	}
}

// peer is a Sink that keeps what it gets.
type peer struct {
	mu     sync.Mutex
	blocks net.Buffers
	all    bytes.Buffer
}

func (p *peer) Send(bufs net.Buffers) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range bufs {
		p.all.Write(b)
		if len(b) > 0 {
			p.blocks = append(p.blocks, b)
		}
	}
	return nil
}

func (*peer) Hurry() {}

// messages reads what the peer got.
func (p *peer) messages(t *testing.T) (all []rtmp.Message) {
	t.Helper()
	setChunkSize := []byte{2, 0, 0, 0, 0, 0, 4, 1, 0, 0, 0, 0, 0, 1, 0, 0}
	r := rtmp.NewChunkReader(io.MultiReader(bytes.NewReader(setChunkSize), &p.all), nil)
	for {
		m, err := r.ReadMessage()
		if err == io.EOF {
			return all
		}
		if err != nil {
			t.Fatalf("behind %d messages: %v", len(all), err)
		}
		if m.Type != 1 {
			all = append(all, m)
		}
	}
}

// TestPeers: each gets the stream from its newest key frame to its end, headers first
// and wherever they change, nothing twice and nothing left out, and all get the same
// memory.
func TestPeers(t *testing.T) {
	s := newStream(t)
	s.frames(60) // the newest key frame is the 51st
	out := fanout.New(fanout.Config{Gather: 20 * time.Millisecond})
	defer out.Close()
	var peers [3]peer
	var feeds [3]Feed
	var running sync.WaitGroup
	for i := range peers {
		f := &feeds[i]
		f.Stream, f.Fanout = s.p.Stream(), out
		v := fanout.Viewer{Stream: f.Stream, Format: format{rtmp.Format{}}, Counts: &f.Counts}
		running.Go(func() {
			if e := out.Run(t.Context(), v, &peers[i]); e.Reason != io.EOF {
				t.Errorf("ended with %v", e.Reason)
			}
		})
	}
	for i := range feeds {
		for end := time.Now().Add(10 * time.Second); feeds[i].Frames() < 10 && time.Now().Before(end); {
			time.Sleep(time.Millisecond)
		}
	}
	s.frames(40) // to the end of its second
	s.write(avcHeader(14))
	s.frames(50)
	s.p.Close()
	s.r.Close()
	running.Wait()
	for i := range peers {
		if f := &feeds[i]; f.Frames() != 100 || f.Skips() != 0 || f.Bytes() != uint64(peers[i].all.Len()) {
			t.Errorf("%d frames, %d bytes of %d, %d skips", f.Frames(), f.Bytes(), peers[i].all.Len(), f.Skips())
		}
		if &peers[i].blocks[1][0] != &peers[0].blocks[1][0] {
			t.Error("a peer got bytes of its own")
		}
		messages := peers[i].messages(t)
		if len(messages) != 102 {
			t.Fatalf("%d messages", len(messages))
		}
		at, level := uint32(50*40), byte(13)
		for k, m := range messages {
			body := flv.Body(m.Tag)
			switch {
			case k == 0 || k == 51:
				if !bytes.Equal(body, avcHeader(level)) || m.Timestamp != at {
					t.Errorf("message %d is %x at %d", k, body, m.Timestamp)
				}
				level++
			case body[1] != 1 || m.Timestamp != at:
				t.Errorf("message %d is %x at %d, not at %d", k, body, m.Timestamp, at)
			default:
				at += 40
			}
		}
	}
}
