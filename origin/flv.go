package origin

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
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
	reason, err := h.watch(ctx, w, &v, batch)
	h.log.Debug("viewer left", "stream", s.Name.String(), "protocol", "http-flv", "remote", r.RemoteAddr, "reason", reason, "skips", v.skips)
	return err
}

// watch writes to the viewer until it or the stream ends. Over HTTP/1.1 the
// connection leaves net/http: one system call then writes all frames of a batch.
func (h *Handler) watch(ctx context.Context, w http.ResponseWriter, v *flvViewer, first remux.Batch) (reason, err error) {
	if _, ok := w.(http.Hijacker); !ok {
		return v.run(ctx, first, responseSink{w, http.NewResponseController(w)}), nil
	}
	head := []byte("HTTP/1.1 200 OK\r\n")
	header := w.Header()
	header.Set("Date", time.Now().UTC().Format(http.TimeFormat))
	header.Set("Connection", "close") // the body ends with the connection
	var fields writer
	if err := header.Write(&fields); err != nil {
		return nil, err
	}
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		return nil, err
	}
	defer func() { _ = conn.Close() }()
	// Shutdown closes the connection; the request's own context is of no use any
	// more: it does not end when a hijacked client leaves.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	defer context.AfterFunc(h.base, func() { cancel(); _ = conn.Close() })()
	v.pending = append(v.pending, append(append(head, fields...), "\r\n"...))
	return v.run(ctx, first, connSink{conn}), nil
}

// writer collects bytes.
type writer []byte

func (b *writer) Write(p []byte) (int, error) { *b = append(*b, p...); return len(p), nil }

// sink takes a batch of buffers and returns when the viewer's connection has.
type sink interface{ send(bufs net.Buffers) error }

type connSink struct{ conn net.Conn }

func (s connSink) send(bufs net.Buffers) error {
	if err := s.conn.SetWriteDeadline(time.Now().Add(viewerStall)); err != nil {
		return err
	}
	_, err := bufs.WriteTo(s.conn)
	return err
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
		bufs := v.pending
		if err := to.send(bufs); err != nil {
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
