package origin

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strconv"
	"time"

	"headwater/remux"
	"headwater/remux/av"
	"headwater/remux/flv"
)

const (
	// viewerStall is how long one write to a viewer may take.
	viewerStall = 10 * time.Second
	// skipPause is how long a viewer has to keep up after it was skipped ahead;
	// if it cannot, it is closed.
	skipPause = 30 * time.Second
)

// Why an HTTP-FLV viewer was closed.
var (
	errTooSlow  = errors.New("fell behind twice")
	errShutdown = errors.New("server shuts down")
)

// flv answers with an endless FLV file that begins at the newest key frame. Frames
// are written as they are, from bytes shared by all viewers.
func (h *Handler) flv(w http.ResponseWriter, r *http.Request, s *remux.Stream) error {
	if n := h.watching.Add(1); h.config.MaxViewers > 0 && n > int64(h.config.MaxViewers) {
		h.watching.Add(-1)
		return unavailable("too many viewers")
	}
	h.viewers.Add(1)
	defer h.viewers.Done()
	defer h.watching.Add(-1)

	header := w.Header()
	header.Set("Content-Type", "video/x-flv")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Accel-Buffering", "no")
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	v := flvViewer{stream: s, cursor: s.NewCursor(), gather: h.config.FLVGather}
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	defer context.AfterFunc(h.base, cancel)()
	batch, err := v.first(ctx, h.config.StartHold)
	if err != nil {
		header.Del("X-Accel-Buffering")
		return err
	}
	reason, err := h.watch(ctx, w, r, &v, batch)
	h.log.Debug("viewer left", "stream", s.Name.String(), "protocol", "http-flv", "remote", r.RemoteAddr, "reason", reason, "skips", v.skips)
	return err
}

// watch writes to the viewer until it or the stream ends. Over HTTP/1 the
// connection leaves net/http: one system call then writes all frames of a batch.
func (h *Handler) watch(ctx context.Context, w http.ResponseWriter, r *http.Request, v *flvViewer, first remux.Batch) (reason, err error) {
	if r.ProtoMajor != 1 {
		return v.run(ctx, first, responseSink{w, http.NewResponseController(w)}), nil
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	// The request's own context is of no use any more: it does not end when a
	// hijacked client leaves.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(h.base, func() { cancel(); _ = conn.Close() })()
	to := &connSink{conn: conn, chunked: r.ProtoAtLeast(1, 1)}
	if err := to.head(w.Header()); err != nil {
		return err, nil
	}
	if reason = v.run(ctx, first, to); errors.Is(reason, io.EOF) {
		return reason, to.end()
	}
	return reason, nil
}

// sink takes a batch of buffers and returns when the viewer's connection has.
type sink interface{ send(bufs net.Buffers) error }

// connSink writes a body to a connection of its own: in chunks (RFC 9112, 7.1), so
// that a viewer can tell the stream's end from a break, or to HTTP/1.0 as it is.
type connSink struct {
	conn    net.Conn
	chunked bool
	started []byte      // the response's head, until it is sent
	bufs    net.Buffers // reused
	size    [20]byte    // likewise
}

// head prepares the response's head; it goes out with the first batch.
func (s *connSink) head(header http.Header) error {
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("Connection", "close")
	status := "HTTP/1.0 200 OK\r\n"
	if s.chunked {
		status = "HTTP/1.1 200 OK\r\n"
		header.Set("Transfer-Encoding", "chunked")
	}
	var b bytes.Buffer
	b.WriteString(status)
	if err := header.Write(&b); err != nil {
		return err
	}
	b.WriteString("\r\n")
	s.started = b.Bytes()
	return nil
}

func (s *connSink) send(bufs net.Buffers) error {
	out := s.bufs[:0]
	if s.started != nil {
		out, s.started = append(out, s.started), nil
	}
	if s.chunked {
		n := 0
		for _, b := range bufs {
			n += len(b)
		}
		out = append(out, append(strconv.AppendInt(s.size[:0], int64(n), 16), "\r\n"...))
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

// flvViewer is one HTTP-FLV viewer.
type flvViewer struct {
	stream  *remux.Stream
	cursor  *remux.Cursor
	gather  time.Duration
	config  *av.Config  // whose headers the viewer has
	pending net.Buffers // to be sent next
	skipped time.Time   // when it was last skipped ahead
	skips   int
}

// first waits for the first batch, so that an error can still be answered.
func (v *flvViewer) first(ctx context.Context, hold time.Duration) (remux.Batch, error) {
	ctx, cancel := context.WithTimeout(ctx, max(hold, 10*time.Millisecond))
	defer cancel()
	b, err := v.cursor.Next(ctx)
	switch {
	case errors.Is(err, context.DeadlineExceeded):
		return b, &problem{status: http.StatusNotFound, cache: "no-store", retry: "1", reason: "the stream is starting: no key frame yet"}
	case errors.Is(err, io.EOF):
		return b, notFound("the stream has ended")
	}
	return b, err
}

// run sends batches until the stream ends (io.EOF), the viewer leaves or is too
// slow, or ctx is done. It returns which.
func (v *flvViewer) run(ctx context.Context, b remux.Batch, to sink) error {
	config := b.Frames[0].Config
	v.pending = append(v.pending, flv.FileHeader(config.Video != nil, config.Audio != nil))
	if metadata := v.stream.Metadata(); metadata != nil {
		v.pending = append(v.pending, metadata)
	}
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		if b.Skipped {
			if v.skips++; time.Since(v.skipped) < skipPause {
				return errTooSlow
			}
			v.skipped = time.Now()
		}
		v.add(b)
		next := time.Now().Add(v.gather)
		if err := to.send(v.pending); err != nil {
			return err
		}
		clear(v.pending[:cap(v.pending)])
		v.pending = v.pending[:0]
		timer.Reset(time.Until(next))
		var err error
		if v.gather > 0 && !b.More {
			select {
			case <-timer.C:
			case <-ctx.Done():
				return errShutdown
			}
		}
		if b, err = v.cursor.Next(ctx); err != nil {
			return err
		}
	}
}

// add queues a batch, with the headers that a new Config needs in front.
func (v *flvViewer) add(b remux.Batch) {
	for _, f := range b.Frames {
		if f.Config != v.config {
			v.headers(f.Config)
		}
		v.pending = append(v.pending, f.Tag)
	}
}

func (v *flvViewer) headers(c *av.Config) {
	var old av.Config
	if v.config != nil {
		old = *v.config
	}
	if c.Video != nil && c.Video != old.Video && c.Video.Header != nil {
		v.pending = append(v.pending, c.Video.Header)
	}
	if c.Audio != nil && c.Audio != old.Audio && c.Audio.Header != nil {
		v.pending = append(v.pending, c.Audio.Header)
	}
	v.config = c
}
