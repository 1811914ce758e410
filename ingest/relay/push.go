package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"headwater/ingest/feed"
	"headwater/ingest/rtmp"
	"headwater/remux"
)

// pushKey is one stream and where it is pushed.
type pushKey struct {
	stream *remux.Stream
	to     template
}

// push sends one stream to one target.
type push struct {
	*job
	relay  *Relay
	stream *remux.Stream
	key    pushKey
	cancel context.CancelFunc
}

// pushGather is how long frames are gathered for one write.
const pushGather = 50 * time.Millisecond

// startPushes starts what is to be pushed and is not yet.
func (r *Relay) startPushes() {
	for _, s := range r.options.Registry.Streams() {
		if s.Index().Ended {
			continue
		}
		for _, rule := range r.rules.Load().push {
			if rule.pattern.Match(s.Name.App, s.Name.Stream) {
				r.startPush(pushKey{s, rule.template}, rule)
			}
		}
	}
}

func (r *Relay) startPush(key pushKey, rule rule) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.closed || r.pushes[key] != nil {
		return
	}
	p := &push{job: newJob(Pushing, key.stream.Name, rule.template, r.options.Logger), relay: r, stream: key.stream, key: key}
	r.pushes[key] = p
	p.cancel = r.start(p.run)
}

// run tries until the stream has ended.
func (p *push) run(ctx context.Context) {
	defer func() {
		p.relay.mu.Lock()
		defer p.relay.mu.Unlock()
		if p.relay.pushes[p.key] == p {
			delete(p.relay.pushes, p.key)
		}
	}()
	retry := p.relay.retry
	for p.awaitPublisher(ctx) {
		began := time.Now()
		err := p.survive(func() error { return p.session(ctx) })
		if errors.Is(err, io.EOF) || ctx.Err() != nil {
			return
		}
		if p.snapshot().State == Live && time.Since(began) > steady {
			retry.reset()
		}
		pause := retry.next()
		if errors.Is(err, rtmp.ErrLoop) {
			pause = retry.most // it will not be otherwise soon
		}
		p.fail(err, pause, false)
		p.enter(Retrying)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// awaitPublisher waits while the stream has no publisher: its target has nothing to
// get. It returns false when the stream has ended.
func (p *push) awaitPublisher(ctx context.Context) bool {
	index := p.stream.WatchIndex()
	for {
		now := index.Load()
		if now.Ended || ctx.Err() != nil {
			return false
		}
		if live, _ := p.stream.Live(); live {
			return true
		}
		p.enter(Waiting)
		_, _ = index.Wait(ctx, func(ix *remux.Index) bool { return ix != now }) // the loop looks at ctx
	}
}

// session is one connection, up to its end: io.EOF if it is the stream's.
func (p *push) session(ctx context.Context) error {
	p.enter(Connecting)
	conn, done, err := p.relay.dial(ctx, p.template)
	if err != nil {
		return err
	}
	defer done()
	c := rtmp.NewClient(conn, p.template.target(p.relay.via(p.stream.Name, nil)), p.relay.client)
	to, err := c.Publish()
	if err != nil {
		return err
	}
	p.enter(Live)
	p.log.Info("relay started")
	f := &feed.Feed{Stream: p.stream, Fanout: p.relay.fanout}
	p.sending(f)
	defer p.sending(nil)
	sending, stop := context.WithCancelCause(context.WithoutCancel(ctx))
	defer context.AfterFunc(ctx, func() { // the next turn is the last
		time.AfterFunc(pushGather, func() { stop(context.Cause(ctx)) })
	})()
	var reading sync.WaitGroup
	reading.Go(func() {
		stop(&closedError{p.survive(func() error { _, err := c.Next(); return err })})
	})
	err = f.Run(sending, to)
	if errors.Is(err, io.EOF) || ctx.Err() != nil {
		_ = c.Close() // the target finds out by itself otherwise
		p.log.Info("relay ended", "bytes", f.Bytes(), "skips", f.Skips())
	}
	done()
	reading.Wait()
	if closed, ok := errors.AsType[*closedError](context.Cause(sending)); ok && !errors.Is(err, io.EOF) {
		err = closed // it says more than a write that fails
	}
	return err
}

// closedError says that the target has ended it.
type closedError struct{ err error }

func (e *closedError) Error() string {
	if errors.Is(e.err, io.EOF) || errors.Is(e.err, io.ErrUnexpectedEOF) {
		return "the target closed the connection"
	}
	return fmt.Sprintf("the target: %v", e.err)
}

// Is keeps the end of a connection from being taken for that of the stream.
func (e *closedError) Is(target error) bool { return target != io.EOF && errors.Is(e.err, target) }
