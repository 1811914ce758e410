package http1

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"runtime/debug"
	"sync/atomic"
	"syscall"
	"time"
)

// States of a connection, which Shutdown asks for.
const (
	fresh  = iota // has asked nothing yet
	idle          // waits for the next request
	active        // is being answered
	closed        // by Shutdown
)

// conn is a connection and its loop.
type conn struct {
	socket
	listener *listener
	server   *Server
	raw      syscall.RawConn
	remote   string
	began    time.Time
	state    atomic.Int32

	// of the loop
	room     [maxHead]byte
	have     int       // bytes in room
	renewed  time.Time // when the read deadline was set
	head     head
	response response
	sending  sending
	ctx      *requestContext // of the request that is being answered
	taken    bool            // by the handler
}

func newConn(l *listener, s socket, raw syscall.RawConn) *conn {
	c := &conn{socket: s, listener: l, server: l.server, raw: raw, remote: s.RemoteAddr().String(), began: time.Now()}
	c.head.fields = make(http.Header, 16)
	c.response.header = make(http.Header, 16)
	c.response.conn = c
	c.sending.try = c.sending.attempt
	l.server.add(c)
	return c
}

// serve runs the loop until the connection is closed, taken over by the handler, or
// left to net/http.
func (c *conn) serve() {
	defer c.server.remove(c)
	defer c.survive()
	c.mayWait(c.began, c.server.HTTP.ReadHeaderTimeout)
	for {
		size, err := c.receive()
		if err != nil {
			_ = c.Close()
			return
		}
		if size == 0 || !c.head.parse(string(c.room[:size])) {
			c.leave()
			return
		}
		again := c.answer(size)
		if c.taken {
			return
		}
		if !again {
			_ = c.Close()
			return
		}
	}
}

// receive waits for a request and returns the size of its head; 0 if it is not one
// for the loop.
func (c *conn) receive() (size int, err error) {
	for c.have == 0 {
		n, err := c.Read(c.room[:])
		if err != nil {
			return 0, err
		}
		c.have = n
	}
	if !c.state.CompareAndSwap(idle, active) && !c.state.CompareAndSwap(fresh, active) {
		return 0, net.ErrClosed
	}
	return headSize(c.room[:c.have]), nil
}

// leave gives the connection to net/http, with what was read of it.
func (c *conn) leave() {
	_ = c.SetReadDeadline(time.Time{})
	c.listener.leave(&resumed{socket: c.socket, read: bytes.Clone(c.room[:c.have])})
}

// answer has the request answered and reports whether there may be another.
func (c *conn) answer(size int) (again bool) {
	now := time.Now()
	ctx := &requestContext{Context: context.Background(), conn: c}
	c.ctx = ctx
	r := (&http.Request{
		Method:     c.head.method,
		URL:        &url.URL{Path: c.head.path, RawQuery: c.head.query},
		Proto:      "HTTP/1.1",
		ProtoMajor: 1,
		ProtoMinor: 1,
		Header:     c.head.fields,
		Body:       http.NoBody,
		Host:       c.head.host,
		RemoteAddr: c.remote,
		RequestURI: c.head.target,
	}).WithContext(ctx)
	// What follows is the next request's.
	c.have = copy(c.room[:], c.room[size:c.have])
	w := &c.response
	w.reset(c.head.method == http.MethodHead, c.head.last)
	c.server.HTTP.Handler.ServeHTTP(w, r)
	ctx.end()
	if c.taken || !w.finish() {
		return false
	}
	c.state.Store(idle)
	if wait := c.server.HTTP.IdleTimeout; now.Sub(c.renewed) > wait/8 {
		c.renewed = now
		c.mayWait(now, wait)
	}
	return true
}

// mayWait bounds how long a request may be waited for; 0 is for ever.
func (c *conn) mayWait(from time.Time, d time.Duration) {
	deadline := from.Add(d)
	if d == 0 {
		deadline = time.Time{}
	}
	_ = c.SetReadDeadline(deadline)
}

// survive is to be deferred: a panic ends the connection alone.
func (c *conn) survive() {
	p := recover()
	if p == nil {
		return
	}
	err, _ := p.(error)
	if log := c.server.HTTP.ErrorLog; log != nil && !errors.Is(err, http.ErrAbortHandler) {
		log.Printf("http: panic serving %s: %v\n%s", c.remote, p, debug.Stack())
	}
	if c.ctx != nil {
		c.ctx.end()
	}
	_ = c.Close()
}

// resumed is a connection of which something was read already.
type resumed struct {
	socket
	read []byte
}

// Read implements net.Conn.
func (c *resumed) Read(b []byte) (int, error) {
	if len(c.read) == 0 {
		return c.socket.Read(b)
	}
	n := copy(b, c.read)
	if c.read = c.read[n:]; len(c.read) == 0 {
		c.read = nil
	}
	return n, nil
}

// hijack gives the connection to the handler.
func (c *conn) hijack() (net.Conn, *bufio.ReadWriter) {
	c.taken = true
	_ = c.SetDeadline(time.Time{})
	var from io.Reader = c.socket
	if c.have > 0 {
		from = io.MultiReader(bytes.NewReader(bytes.Clone(c.room[:c.have])), c.socket)
	}
	return c.socket, bufio.NewReadWriter(bufio.NewReader(from), bufio.NewWriter(c.socket))
}
