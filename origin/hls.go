package origin

import (
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
	ix, err := h.started(r, s)
	if err != nil {
		return err
	}
	o, err := ix.Multivariant(f, s.Name.Stream)
	if err != nil {
		return explain(err)
	}
	serve(w, r, o, playlistType, h.cacheControl(r, playlistCache(ix)))
	return nil
}

func (h *Handler) media(w http.ResponseWriter, r *http.Request, s *remux.Stream, f remux.Format) error {
	d, err := parseReload(r.URL.RawQuery)
	if err != nil {
		return err
	}
	ix, err := h.started(r, s)
	if err != nil {
		return err
	}
	cache := playlistCache(ix)
	if d.blocking && f == remux.FMP4 && !ix.Ended {
		if ix, err = h.block(r, s, ix, d); err != nil {
			return err
		}
		if !ix.Ended { // by then its publisher may be back
			cache = maxAge(int(6 * ix.Target / time.Second))
		}
	}
	o, err := ix.Playlist(f, remux.Ask{Delta: d.skip, Known: d.blocking, Next: d.sequence})
	if err != nil {
		return explain(err)
	}
	serve(w, r, o, playlistType, h.cacheControl(r, cache))
	return nil
}

func (h *Handler) object(w http.ResponseWriter, r *http.Request, s *remux.Stream, f remux.Format, file string) error {
	ix := s.Index()
	if number, ok := ix.Hinted(f, file); ok {
		var err error
		ix, err = h.wait(r, s, 3*max(ix.Target, time.Second), func(ix *remux.Index) bool { return ix.NextPart > number || ix.Ended })
		if err != nil {
			return err
		}
	}
	o, err := ix.Object(f, file)
	if err != nil {
		return explain(err)
	}
	serve(w, r, o, contentTypes[path.Ext(file)], immutable)
	return nil
}

// started returns the index once it has a segment. A request for a stream that is
// just starting is held for a bounded time and not failed; one for a stream that has
// gone stale fails, so that a cache turns to another origin.
func (h *Handler) started(r *http.Request, s *remux.Stream) (*remux.Index, error) {
	ix := s.Index()
	if h.config.Stale > 0 && ix.Quiet() > h.config.Stale {
		return nil, unavailable("the publisher is silent")
	}
	if len(ix.Segments) > 0 || ix.Ended || h.config.StartHold <= 0 {
		return ix, nil
	}
	started, err := h.wait(r, s, h.config.StartHold, func(ix *remux.Index) bool { return len(ix.Segments) > 0 || ix.Ended })
	var late *problem
	if errors.As(err, &late) {
		return ix, nil // the answer is what there is
	}
	return started, err
}

// playlistCache is half the target duration, at least a second.
func playlistCache(ix *remux.Index) string {
	return maxAge(max(1, int(ix.Target/2/time.Second)))
}

// maxAge lets everybody keep an answer for some seconds.
func maxAge(seconds int) string {
	if seconds < len(maxAges) {
		return maxAges[seconds]
	}
	return "public, max-age=" + strconv.Itoa(seconds)
}

// maxAges are those of target durations up to ten seconds.
var maxAges = func() (all [61]string) {
	for i := range all {
		all[i] = "public, max-age=" + strconv.Itoa(i)
	}
	return all
}()

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
