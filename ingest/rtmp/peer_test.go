package rtmp

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/remux/flv"
	"headwater/scripts/lib/rig"
)

// journal is a Handler that writes down what happens.
type journal struct {
	refuse error // of Publish and Play
	view   View  // of Play; nil: one that waits
	fail   error // of Write

	mu      sync.Mutex
	entries []string
	media   []got
	open    bool
	request Publish
	played  Play
	viewers int
	ended   error
	closed  chan struct{}
}

func newJournal() *journal { return &journal{closed: make(chan struct{})} }

func (j *journal) note(format string, args ...any) {
	j.entries = append(j.entries, fmt.Sprintf(format, args...))
}

func (j *journal) Publish(p Publish) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open {
		j.note("FAULT: published twice")
	}
	j.note("publish %s", p.Name)
	j.request = p
	j.open = j.refuse == nil
	return j.refuse
}

func (j *journal) Write(typ uint8, timestamp uint32, tag []byte) error {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.open {
		j.note("FAULT: media without publish")
	}
	j.media = append(j.media, got{typ, timestamp, 0, string(flv.Body(tag))})
	return j.fail
}

func (j *journal) Unpublish(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if !j.open {
		j.note("FAULT: unpublished twice")
	}
	j.open = false
	j.note("unpublish %v", err)
}

func (j *journal) Play(p Play) (View, error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open {
		j.note("FAULT: plays while publishing")
	}
	j.note("play %s", p.Name)
	j.played = p
	if j.refuse != nil {
		return nil, j.refuse
	}
	view := j.view
	if view == nil {
		view = func(ctx context.Context, _ *Player) error { <-ctx.Done(); return nil }
	}
	j.viewers++
	return func(ctx context.Context, to *Player) (err error) {
		defer func() {
			j.mu.Lock()
			defer j.mu.Unlock()
			j.viewers--
			j.note("played %v: %v", context.Cause(ctx), err)
		}()
		return view(ctx, to)
	}, nil
}

func (j *journal) Closed(err error) {
	j.mu.Lock()
	defer j.mu.Unlock()
	if j.open || j.viewers > 0 {
		j.note("FAULT: closed while publishing or playing")
	}
	j.ended = err
	close(j.closed) // panics the second time
}

// faults returns what must never be in a journal.
func (j *journal) faults() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.DeleteFunc(slices.Clone(j.entries), func(s string) bool { return !strings.HasPrefix(s, "FAULT") })
}

// reason waits for the end of the session and returns what ended it.
func (j *journal) reason(t *testing.T) error {
	t.Helper()
	select {
	case <-j.closed:
	case <-time.After(20 * time.Second):
		t.Fatal("the session does not end")
	}
	if f := j.faults(); len(f) > 0 {
		t.Error(f)
	}
	return j.ended
}

// history returns what has happened so far.
func (j *journal) history() []string {
	j.mu.Lock()
	defer j.mu.Unlock()
	return slices.Clone(j.entries)
}

// peer is a client that sends what a test wants.
type peer struct {
	t    *testing.T
	conn net.Conn
	in   *ChunkReader
	j    *journal
	s    *Session
}

// newPeer starts a session, without a handshake.
func newPeer(t *testing.T, j *journal, o Options) *peer {
	t.Helper()
	e := NewEngine()
	t.Cleanup(e.Close)
	return newPeerOf(t, e, j, o)
}

// newPeerOf is newPeer with an engine that others use too.
func newPeerOf(t *testing.T, e *Engine, j *journal, o Options) *peer {
	t.Helper()
	conn, server := rig.Connection(t)
	p := &peer{t: t, conn: conn, j: j, in: NewChunkReader(conn, nil)}
	p.s = e.Start(server, j, o)
	t.Cleanup(func() {
		_ = conn.Close()
		_ = j.reason(t)
	})
	_ = conn.SetDeadline(time.Now().Add(30 * time.Second))
	return p
}

// newSession starts a session and does the handshake.
func newSession(t *testing.T, j *journal) *peer {
	t.Helper()
	p := newPeer(t, j, Options{})
	p.handshake()
	return p
}

func (p *peer) handshake() {
	p.t.Helper()
	p.send(append([]byte{3}, clientHello(0)...))
	b := make([]byte, 1+2*handshakeSize)
	if err := p.in.in.read(b); err != nil {
		p.t.Fatal(err)
	}
	p.send(b[1 : 1+handshakeSize])
}

// send sends bytes; that the server is gone already is no failure.
func (p *peer) send(parts ...any) {
	p.t.Helper()
	if _, err := p.conn.Write(wire(parts...)); err != nil {
		p.t.Logf("send: %v", err)
	}
}

// message sends a message in chunks of 128 bytes.
func (p *peer) message(csid, typ uint8, stream, timestamp uint32, body []byte) {
	p.t.Helper()
	p.send(appendChunks(nil, csid, typ, stream, timestamp, body, defaultChunkSize))
}

// command sends a command.
func (p *peer) command(stream uint32, values ...any) {
	p.t.Helper()
	p.message(3, typeCommand, stream, 0, AppendAMF(nil, values...))
}

// replies reads messages until one is a command of that name, and returns them
// as text; the last is that command.
func (p *peer) replies(name string) (all []string) {
	p.t.Helper()
	for {
		m, err := p.in.ReadMessage()
		if err != nil {
			p.t.Fatalf("waiting for %s: %v; got\n%s", name, err, strings.Join(all, "\n"))
		}
		text := describe(&m)
		all = append(all, text)
		if strings.HasPrefix(text, name) {
			return all
		}
	}
}

// reply reads up to a command of that name and returns it.
func (p *peer) reply(name string) string {
	p.t.Helper()
	all := p.replies(name)
	return all[len(all)-1]
}

// want reads up to a command and compares it.
func (p *peer) want(text string) {
	p.t.Helper()
	name, _, _ := strings.Cut(text, " ")
	if got := p.reply(name); got != text {
		p.t.Errorf("got\n%s, want\n%s", got, text)
	}
}

// describe puts a message into one line.
func describe(m *Message) string {
	b := m.body()
	switch m.Type {
	case typeCommand:
		values, err := DecodeAMF(b)
		if err != nil {
			return err.Error()
		}
		text := fmt.Sprint(values[0])
		for _, v := range values[1:] {
			text += " " + printAMF(v)
		}
		return text + fmt.Sprintf(" on %d", m.StreamID)
	case typeUserControl:
		return fmt.Sprintf("event %d: %x", binary.BigEndian.Uint16(b), b[2:])
	}
	return fmt.Sprintf("type %d: %x", m.Type, b)
}

func printAMF(v any) string {
	switch v := v.(type) {
	case nil:
		return "null"
	case Undefined:
		return "undefined"
	case string:
		return fmt.Sprintf("%q", v)
	case Object:
		var parts []string
		for _, m := range v {
			parts = append(parts, m.Name+": "+printAMF(m.Value))
		}
		return "{" + strings.Join(parts, ", ") + "}"
	}
	return fmt.Sprint(v)
}

// connectAs does what every client does first.
func (p *peer) connectTo(app string) {
	p.t.Helper()
	p.command(0, "connect", 1, Object{{"app", app}, {"flashVer", "test"}, {"tcUrl", "rtmp://127.0.0.1/" + app}})
	p.reply("_result")
}

// publish goes on until the server has accepted a publisher, on stream 1.
func (p *peer) publish(app, name string) {
	p.t.Helper()
	p.connectTo(app)
	p.command(0, "createStream", 2, nil)
	p.want("_result 2 null 1 on 0")
	p.command(1, "publish", 3, nil, name, "live")
	p.want(started)
}

const started = `onStatus 0 null {level: "status", code: "NetStream.Publish.Start", description: "Publish succeeded."} on 1`

// media waits for n messages and returns them.
func (p *peer) media(n int) []got {
	p.t.Helper()
	p.sync()
	p.j.mu.Lock()
	defer p.j.mu.Unlock()
	if len(p.j.media) != n {
		p.t.Fatalf("%d media messages, want %d: %+v", len(p.j.media), n, p.j.media)
	}
	return slices.Clone(p.j.media)
}

// sync waits until the server has taken all that was sent. The peer is
// connected.
func (p *peer) sync() {
	p.t.Helper()
	p.command(0, "sync", 999, nil)
	for p.reply("_result") != "_result 999 null undefined on 0" {
	}
}

// eof reads until the server closes the connection.
func (p *peer) eof() {
	p.t.Helper()
	if _, err := io.Copy(io.Discard, p.conn); err != nil && !errors.Is(err, net.ErrClosed) {
		p.t.Logf("reading to the end: %v", err)
	}
}

// tagOf returns a tag with that body.
func tagOf(body []byte) []byte {
	tag := flv.NewTag(len(body))
	copy(flv.Body(tag), body)
	return tag
}
