package ingest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"headwater/ingest/feed"
	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/remux/fanout"
)

const (
	// maxHolding bounds the players that wait for a stream at one time.
	maxHolding = 100
	// pingInterval is how often a player is asked for a sign of life.
	pingInterval = 15 * time.Second
	// sendBuffer bounds what the kernel holds for a player that does not read.
	sendBuffer = 256 << 10
)

// errTooSlow ends playing.
var errTooSlow = errors.New("the player cannot keep up")

// Play decides about a play command, and finds the stream.
func (s *session) Play(p rtmp.Play) (rtmp.View, error) {
	r, err := s.newPlayRequest(p)
	if err != nil {
		return nil, s.refusePlay(r, &rtmp.Status{Code: rtmp.PlayNotFound, Description: err.Error()})
	}
	if n := s.server.players.Add(1); n > int64(s.server.limits.Load().MaxPlayers) {
		s.server.players.Add(-1)
		return nil, s.refusePlay(r, &rtmp.Status{Code: rtmp.PlayFailed, Description: "too many players"})
	}
	stream, err := s.openPlay(r, p.Connect.Via)
	if err != nil {
		s.server.players.Add(-1)
		return nil, s.refusePlay(r, err)
	}
	s.playing.Store(true)
	v := &view{session: s, request: r, began: time.Now()}
	v.feed.Stream, v.feed.Fanout = stream, s.server.fanout
	return v.run, nil
}

func (s *session) openPlay(r PlayRequest, via []string) (*remux.Stream, error) {
	if s.server.config.Full() {
		return nil, &rtmp.Status{Code: rtmp.PlayFailed, Description: errFull.Error()}
	}
	ctx, cancel := context.WithTimeout(s.server.ctx, s.server.config.AuthorizeTimeout)
	defer cancel()
	if err := s.server.config.AuthorizePlay(ctx, r); err != nil {
		return nil, err
	}
	if stream := s.server.find(rtmp.WithVia(s.server.ctx, via), r.Name); stream != nil {
		return stream, nil
	}
	s.server.config.PlayDone(r, PlayEnd{Reason: Refused})
	return nil, &rtmp.Status{Code: rtmp.PlayNotFound, Description: "no such stream: " + r.Name.String()}
}

// find returns the stream of that name if it goes on. It waits a while for one that
// does not yet: edges and players come before the encoder does. A name that does
// not come leaves nothing behind.
func (s *Server) find(ctx context.Context, name remux.Name) *remux.Stream {
	there := s.goingOn(name)
	if there != nil {
		if live, _ := there.Live(); live {
			return there
		}
	}
	defer s.holding.Add(-1)
	if s.holding.Add(1) > maxHolding {
		return there
	}
	ctx, cancel := context.WithTimeout(ctx, s.config.PlayHold)
	defer cancel()
	if stream := s.config.Demand(ctx, name); stream != nil {
		return stream
	}
	if there != nil {
		return there // its publisher may come back
	}
	begun := s.config.Registry.Begun()
	for {
		n := begun.Load()
		if stream := s.goingOn(name); stream != nil {
			return stream
		}
		if _, err := begun.Wait(ctx, func(m uint64) bool { return m != n }); err != nil {
			return nil
		}
	}
}

// goingOn returns a stream that has not ended.
func (s *Server) goingOn(name remux.Name) *remux.Stream {
	if stream := s.config.Registry.Stream(name); stream != nil && !stream.Index().Ended {
		return stream
	}
	return nil
}

// refusePlay counts and logs a refusal, and returns what the player is told.
func (s *session) refusePlay(r PlayRequest, err error) error {
	st := playStatus(err)
	s.server.stats.refusedPlay(st.Code)
	s.server.warn(st.Code, "play refused", "session", s.id, "remote", s.remote.String(), "name", r.Name.String(),
		"code", st.Code, "reason", err.Error())
	return st
}

// view is a session that plays. All of it belongs to the View's goroutine.
type view struct {
	session *session
	request PlayRequest
	began   time.Time
	feed    feed.Feed
}

// run sends the stream to the player, and tells of its end.
func (v *view) run(peer context.Context, to *rtmp.Player) error {
	s := v.session
	<-s.begun
	s.server.config.Logger.Debug("play started", "session", s.id, "name", v.request.Name.String(),
		"remote", s.remote.String(), "player", v.request.Player)
	to.LimitBuffer(sendBuffer)
	s.watched.Store(&v.feed)
	s.view.Store(v)
	ctx, cancel := context.WithCancelCause(peer)
	stop := context.AfterFunc(s.server.ctx, func() { // the next turn is the last
		time.AfterFunc(s.server.config.PlayGather, func() { cancel(errShutdown) })
	})
	err := v.feed.Play(ctx, to, s.server.pingEvery)
	stop()
	cancel(nil)
	removed := s.removed.Load()
	switch {
	case removed != nil:
		err = *removed
	case peer.Err() != nil:
		err = context.Cause(peer)
	default:
		err = endOf(err)
	}
	v.end(err)
	switch {
	case errors.Is(err, rtmp.ErrPlayed), removed != nil:
		return nil
	case errors.Is(err, errShutdown), errors.Is(err, errMemory):
		s.rtmp.Stop(err, rtmp.Status{Code: rtmp.PlayEnded, Description: err.Error()})
		return nil
	}
	return err
}

// endOf says why a player's feed has ended in the words of this package.
func endOf(err error) error {
	switch {
	case errors.Is(err, io.EOF):
		return rtmp.ErrPlayed
	case errors.Is(err, fanout.ErrMemory):
		return errMemory
	case errors.Is(err, fanout.ErrShutdown):
		return errShutdown
	case errors.Is(err, fanout.ErrTooSlow), errors.Is(err, fanout.ErrStalled), errors.Is(err, os.ErrDeadlineExceeded):
		return fmt.Errorf("%w: %w", errTooSlow, err)
	}
	return err
}

// end counts and logs the end.
func (v *view) end(err error) {
	s := v.session
	why := reasonOf(err)
	s.playing.Store(false)
	s.server.players.Add(-1)
	s.server.mu.Lock() // so that Stats counts the feed once
	s.watched.Store(nil)
	s.view.Store(nil)
	s.server.stats.played(&v.feed)
	s.server.mu.Unlock()
	end := PlayEnd{Reason: why, Bytes: v.feed.Bytes(), Duration: time.Since(v.began)}
	attrs := []any{
		"session", s.id, "name", v.request.Name.String(), "remote", s.remote.String(), "reason", why,
		"duration", end.Duration.Round(time.Millisecond), "bytes", end.Bytes, "skips", v.feed.Skips(),
	}
	if why.unexpected() {
		attrs = append(attrs, "error", err.Error())
	}
	s.server.config.Logger.Debug("play ended", attrs...)
	s.server.config.PlayDone(v.request, end)
}
