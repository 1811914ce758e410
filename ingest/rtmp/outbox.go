package rtmp

import (
	"bytes"
	"errors"
	"fmt"
	"time"
)

// Chunk streams of what we send (RTMP 5.3.1.1 reserves 2 for control).
const (
	controlChunks = 2
	commandChunks = 3
	statusChunks  = 5
)

// reply is what is to become of go-rtmp's next answer. Answers come in the
// order of the commands that were given to it.
type reply struct {
	kind       replyKind
	txn        float64 // the peer's transaction
	stream     uint32  // the peer's message stream, or the one it gets
	fmle       bool    // onFCPublish is expected too
	properties Object  // added to the answer to connect
	status     *Status // replaces what go-rtmp says
}

type replyKind uint8

const (
	replyConnect replyKind = iota
	replyCreateStream
	replyNothing // the peer did not ask for it
	replyStatus
	replyPlay
)

// outbox writes to the peer of a session. The session's goroutine, go-rtmp's
// writer, a View and Session.Stop all come here.
type outbox struct {
	sender
	answered chan struct{} // has room for one; gets one when go-rtmp has answered

	// guarded by sender.mu
	ended   bool     // the peer has been told that the session ends
	stream  uint32   // the message stream that was published on or played last
	replies []*reply // owed by go-rtmp
	from    bytes.Reader
	chunks  *ChunkReader // reads what go-rtmp writes, from from
}

// expect says what is to become of go-rtmp's next answer.
func (o *outbox) expect(r *reply) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.replies = append(o.replies, r)
}

// settle waits until go-rtmp, which writes on a goroutine of its own, has
// answered every command it was given. Thus answers keep the order of their
// commands, whoever gives them, and a peer that does not read is not read.
func (o *outbox) settle() error {
	for {
		o.mu.Lock()
		owed := len(o.replies)
		o.mu.Unlock()
		if owed == 0 {
			return nil
		}
		if err := o.failed.Load(); err != nil {
			return err
		}
		t := time.NewTimer(o.timeout)
		select {
		case <-o.answered:
			t.Stop()
		case <-t.C:
			return errors.New("go-rtmp owes an answer")
		}
	}
}

// forward sends what go-rtmp wrote, in our own words where need be.
func (o *outbox) forward(p []byte) error {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.chunks == nil {
		o.chunks = &ChunkReader{}
		o.chunks.init(newReader(&o.from, 512), admitFunc(nil))
		o.chunks.chunkSize = innerChunkSize
	}
	o.from.Reset(p)
	out := o.begin(nil)
	for o.from.Len()+len(o.chunks.in.buffered()) > 0 {
		m, err := o.chunks.ReadMessage()
		if err != nil {
			return fmt.Errorf("read reply: %w", err)
		}
		if out, err = o.translate(out, &m); err != nil {
			return fmt.Errorf("translate reply: %w", err)
		}
	}
	err := o.flush(out)
	select {
	case o.answered <- struct{}{}:
	default:
	}
	return err
}

// translate appends the peer's version of one message from go-rtmp.
func (o *outbox) translate(dst []byte, m *Message) ([]byte, error) {
	switch m.Type {
	case typeAck:
		return dst, nil // it counts the wrong bytes
	case typeCommand:
	default:
		return appendMessage(dst, controlChunks, header{m.Type, m.StreamID}, m.body()), nil
	}
	if len(o.replies) == 0 {
		return dst, fmt.Errorf("nobody asked for it")
	}
	r := o.replies[0]
	o.replies = o.replies[1:]
	if o.ended {
		return dst, nil // it would take back what the peer was told
	}
	values, err := DecodeAMF(m.body())
	if err != nil {
		return dst, err
	}
	if len(values) < 4 {
		return dst, fmt.Errorf("%d values", len(values))
	}
	if r.kind == replyStatus || r.kind == replyPlay {
		o.stream = r.stream
	}
	return r.translate(dst, values), nil
}

// farewell tells the peer why the server ends the session.
func (o *outbox) farewell(why Status) error {
	if !o.hurry(&why) {
		return nil
	}
	defer o.mu.Unlock()
	o.takeBack()
	if err := o.settleUp(farewellTries * time.Millisecond); err != nil {
		return err
	}
	if o.ended = true; !o.begun {
		return nil
	}
	stream, level := o.stream, "error"
	switch why.Code {
	case ConnectClosed:
		stream, level = 0, "status"
	case PlayEnded:
		level = "status"
	}
	out := appendCommand(nil, stream, "onStatus", 0, nil, why.info(level))
	if why.Code == PlayEnded {
		out = appendEvent(out, eventStreamEOF, stream)
	}
	return o.flush(out)
}
