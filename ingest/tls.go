package ingest

import (
	"crypto/tls"
	"fmt"
	"net"
	"sync"
	"time"

	"headwater/ingest/turns"
)

// tlsTime is how long a peer has for the TLS handshake, within HandshakeTimeout.
const tlsTime = 5 * time.Second

// ServeTLS is Serve for RTMPS: RTMP inside TLS. c holds or gets the certificate.
func (s *Server) ServeTLS(l net.Listener, c *tls.Config) error {
	return s.Serve(&tlsListener{l, c, s.turns})
}

type tlsListener struct {
	net.Listener
	config *tls.Config
	turns  *turns.Clock
}

func (l *tlsListener) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	t := &tlsConn{}
	conn, t.turns = inTurns(conn, l.turns)
	t.Conn = tls.Server(conn, l.config)
	return t, nil
}

// tlsConn does the handshake when it is first read from, and so on the session's
// own goroutine, after the session has been counted. An RTMP client speaks first.
type tlsConn struct {
	*tls.Conn
	turns *turns.Conn // underneath; may be nil
	once  sync.Once
	err   error
}

func (c *tlsConn) Read(p []byte) (int, error) {
	c.once.Do(c.greet)
	if c.err != nil {
		return 0, c.err
	}
	return c.Conn.Read(p)
}

func (c *tlsConn) greet() {
	late := time.AfterFunc(tlsTime, func() { _ = c.NetConn().SetDeadline(time.Unix(1, 0)) })
	defer late.Stop()
	if err := c.Handshake(); err != nil {
		c.err = &tlsError{err}
	}
}

// tlsError says that a peer did not speak TLS, or none that is taken.
type tlsError struct{ err error }

func (e *tlsError) Error() string { return fmt.Sprintf("TLS handshake: %v", e.err) }
func (e *tlsError) Unwrap() error { return e.err }
