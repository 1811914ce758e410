package ingest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync/atomic"
	"time"

	"headwater/ingest/feed"
	"headwater/ingest/rtmp"
	"headwater/ingest/turns"
	"headwater/remux"
)

// sink is the part of remux.Publisher that a session needs.
type sink interface {
	Write(typ uint8, timestamp uint32, tag []byte) error
	Close()
}

// session is one connection, of a publisher or a player. Its methods are called by
// the goroutine that reads it, except where they say otherwise.
type session struct {
	// What every message needs lies together: it has left the processor's caches each time.
	messages atomic.Uint64 // of the publication
	bytes    atomic.Uint64 // likewise
	sink     sink          // owned by the session's goroutine
	cuts     cuts          // likewise

	// fixed after accept
	server *Server
	id     uint64
	remote netip.AddrPort
	secure bool // it came over TLS
	rtmp   *rtmp.Session
	turns  *turns.Conn   // of it; nil: it is read whenever something comes
	begun  chan struct{} // closed when rtmp is set

	// owned by the session's goroutine
	grant     Grant
	log       *slog.Logger
	published time.Time

	// of the publication
	publishing  atomic.Bool
	publication atomic.Pointer[publication] // nil while there is none

	// of what it plays
	playing atomic.Bool
	watched atomic.Pointer[feed.Feed] // nil while it does not
	view    atomic.Pointer[view]      // likewise
	removed atomic.Pointer[error]     // why somebody else ended that
}

// Publish decides about a publish command, and claims the name.
func (s *session) Publish(p rtmp.Publish) error {
	r, err := newRequest(s.remote, p)
	if err != nil {
		return s.refuse(BadName(err.Error()))
	}
	if err := s.claim(r); err != nil {
		return s.refuse(err)
	}
	s.published = time.Now()
	s.bytes.Store(0)
	s.messages.Store(0)
	s.publishing.Store(true)
	s.publication.Store(&publication{s.grant.Name, r.Encoder, s.grant.Key, s.published})
	s.takeTurns(true)
	s.server.vias.set(s.grant.Name, s, p.Connect.Via)
	s.log = s.server.config.Logger.With("session", s.id, "name", s.grant.Name.String(), "remote", s.remote.String())
	s.log.Info("publish started", "encoder", r.Encoder, "key", s.grant.Key, "tls", s.secure)
	return nil
}

// refuse counts and logs a refusal, and returns what the encoder is told. The name
// that was asked for is logged only where the Refusal gives one: it may be a
// secret.
func (s *session) refuse(err error) error {
	st := status(err)
	s.server.stats.refused(st.Code)
	attrs := []any{"session", s.id, "remote", s.remote.String(), "code", st.Code, "reason", err.Error()}
	if r, ok := errors.AsType[*Refusal](err); ok {
		if r.Name != "" {
			attrs = append(attrs, "name", r.Name)
		}
		if r.Detail != "" {
			attrs = append(attrs, "detail", r.Detail)
		}
	}
	s.server.warn(st.Code, "publish refused", attrs...)
	return st
}

// claim gets the permission to publish and the name that it is for.
func (s *session) claim(r PublishRequest) error {
	ctx, cancel := context.WithTimeout(s.server.ctx, s.server.config.AuthorizeTimeout)
	defer cancel()
	grant, err := s.server.config.Authorize(ctx, r)
	if err != nil {
		return err
	}
	if s.server.config.Full() && s.server.goingOn(grant.Name) == nil {
		grant.done(End{Reason: Refused})
		return Rejected(errFull.Error())
	}
	claimed := false
	defer func() {
		if !claimed {
			grant.done(End{Reason: Refused})
		}
	}()
	takeover := s.server.limits.Load().Takeover && grant.Proved
	sink, err := s.open(grant.Name, remux.Claim{Takeover: takeover, Evicted: s.stop})
	switch {
	case errors.Is(err, remux.ErrBusy):
		refusal := BadName(fmt.Sprintf("%s is being published already", grant.Name))
		refusal.Name = grant.Name.String()
		return refusal
	case err != nil:
		return fmt.Errorf("publish %s: %w", grant.Name, err)
	}
	s.grant, s.sink, claimed = grant, sink, true
	s.cuts = newCuts(sink, s.server.config.MaxUncut)
	return nil
}

// open claims a name. Where somebody has it that may be one who has just left, which
// shows in the next turn of reading: it is asked for once more behind that.
func (s *session) open(name remux.Name, claim remux.Claim) (sink, error) {
	to, err := s.server.publish(name, claim)
	if !errors.Is(err, remux.ErrBusy) {
		return to, err
	}
	select {
	case <-time.After((turns.MostSkipped+2)*s.server.config.ReadGather + 10*time.Millisecond):
	case <-s.server.ctx.Done():
	}
	return s.server.publish(name, claim)
}

// Write appends a message to the stream.
func (s *session) Write(typ uint8, timestamp uint32, tag []byte) error {
	s.messages.Add(1)
	s.bytes.Add(uint64(len(tag)))
	n := len(tag) // the stream's from now on
	err := s.sink.Write(typ, timestamp, tag)
	switch {
	case err == nil:
		return s.paceCuts(n)
	case errors.Is(err, remux.ErrReplaced), errors.Is(err, remux.ErrKicked), errors.Is(err, remux.ErrStandstill):
		return &rtmp.Stop{Err: err, Why: farewell(err)} // stop may not have been called yet
	}
	return &streamError{err}
}

// streamError says that it was the stream that ended the session.
type streamError struct{ err error }

func (e *streamError) Error() string { return fmt.Sprintf("write to stream: %v", e.err) }
func (e *streamError) Unwrap() error { return e.err }

// Unpublish gives the name back.
func (s *session) Unpublish(err error) {
	<-s.begun
	s.server.vias.drop(s.grant.Name, s)
	s.sink.Close()
	s.publishing.Store(false)
	s.takeTurns(false)
	bytes, messages := s.bytes.Load(), s.messages.Load()
	s.server.stats.published(messages, bytes)
	why, duration := reasonOf(err), time.Since(s.published)
	s.grant.done(End{why, bytes, duration})
	attrs := []any{
		"reason", why, "duration", duration.Round(time.Millisecond),
		"bytes", bytes, "messages", messages, "ignored", s.rtmp.Ignored(),
	}
	if c, ok := s.sink.(*remux.Publisher); ok {
		st := c.Stats()
		attrs = append(attrs, "dropped", st.Malformed+st.Unsupported+st.BeforeHeader)
	}
	if err != nil && why.unexpected() {
		attrs = append(attrs, "error", err.Error())
	}
	s.log.Info("publish ended", attrs...)
	s.sink, s.grant = nil, Grant{}
}

// takeTurns has what it publishes read in turns.
func (s *session) takeTurns(on bool) {
	if s.turns != nil {
		s.turns.Wanted = s.wanted
		s.turns.TakeTurns(on)
	}
}

// wanted returns when what is published is wanted, as turns.Conn asks.
func (s *session) wanted() time.Duration {
	if s.cuts.stream == nil {
		return 0
	}
	return s.cuts.stream.Wanted()
}

// stop ends the session from another goroutine: the server closes, or the
// stream has been given to somebody else.
func (s *session) stop(err error) {
	<-s.begun
	s.rtmp.Stop(err, farewell(err))
}

// farewell returns what an encoder is told that has to go. Only where the server
// closes, or the stream has to begin anew, shall it come back: two that take a name
// from each other would never stop.
func farewell(err error) rtmp.Status {
	switch {
	case errors.Is(err, remux.ErrReplaced):
		return rtmp.Status{Code: rtmp.PublishBadName, Description: err.Error()}
	case errors.Is(err, remux.ErrKicked):
		return rtmp.Status{Code: rtmp.PublishRejected, Description: err.Error()}
	}
	return rtmp.Status{Code: rtmp.ConnectClosed, Description: err.Error()}
}

// Closed ends the session.
func (s *session) Closed(err error) {
	s.server.forget(s, reasonOf(err), err)
}
