package ingest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"headwater/ingest/rate"
	"headwater/ingest/rtmp"
	"headwater/ingest/turns"
	"headwater/remux"
	"headwater/remux/fanout"
)

// ErrServerClosed is what Serve returns after Shutdown; it is net.ErrClosed.
var ErrServerClosed = net.ErrClosed

// Server takes in publishers over RTMP, and serves players.
type Server struct {
	// fixed after New
	config    Config
	limits    atomic.Pointer[Config] // config, or what SetLimits was given
	engine    *rtmp.Engine
	publish   func(remux.Name, remux.Claim) (sink, error)
	pingEvery time.Duration   // pingInterval, but in tests that have no time
	ctx       context.Context // of Authorize and of what players do; done at Shutdown
	cancel    context.CancelFunc
	stats     counters
	quiet     quiet
	running   sync.WaitGroup // sessions
	players   atomic.Int64   // sessions that play, or are about to
	holding   atomic.Int64   // those that wait for their stream
	vias      vias
	fanout    *fanout.Fanout // of players
	turns     *turns.Clock   // nil: publishers are read whenever something comes

	mu        sync.Mutex
	closed    bool
	listeners map[net.Listener]struct{}
	sessions  map[*session]struct{}
	addresses map[netip.Prefix]int
	rates     rate.Limit
	lastID    uint64
}

// New returns a server that publishes to c.Registry.
func New(c Config) (*Server, error) {
	c, err := c.withDefaults()
	if err != nil {
		return nil, err
	}
	s := &Server{
		config:    c,
		engine:    rtmp.NewEngine(),
		listeners: map[net.Listener]struct{}{},
		sessions:  map[*session]struct{}{},
		addresses: map[netip.Prefix]int{},
		pingEvery: pingInterval,
		rates:     rate.Limit{PerSecond: float64(c.MaxRatePerAddress)},
	}
	s.stats.total.Refused = map[string]uint64{}
	s.stats.total.PlayRefused = map[string]uint64{}
	s.stats.total.Ended = map[Reason]uint64{}
	s.limits.Store(&s.config)
	s.ctx, s.cancel = context.WithCancel(context.Background())
	s.fanout = fanout.New(fanout.Config{Gather: c.PlayGather, Stall: cmp.Or(c.WriteTimeout, rtmp.DefaultOptions().Write), Logger: c.Logger})
	if c.ReadGather > 0 {
		s.turns = turns.New(c.ReadGather)
	}
	s.publish = func(n remux.Name, claim remux.Claim) (sink, error) {
		p, err := c.Registry.Publish(n, claim)
		if err != nil {
			return nil, err
		}
		return p, nil
	}
	return s, nil
}

// Serve accepts connections from l until Shutdown or until l breaks. It may be
// called with several listeners, and closes each when it returns.
func (s *Server) Serve(l net.Listener) error {
	if !s.track(l) {
		_ = l.Close()
		return ErrServerClosed
	}
	defer s.untrack(l)
	var wait backoff
	for {
		conn, err := l.Accept()
		if err == nil {
			wait.reset()
			s.start(conn)
			continue
		}
		if s.isClosed() {
			return ErrServerClosed
		}
		if !temporary(err) {
			return fmt.Errorf("accept: %w", err)
		}
		s.stats.count(func(st *Stats) { st.AcceptErrors++ })
		s.warn("accept", "cannot accept", "error", err, "retry", wait.next())
		if !wait.sleep(s.ctx) {
			return ErrServerClosed
		}
	}
}

func (s *Server) track(l net.Listener) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	s.listeners[l] = struct{}{}
	return true
}

func (s *Server) isClosed() bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.closed
}

func (s *Server) untrack(l net.Listener) {
	_ = l.Close()
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.listeners, l)
}

// start begins a session unless the limits forbid it.
func (s *Server) start(conn net.Conn) {
	ses, over := s.admit(conn)
	if ses == nil {
		_ = conn.Close()
		if over != "" {
			s.warn(over, "connection refused", "remote", conn.RemoteAddr().String(), "reason", over)
		}
		return
	}
	conn, ses.turns = inTurns(conn, s.turns)
	watchPeer(conn)
	ses.rtmp = s.engine.Start(conn, ses, s.limits.Load().options())
	close(ses.begun)
}

// admit counts a connection, or says which limit it is over; after Shutdown,
// none.
func (s *Server) admit(conn net.Conn) (ses *session, over string) {
	remote := addrPort(conn.RemoteAddr())
	key, counted := addressKey(remote.Addr())
	s.mu.Lock()
	defer s.mu.Unlock()
	s.stats.count(func(st *Stats) { st.Accepted++ })
	limit := s.limits.Load().MaxConnectionsPerAddress
	switch {
	case s.closed:
		return nil, ""
	case len(s.sessions) >= s.limits.Load().MaxConnections:
		s.stats.count(func(st *Stats) { st.OverLimit++ })
		return nil, "max_connections"
	case counted && limit > 0 && s.addresses[key] >= limit:
		s.stats.count(func(st *Stats) { st.OverAddress++ })
		return nil, "max_connections_per_address"
	case counted && !s.rates.Allow(key, time.Now()):
		s.stats.count(func(st *Stats) { st.OverRate++ })
		return nil, "max_rate_per_address"
	}
	s.lastID++
	_, secure := conn.(*tlsConn)
	ses = &session{server: s, id: s.lastID, remote: remote, secure: secure, begun: make(chan struct{})}
	s.sessions[ses] = struct{}{}
	s.addresses[key]++
	s.running.Add(1)
	return ses, ""
}

// forget removes a session whose connection is closed.
func (s *Server) forget(ses *session, why Reason, err error) {
	s.stats.count(func(st *Stats) { st.Ended[why]++ })
	s.logEnd(ses, why, err)
	key, _ := addressKey(ses.remote.Addr())
	s.mu.Lock()
	delete(s.sessions, ses)
	if s.addresses[key]--; s.addresses[key] == 0 {
		delete(s.addresses, key)
	}
	s.mu.Unlock()
	s.running.Done()
}

// logEnd says what became of a connection. What publishers do is in the log
// already; the rest of the internet is of interest to who looks for it.
func (s *Server) logEnd(ses *session, why Reason, err error) {
	if p, ok := errors.AsType[*rtmp.PanicError](err); ok {
		s.config.Logger.Error("session panicked", "session", ses.id, "error", p.Error(), "stack", string(p.Stack))
		return
	}
	s.config.Logger.Debug("connection ended", "session", ses.id, "remote", ses.remote.String(), "reason", why, "error", err)
}

// Shutdown stops accepting, tells publishers that the server closes, lets players
// have what is there, and waits until all connections have ended and the streams
// have been given back. If ctx is done first it returns its error, and the rest goes
// on by itself.
func (s *Server) Shutdown(ctx context.Context) error {
	s.mu.Lock()
	s.closed = true
	for l := range s.listeners {
		_ = l.Close()
	}
	all := make([]*session, 0, len(s.sessions))
	for ses := range s.sessions {
		all = append(all, ses)
	}
	s.mu.Unlock()
	s.engine.Close()
	for _, ses := range all {
		if !ses.playing.Load() {
			ses.stop(errShutdown)
		}
	}
	s.cancel() // after Stop, so that an Authorize that gives up refuses nobody
	done := make(chan struct{})
	go func() {
		s.running.Wait()
		s.fanout.Close()
		close(done)
	}()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}
