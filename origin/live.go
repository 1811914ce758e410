package origin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"time"

	"headwater/remux"
	"headwater/remux/av"
	"headwater/remux/fanout"
)

// live is a way to play a stream as a body without an end.
type live struct {
	format      fanout.Container
	protocol    string // as in PlayRequest
	contentType string
}

var (
	httpFLV      = live{fanout.FLV, "http-flv", "video/x-flv"}
	webSocketFLV = live{fanout.FLV, "ws-flv", ""}
	httpTS       = live{fanout.TS, "http-ts", "video/mp2t"}
)

// liveOf answers with an endless body that begins at the newest key frame.
func (h *Handler) liveOf(w http.ResponseWriter, r *http.Request, app, name string, l live) error {
	done, err := h.allowed(r, app, name, l.protocol)
	if err != nil {
		return err
	}
	s, err := h.wanted(r, app, name)
	if err != nil {
		done(PlayEnd{Reason: "refused"})
		return err
	}
	return h.live(w, r, s, l, done)
}

func (h *Handler) live(w http.ResponseWriter, r *http.Request, s *remux.Stream, l live, done func(PlayEnd)) error {
	if r.Method == http.MethodHead {
		liveHeader(w.Header(), l)
		allowTime(w, 0)
		w.WriteHeader(http.StatusOK)
		done(PlayEnd{Reason: "head"})
		return nil
	}
	if !h.viewers.enter() {
		done(PlayEnd{Reason: "refused"})
		return unavailable("too many viewers")
	}
	left := h.leaving(s, r.RemoteAddr, l, done)
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.base, cancel)()
	if err := startable(ctx, s, h.config.StartHold); err != nil {
		left(fanout.End{Reason: err})
		return err
	}
	if err := l.format.Supports(s.Config()); err != nil {
		left(fanout.End{Reason: err})
		return explain(err)
	}
	v := fanout.Viewer{Stream: s, Format: l.format}
	if l.protocol == webSocketFLV.protocol {
		return h.webSocket(w, r, v, left)
	}
	liveHeader(w.Header(), l)
	if r.ProtoMajor != 1 {
		left(h.fanout.Run(ctx, v, responseSink{w, http.NewResponseController(w)}))
		return nil
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		left(fanout.End{Reason: err})
		return err
	}
	if r.ProtoAtLeast(1, 1) {
		v.Framing = fanout.Chunked
	}
	v.Head = responseHead(w.Header(), v.Framing)
	h.attach(conn, v, left)
	return nil
}

// leaving returns what is to be told of a viewer's end. It keeps nothing of the
// request, which must not live as long as its viewer.
func (h *Handler) leaving(s *remux.Stream, remote string, l live, done func(PlayEnd)) func(fanout.End) {
	began := time.Now()
	return func(e fanout.End) {
		h.viewers.leave()
		if errors.Is(e.Reason, fanout.ErrLeft) && h.base.Err() != nil {
			e.Reason = fanout.ErrShutdown
		}
		h.ends.count(endOf(e.Reason), e.Skips)
		done(PlayEnd{endOf(e.Reason), e.Bytes, time.Since(began)})
		if h.log.Enabled(context.Background(), slog.LevelDebug) {
			h.log.Debug("viewer left", "stream", s.Name.String(), "protocol", l.protocol, "remote", remote, "reason", e.Reason, "skips", e.Skips)
		}
	}
}

// endOf says in one word why a viewer was closed.
func endOf(reason error) string {
	switch {
	case errors.Is(reason, io.EOF):
		return "ended"
	case errors.Is(reason, fanout.ErrTooSlow), errors.Is(reason, fanout.ErrStalled):
		return "slow"
	case errors.Is(reason, fanout.ErrMemory):
		return "memory"
	case errors.Is(reason, fanout.ErrShutdown):
		return "shutdown"
	case errors.Is(reason, fanout.ErrPanicked):
		return "panic"
	}
	return "closed"
}

func liveHeader(h http.Header, l live) {
	h.Set("Content-Type", l.contentType)
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
}

// attach takes a connection over from net/http. A plain one goes to a loop, and the
// handler's goroutine ends; one over TLS is written to by this goroutine.
func (h *Handler) attach(conn net.Conn, v fanout.Viewer, left func(fanout.End)) {
	if c, ok := conn.(interface{ Skipped() }); ok { // somebody counts
		v.Skipped = c.Skipped
	}
	_ = conn.SetDeadline(time.Time{}) // what net/http has set; a dead connection shows later
	if h.fanout.Serve(conn, v, left) {
		return
	}
	// The request's own context is of no use any more: it does not end when a
	// hijacked client leaves.
	left(h.fanout.RunConn(h.base, v, conn))
}

// responseHead is what net/http would have written.
func responseHead(header http.Header, framing fanout.Framing) []byte {
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("Connection", "close")
	status := "HTTP/1.0 200 OK\r\n"
	if framing == fanout.Chunked {
		status = "HTTP/1.1 200 OK\r\n"
		header.Set("Transfer-Encoding", "chunked")
	}
	var b bytes.Buffer
	b.WriteString(status)
	_ = header.Write(&b) // a buffer takes everything
	b.WriteString("\r\n")
	return b.Bytes()
}

// startable waits until there is something to begin with, so that an error can
// still be answered.
func startable(ctx context.Context, s *remux.Stream, hold time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(hold, 10*time.Millisecond))
	defer cancel()
	cursor := s.NewCursor()
	var room [1]av.Frame
	_, err := cursor.Next(ctx, room[:])
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{status: http.StatusNotFound, cache: "no-store", retry: "1", reason: "the stream is starting: no key frame yet"}
	case errors.Is(err, io.EOF):
		return notFound("the stream has ended")
	}
	return err
}

// responseSink writes through net/http, for HTTP/2.
type responseSink struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

// viewerStall is how long a viewer's connection may take nothing.
const viewerStall = 10 * time.Second

// Hurry leaves a Send its time: the writer must not be used behind its handler's back.
func (responseSink) Hurry() {}

func (s responseSink) Send(bufs net.Buffers) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(viewerStall)) // unsupported only in tests
	for _, b := range bufs {
		if len(b) == 0 {
			continue
		}
		if _, err := s.w.Write(b); err != nil {
			return err
		}
	}
	return s.control.Flush()
}
