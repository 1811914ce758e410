package http1

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"strings"
	"time"
)

// FileSender is a ResponseWriter that can send a body from a file.
type FileSender interface {
	// SendFile is Write of the first size bytes of f. It fails with
	// errors.ErrUnsupported where that cannot be done, and nothing has happened then.
	SendFile(f *os.File, size int) (int, error)
}

// response is the http.ResponseWriter of a connection. A body whose Content-Length the
// handler has set goes out as it is written; any other is kept until the handler
// returns, and is short.
type response struct {
	conn   *conn
	header http.Header

	bodyOff bool // HEAD
	last    bool // the connection is closed behind it
	status  int  // 0: not known yet
	length  int  // of the body; -1: not known
	written int
	sent    bool   // the head was
	kept    []byte // body of unknown length
	out     []byte // room for the head
	writeBy time.Time
	err     error
}

// maxKept bounds a body whose length is not known beforehand.
const maxKept = 64 << 10

func (w *response) reset(bodyOff, last bool) {
	clear(w.header)
	*w = response{conn: w.conn, header: w.header, bodyOff: bodyOff, last: last, length: -1, kept: w.kept[:0], out: w.out[:0]}
}

// Header implements http.ResponseWriter.
func (w *response) Header() http.Header { return w.header }

// WriteHeader implements http.ResponseWriter. Informational answers are left out.
func (w *response) WriteHeader(status int) {
	if w.status != 0 || status < http.StatusOK {
		return
	}
	w.status = status
	switch status {
	case http.StatusNotModified:
		delete(w.header, "Content-Type")
		fallthrough
	case http.StatusNoContent:
		delete(w.header, "Content-Length")
		w.bodyOff = true
	}
	if v := w.header["Content-Length"]; len(v) > 0 {
		if n, err := strconv.Atoi(v[0]); err == nil && n >= 0 {
			w.length = n
		} else {
			delete(w.header, "Content-Length")
		}
	}
}

// Write implements http.ResponseWriter.
func (w *response) Write(b []byte) (int, error) {
	if done, err := w.begin(len(b)); done {
		return len(b), err
	}
	if w.length < 0 {
		if len(w.kept)+len(b) > maxKept {
			w.err = errTooLong
			return 0, w.err
		}
		w.kept = append(w.kept, b...)
		return len(b), nil
	}
	w.written += len(b)
	w.err = w.conn.send(w.takeHead(), b, w.writeBy)
	return len(b), w.err
}

var errTooLong = errors.New("http1: a long body needs a Content-Length")

// SendFile implements FileSender.
func (w *response) SendFile(f *os.File, size int) (int, error) {
	if v := w.header["Content-Length"]; len(v) == 0 {
		return 0, errors.ErrUnsupported
	}
	if done, err := w.begin(size); done {
		return size, err
	}
	w.written += size
	w.err = w.conn.sendFile(w.takeHead(), f, size, w.writeBy)
	return size, w.err
}

// begin sets what is not set before size bytes of a body, and reports whether there is
// nothing to be done about them.
func (w *response) begin(size int) (done bool, err error) {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	switch {
	case w.err != nil:
		return true, w.err
	case w.bodyOff:
		return true, nil
	case w.length >= 0 && size > w.length-w.written:
		w.err = http.ErrContentLength
		return true, w.err
	}
	return false, nil
}

// finish sends what is left and reports whether the connection can be used again.
func (w *response) finish() bool {
	if w.status == 0 {
		w.WriteHeader(http.StatusOK)
	}
	if !w.sent && w.err == nil {
		if w.length < 0 && !w.bodyOff {
			w.length, w.written = len(w.kept), len(w.kept)
			w.header["Content-Length"] = []string{strconv.Itoa(w.length)}
		}
		w.err = w.conn.send(w.takeHead(), w.kept, w.writeBy)
	}
	return w.err == nil && !w.last && (w.bodyOff || w.written == w.length)
}

// takeHead returns the head the first time, and then nothing.
func (w *response) takeHead() []byte {
	if w.sent {
		return nil
	}
	w.sent = true
	if w.conn.server.draining.Load() {
		w.last = true
	}
	b := append(w.out[:0], "HTTP/1.1 "...)
	b = strconv.AppendInt(b, int64(w.status), 10)
	b = append(append(append(b, ' '), http.StatusText(w.status)...), "\r\n"...)
	for name, values := range w.header {
		for _, v := range values {
			b = appendField(b, name, v)
		}
	}
	if _, ok := w.header["Date"]; !ok {
		b = appendField(b, "Date", w.conn.server.dateOf(time.Now()))
	}
	if w.last {
		b = appendField(b, "Connection", "close")
	}
	w.out = append(b, "\r\n"...)
	return w.out
}

// lines are what must not be in a header's value.
var lines = strings.NewReplacer("\r", " ", "\n", " ")

func appendField(b []byte, name, value string) []byte {
	if strings.IndexByte(value, '\n') >= 0 || strings.IndexByte(value, '\r') >= 0 {
		value = lines.Replace(value)
	}
	b = append(append(b, name...), ": "...)
	return append(append(b, value...), "\r\n"...)
}

// SetWriteDeadline is for http.ResponseController. It counts once the client is too
// slow to take everything at once.
func (w *response) SetWriteDeadline(t time.Time) error {
	w.writeBy = t
	return nil
}

// Hijack implements http.Hijacker.
func (w *response) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	if w.sent || w.conn.taken {
		return nil, nil, http.ErrHijacked
	}
	w.conn.ctx.unwatch()
	conn, rw := w.conn.hijack()
	return conn, rw, nil
}
