package http1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/scripts/lib/rig"

	"golang.org/x/sys/unix"
)

// counting is a listener that knows whether a connection went to net/http.
type counting struct {
	*Server
	address  string
	leftOver atomic.Int32
	complain rig.Log
}

func start(t *testing.T, handler http.HandlerFunc) *counting {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &counting{address: l.Addr().String()}
	s.Server = &Server{HTTP: &http.Server{
		Handler:           handler,
		ReadHeaderTimeout: 2 * time.Second,
		IdleTimeout:       time.Minute,
		ErrorLog:          log.New(&s.complain, "", 0),
		ConnState: func(_ net.Conn, state http.ConnState) {
			if state == http.StateNew {
				s.leftOver.Add(1)
			}
		},
	}}
	ended := make(chan error, 1)
	go func() { ended <- s.Serve(l) }()
	t.Cleanup(func() {
		_ = s.Close()
		if err := <-ended; !errors.Is(err, http.ErrServerClosed) {
			t.Errorf("Serve returned %v", err)
		}
	})
	return s
}

type client struct {
	t *testing.T
	net.Conn
	*bufio.Reader
}

func dial(t *testing.T, address string) *client {
	t.Helper()
	c, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	_ = c.SetDeadline(time.Now().Add(20 * time.Second))
	return &client{t, c, bufio.NewReader(c)}
}

func (c *client) Read(b []byte) (int, error) { return c.Reader.Read(b) }

func (c *client) send(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c.Conn, text); err != nil {
		c.t.Fatal(err)
	}
}

func (c *client) answer(method string) (*http.Response, string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
	if err != nil {
		c.t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		c.t.Fatal(err)
	}
	return r, string(body)
}

// echo answers with what it was asked, as the odd paths say.
func echo(w http.ResponseWriter, r *http.Request) {
	w.Header()["X-Own"] = []string{"one", "two"}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	switch r.URL.Path {
	case "/nothing":
		w.WriteHeader(http.StatusNoContent)
		return
	case "/known":
		w.Header().Set("Etag", `"x"`)
		w.WriteHeader(http.StatusNotModified)
		return
	case "/missing":
		w.WriteHeader(http.StatusNotFound)
	case "/served":
		http.ServeContent(w, r, "", time.Unix(1e9, 0), strings.NewReader(strings.Repeat("0123456789", 10_000)))
		return
	}
	h := r.Header.Clone()
	body := fmt.Sprintf("%s %s?%s (%s) of %s: %v, %q\n", r.Method, r.URL.Path, r.URL.RawQuery, r.URL.RawPath, r.Host, h, r.RequestURI)
	if r.URL.Path == "/sized" {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	}
	if r.Method != http.MethodHead {
		_, _ = io.WriteString(w, body)
	}
}

// TestLikeNetHTTP sends the same bytes to the loop and to net/http alone.
func TestLikeNetHTTP(t *testing.T) {
	s := start(t, echo)
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	alone := &http.Server{Handler: http.HandlerFunc(echo), ErrorLog: log.New(io.Discard, "", 0)}
	go func() { _ = alone.Serve(l) }()
	defer func() { _ = alone.Close() }()
	const host = "Host: example.net:8080\r\n"
	for _, c := range []struct {
		text string
		loop bool // it is for the loop
	}{
		{"GET / HTTP/1.1\r\n" + host + "\r\n", true},
		{"GET /live/a_b.m3u8?_HLS_msn=3&_HLS_part=1&token=%41%2f HTTP/1.1\r\n" + host + "accept-encoding: gzip\r\nuser-agent:   x \t\r\n\r\n", true},
		{"GET /sized HTTP/1.1\r\n" + host + "X-A: 1\r\nX-A: 2\r\nx-a: 3\r\nCookie: a=b; c=d\r\n\r\n", true},
		{"HEAD /sized HTTP/1.1\r\n" + host + "\r\n", true},
		{"HEAD / HTTP/1.1\r\n" + host + "\r\n", true},
		{"GET /nothing HTTP/1.1\r\n" + host + "\r\n", true},
		{"GET /known HTTP/1.1\r\n" + host + "\r\n", true},
		{"GET /missing HTTP/1.1\r\n" + host + "Connection: keep-alive\r\n\r\n", true},
		{"GET /missing HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", true},
		{"GET /served HTTP/1.1\r\n" + host + "\r\n", true},
		{"GET /served HTTP/1.1\r\n" + host + "Range: bytes=5-70000\r\n\r\n", true},
		{"GET /served HTTP/1.1\r\n" + host + "Range: bytes=900000-\r\n\r\n", true},
		{"GET /served HTTP/1.1\r\n" + host + "If-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n\r\n", true},
		{"HEAD /served HTTP/1.1\r\n" + host + "Range: bytes=5-10\r\n\r\n", true},
		{"GET /a?b?c=/../d HTTP/1.1\r\n" + host + "X-High: \xe4\r\n\r\n", true},
		{"GET /a/../b//c HTTP/1.1\r\n" + host + "X-Empty:\r\n\r\n", true},

		{"GET /%61 HTTP/1.1\r\n" + host + "\r\n", false},
		{"GET //a HTTP/1.1\r\n" + host + "\r\n", false},
		{"GET /a#b HTTP/1.1\r\n" + host + "\r\n", false},
		{"GET /a HTTP/1.0\r\n" + host + "\r\n", false},
		{"GET http://example.net/a HTTP/1.1\r\n" + host + "\r\n", false},
		{"GET /a HTTP/1.1\r\n\r\n", false},
		{"GET /a HTTP/1.1\r\n" + host + host + "\r\n", false},
		{"GET /a HTTP/1.1\r\nHost: a b\r\n\r\n", false},
		{"GET /a HTTP/1.1\r\n" + host + "Content-Length: 3\r\n\r\nabc", false},
		{"POST /a HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n", false},
		{"GET /a HTTP/1.1\r\n" + host + "X A: 1\r\n\r\n", false},
		{"GET /a HTTP/1.1\r\n" + host + "X-A : 1\r\n\r\n", false},
		{"GET /a HTTP/1.1\r\n" + host + " folded: 1\r\n\r\n", false},
		{"GET /a HTTP/1.1\r\n" + host + "X-A: 1\r\n folded\r\n\r\n", false},
		{"GET /a HTTP/1.1\r\n" + host + "X-A: \x01\r\n\r\n", false},
		{"GET /a HTTP/1.1\n" + "Host: x\n\n", false},
		{"GET /a  HTTP/1.1\r\n" + host + "\r\n", false},
		{"GET /a HTTP/1.2\r\n" + host + "\r\n", false},
		{"get /a HTTP/1.1\r\n" + host + "\r\n", false},
		{"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", false},
		{"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", false},
		{"GET /a HTTP/1.1\r\n" + host + "X-Long: " + strings.Repeat("x", 5000) + "\r\n\r\n", false},
		{"GET /a HTTP/1.1\r\n" + host + strings.Repeat("X-Many: x\r\n", maxFields+1) + "\r\n", false},
	} {
		before := s.leftOver.Load()
		got, want := exchange(t, s.address, c.text), exchange(t, l.Addr().String(), c.text)
		if got != want {
			t.Errorf("%q is answered\n%s\nand by net/http\n%s", c.text, got, want)
		}
		if loop := s.leftOver.Load() == before; loop != c.loop {
			t.Errorf("%q: answered by the loop is %v", c.text, loop)
		}
	}
}

// exchange returns an answer with its header in order, or how it failed.
func exchange(t *testing.T, address, text string) string {
	c := dial(t, address)
	defer func() { _ = c.Close() }()
	c.send(text)
	method, _, _ := strings.Cut(text, " ")
	r, err := http.ReadResponse(c.Reader, &http.Request{Method: method})
	if err != nil {
		return err.Error()
	}
	body, err := io.ReadAll(r.Body)
	if r.Header.Get("Date") == "" && r.StatusCode != http.StatusBadRequest {
		t.Errorf("%q is answered without a date", text)
	}
	r.Header.Del("Date")
	var b strings.Builder
	_ = r.Header.Write(&b)
	return fmt.Sprintf("%s %d %v %v %v\n%s%s", r.Status, r.ContentLength, r.TransferEncoding, r.Close, err, b.String(), body)
}

// TestRequestsInARow keeps a connection, and sends ahead.
func TestRequestsInARow(t *testing.T) {
	s := start(t, echo)
	c := dial(t, s.address)
	for i := range 50 {
		c.send(fmt.Sprintf("GET /sized?%d HTTP/1.1\r\nHost: x\r\n\r\n", i))
		if r, body := c.answer("GET"); r.StatusCode != 200 || !strings.Contains(body, fmt.Sprintf("?%d ", i)) {
			t.Fatalf("answer %d: %v %q", i, r.Status, body)
		}
	}
	var all strings.Builder
	for i := range 50 {
		fmt.Fprintf(&all, "GET /sized?%d HTTP/1.1\r\nHost: x\r\n\r\n", i)
	}
	all.WriteString("GET /last HTTP/1.1\r\nHost: x\r\nConn")
	c.send(all.String())
	time.Sleep(50 * time.Millisecond)
	c.send("ection: close\r\n\r\n") // in pieces: net/http goes on
	for i := range 50 {
		if _, body := c.answer("GET"); !strings.Contains(body, fmt.Sprintf("?%d ", i)) {
			t.Fatalf("answer %d: %q", i, body)
		}
	}
	if _, body := c.answer("GET"); !strings.HasPrefix(body, "GET /last") {
		t.Errorf("the last is answered %q", body)
	}
	if _, err := c.ReadByte(); err != io.EOF {
		t.Errorf("then %v", err)
	}
}

// TestClientLeaves ends a context that is waited for, and no other.
func TestClientLeaves(t *testing.T) {
	left, stay := make(chan error, 1), make(chan struct{})
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/wait":
			ctx, cancel := context.WithTimeout(r.Context(), 10*time.Second)
			defer cancel()
			<-ctx.Done()
			left <- r.Context().Err()
		case "/short":
			ctx, cancel := context.WithTimeout(r.Context(), time.Millisecond)
			defer cancel()
			<-ctx.Done()
			_, _ = fmt.Fprint(w, r.Context().Err())
			context.AfterFunc(r.Context(), func() { stay <- struct{}{} })
		}
	})
	c := dial(t, s.address)
	for range 3 { // what has waited can be used again
		c.send("GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
		if _, body := c.answer("GET"); body != "<nil>" {
			t.Fatalf("answered %q", body)
		}
		<-stay // done once the handler has returned
	}
	// A request sent ahead must not look like leaving.
	c.send("GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
	c.send("GET /short HTTP/1.1\r\nHost: x\r\n\r\n")
	for range 2 {
		if _, body := c.answer("GET"); body != "<nil>" {
			t.Fatalf("answered %q", body)
		}
		<-stay
	}
	c.send("GET /wait HTTP/1.1\r\nHost: x\r\n\r\n")
	time.Sleep(20 * time.Millisecond)
	select {
	case err := <-left:
		t.Fatalf("done with %v while the client is there", err)
	default:
	}
	_ = c.Close()
	select {
	case err := <-left:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the context says %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("nobody has noticed that the client left")
	}
	if n := s.leftOver.Load(); n != 0 {
		t.Errorf("%d connections went to net/http", n)
	}
}

// TestSlowReader takes a long body in small bites, sent from memory and from a file.
func TestSlowReader(t *testing.T) {
	t.Parallel()
	body := make([]byte, 8<<20)
	_, _ = rand.Read(body)
	file := memoryFile(t, body)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		if r.URL.Path == "/file" {
			_, _ = w.(FileSender).SendFile(file, len(body))
			return
		}
		_, _ = w.Write(body[:1])
		_, _ = w.Write(body[1:])
	})
	for _, path := range []string{"/file", "/memory"} {
		c := dial(t, s.address)
		_ = c.Conn.(*net.TCPConn).SetReadBuffer(16 << 10)
		for range 2 {
			c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
			time.Sleep(30 * time.Millisecond)
			if _, got := c.answer("GET"); got != string(body) {
				t.Errorf("%s: another body", path)
			}
		}
	}
}

func memoryFile(t *testing.T, body []byte) *os.File {
	t.Helper()
	fd, err := unix.MemfdCreate("test", unix.MFD_CLOEXEC)
	if err != nil {
		t.Fatal(err)
	}
	f := os.NewFile(uintptr(fd), "test")
	t.Cleanup(func() { _ = f.Close() })
	if _, err := f.Write(body); err != nil {
		t.Fatal(err)
	}
	return f
}

// TestNeverReading closes who takes nothing, at the handler's deadline.
func TestNeverReading(t *testing.T) {
	failed := make(chan error, 1)
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		body := make([]byte, 32<<20)
		w.Header().Set("Content-Length", strconv.Itoa(len(body)))
		_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(200 * time.Millisecond))
		_, err := w.Write(body)
		failed <- err
	})
	c := dial(t, s.address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	if err := <-failed; !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the handler is told %v", err)
	}
	if n, err := io.Copy(io.Discard, c); err == nil && n > 31<<20 {
		t.Errorf("all %d bytes came", n)
	}
}

// TestBrokenAnswers end the connection, not the server.
func TestBrokenAnswers(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/panic":
			panic("a fault")
		case "/abort":
			panic(http.ErrAbortHandler)
		case "/short":
			w.Header().Set("Content-Length", "10")
			_, _ = io.WriteString(w, "five!")
		case "/long":
			w.Header().Set("Content-Length", "3")
			if _, err := io.WriteString(w, "five!"); !errors.Is(err, http.ErrContentLength) {
				t.Errorf("too much: %v", err)
			}
		case "/lines":
			w.Header().Set("X-Lines", "a\r\nX-Evil: b")
		}
	})
	for _, path := range []string{"/panic", "/abort", "/short", "/long"} {
		c := dial(t, s.address)
		c.send("GET " + path + " HTTP/1.1\r\nHost: x\r\n\r\n")
		all, err := io.ReadAll(c)
		if err != nil {
			t.Errorf("%s: %v", path, err)
		}
		if path == "/short" != strings.HasSuffix(string(all), "five!") {
			t.Errorf("%s: %q", path, all)
		}
	}
	c := dial(t, s.address)
	c.send("GET /lines HTTP/1.1\r\nHost: x\r\n\r\n")
	if r, _ := c.answer("GET"); r.Header.Get("X-Evil") != "" || r.Header.Get("X-Lines") == "" {
		t.Errorf("lines in a value: %v", r.Header)
	}
	if text := s.complain.String(); !strings.Contains(text, "a fault") || !strings.Contains(text, "http1_test.go") || strings.Contains(text, "abort") {
		t.Errorf("the log says %q", text)
	}
}

// TestHijack hands over the connection with what came behind the request.
func TestHijack(t *testing.T) {
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		ctx, cancel := context.WithCancel(r.Context()) // somebody looks at the connection
		defer cancel()
		time.Sleep(10 * time.Millisecond)
		conn, rw, err := http.NewResponseController(w).Hijack()
		if err != nil || ctx.Err() != nil {
			t.Errorf("hijack: %v, context %v", err, ctx.Err())
			return
		}
		go func() {
			defer func() { _ = conn.Close() }()
			line, _ := rw.ReadString('\n')
			more, _ := rw.ReadString('\n')
			_, _ = io.WriteString(conn, line+more)
		}()
	})
	c := dial(t, s.address)
	c.send("GET / HTTP/1.1\r\nHost: x\r\n\r\nahead\n")
	time.Sleep(50 * time.Millisecond)
	c.send("later\n")
	if all, err := io.ReadAll(c); err != nil || string(all) != "ahead\nlater\n" {
		t.Errorf("got %q, %v", all, err)
	}
}

// TestShutdown waits for answers under way and closes who waits for nothing.
func TestShutdown(t *testing.T) {
	under, goOn := make(chan struct{}), make(chan struct{})
	s := start(t, func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" {
			close(under)
			<-goOn
		}
		_, _ = io.WriteString(w, "done")
	})
	resting, busy := dial(t, s.address), dial(t, s.address)
	resting.send("GET / HTTP/1.1\r\nHost: x\r\n\r\n")
	resting.answer("GET")
	busy.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-under
	ended := make(chan error, 1)
	go func() { ended <- s.Shutdown(t.Context()) }()
	if _, err := resting.ReadByte(); err != io.EOF {
		t.Errorf("an idle connection: %v", err)
	}
	select {
	case err := <-ended:
		t.Fatalf("ended with %v while an answer is under way", err)
	case <-time.After(50 * time.Millisecond):
	}
	close(goOn)
	if r, body := busy.answer("GET"); body != "done" || !r.Close {
		t.Errorf("the answer under way: %q, close %v", body, r.Close)
	}
	if err := <-ended; err != nil {
		t.Error(err)
	}
	if c, err := net.Dial("tcp", s.address); err == nil {
		_ = c.Close()
		t.Error("still listening")
	}
}

// TestShutdownInVain gives up when it is told to.
func TestShutdownInVain(t *testing.T) {
	under, goOn := make(chan struct{}), make(chan struct{})
	s := start(t, func(http.ResponseWriter, *http.Request) {
		close(under)
		<-goOn
	})
	defer close(goOn)
	dial(t, s.address).send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n")
	<-under
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Shutdown(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("returned %v", err)
	}
}

// TestSilent closes who connects and says nothing, and who stops in a head.
func TestSilent(t *testing.T) {
	t.Parallel()
	s := start(t, echo)
	for _, text := range []string{"", "GET / HTT"} {
		c := dial(t, s.address)
		c.send(text)
		began := time.Now()
		_, _ = io.Copy(io.Discard, c)
		if took := time.Since(began); took > 8*time.Second {
			t.Errorf("%q held the connection for %v", text, took)
		}
	}
}

// FuzzHead holds what the loop takes against net/http's reading of the same bytes.
func FuzzHead(f *testing.F) {
	for _, text := range []string{
		"GET /live/x/fmp4/index.m3u8?_HLS_msn=1 HTTP/1.1\r\nHost: a.example:80\r\nAccept: */*\r\nX-A: 1\r\nx-a: 2\r\n\r\n",
		"HEAD /a;b=c,d@e HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\nX-E:\r\n\r\n",
		"GET /a? HTTP/1.1\r\nHost: \r\nCookie: \xff\r\n\r\n",
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		size := headSize(b)
		h := head{fields: http.Header{}}
		if size == 0 || size > maxHead || !h.parse(string(b[:size])) {
			return
		}
		r, err := http.ReadRequest(bufio.NewReader(bytes.NewReader(b[:size])))
		if err != nil {
			t.Fatalf("net/http refuses %q: %v", b[:size], err)
		}
		if r.Method != h.method || r.URL.Path != h.path || r.URL.RawQuery != h.query || r.Host != h.host ||
			r.URL.RawPath != "" || r.URL.Fragment != "" || r.URL.Host != "" || r.RequestURI != h.target || r.ContentLength != 0 || len(r.TransferEncoding) > 0 {
			t.Fatalf("%q is %+v, and for net/http %+v", b[:size], h, r)
		}
		if r.Close != h.last {
			t.Fatalf("%q: close is %v", b[:size], h.last)
		}
		delete(r.Header, "Connection") // ReadRequest takes it away, and Pragma's meaning adds a field
		delete(h.fields, "Connection")
		if p, ok := r.Header["Pragma"]; ok && len(p) > 0 && p[0] == "no-cache" {
			return
		}
		if len(r.Header) != len(h.fields) {
			t.Fatalf("%q has %v, and for net/http %v", b[:size], h.fields, r.Header)
		}
		for name, values := range r.Header {
			if !slices.Equal(values, h.fields[name]) {
				t.Fatalf("%q: %s is %q, and for net/http %q", b[:size], name, h.fields[name], values)
			}
		}
	})
}
