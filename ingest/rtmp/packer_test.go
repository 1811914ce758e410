package rtmp

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"slices"
	"testing"
	"time"

	"headwater/remux/av"
	"headwater/remux/flv"
)

// TestPackerAgainstReader: what a Packer makes of frames of all sizes and times the chunk
// reader reads as what they were, from any block on, and with control messages between
// any two.
func TestPackerAgainstReader(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	c := &av.Config{Video: track(av.H264, 9, avcHeader), Audio: track(av.AAC, 8, aacHeader)}
	metadata := tagOf(AppendAMF(nil, "onMetaData", Object{{"width", 640}}))
	flv.Seal(metadata, flv.TypeScript, 0)
	for _, begin := range []time.Duration{0, 1<<24*time.Millisecond - 500*time.Millisecond, 1<<32*time.Millisecond - 500*time.Millisecond} {
		p := newFormat(3, func(string) bool { return true }).Packer(func() []byte { return metadata })
		var blocks [][]byte
		var want [][]got
		at := begin
		for range 60 {
			var frames []av.Frame
			var messages []got
			for range 1 + random.IntN(4) {
				kind := []av.Kind{av.Video, av.Audio, av.Data}[random.IntN(3)]
				size := []int{1, 127, 128, 129, 65535, 65536, 65537, 131072, 200_001}[random.IntN(9)]
				f := frame(kind, at, c, string(seq(byte(size), size)))
				frames = append(frames, f)
				messages = append(messages, got{f.Tag[0], uint32(at / time.Millisecond), 3, string(flv.Body(f.Tag))})
				at += time.Duration(random.IntN(40)) * time.Millisecond
			}
			b, err := p.Append(nil, frames, false)
			if err != nil {
				t.Fatal(err)
			}
			blocks, want = append(blocks, b), append(want, messages)
		}
		for _, from := range []int{0, 1, 17, 59} {
			stamp := want[from][0].timestamp
			stream := wire("02 000000 000004 01 00000000 00010000", p.Headers(nil, c, time.Duration(stamp)*time.Millisecond))
			all := []got{{18, stamp, 3, string(flv.Body(metadata))}, {9, stamp, 3, avcHeader}, {8, stamp, 3, aacHeader}}
			for i, b := range blocks[from:] {
				stream = appendEvent(append(stream, b...), eventPingRequest, uint32(i))
				all = append(append(all, want[from+i]...), got{typeUserControl, 0, 0, fmt.Sprintf("\x00\x06\x00\x00\x00%c", i)})
			}
			read, err := readAll(NewChunkReader(bytes.NewReader(stream), nil))
			if len(read) != len(all) || !slices.Equal(read, all) {
				t.Errorf("from %v and block %d on: %d messages of %d, or others: %v", begin, from, len(read), len(all), err)
			}
		}
	}
}

// TestFormats: players that ask for the same are of the same Format.
func TestFormats(t *testing.T) {
	all := func(string) bool { return true }
	if newFormat(1, all) != newFormat(1, (&Connect{}).accepts) || newFormat(1, all) != newFormat(1, (&Connect{codecs: []string{"*"}}).accepts) {
		t.Error("two players who take everything differ")
	}
	if newFormat(1, all) == newFormat(2, all) || newFormat(1, all) == newFormat(1, (&Connect{codecs: []string{"hvc1"}}).accepts) {
		t.Error("players who take different things are alike")
	}
}

// held is a Line that keeps what is said.
type held struct {
	conn net.Conn
	said chan []byte
	full bool
	owed net.Buffers
}

func (h *held) Say(b []byte) bool {
	if h.full {
		return false
	}
	h.said <- b
	return true
}

func (h *held) Return() net.Buffers { return h.owed }

// lends returns a View that lends its connection and ends when the test says so.
func lends(h *held, then func(to *Player) error) View {
	return func(ctx context.Context, to *Player) error {
		if !to.Lend(func(conn net.Conn) Line { h.conn = conn; return h }) || to.Lend(func(net.Conn) Line { return h }) {
			return errors.New("not lent, or twice")
		}
		return then(to)
	}
}

// TestLend: while somebody else writes, all that the session says goes there; what was
// begun then comes before anything else.
func TestLend(t *testing.T) {
	h := &held{said: make(chan []byte, 10), owed: net.Buffers{nil, wire("04 000000 000003 08 01000000 61"), []byte("bc")}}
	j := newJournal()
	j.view = lends(h, func(to *Player) error {
		if err := to.Ping(); err != nil {
			return err
		}
		if _, err := h.conn.Write(wire("06 000000 000001 09 01000000 78")); err != nil {
			return err
		}
		if m, err := readAll(NewChunkReader(bytes.NewReader(<-h.said), nil)); len(m) != 1 || m[0].typ != typeUserControl {
			t.Errorf("said %v: %v", m, err)
		}
		for range 2 {
			to.Reclaim()
		}
		return nil
	})
	p := newSession(t, j)
	media := p.play("x", 2)
	if want := []got{{9, 0, 1, "x"}, {8, 0, 1, "abc"}}; !slices.Equal(media, want) {
		t.Errorf("got %v", media)
	}
	p.want(`onStatus 0 null {level: "status", code: "NetStream.Play.UnpublishNotify", description: "the stream has ended"} on 1`)
	if len(h.said) != 0 {
		t.Errorf("%d more were said", len(h.said))
	}
}

// TestLendAndStop: who stops the session takes the connection back, and the peer hears
// why behind what was begun.
func TestLendAndStop(t *testing.T) {
	h := &held{said: make(chan []byte, 10), owed: net.Buffers{wire("04 000000 000003 08 01000000 616263")}}
	j := newJournal()
	begun := make(chan struct{})
	var ended context.Context
	j.view = func(ctx context.Context, to *Player) error {
		ended = ctx
		return lends(h, func(*Player) error { close(begun); <-ended.Done(); return nil })(ctx, to)
	}
	p := newSession(t, j)
	p.play("x", 0)
	<-begun
	p.s.Stop(errors.New("operator"), Status{PlayEnded, "operator"})
	if m, err := p.in.ReadMessage(); err != nil || string(m.body()) != "abc" {
		t.Errorf("then %v, %v", m, err)
	}
	p.want(`onStatus 0 null {level: "status", code: "NetStream.Play.UnpublishNotify", description: "operator"} on 1`)
}

// TestLendToOneWhoIsFull: a peer to whom nothing more can be said is closed.
func TestLendToOneWhoIsFull(t *testing.T) {
	h := &held{full: true}
	j := newJournal()
	j.view = lends(h, func(to *Player) error { return to.Ping() })
	newSession(t, j).play("x", 0)
	if err := j.reason(t); !errors.Is(err, errUnsaid) {
		t.Errorf("ended with %v", err)
	}
}
