package rtmp

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"net"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// TestMain checks that no session leaves a goroutine behind.
func TestMain(m *testing.M) {
	os.Exit(rig.Run(m, func() {
		if sharedEngine != nil {
			sharedEngine.Close()
		}
	}))
}

// nested returns a command whose argument is nested n deep.
func nested(n int) []byte {
	return append(AppendAMF(nil, "connect", 1), bytes.Repeat(wire("03 0001 61"), n)...)
}

// hostile is what ends a session: bytes to send in a state, and why it ends.
var hostile = []struct {
	name  string
	begin func(p *peer) // nil: the handshake is done
	send  []byte
	err   error
	text  string // part of the error's
}{
	{name: "HTTP", begin: func(*peer) {}, send: []byte("GET / HTTP/1.1\r\n\r\n"), err: ErrProtocol, text: "0x47"},
	{name: "TLS", begin: func(*peer) {}, send: wire("16 0301 0200"), err: ErrProtocol, text: "0x16"},
	{name: "RTMPE", begin: func(*peer) {}, send: append([]byte{6}, clientHello(0)...), err: ErrProtocol, text: "0x06"},
	{name: "version 0", begin: func(*peer) {}, send: []byte{0}, err: ErrProtocol},

	{name: "31 bytes", send: wire("03 000000 000012 14 00000000", "02 0001 78 00 3ff0000000000000 0a 7fffffff"), err: ErrLimit, text: "array"},
	{name: "array bomb in an object", send: appendChunks(nil, 3, typeCommand, 0, 0, wire(AppendAMF(nil, "connect", 1), "03 0001 61 0a ffffffff"), 128), err: ErrLimit},
	{name: "nested objects", send: appendChunks(nil, 3, typeCommand, 0, 0, nested(10_000), 128), err: ErrLimit, text: "deep"},
	{name: "4 MB of nested objects", send: appendChunks(nil, 3, typeCommand, 0, 0, nested(1_000_000), 128), err: ErrLimit, text: "control message too long"},
	{name: "many values", send: appendChunks(nil, 3, typeCommand, 0, 0, append(AppendAMF(nil, "connect", 1), make([]byte, 60_000)...), 128), err: ErrLimit, text: "values"},
	{name: "AMF 3 bomb", send: appendChunks(nil, 3, typeCommandAMF3, 0, 0, append([]byte{0}, nested(10_000)...), 128), err: ErrLimit},

	{name: "type 3 first", send: wire("c3 00"), err: ErrProtocol},
	{name: "type 2 first", send: wire("83 000000"), err: ErrProtocol},
	{name: "chunk size 0", send: wire("02 000000 000004 01 00000000 00000000"), err: ErrProtocol},
	{name: "chunk size of 2^31", send: wire("02 000000 000004 01 00000000 80000000"), err: ErrProtocol},
	{name: "chunk size cut", send: wire("02 000000 000003 01 00000000 000001"), err: ErrProtocol, text: "cut"},
	{name: "abort cut", send: wire("02 000000 000003 02 00000000 000001"), err: ErrProtocol, text: "cut"},
	{name: "acknowledgement cut", send: wire("02 000000 000003 03 00000000 000001"), err: ErrProtocol, text: "cut"},
	{name: "event cut", send: wire("02 000000 000001 04 00000000 00"), err: ErrProtocol, text: "cut"},
	{name: "ping cut", send: wire("02 000000 000005 04 00000000 0006 000000"), err: ErrProtocol, text: "cut"},
	{name: "buffer length cut", send: wire("02 000000 000009 04 00000000 0003 00000001 000000"), err: ErrProtocol, text: "cut"},
	{name: "peer bandwidth cut", send: wire("02 000000 000004 06 00000000 00000001"), err: ErrProtocol, text: "cut"},
	{name: "window size cut", send: wire("02 000000 000002 05 00000000 0000"), err: ErrProtocol},
	{name: "control message of 16 MB", send: wire("02 000000 ffffff 04 00000000"), err: ErrLimit},

	{name: "createStream before connect", send: appendChunks(nil, 3, typeCommand, 0, 0, AppendAMF(nil, "createStream", 1, nil), 128), err: ErrProtocol, text: "before connect"},
	{name: "publish before connect", send: appendChunks(nil, 3, typeCommand, 0, 0, AppendAMF(nil, "publish", 1, nil, "x"), 128), err: ErrProtocol, text: "before connect"},
	{name: "play before connect", send: appendChunks(nil, 3, typeCommand, 0, 0, AppendAMF(nil, "play", 1, nil, "x"), 128), err: ErrProtocol, text: "before connect"},
	{name: "commands before connect", send: bytes.Repeat(appendChunks(nil, 3, typeCommand, 0, 0, AppendAMF(nil, "hello", 1, nil), 128), 300), err: ErrLimit, text: "commands"},

	{name: "media without publish", begin: (*peer).connected, send: bytes.Repeat(appendChunks(nil, 6, typeVideo, 1, 0, make([]byte, 100_000), 128), 12), err: ErrLimit, text: "before an accepted publish"},
	{name: "messages without publish", begin: (*peer).connected, send: bytes.Repeat(appendChunks(nil, 6, typeAudio, 1, 0, nil, 128), 300), err: ErrLimit, text: "before an accepted publish"},
	{name: "half commands without publish", begin: (*peer).connected, send: halfMessages(typeCommand, 60_000, 10_000), err: ErrLimit, text: "unfinished"},
	{name: "createStream by the ten thousand", begin: (*peer).connected, send: bytes.Repeat(appendChunks(nil, 3, typeCommand, 0, 0, AppendAMF(nil, "createStream", 1, nil), 128), 10_000), err: ErrLimit},
	{name: "commands while publishing", begin: (*peer).publishing, send: bytes.Repeat(appendChunks(nil, 3, typeCommand, 0, 0, AppendAMF(nil, "hello", 1, nil), 128), 10_000), err: ErrLimit, text: "commands"},
	{name: "unknown types while publishing", begin: (*peer).publishing, send: bytes.Repeat(appendChunks(nil, 3, 99, 0, 0, []byte("x"), 128), 102), err: ErrLimit, text: "unknown"},
	{name: "unknown events while publishing", begin: (*peer).publishing, send: bytes.Repeat(wire("02 000000 000006 04 00000000 0099 00000001"), 102), err: ErrLimit, text: "unknown"},
	{name: "chunk streams without publish", begin: (*peer).connected, send: halfMessages(typeCommand, 1000, 1), err: ErrLimit, text: "chunk streams"},
	{name: "media message too long", begin: (*peer).publishing, send: wire("06 000000 800001 09 01000000"), err: ErrLimit, text: "too long"},
	{name: "audio message too long", begin: (*peer).publishing, send: wire("06 000000 040001 08 01000000"), err: ErrLimit, text: "too long"},
	{name: "aggregate too long", begin: (*peer).publishing, send: wire("06 000000 ffffff 16 01000000"), err: ErrLimit, text: "too long"},
	{name: "chunk streams", begin: (*peer).publishing, send: halfMessages(typeVideo, 1000, 1), err: ErrLimit, text: "chunk streams"},
	{name: "half messages", begin: (*peer).publishing, send: halfMessages(typeVideo, 8<<20, 700_000), err: ErrLimit, text: "unfinished"},
}

// halfMessages begins messages on many chunk streams, and sends n bytes of each.
func halfMessages(typ uint8, length, n int) []byte {
	b := binary.BigEndian.AppendUint32(wire("02 000000 000004 01 00000000"), uint32(n))
	for i := range 60 {
		b = append(b, 3+byte(i), 0, 0, 0, byte(length>>16), byte(length>>8), byte(length), typ, 1, 0, 0, 0)
		b = append(b, make([]byte, n)...)
	}
	return b
}

func (p *peer) connected()  { p.handshake(); p.connectTo("live") }
func (p *peer) publishing() { p.handshake(); p.publish("live", "x") }

func TestHostile(t *testing.T) {
	for _, c := range hostile {
		t.Run(c.name, func(t *testing.T) {
			j := newJournal()
			p := newPeer(t, j, Options{})
			if c.begin == nil {
				c.begin = (*peer).handshake
			}
			c.begin(p)
			began := time.Now()
			go func() { _, _ = p.conn.Write(c.send) }()
			err := j.reason(t)
			if !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("ended with %v", err)
			}
			if d := time.Since(began); d > 5*time.Second {
				t.Errorf("took %v", d)
			}
			if len(j.media) > 0 {
				t.Errorf("%d media messages came through", len(j.media))
			}
		})
	}
}

// TestHalfMessagesMemory has 200 peers park as much as they may.
func TestHalfMessagesMemory(t *testing.T) {
	heap := func() int64 { // it may become less: of what tests before this one have left
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	send := wire("03 000000 000024 14 00000000", AppendAMF(nil, "connect", 1), "03 0003 617070 02 0004 6c697665 000009")
	for i := range maxEarlyChunks - 1 { // one is taken
		send = append(send, 4+byte(i), 0, 0, 0, 0xff, 0xff, 0xff, typeVideo, 1, 0, 0, 0)
		send = append(send, make([]byte, 128)...)
	}
	before := heap()
	const peers = 50
	for range peers {
		p := newPeer(t, newJournal(), Options{MaxMessage: 16 << 20})
		p.handshake()
		p.send(send)
		p.reply("_result")
	}
	if each := (heap() - before) / peers; each > 400<<10 {
		t.Errorf("a peer costs %d KB", each>>10)
	}
}

// TestLargeFrame passes the largest frame there may be.
func TestLargeFrame(t *testing.T) {
	p := newSession(t, newJournal())
	p.publish("live", "x")
	frame := bytes.Repeat([]byte{7}, 8<<20)
	p.message(6, typeVideo, 1, 0, frame)
	p.message(6, typeVideo, 1, 1, frame)
	for _, m := range p.media(2) {
		if m.body != string(frame) {
			t.Fatal("the frame has changed")
		}
	}
}

// TestPublisherThatNeverReads makes the server want to write for ever.
func TestPublisherThatNeverReads(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		send []byte
	}{
		{"handshake", append([]byte{3}, clientHello(0)...)},
		{"replies", nil},
	} {
		client, server := net.Pipe() // it has no buffer: what nobody reads blocks
		j := newJournal()
		e := NewEngine()
		e.Start(server, j, Options{Write: 100 * time.Millisecond, Connect: 20 * time.Second})
		p := &peer{t: t, conn: client, j: j, in: NewChunkReader(client, nil)}
		if c.send == nil {
			p.handshake()
			p.command(0, "connect", 1, Object{{"app", "live"}})
		} else {
			p.send(c.send)
		}
		began := time.Now()
		if err := j.reason(t); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("%s: ended with %v", c.name, err)
		}
		if d := time.Since(began); d > 2*time.Second {
			t.Errorf("%s: took %v", c.name, d)
		}
		_ = client.Close()
		e.Close()
	}
}

// TestDeadlines lets a peer fall silent, or nearly so, in each phase.
func TestDeadlines(t *testing.T) {
	t.Parallel()
	const short, long = 150 * time.Millisecond, 20 * time.Second
	patient := Options{Handshake: long, Connect: long, Publish: long, FirstMedia: long, Idle: long}
	hello := append([]byte{3}, clientHello(0)...)
	ping := wire("02 000000 000006 04 00000000 0006 00000001")
	for _, c := range []struct {
		name    string
		set     func(o *Options)
		begin   func(p *peer)
		dribble []byte // sent byte by byte after begin
	}{
		{"silent from the start", func(o *Options) { o.Handshake = short }, func(*peer) {}, nil},
		{"half a handshake", func(o *Options) { o.Handshake = short }, func(p *peer) { p.send(hello[:1000]) }, nil},
		{"no C2", func(o *Options) { o.Handshake = short }, func(p *peer) { p.send(hello) }, nil},
		{"a slow handshake", func(o *Options) { o.Handshake = short }, func(*peer) {}, hello},
		{"no connect", func(o *Options) { o.Connect = short }, (*peer).handshake, nil},
		{"pings but no connect", func(o *Options) { o.Connect = short }, (*peer).handshake, bytes.Repeat(ping, 100)},
		{"no publish", func(o *Options) { o.Publish = short }, (*peer).connected, nil},
		{"pings but no publish", func(o *Options) { o.Publish = short }, (*peer).connected, bytes.Repeat(ping, 100)},
		{"no media", func(o *Options) { o.FirstMedia = short }, (*peer).publishing, nil},
		{"no more media", func(o *Options) { o.Idle = short }, (*peer).sendingMedia, nil},
		{"a frame that does not end", func(o *Options) { o.Idle = short }, (*peer).sendingMedia, appendChunks(nil, 6, typeVideo, 1, 0, make([]byte, 100_000), 128)},
		{"pings but no media", func(o *Options) { o.Idle = short }, (*peer).sendingMedia, bytes.Repeat(ping, 100)},
		{"unpublished for good", func(o *Options) { o.Publish = 2 * short }, func(p *peer) {
			p.publishing()
			p.command(0, "FCUnpublish", 5, nil, "x")
		}, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			o := patient
			c.set(&o)
			j := newJournal()
			p := newPeer(t, j, o)
			c.begin(p)
			began := time.Now()
			go func() {
				for i := range c.dribble {
					if _, err := p.conn.Write(c.dribble[i : i+1]); err != nil {
						return
					}
					time.Sleep(5 * time.Millisecond)
				}
			}()
			if err := j.reason(t); !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("ended with %v", err)
			}
			if d := time.Since(began); d > 3*time.Second {
				t.Errorf("took %v", d)
			}
		})
	}
}

func (p *peer) sendingMedia() {
	p.publishing()
	p.message(6, typeVideo, 1, 0, []byte("video"))
	p.media(1)
}

// TestIdleIsPutOff sends media for longer than the idle time.
func TestIdleIsPutOff(t *testing.T) {
	t.Parallel()
	j := newJournal()
	p := newPeer(t, j, Options{Idle: 1500 * time.Millisecond})
	p.publishing()
	for i := range 24 {
		p.message(6, typeAudio, 1, uint32(i), []byte("audio"))
		time.Sleep(100 * time.Millisecond)
	}
	p.media(24)
}

// TestResetEverywhere breaks the connection in each phase; the name is free at
// once, and nothing is left (TestMain looks).
func TestResetEverywhere(t *testing.T) {
	t.Parallel()
	hello := append([]byte{3}, clientHello(0)...)
	for i, begin := range []func(p *peer){
		func(*peer) {},
		func(p *peer) { p.send(hello[:700]) },
		func(p *peer) { p.send(hello) },
		(*peer).handshake,
		func(p *peer) { p.handshake(); p.send("03 000000 0000") },
		(*peer).connected,
		func(p *peer) { p.connected(); p.command(0, "createStream", 2, nil) },
		func(p *peer) { p.connected(); p.command(1, "publish", 2, nil, "x") },
		(*peer).publishing,
		(*peer).sendingMedia,
		func(p *peer) { p.sendingMedia(); p.send("06 000001 010000 09 01000000", make([]byte, 128), "c6 00") },
		func(p *peer) { p.sendingMedia(); p.command(0, "FCUnpublish", 5, nil, "x") },
		func(p *peer) { p.sendingMedia(); p.command(0, "deleteStream", 5, nil, 1) },
	} {
		for _, reset := range []bool{true, false} {
			j := newJournal()
			p := newPeer(t, j, Options{})
			begin(p)
			if reset {
				_ = p.conn.(*net.TCPConn).SetLinger(0)
			}
			_ = p.conn.Close()
			if err := j.reason(t); err == nil || errors.Is(err, os.ErrDeadlineExceeded) || errors.Is(err, ErrProtocol) {
				t.Errorf("phase %d: ended with %v", i, err)
			}
		}
	}
}

// TestRetryAfterStall checks that a read deadline that passed while the process
// stood still does not end a publisher whose bytes are there.
func TestRetryAfterStall(t *testing.T) {
	stall := &stallConn{loopConn: loopConn{looper: looper{b: appendChunks(nil, 6, typeVideo, 1, 0, []byte("video"), 128)}}}
	h := &counter{}
	g := newGuard(stall, h, Options{Idle: time.Second}.withDefaults())
	g.publish.active, g.publish.stream = true, 1
	for stall.reads = 0; stall.reads < 20; {
		if err := g.step(); err != nil {
			t.Fatalf("after %d reads: %v", stall.reads, err)
		}
	}
	stall.always = true
	for range 10_000 {
		if err := g.step(); err != nil {
			if !errors.Is(err, os.ErrDeadlineExceeded) {
				t.Errorf("ended with %v", err)
			}
			return
		}
	}
	t.Error("a peer that is silent stays for ever")
}

// stallConn times out on every other read, or on all.
type stallConn struct {
	loopConn
	reads  int
	always bool
}

func (c *stallConn) Read(p []byte) (int, error) {
	c.reads++
	if c.always || c.reads%2 == 1 {
		return 0, os.ErrDeadlineExceeded
	}
	return c.loopConn.Read(p[:min(len(p), 17)])
}

// TestControlIsCheap sends the smallest messages in the smallest chunks.
func TestControlIsCheap(t *testing.T) {
	t.Parallel()
	p := newSession(t, newJournal())
	p.publish("live", "x")
	p.message(2, typeWindowAckSize, 0, 0, binary.BigEndian.AppendUint32(nil, 0))
	p.message(2, typeSetChunkSize, 0, 0, binary.BigEndian.AppendUint32(nil, 1))
	b := appendChunks(nil, 6, typeVideo, 1, 0, make([]byte, 4<<20), 1)
	go func() {
		_, _ = p.conn.Write(b)
		_, _ = p.conn.Write(appendChunks(nil, 3, typeCommand, 0, 0, AppendAMF(nil, "end", 9, nil), 1))
	}()
	began := time.Now()
	for n := 0; ; n++ {
		m, err := p.in.ReadMessage()
		if err != nil {
			t.Fatal(err)
		}
		if m.Type == typeCommand {
			break
		}
		if n > len(b)/(64<<10) {
			t.Fatalf("more acknowledgements than one each 64 KB")
		}
	}
	if d := time.Since(began); d > 5*time.Second {
		t.Errorf("8 MB took %v", d)
	}
}

var _ io.Reader = (*stallConn)(nil)
