package traffic

import (
	"bufio"
	"errors"
	"net"
	"net/http"
	"os"
	"time"

	"headwater/origin/http1"
)

// recorder is a ResponseWriter that remembers what was answered. Its connection may
// be taken over: what becomes of that is the viewer's.
type recorder struct {
	http.ResponseWriter
	traffic *Traffic
	request *http.Request
	kind    Kind
	began   time.Time

	status int // 0: not written yet
	bytes  uint64
	viewer *viewer // of an endless body; nil: none
	taken  bool    // the connection was
	span   Span    // nil: it is not traced
}

// begin notes the status of the answer, once.
func (s *recorder) begin(status int) {
	if s.status != 0 {
		return
	}
	s.status = status
	if s.span != nil {
		s.span.Answering()
	}
}

// Unwrap lets http.ResponseController through to what lies behind.
func (s *recorder) Unwrap() http.ResponseWriter { return s.ResponseWriter }

// WriteHeader implements http.ResponseWriter.
func (s *recorder) WriteHeader(status int) {
	if status >= http.StatusOK {
		s.begin(status)
	}
	s.ResponseWriter.WriteHeader(status)
}

// Write implements http.ResponseWriter.
func (s *recorder) Write(b []byte) (int, error) {
	s.begin(http.StatusOK)
	if s.viewer == nil && s.kind.endless() && s.status == http.StatusOK && s.request.ProtoMajor > 1 {
		s.viewer = s.traffic.viewers.add(s.request, s.kind, nil)
	}
	n, err := s.ResponseWriter.Write(b)
	s.bytes += uint64(n)
	if s.viewer != nil {
		s.viewer.sent.Add(uint64(n))
		if s.viewer.kicked.Load() && err == nil {
			err = errKicked
		}
	}
	return n, err
}

// SendFile implements http1.FileSender as far as what lies behind does.
func (s *recorder) SendFile(f *os.File, size int) (int, error) {
	sender, ok := s.ResponseWriter.(http1.FileSender)
	if !ok {
		return 0, errors.ErrUnsupported
	}
	s.begin(http.StatusOK)
	n, err := sender.SendFile(f, size)
	s.bytes += uint64(n)
	return n, err
}

// Hijack implements http.Hijacker: the connection counts as a viewer until it is
// closed.
func (s *recorder) Hijack() (net.Conn, *bufio.ReadWriter, error) {
	conn, rw, err := http.NewResponseController(s.ResponseWriter).Hijack()
	if err != nil {
		return conn, rw, err
	}
	t, e := s.traffic, s.entry()
	e.status = http.StatusOK
	if s.request.Header.Get("Upgrade") != "" {
		e.status = http.StatusSwitchingProtocols
	}
	v := t.viewers.add(s.request, s.kind, conn)
	s.begin(e.status)
	s.taken = true
	span := s.span
	return watch(conn, v, func() {
		e.bytes, _ = v.bytes()
		if span != nil {
			span.End(e.status, e.bytes)
		}
		t.viewers.remove(v)
		t.log.write(e)
	}), rw, nil
}

// done counts and logs.
func (s *recorder) done() {
	if s.status == 0 { // the client left before there was an answer
		s.status = statusClientLeft
	}
	k := &s.traffic.kinds[s.kind]
	k.count(s.status, s.bytes)
	if s.taken {
		return
	}
	if s.span != nil {
		s.span.End(s.status, s.bytes)
	}
	if s.viewer != nil {
		s.traffic.viewers.remove(s.viewer)
	} else {
		k.durations.Observe(time.Since(s.began))
	}
	if s.kind == Playlist && s.status < http.StatusBadRequest {
		s.traffic.readers.touch(s.request, s.began)
	}
	e := s.entry()
	e.status, e.bytes = s.status, s.bytes
	s.traffic.log.write(e)
}

// statusClientLeft is what logs of other servers have where there was no answer.
const statusClientLeft = 499
