package origin

import (
	"context"
	"errors"
	"net/http"
	"path"
	"strconv"
	"time"

	"headwater/remux"
)

const (
	playlistType = "application/vnd.apple.mpegurl"
	immutable    = "public, max-age=31536000, immutable"
)

// contentTypes of the objects below a playlist's folder, by extension.
var contentTypes = map[string]string{".ts": "video/mp2t", ".m4s": "video/mp4", ".mp4": "video/mp4"}

func (h *Handler) multivariant(w http.ResponseWriter, r *http.Request, s *remux.Stream, f remux.Format) error {
	ix, err := h.started(r.Context(), s)
	if err != nil {
		return err
	}
	o, err := ix.Multivariant(f, s.Name.Stream)
	if err != nil {
		return explain(err)
	}
	serve(w, r, o, playlistType, playlistCache(ix))
	return nil
}

func (h *Handler) media(w http.ResponseWriter, r *http.Request, s *remux.Stream, f remux.Format) error {
	ix, err := h.started(r.Context(), s)
	if err != nil {
		return err
	}
	o, err := ix.Playlist(f)
	if err != nil {
		return explain(err)
	}
	serve(w, r, o, playlistType, playlistCache(ix))
	return nil
}

func (h *Handler) object(w http.ResponseWriter, r *http.Request, s *remux.Stream, f remux.Format, file string) error {
	o, err := s.Index().Object(f, file)
	if err != nil {
		return explain(err)
	}
	serve(w, r, o, contentTypes[path.Ext(file)], immutable)
	return nil
}

// started returns the index once it has a segment. A request for a stream that is
// just starting is held for a bounded time and not failed.
func (h *Handler) started(ctx context.Context, s *remux.Stream) (*remux.Index, error) {
	ix := s.Index()
	if len(ix.Segments) > 0 || ix.Ended || h.config.StartHold <= 0 {
		return ix, nil
	}
	if h.holding.Add(1) > maxHolding {
		h.holding.Add(-1)
		return nil, unavailable("too many requests wait for streams to start")
	}
	defer h.holding.Add(-1)
	held, cancel := context.WithTimeout(ctx, h.config.StartHold)
	defer cancel()
	stop := context.AfterFunc(h.base, cancel)
	defer stop()
	ix, err := s.WatchIndex().Wait(held, func(ix *remux.Index) bool { return len(ix.Segments) > 0 || ix.Ended })
	if err != nil && ctx.Err() != nil {
		return nil, ctx.Err()
	}
	return ix, nil
}

// playlistCache is half the target duration, at least a second.
func playlistCache(ix *remux.Index) string {
	return "public, max-age=" + strconv.Itoa(max(1, int(ix.Target/2/time.Second)))
}

// explain maps what remux cannot give to an answer.
func explain(err error) error {
	switch {
	case errors.Is(err, remux.ErrNotFound):
		return notFound("no such segment, or not any more")
	case errors.Is(err, remux.ErrNotReady):
		return &problem{status: http.StatusNotFound, cache: "public, max-age=1", retry: "1", reason: "the stream is starting: no segment is complete yet"}
	case errors.Is(err, remux.ErrCodec):
		return notFound(err.Error())
	}
	return err
}
