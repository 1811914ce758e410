package origin

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"headwater/remux"
)

// reload is the delivery directives of a playlist request (6.2.5). Any other
// query parameter is nobody's business here.
type reload struct {
	blocking bool
	sequence uint64 // _HLS_msn
	part     int    // _HLS_part; -1: the whole segment
	skip     bool   // _HLS_skip
}

func malformed(reason string) error {
	return &problem{status: http.StatusBadRequest, cache: "public, max-age=1", reason: reason}
}

// parseReload reads a raw query.
func parseReload(raw string) (reload, error) {
	d := reload{part: -1}
	if raw == "" {
		return d, nil
	}
	query, err := url.ParseQuery(raw)
	if err != nil && unreadable(raw) {
		return d, malformed("a delivery directive cannot be read")
	}
	msn, part := query["_HLS_msn"], query["_HLS_part"]
	if len(msn) > 1 || len(part) > 1 {
		return d, malformed("a delivery directive is given twice")
	}
	for _, v := range query["_HLS_skip"] {
		d.skip = v == "YES" || v == "v2"
	}
	if len(msn) == 0 {
		if len(part) > 0 {
			return d, malformed("_HLS_part without _HLS_msn")
		}
		return d, nil
	}
	d.blocking = true
	if d.sequence, err = parseInteger(msn[0], 64); err != nil {
		return d, malformed("_HLS_msn is not a number")
	}
	if len(part) > 0 {
		n, err := parseInteger(part[0], 31)
		if err != nil {
			return d, malformed("_HLS_part is not a number")
		}
		d.part = int(n)
	}
	return d, nil
}

// unreadable reports whether a directive is among what cannot be read of a query. All
// else belongs to somebody else.
func unreadable(raw string) bool {
	for pair := range strings.SplitSeq(raw, "&") {
		if _, err := url.ParseQuery(pair); err != nil && strings.HasPrefix(pair, "_HLS_") {
			return true
		}
	}
	return false
}

// parseInteger reads a decimal-integer of the protocol (4.2): digits alone.
func parseInteger(s string, bits int) (uint64, error) {
	if s == "" || s[0] == '+' {
		return 0, strconv.ErrSyntax
	}
	return strconv.ParseUint(s, 10, bits)
}

// block waits until the playlist has what the client asks for, at most three
// target durations. It returns the index that has.
func (h *Handler) block(r *http.Request, s *remux.Stream, ix *remux.Index, d reload) (*remux.Index, error) {
	if ix.Beyond(d.sequence, d.part) {
		return nil, malformed("the playlist is not that far by a good while")
	}
	if len(ix.Segments) == 0 || ix.Reached(d.sequence, d.part) {
		return ix, nil
	}
	return h.wait(r, s, 3*ix.Target, func(ix *remux.Index) bool { return ix.Reached(d.sequence, d.part) })
}

// wait waits for the index to become what a client has asked for, and answers 503
// where it does not in time.
func (h *Handler) wait(r *http.Request, s *remux.Stream, limit time.Duration, ok func(*remux.Index) bool) (*remux.Index, error) {
	leave, err := h.waiting.enter(r.RemoteAddr)
	if err != nil {
		return nil, err
	}
	defer leave()
	ctx := r.Context()
	ix, late, err := h.await(ctx, s, limit, ok)
	if late {
		ix, _, err = h.await(ctx, s, limit, ok)
	}
	switch {
	case err == nil:
		return ix, nil
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, context.DeadlineExceeded):
		return nil, unavailable("nothing new for three target durations")
	}
	return nil, unavailable("the server shuts down")
}

// standstill is how late the end of a wait comes where the process was stopped, or its
// machine moved, and not the publisher: nothing could come in meanwhile.
const standstill = 500 * time.Millisecond

// await waits once. late says that the time was over during a standstill.
func (h *Handler) await(ctx context.Context, s *remux.Stream, limit time.Duration, ok func(*remux.Index) bool) (ix *remux.Index, late bool, err error) {
	limited, cancel := context.WithTimeout(ctx, limit)
	defer cancel()
	defer context.AfterFunc(h.base, cancel)()
	by, _ := limited.Deadline()
	ix, err = s.WatchIndex().Wait(limited, ok)
	return ix, errors.Is(err, context.DeadlineExceeded) && time.Since(by) > standstill, err
}
