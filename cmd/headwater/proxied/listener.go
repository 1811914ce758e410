package proxied

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"headwater/origin/peer"
)

const (
	// headerTime is how long a proxy has for its header, which it sends before
	// anything else.
	headerTime = 5 * time.Second
	// maxSilent bounds the connections that wait for their headers.
	maxSilent = 256
	// patience is how long the accepting waits where there are that many: in a
	// burst headers come at once. In vain it waits once a second at most, and
	// refuses what is too much, so that a proxy that says nothing holds nobody else
	// up.
	patience = 100 * time.Millisecond
	// MaxPending bounds the descriptors that a Listener holds beside those that
	// Accept has returned.
	MaxPending = 2 * maxSilent
	// logEvery keeps a flood from filling the log.
	logEvery = 10 * time.Second
)

// Conn is an accepted connection. It embeds the concrete type, so that
// net.Buffers still finds writev behind it and io.Copy sendfile.
type Conn struct {
	*net.TCPConn
	client net.Addr // whom a proxy has named; nil: nobody is in between
}

// RemoteAddr returns the client's address.
func (c *Conn) RemoteAddr() net.Addr {
	if c.client != nil {
		return c.client
	}
	return c.TCPConn.RemoteAddr()
}

// TCP returns the connection itself, of which nothing but the header has been read.
func (c *Conn) TCP() *net.TCPConn { return c.TCPConn }

// Listener is a listener that knows its proxies. Accept never waits for a header.
type Listener struct {
	// fixed after New
	*net.TCPListener
	from    []netip.Prefix
	log     *slog.Logger
	results chan result
	slots   chan struct{} // holds one for each connection of a proxy that Accept has not returned
	silent  chan struct{} // and one for each whose header is not there yet
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	inVain time.Time // of the last wait for a place; owned by run

	refused atomic.Uint64

	mu     sync.Mutex
	logged time.Time // guarded by mu; when the last refusal was
}

type result struct {
	conn *Conn
	err  error
}

// New returns a listener on l, which it owns from then on. Connections from the
// addresses of from must begin with a PROXY header. Without any there is none.
func New(l *net.TCPListener, from []netip.Prefix, log *slog.Logger) *Listener {
	p := &Listener{
		TCPListener: l,
		from:        from,
		log:         log,
		results:     make(chan result),
		slots:       make(chan struct{}, MaxPending),
		silent:      make(chan struct{}, maxSilent),
	}
	p.ctx, p.cancel = context.WithCancel(context.Background())
	if len(from) > 0 {
		p.running.Go(p.run)
	}
	return p
}

// Refused returns how many connections of proxies were closed for want of a
// header.
func (l *Listener) Refused() uint64 { return l.refused.Load() }

// Accept returns the next connection whose client is known. Its type is *Conn.
func (l *Listener) Accept() (net.Conn, error) {
	c, err := l.AcceptConn()
	if err != nil {
		return nil, err
	}
	return c, nil
}

// AcceptConn is Accept with the type said.
func (l *Listener) AcceptConn() (*Conn, error) {
	if len(l.from) == 0 {
		conn, err := l.AcceptTCP()
		return &Conn{TCPConn: conn}, err
	}
	select {
	case r := <-l.results:
		return r.conn, r.err
	case <-l.ctx.Done():
		return nil, net.ErrClosed
	}
}

// stopTime is how long Stop waits for headers.
const stopTime = time.Second

// Stop stops listening, and returns when Accept has returned what was accepted, as
// long as somebody calls it; headers that are not there a second later are waited for
// no more. Close has to follow.
func (l *Listener) Stop() {
	_ = l.TCPListener.Close()
	done := make(chan struct{})
	go func() {
		l.running.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-l.ctx.Done():
	case <-time.After(stopTime):
	}
}

// Close stops listening and drops the connections that Accept has not returned.
func (l *Listener) Close() error {
	l.cancel()
	err := l.TCPListener.Close()
	l.running.Wait()
	return err
}

// run accepts until the listener is closed. An error is passed on, and the
// next Accept tries again.
func (l *Listener) run() {
	for {
		conn, err := l.AcceptTCP()
		switch {
		case errors.Is(err, net.ErrClosed):
			return
		case err != nil:
			l.pass(result{err: err})
		case !peer.Among(l.from, peer.Of(conn)):
			l.pass(result{conn: &Conn{TCPConn: conn}})
		default:
			l.receive(conn)
		}
	}
}

// pass gives a result to Accept, or drops it when the listener is closed.
func (l *Listener) pass(r result) {
	select {
	case l.results <- r:
	case <-l.ctx.Done():
		if r.conn != nil {
			_ = r.conn.Close()
		}
	}
}

// receive lets a connection of a proxy in once its header is there. It waits
// only for an Accept that is behind.
func (l *Listener) receive(conn *net.TCPConn) {
	if !l.place() {
		l.refuse(conn, errors.New("too many connections without a header yet"))
		return
	}
	select {
	case l.slots <- struct{}{}:
	case <-l.ctx.Done():
		<-l.silent
		_ = conn.Close()
		return
	}
	l.running.Go(func() {
		defer func() { <-l.slots }()
		client, err := l.client(conn)
		<-l.silent
		if err != nil {
			l.refuse(conn, err)
			return
		}
		l.pass(result{conn: &Conn{TCPConn: conn, client: client}})
	})
}

// place takes a place among the silent, if there is one soon.
func (l *Listener) place() bool {
	select {
	case l.silent <- struct{}{}:
		return true
	default:
	}
	if time.Since(l.inVain) < time.Second {
		return false
	}
	t := time.NewTimer(patience)
	defer t.Stop()
	select {
	case l.silent <- struct{}{}:
		return true
	case <-l.ctx.Done():
	case <-t.C:
		l.inVain = time.Now()
	}
	return false
}

// client reads the header and returns whom it names; nil is the proxy itself.
func (l *Listener) client(conn *net.TCPConn) (net.Addr, error) {
	if err := conn.SetReadDeadline(time.Now().Add(headerTime)); err != nil {
		return nil, err
	}
	stop := context.AfterFunc(l.ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	client, ok, err := readHeader(conn)
	if err != nil {
		return nil, err
	}
	if err := conn.SetReadDeadline(time.Time{}); err != nil {
		return nil, err
	}
	if !ok || !believed(peer.Of(conn), client.Addr()) {
		return nil, nil
	}
	return net.TCPAddrFromAddrPort(client), nil
}

// believed reports whether a client is where its proxy says. Loopback is somebody
// on the proxy's machine, who is nobody on this one.
func believed(proxy, client netip.Addr) bool {
	return !client.IsLoopback() || proxy.IsLoopback()
}

// refuse closes a connection, and says so now and then. One that ends before it
// has said anything is how a load balancer sees that this end is alive.
func (l *Listener) refuse(conn *net.TCPConn, why error) {
	defer func() { _ = conn.Close() }()
	if errors.Is(why, io.EOF) || l.ctx.Err() != nil {
		return
	}
	n, now := l.refused.Add(1), time.Now()
	l.mu.Lock()
	due := now.Sub(l.logged) >= logEvery
	if due {
		l.logged = now
	}
	l.mu.Unlock()
	if due {
		l.log.Warn("connection of a proxy refused", "proxy", conn.RemoteAddr().String(), "reason", why.Error(), "total", n)
	}
}
