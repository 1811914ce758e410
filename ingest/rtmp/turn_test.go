package rtmp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// together is a connection whose turns come whenever something does, on a goroutine
// that is not the session's.
type together struct {
	*net.TCPConn
	turns   atomic.Int64
	longest atomic.Int64 // of them, ns
}

func (c *together) Await(t interface {
	Turn(room []byte, at int, now time.Time) bool
}) (waited bool, err error) {
	room := make([]byte, 64+700)
	for {
		n, err := c.Read(room[64:])
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			return false, nil
		case err != nil:
			return true, err
		}
		done := make(chan bool)
		go func() {
			began := time.Now()
			more := t.Turn(room[:64+n], 64, began)
			c.longest.Store(max(c.longest.Load(), int64(time.Since(began))))
			clear(room)
			done <- more
		}()
		c.turns.Add(1)
		if !<-done {
			return true, nil
		}
	}
}

// newTogether is newSession over such a connection, with a publisher.
func newTogether(t *testing.T, h Handler, j *journal) (*peer, *together) {
	t.Helper()
	conn, server := rig.Connection(t)
	e := NewEngine()
	t.Cleanup(e.Close)
	c := &together{TCPConn: server}
	p := &peer{t: t, conn: conn, j: j, in: NewChunkReader(conn, nil)}
	p.s = e.Start(c, h, Options{})
	t.Cleanup(func() {
		_ = conn.Close()
		_ = j.reason(t)
	})
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	p.handshake()
	p.publish("live", "x")
	return p, c
}

// TestTurns cuts a conversation anywhere: media is handled in turns, and all that is
// between it where it belongs.
func TestTurns(t *testing.T) {
	t.Parallel()
	j := newJournal()
	p, c := newTogether(t, j, j)
	var want []got
	var sent []byte
	for i := range 200 {
		stamp, body := uint32(i*20), seq(byte(i), 1+i*37%3000)
		switch i % 10 {
		case 3:
			body = append(AppendAMF(nil, "onTextData"), AppendAMF(nil, fmt.Sprint(i))...)
			sent = appendChunks(sent, 5, typeData, 1, stamp, body, defaultChunkSize)
			want = append(want, got{typeData, stamp, 0, string(body)})
		case 7:
			sent = appendChunks(sent, 2, typeUserControl, 0, 0, []byte{0, eventPingRequest, 0, 0, 0, byte(i)}, defaultChunkSize)
		case 8:
			sent = appendChunks(sent, 4, typeAudio, 1, stamp, nil, defaultChunkSize) // says nothing
		default:
			sent = appendChunks(sent, 6, typeVideo, 1, stamp, body, defaultChunkSize)
			want = append(want, got{typeVideo, stamp, 0, string(body)})
		}
	}
	for n := 1; len(sent) > 0; n = n*7%1500 + 1 {
		p.send(sent[:min(n, len(sent))])
		sent = sent[min(n, len(sent)):]
	}
	if all := p.media(len(want)); !slices.Equal(all, want) {
		t.Error("the messages are others")
	}
	if c.turns.Load() < 10 {
		t.Errorf("%d turns", c.turns.Load())
	}
	p.command(1, "deleteStream", 0, nil, 1)
	p.sync()
	if h := j.history(); h[len(h)-1] != "unpublish <nil>" {
		t.Errorf("history %q", h)
	}
}

// TestTurnEnds is what goes wrong in a turn.
func TestTurnEnds(t *testing.T) {
	t.Parallel()
	gone := errors.New("gone")
	for _, c := range []struct {
		name string
		fail error
		send func(p *peer)
		want error
	}{
		{"error", gone, func(p *peer) {}, gone},
		{"stop", &Stop{gone, Status{PublishBadName, "taken"}}, func(p *peer) {
			p.want(`onStatus 0 null {level: "error", code: "NetStream.Publish.BadName", description: "taken"} on 1`)
		}, gone},
		{"protocol", nil, func(p *peer) { p.send("c9") }, ErrProtocol},
	} {
		t.Run(c.name, func(t *testing.T) {
			j := newJournal()
			j.fail = c.fail
			p, _ := newTogether(t, j, j)
			p.message(6, typeVideo, 1, 0, []byte("video"))
			c.send(p)
			if err := j.reason(t); !errors.Is(err, c.want) {
				t.Errorf("ended with %v, want %v", err, c.want)
			}
		})
	}
	t.Run("panic", func(t *testing.T) {
		j := newJournal()
		p, _ := newTogether(t, &panicky{j, "write"}, j)
		p.message(6, typeVideo, 1, 0, []byte("video"))
		var fault *PanicError
		if err := j.reason(t); !errors.As(err, &fault) {
			t.Errorf("ended with %v", err)
		}
	})
}

// TestTurnDoesNotWait has the session's own goroutine do the waiting.
func TestTurnDoesNotWait(t *testing.T) {
	t.Parallel()
	const pause = 60 * time.Millisecond
	j := newJournal()
	j.fail = Pause(pause)
	p, c := newTogether(t, j, j)
	began := time.Now()
	for i := range 5 {
		p.message(6, typeVideo, 1, uint32(i), []byte("video"))
	}
	p.media(5)
	p.sync() // what came in one read is answered before the pause
	if took := time.Since(began); took < 5*pause {
		t.Errorf("5 pauses of %v took %v", pause, took)
	}
	if longest := time.Duration(c.longest.Load()); longest >= pause {
		t.Errorf("a turn took %v", longest)
	}
}
