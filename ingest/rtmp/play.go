package rtmp

import (
	"context"
	"errors"
	"time"

	gortmp "github.com/yutopp/go-rtmp"
	"github.com/yutopp/go-rtmp/message"
)

// ErrPlayed is what ends a session whose View has come to its end.
var ErrPlayed = errors.New("the stream has ended")

// ErrUnanswered is wrapped by what ends a View whose peer did not answer a ping.
var ErrUnanswered = errors.New("the player does not answer")

// ErrUnplayed is what ends a View whose peer wants no more, and stays.
var ErrUnplayed = errors.New("the peer stopped playing")

// How much a peer may send that plays, beside commands: acknowledgements and
// answers to pings come a few a second.
const (
	chatterBurst = 1000
	chatterRate  = 100
)

// playLinger is how long a player may still read what it has been sent.
const playLinger = 3 * time.Second

// viewing is a View that has been accepted.
type viewing struct {
	run     View
	started bool
	ctx     context.Context
	cancel  context.CancelCauseFunc
	done    chan struct{} // closed when run has returned
}

// onPlay gives a play command to go-rtmp.
func (g *guard) onPlay(cmd *command) error {
	if g.publish.active || g.view != nil {
		s := Status{PlayFailed, "this connection is publishing or playing already"}
		return g.reply(cmd.stream, "onStatus", 0, nil, s.info("error"))
	}
	g.useStream(cmd.stream)
	g.current = &reply{kind: replyPlay, stream: cmd.stream}
	g.give(g.current, g.streams.lookup(g.publish.slot), "play", 0, nil, cmd.text(0), 0)
	return nil
}

// OnPlay asks the Handler.
func (e *events) OnPlay(_ *gortmp.StreamContext, _ uint32, cmd *message.NetStreamPlay) error {
	g := e.g
	var run View
	err := g.guarded(func() (err error) {
		run, err = g.handler.Play(Play{Connect: *g.connect, Name: cmd.StreamName})
		return err
	})
	if err != nil {
		return g.refuse(err, Status{PlayFailed, "playing was refused"})
	}
	g.view = &viewing{run: run, done: make(chan struct{})}
	g.view.ctx, g.view.cancel = context.WithCancelCause(context.Background())
	g.chatter = bucket{burst: chatterBurst, rate: chatterRate}
	g.setReadDeadline(time.Time{}) // a player need not say anything
	return nil
}

// startView runs a View that has been accepted, behind the answer that says so.
func (g *guard) startView() error {
	v := g.view
	if v == nil || v.started {
		return nil
	}
	if err := g.out.settle(); err != nil {
		return err
	}
	g.runView()
	return nil
}

func (g *guard) runView() {
	v := g.view
	v.started = true
	to := newPlayer(g)
	go func() {
		defer close(v.done)
		err := g.guarded(func() error { return v.run(v.ctx, to) })
		g.out.reclaim() // before anybody closes the connection
		if v.ctx.Err() == nil {
			g.played(err)
		}
	}()
}

// ask gives the peer time to answer a ping. Any goroutine may call it.
func (g *guard) ask() {
	if g.asked.CompareAndSwap(false, true) {
		g.setReadDeadline(time.Now().Add(g.opts.Answer))
	}
}

// heard is called when a peer that plays has said something.
func (g *guard) heard() {
	if g.asked.CompareAndSwap(true, false) {
		g.retried = false
		g.setReadDeadline(time.Time{})
	}
}

// played ends the session after its View has returned by itself.
func (g *guard) played(err error) {
	status, told := errors.AsType[*Status](err)
	switch {
	case err == nil:
		g.stop(ErrPlayed, Status{PlayEnded, "the stream has ended"})
	case told:
		g.stop(err, *status)
	default:
		g.cut(err)
	}
}

// cut ends the session without another word.
func (g *guard) cut(err error) {
	g.stopping.Do(func() {
		g.stopped.Store(&stopReason{err: err, cut: true})
		_ = g.conn.SetReadDeadline(time.Unix(1, 0))
	})
}

// endView ends the View for a reason that its peer has given, and waits for it. A
// View always gets to run, so that whoever accepted it hears of its end.
func (g *guard) endView(cause error) {
	v := g.view
	if v == nil {
		return
	}
	v.cancel(cause)
	if !v.started {
		g.runView()
	}
	<-v.done
	g.view = nil
}

// unplay ends playing in order; the peer may play or publish again.
func (g *guard) unplay() {
	if g.view == nil {
		return
	}
	g.endView(ErrUnplayed)
	g.renew(g.publish.slot)
	g.publish = publication{}
	g.early = early{messages: 0, since: g.in.in.total}
	g.arm(g.opts.Publish)
}

// translatePlay appends what a player expects before the first frame.
func (r *reply) translatePlay(dst []byte) []byte {
	dst = appendEvent(dst, eventStreamBegin, r.stream)
	for _, s := range []Status{{playReset, "playing from the live edge"}, {playStart, "playing"}} {
		dst = appendCommand(dst, r.stream, "onStatus", 0, nil, s.info("status"))
	}
	data := header{typeData, r.stream}
	dst = appendMessage(dst, dataChunks, data, AppendAMF(nil, "|RtmpSampleAccess", true, true))
	return appendMessage(dst, dataChunks, data, AppendAMF(nil, "onStatus", Object{{"code", dataStart}}))
}
