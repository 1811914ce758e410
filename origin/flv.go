package origin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"syscall"
	"time"

	"headwater/remux"
	"headwater/remux/av"
	"headwater/remux/flv"
)

const (
	// viewerStall is how long a viewer's socket may take nothing.
	viewerStall = 10 * time.Second
	// skipPause is how long a viewer has to keep up after it was skipped ahead;
	// if it cannot, it is closed.
	skipPause = 30 * time.Second
)

// Why an HTTP-FLV viewer was closed.
var (
	errTooSlow  = errors.New("fell behind twice")
	errStalled  = errors.New("takes nothing")
	errLeft     = errors.New("left")
	errShutdown = errors.New("server shuts down")
)

// flv answers with an endless FLV file that begins at the newest key frame. Frames
// are written as they are, from bytes shared by all viewers.
func (h *Handler) flv(w http.ResponseWriter, r *http.Request, s *remux.Stream, done func(PlayEnd)) error {
	header := w.Header()
	if r.Method == http.MethodHead {
		flvHeader(header)
		w.WriteHeader(http.StatusOK)
		done(PlayEnd{Reason: "head"})
		return nil
	}
	if !h.viewers.enter() {
		done(PlayEnd{Reason: "refused"})
		return unavailable("too many viewers")
	}
	remote := r.RemoteAddr // the request must not live as long as its viewer
	body, began := &flvBody{stream: s}, time.Now()
	left := func(reason error, skips int) {
		h.viewers.leave()
		done(PlayEnd{endOf(reason), body.bytes, time.Since(began)})
		h.log.Debug("viewer left", "stream", s.Name.String(), "protocol", "http-flv", "remote", remote, "reason", reason, "skips", skips)
	}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.base, cancel)()
	cursor := s.NewCursor()
	if err := startable(ctx, cursor, h.config.StartHold); err != nil {
		left(err, 0)
		return err
	}
	flvHeader(header)
	v := viewer{stream: s, cursor: cursor, body: body}
	if r.ProtoMajor != 1 {
		err := v.run(ctx, h.config.FLVGather, responseSink{w, http.NewResponseController(w)})
		left(err, v.lag.skips)
		return nil
	}
	return h.hijack(w, r, &v, left)
}

// endOf says in one word why a viewer was closed.
func endOf(reason error) string {
	switch {
	case errors.Is(reason, io.EOF):
		return "ended"
	case errors.Is(reason, errTooSlow), errors.Is(reason, errStalled):
		return "slow"
	case errors.Is(reason, errShutdown):
		return "shutdown"
	}
	return "closed"
}

func flvHeader(h http.Header) {
	h.Set("Content-Type", "video/x-flv")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no")
}

// hijack takes the connection from net/http. A plain one goes to the fan-out, and
// the handler's goroutine ends; one over TLS is written to by this goroutine.
func (h *Handler) hijack(w http.ResponseWriter, r *http.Request, v *viewer, left func(error, int)) error {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		left(err, 0)
		return err
	}
	_ = conn.SetDeadline(time.Time{}) // what net/http has set; a dead connection shows later
	chunked := r.ProtoAtLeast(1, 1)
	head := responseHead(w.Header(), chunked)
	if c, ok := conn.(syscall.Conn); ok {
		if raw, err := c.SyscallConn(); err == nil {
			f := &fanoutViewer{stream: v.stream, conn: conn, raw: raw, chunked: chunked, left: left, cursor: v.cursor, body: v.body}
			if !h.fanout.add(f, head) {
				_ = conn.Close()
				left(errShutdown, 0)
			}
			return nil
		}
	}
	defer func() { _ = conn.Close() }()
	// The request's own context is of no use any more: it does not end when a
	// hijacked client leaves.
	ctx, cancel := context.WithCancel(context.WithoutCancel(r.Context()))
	defer cancel()
	defer context.AfterFunc(h.base, func() { cancel(); _ = conn.Close() })()
	to := &connSink{conn: conn, chunked: chunked, started: head}
	err = v.run(ctx, h.config.FLVGather, to)
	if errors.Is(err, io.EOF) {
		_ = to.end() // the viewer may have left: nobody to tell
	}
	left(err, v.lag.skips)
	return nil
}

// responseHead is what net/http would have written.
func responseHead(header http.Header, chunked bool) []byte {
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("Connection", "close")
	status := "HTTP/1.0 200 OK\r\n"
	if chunked {
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
// still be answered. It leaves the cursor where it was.
func startable(ctx context.Context, cursor remux.Cursor, hold time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, max(hold, 10*time.Millisecond))
	defer cancel()
	var room [1]*av.Frame
	_, err := cursor.Next(ctx, room[:])
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return &problem{status: http.StatusNotFound, cache: "no-store", retry: "1", reason: "the stream is starting: no key frame yet"}
	case errors.Is(err, io.EOF):
		return notFound("the stream has ended")
	}
	return err
}

// flvBody is an FLV file without an end.
type flvBody struct {
	stream *remux.Stream
	config *av.Config // whose headers the viewer has; nil before the first frame
	bytes  uint64     // of frames
}

func (f *flvBody) add(bufs net.Buffers, b remux.Batch) net.Buffers {
	for _, frame := range b.Frames {
		if frame.Config != f.config {
			bufs = f.headers(bufs, frame.Config)
		}
		bufs = append(bufs, frame.Tag)
		f.bytes += uint64(len(frame.Tag))
	}
	return bufs
}

// headers adds what a new Config needs in front of its first frame.
func (f *flvBody) headers(bufs net.Buffers, c *av.Config) net.Buffers {
	var old av.Config
	if f.config != nil {
		old = *f.config
	} else {
		bufs = append(bufs, flv.FileHeader(c.Video != nil, c.Audio != nil))
		if metadata := f.stream.Metadata(); metadata != nil {
			bufs = append(bufs, metadata)
		}
	}
	if c.Video != nil && c.Video != old.Video && c.Video.Header != nil {
		bufs = append(append(bufs, c.Video.Header), c.Video.Notes...)
	}
	if c.Audio != nil && c.Audio != old.Audio && c.Audio.Header != nil {
		bufs = append(append(bufs, c.Audio.Header), c.Audio.Notes...)
	}
	f.config = c
	return bufs
}

// viewer is one reader of an endless body with a goroutine of its own.
type viewer struct {
	stream *remux.Stream
	cursor remux.Cursor
	body   body
	lag    lag
}

// lag is how a viewer has kept up.
type lag struct {
	skipped time.Time // when it was last skipped ahead
	skips   int
}

// skip counts that the viewer was skipped ahead, and reports whether that is too
// soon after the last time.
func (l *lag) skip(now time.Time, pause time.Duration) (tooSlow bool) {
	l.skips++
	tooSlow = now.Sub(l.skipped) < pause
	l.skipped = now
	return tooSlow
}

// run sends batches until the stream ends (io.EOF), the viewer leaves or is too
// slow, or ctx is done. It returns which.
func (v *viewer) run(ctx context.Context, gather time.Duration, to sink) error {
	var room [maxBatch]*av.Frame
	var bufs net.Buffers
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		b, err := v.cursor.Next(ctx, room[:])
		if err != nil {
			return err
		}
		if b.Skipped && v.lag.skip(time.Now(), skipPause) {
			return errTooSlow
		}
		next := time.Now().Add(gather)
		bufs = v.body.add(bufs[:0], b)
		if err := to.send(bufs); err != nil {
			return err
		}
		clear(bufs)
		if gather == 0 || b.More {
			continue
		}
		timer.Reset(time.Until(next))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return errShutdown
		}
	}
}

// sink takes a batch of buffers and returns when the viewer's connection has.
type sink interface{ send(bufs net.Buffers) error }

// connSink writes a body to a connection: in chunks (RFC 9112, 7.1), so that a
// viewer can tell the stream's end from a break, or to HTTP/1.0 as it is.
type connSink struct {
	conn    net.Conn
	chunked bool
	started []byte      // the response's head, until it is sent
	bufs    net.Buffers // reused
	size    [20]byte    // likewise
}

func (s *connSink) send(bufs net.Buffers) error {
	out := s.bufs[:0]
	if s.started != nil {
		out, s.started = append(out, s.started), nil
	}
	if s.chunked {
		out = append(out, chunkSize(s.size[:0], bufs))
	}
	out = append(out, bufs...)
	if s.chunked {
		out = append(out, crlf)
	}
	s.bufs = out
	defer clear(s.bufs)
	return s.write(out)
}

// end tells the viewer that nothing follows.
func (s *connSink) end() error {
	if !s.chunked {
		return nil
	}
	return s.write(net.Buffers{lastChunk})
}

func (s *connSink) write(bufs net.Buffers) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(viewerStall)); err != nil {
		return err
	}
	_, err := bufs.WriteTo(s.conn)
	return err
}

var crlf, lastChunk = []byte("\r\n"), []byte("0\r\n\r\n")

// chunkSize appends the line in front of a chunk that holds bufs.
func chunkSize(dst []byte, bufs net.Buffers) []byte {
	n := 0
	for _, b := range bufs {
		n += len(b)
	}
	return append(strconv.AppendInt(dst, int64(n), 16), "\r\n"...)
}

// responseSink writes through net/http, for HTTP/2.
type responseSink struct {
	w       http.ResponseWriter
	control *http.ResponseController
}

func (s responseSink) send(bufs net.Buffers) error {
	_ = s.control.SetWriteDeadline(time.Now().Add(viewerStall)) // unsupported only in tests
	for _, b := range bufs {
		if _, err := s.w.Write(b); err != nil {
			return err
		}
	}
	return s.control.Flush()
}
