package rtmp

import (
	"io"
	"net"
	"sync"

	"github.com/sirupsen/logrus"
	gortmp "github.com/yutopp/go-rtmp"
)

// Engine runs sessions.
type Engine struct {
	server *gortmp.Server
	feed   *feed
	all    assembly
	done   chan struct{}
}

// NewEngine returns an engine that waits for connections. It is closed with
// Close.
func NewEngine() *Engine {
	e := &Engine{feed: newFeed(), done: make(chan struct{})}
	e.all.limit = maxAssembly
	config := sessionConfig()
	e.server = gortmp.NewServer(&gortmp.ServerConfig{
		OnConnect: func(conn net.Conn) (io.ReadWriteCloser, *gortmp.ConnConfig) {
			g := conn.(feedConn).guard
			g.open()
			c := config
			c.Handler = &events{g: g}
			return g, &c
		},
	})
	go func() {
		defer close(e.done)
		_ = e.server.Serve(e.feed)
	}()
	return e
}

// sessionConfig returns what the sessions of go-rtmp have in common. No reply
// is longer than the write buffer, so that each comes as one Write.
func sessionConfig() gortmp.ConnConfig {
	quiet := logrus.New()
	quiet.SetOutput(io.Discard)
	quiet.SetLevel(logrus.PanicLevel)
	return gortmp.ConnConfig{
		SkipHandshakeVerification: true,
		ReaderBufferSize:          4 << 10,
		WriterBufferSize:          4 << 10,
		ControlState: gortmp.StreamControlStateConfig{
			DefaultChunkSize:           innerChunkSize,
			MaxChunkStreams:            8,
			MaxMessageStreams:          maxMessageStreams + 2, // the control stream and the peer's stream 0
			DefaultAckWindowSize:       ackWindow,
			DefaultBandwidthWindowSize: ackWindow,
		},
		Logger: quiet,
		RPreset: &gortmp.DefaultResponsePreset{
			ServerConnectResultProperties: serverProperties,
		},
	}
}

// Start runs a session on conn and returns at once. The session closes conn and
// then calls h.Closed, also if the engine is closed already.
func (e *Engine) Start(conn net.Conn, h Handler, o Options) *Session {
	g := newGuard(conn, h, o.withDefaults())
	g.in.all = &e.all
	if !e.feed.put(feedConn{conn, g}) {
		g.end(net.ErrClosed)
		_ = g.Close()
	}
	return &Session{g}
}

// Close stops the engine from starting sessions; those that run go on.
func (e *Engine) Close() {
	_ = e.server.Close()
	_ = e.feed.Close() // the server may not have got to know it yet
	<-e.done
}

// Session is a running session as others see it.
type Session struct{ g *guard }

// Stop ends the session from another goroutine. The peer is told why, and
// Handler.Closed gets err. Stop does not wait.
func (s *Session) Stop(err error, why Status) { s.g.stop(err, why) }

// Ignored returns how many messages have been dropped so far: those of unknown
// types, media where none belongs, script data that makes no sense.
func (s *Session) Ignored() uint64 { return s.g.ignored.Load() }

// feed is a net.Listener whose connections are put into it.
type feed struct {
	conns chan feedConn
	done  chan struct{}
	once  sync.Once
}

type feedConn struct {
	net.Conn
	guard *guard
}

func newFeed() *feed {
	return &feed{conns: make(chan feedConn), done: make(chan struct{})}
}

func (f *feed) put(c feedConn) bool {
	select {
	case f.conns <- c:
		return true
	case <-f.done:
		return false
	}
}

func (f *feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.conns:
		return c, nil
	case <-f.done:
		return nil, net.ErrClosed
	}
}

func (f *feed) Close() error {
	f.once.Do(func() { close(f.done) })
	return nil
}

func (f *feed) Addr() net.Addr { return &net.TCPAddr{} }
