package rtmp

import (
	"errors"
	"fmt"
	"net"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of a session that has not been accepted, or sends other than media.
const (
	maxControl     = 64 << 10  // bytes of a command, data or control message
	maxAudio       = 256 << 10 // bytes of a message of sound
	maxEarlyBytes  = 1 << 20   // before an accepted publish or play, in all
	maxEarlyCount  = 200       // messages, likewise
	maxEarlyParked = 128 << 10 // bytes in unfinished messages, likewise
	maxEarlyChunks = 16        // chunk streams, likewise
	unknownBurst   = 100       // messages and events that no encoder sends, at once
	unknownRate    = 1         // and a second after that
	commandBurst   = 100       // commands at once
	commandRate    = 10        // and a second after that
	pingRate       = 10        // pings answered a second
)

// Chunk sizes of what we send: to go-rtmp, and to the peer, who is told.
const innerChunkSize, outerChunkSize = 65536, 65536

// lingerTime and lingerBytes bound how long a session that ends with an answer
// goes on reading. Closing a socket with unread bytes resets it, and the peer
// might then never see the answer. A peer that sends faster than it is read has
// some megabytes under way in both kernels before it comes to look.
const (
	lingerTime  = time.Second
	lingerBytes = 16 << 20
)

// guard owns a connection and stands between it and go-rtmp, which takes the
// guard for the connection: it reads commands and writes replies.
type guard struct {
	// fixed after newGuard
	conn   net.Conn
	shared sharer // conn, if it is one; else nil
	opts   Options
	start  time.Time

	// owned by the session's goroutine, on which go-rtmp calls Read; by the one that
	// calls Turn while the session's waits for it. What every turn needs comes first and
	// lies together, since it has left the processor's caches each time.
	handler  Handler // fixed
	in       ChunkReader
	now      time.Time
	looked   time.Time // when overdue was asked last
	armed    time.Time // when the peer was given time last
	flow     flow
	publish  publication
	ackEvery uint64
	acked    uint64        // bytes acknowledged
	pause    time.Duration // not to read for so long
	fault    error         // what has ended a turn
	kept     *Message      // it comes next; a turn has left it
	retried  bool          // a read after due was tried
	due      time.Time     // until when the peer has time
	pending  []byte        // for go-rtmp
	connect  *Connect
	streams  messageStreams
	current  *reply // the answer to the command that go-rtmp is handling
	early    early
	commands bucket
	pings    bucket
	unknown  bucket
	view     *viewing // what the peer plays; nil: nothing
	chatter  bucket   // what it may say meanwhile
	linger   bool
	patience time.Duration // how long linger takes at most
	ended    bool
	err      error

	// owned by whoever calls Write: first the session's goroutine, then go-rtmp's writer
	greeting int // bytes of go-rtmp's own handshake that are still to come

	asked    atomic.Bool // a player owes the answer to a ping
	ignored  atomic.Uint64
	stopped  atomic.Pointer[stopReason] // why, from the moment somebody stops the session
	stopping sync.Once
	closing  sync.Once

	out outbox
}

// publication is the state of publishing on a connection. The message stream is
// also that of playing.
type publication struct {
	active bool
	stream uint32 // the peer's message stream
	slot   uint32 // its place in messageStreams
	fmle   bool   // FCPublish was sent, and onFCPublish is expected
	media  bool   // a media message has come
}

type stopReason struct {
	err error
	cut bool // without another word
}

// early counts what comes without an accepted publish or play.
type early struct {
	messages int
	since    uint64 // value of the byte counter when it began
}

func newGuard(conn net.Conn, h Handler, o Options) *guard {
	g := &guard{
		conn: conn, handler: h, opts: o, start: time.Now(),
		greeting: 1 + 2*handshakeSize,
		ackEvery: ackWindow / 2,
		commands: bucket{burst: commandBurst, rate: commandRate},
		pings:    bucket{burst: pingRate, rate: pingRate},
		unknown:  bucket{burst: unknownBurst, rate: unknownRate},
	}
	g.now, g.looked = g.start, g.start
	g.patience = lingerTime
	g.shared, _ = conn.(sharer)
	g.flow = newFlow(o.MaxBitrate, o.BitrateGrace)
	g.in.init(newReader((*guardReader)(g), readerSize), g)
	g.in.maxParked, g.in.maxStreams = maxEarlyParked, maxEarlyChunks
	g.out.conn, g.out.timeout = conn, o.Write
	g.out.answered = make(chan struct{}, 1)
	return g
}

// open does the handshake and waits for the first command, so that a
// connection costs little until it has said something. Whatever goes wrong
// comes out of the Read that follows.
func (g *guard) open() {
	err := g.guarded(g.handshake)
	if err == nil {
		g.arm(g.opts.Connect)
		err = g.guarded(g.advance)
	}
	if err != nil {
		g.end(err)
		return
	}
	g.pending = append(append([]byte{rtmpVersion}, make([]byte, 2*handshakeSize)...), g.pending...)
}

// handshake plays the server's part with the peer (RTMP 5.2). C2 is not
// checked: some encoders do not echo S1.
func (g *guard) handshake() error {
	g.setReadDeadline(g.start.Add(g.opts.Handshake))
	version, err := g.in.in.next(1)
	if err != nil {
		return err
	}
	if version[0] != rtmpVersion {
		return protocolError(fmt.Sprintf("not RTMP: the first byte is 0x%02x", version[0]))
	}
	var c [handshakeSize]byte
	if err := g.in.in.read(c[:]); err != nil {
		return unexpected(err)
	}
	if err := g.out.raw(answerHandshake(c[:], time.Since(processStart))); err != nil {
		return err
	}
	return unexpected(g.in.in.read(c[:]))
}

var processStart = time.Now()

// Read gives go-rtmp a handshake and then commands. Between two commands it
// stays in here, where media is handled.
func (g *guard) Read(p []byte) (int, error) {
	if len(g.pending) == 0 && !g.ended {
		g.pending = g.pending[:0]
		if err := g.guarded(g.advance); err != nil {
			if s, ok := errors.AsType[*Stop](err); ok {
				g.stop(s.Err, s.Why)
			}
			g.end(err)
		}
	}
	if g.ended {
		return 0, g.err
	}
	n := copy(p, g.pending)
	g.pending = g.pending[n:]
	return n, nil
}

// advance handles messages until one is a command for go-rtmp.
func (g *guard) advance() error {
	if err := g.startView(); err != nil {
		return err
	}
	for len(g.pending) == 0 {
		if err := g.step(); err != nil {
			return err
		}
	}
	return nil
}

// step handles the next message that is there, or has more come.
func (g *guard) step() error {
	m, err := g.next()
	if errors.Is(err, errMore) {
		return g.more()
	}
	if err != nil {
		return err
	}
	if err := g.handle(&m); err != nil {
		return err
	}
	g.rest()
	if !g.publish.active {
		return g.countIdle()
	}
	return nil
}

// handle handles a message that has come in.
func (g *guard) handle(m *Message) error {
	g.flow.message()
	return g.dispatch(m)
}

// dispatch handles one message.
func (g *guard) dispatch(m *Message) error {
	if m.Tag == nil {
		return g.dropped(m.Type)
	}
	switch m.Type {
	case typeAudio, typeVideo:
		return g.media(m)
	case typeData, typeDataAMF3:
		return g.data(m)
	case typeAggregate:
		return g.aggregate(m)
	case typeCommand, typeCommandAMF3:
		return g.command(m)
	case typeUserControl:
		return g.userControl(m)
	case typeWindowAckSize:
		return g.setWindow(m)
	case typeAck, typePeerBandwidth:
		_, err := m.control()
		return err
	}
	return nil // the chunk reader obeyed it
}

// dropped counts a message whose payload was not kept.
func (g *guard) dropped(typ uint8) error {
	switch typ {
	case typeAudio, typeVideo, typeData, typeDataAMF3, typeAggregate:
		g.ignored.Add(1) // media where none belongs is bounded elsewhere
		return nil
	}
	return g.strange()
}

// strange counts what no encoder sends. A few of that harm nobody.
func (g *guard) strange() error {
	g.ignored.Add(1)
	if !g.unknown.take(g.now) {
		return limitError("too many messages of unknown types")
	}
	return nil
}

// admit decides what to do with a message by its header alone.
func (g *guard) admit(typ uint8, length int) (keep bool, err error) {
	switch typ {
	case typeAudio, typeVideo, typeAggregate:
		if length > g.opts.MaxMessage || typ == typeAudio && length > maxAudio {
			return false, limitError("media message too long")
		}
		return g.publish.active, nil
	case typeData, typeDataAMF3:
		return g.publish.active && length <= maxControl, nil
	case typeCommand, typeCommandAMF3,
		typeSetChunkSize, typeAbort, typeAck, typeUserControl, typeWindowAckSize, typePeerBandwidth:
		if length > maxControl {
			return false, limitError("control message too long")
		}
		return true, nil
	}
	return false, nil
}

// countIdle bounds what a peer can make us read that does not publish.
func (g *guard) countIdle() error {
	if g.view != nil {
		if !g.chatter.take(g.now) {
			return limitError("too many messages from a player")
		}
		return nil
	}
	g.early.messages++
	if g.early.messages > maxEarlyCount || g.in.in.total-g.early.since > maxEarlyBytes {
		return limitError("too much before an accepted publish")
	}
	return nil
}

// guarded calls f and turns a panic into an error: the session ends, the
// server does not.
func (g *guard) guarded(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &PanicError{Value: v, Stack: debug.Stack()}
		}
	}()
	return f()
}

// PanicError is what ends a session in which something panicked.
type PanicError struct {
	Value any
	Stack []byte
}

func (e *PanicError) Error() string { return fmt.Sprintf("panic: %v", e.Value) }

// end fixes what ended the session, and gives the stream's name back at once.
func (g *guard) end(err error) {
	if g.ended {
		return
	}
	if s := g.stopped.Load(); s != nil {
		g.stopping.Do(func() {}) // waits for the farewell
		err, g.linger = s.err, !s.cut
	} else if failed := g.out.failed.Load(); failed != nil {
		err = failed
	}
	g.ended, g.err = true, err
	if g.view != nil {
		g.out.abort(err) // it may be stuck there
		g.endView(err)
		g.patience = playLinger
	}
	if g.publish.active {
		g.publish.active = false
		if fault := g.guarded(func() error { g.handler.Unpublish(err); return nil }); fault != nil {
			g.err = fault
		}
	}
}

// errInner is what ends a session that go-rtmp ends on its own account.
var errInner = errors.New("go-rtmp ended the session")

// Close is called by go-rtmp when the session is over, and replies have been
// written.
func (g *guard) Close() error {
	g.closing.Do(func() {
		g.end(errInner)
		if g.linger {
			g.drain()
		} else if s := g.stopped.Load(); s != nil && s.cut {
			discard(g.conn)
		}
		_ = g.conn.Close()
		g.in.release()
		g.handler.Closed(g.err)
	})
	return nil
}

// drain tells the peer that no more will come and reads what it has sent.
func (g *guard) drain() {
	if c, ok := g.conn.(interface{ CloseWrite() error }); ok {
		_ = c.CloseWrite()
	}
	_ = g.conn.SetReadDeadline(time.Now().Add(g.patience))
	buf := g.in.in.buf
	for n := 0; n < lingerBytes; {
		k, err := g.conn.Read(buf)
		if err != nil {
			return
		}
		n += k
	}
}

// discard makes Close drop what the peer has not taken: the kernel would keep it
// for a peer that does not read.
func discard(conn net.Conn) {
	if c, ok := conn.(interface{ NetConn() net.Conn }); ok { // TLS
		conn = c.NetConn()
	}
	if c, ok := conn.(interface{ SetLinger(int) error }); ok {
		_ = c.SetLinger(0)
	}
}

// stop ends the session from any goroutine. When it returns the peer has been
// told, whoever was first to stop it.
func (g *guard) stop(err error, why Status) {
	g.stopping.Do(func() {
		g.stopped.Store(&stopReason{err: err})
		_ = g.out.farewell(why)
		_ = g.conn.SetReadDeadline(time.Unix(1, 0))
	})
}

// arm gives the peer d from now on. The deadline of reading is earlier where that is
// longer than a message may take.
func (g *guard) arm(d time.Duration) {
	g.armed, g.due, g.retried = g.now, g.now.Add(d), false
	g.setReadDeadline(g.now.Add(min(d, maxAge)))
}

func (g *guard) setReadDeadline(t time.Time) {
	_ = g.conn.SetReadDeadline(t)
	if g.stopped.Load() != nil || g.out.failed.Load() != nil {
		_ = g.conn.SetReadDeadline(time.Unix(1, 0))
	}
}

// progress puts the deadline off after a media message, at most once a second.
func (g *guard) progress() {
	if g.now.Sub(g.armed) >= time.Second || g.retried || !g.publish.media {
		g.publish.media = true
		g.arm(g.opts.Idle)
	}
}

// guardReader reads from a guard's connection, for the chunk reader.
type guardReader guard

func (r *guardReader) Read(p []byte) (int, error) {
	g := (*guard)(r)
	if err := g.look(); err != nil {
		return 0, err
	}
	if err := g.throttle(); err != nil {
		return 0, err
	}
	p = p[:g.flow.room(len(p))]
	n, err := g.conn.Read(p)
	g.now = time.Now()
	for n == 0 && g.mayRetry(err) {
		n, err = g.conn.Read(p)
		g.now = time.Now()
	}
	if g.view != nil {
		if n > 0 {
			g.heard()
		} else if errors.Is(err, os.ErrDeadlineExceeded) {
			err = fmt.Errorf("%w: %w", ErrUnanswered, err)
		}
	}
	g.flow.took(n, g.now)
	return n, err
}

// mayRetry gives a peer whose deadline is over another: a second, since the bytes are
// there if it was this process that stood still, and then a publisher the rest of its
// time unless a message is under way.
func (g *guard) mayRetry(err error) bool {
	switch {
	case !errors.Is(err, os.ErrDeadlineExceeded) || g.stopped.Load() != nil || g.out.failed.Load() != nil:
		return false
	case !g.publish.active && g.view == nil:
		return false
	case !g.retried:
		g.retried = true
		g.setReadDeadline(g.now.Add(time.Second))
		return true
	case g.publish.active && g.now.Before(g.due) && !g.in.unfinished():
		g.retried = false
		g.setReadDeadline(g.due)
		return true
	}
	return false
}

// look finds messages that are not completed.
func (g *guard) look() error {
	since := g.now.Sub(g.looked)
	if since < time.Second {
		return nil
	}
	g.looked = g.now
	if g.in.overdue(since) {
		return limitError("a message is not completed")
	}
	return nil
}

// Write takes go-rtmp's handshake, which nobody needs, and its replies. It never
// fails: what does ends the reading, and go-rtmp would wait seconds for replies that
// it cannot write any more.
func (g *guard) Write(p []byte) (int, error) {
	n := min(len(p), g.greeting)
	g.greeting -= n
	if n < len(p) {
		_ = g.out.result(g.guarded(func() error { return g.out.forward(p[n:]) }))
	}
	return len(p), nil
}

// bucket is a token bucket.
type bucket struct {
	burst, rate float64
	level       float64 // what has been taken, and not come back yet
	last        time.Time
}

// take returns whether one more is allowed.
func (b *bucket) take(now time.Time) bool {
	b.level = max(0, b.level-now.Sub(b.last).Seconds()*b.rate)
	b.last = now
	if b.level+1 > b.burst {
		return false
	}
	b.level++
	return true
}
