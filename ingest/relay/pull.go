package relay

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/remux/flv"
)

// pull fetches one stream from one server.
type pull struct {
	*job
	relay *Relay
	name  remux.Name
	rule  rule
	via   []string // who asks

	source string // what the server is called among relays; guarded by relay.mu

	cancel  context.CancelFunc
	settled chan struct{} // closed when it is known whether the stream comes
	settle  sync.Once

	stream *remux.Stream // the newest; owned by run; nil: it has not come
}

const (
	// maxPulls bounds the streams that are pulled on demand, and the names that
	// were asked for in vain and are remembered.
	maxPulls = 1000
	// maxTrying bounds those of them of which it is not known yet whether they
	// come: who asks for names that do not exist must not keep others from theirs.
	maxTrying = 32
	// pullRetryMost is the longest pause between two tries: viewers wait.
	pullRetryMost = 15 * time.Second
	// unknownFor is how long a name that the server does not have is not asked for
	// again.
	unknownFor = 2 * time.Second
	// remarkEvery is how often it is said that first tries fail.
	remarkEvery = 10 * time.Second
)

var (
	errIdle      = errors.New("nobody watches")
	errPublished = errors.New("it is published here")
	errOver      = errors.New("the stream has ended there")
)

// startPull starts to pull a stream, unless it is pulled already. It returns nil if
// there are too many.
func (r *Relay) startPull(name remux.Name, rule rule, via []string) *pull {
	r.mu.Lock()
	defer r.mu.Unlock()
	if p := r.pulls[name]; p != nil {
		return p
	}
	if r.closed || !rule.always && (len(r.pulls) >= maxPulls || r.trying >= maxTrying) {
		return nil
	}
	r.trying++
	p := &pull{
		job: newJob(Pulling, name, rule.template, r.options.Logger), relay: r, name: name, rule: rule, via: via,
		settled: make(chan struct{}),
	}
	r.pulls[name] = p
	p.cancel = r.start(p.run)
	return p
}

// Demand returns a stream that somebody wants: the one that is there, or one that is
// pulled now because its name fits. It waits for that one until ctx is done, or until
// it is known not to come, and then returns nil.
func (r *Relay) Demand(ctx context.Context, name remux.Name) *remux.Stream {
	s := r.goingOn(name)
	if s != nil {
		if live, _ := s.Live(); live {
			return s
		}
	}
	for _, rule := range r.rules.Load().pull {
		if !rule.pattern.Match(name.App, name.Stream) {
			continue
		}
		p := r.startPull(name, rule, rtmp.Via(ctx))
		if s != nil || p == nil {
			return s // its publisher is away; the pull brings it back
		}
		select {
		case <-p.settled:
		case <-ctx.Done():
		}
		return r.goingOn(name)
	}
	return s
}

// goingOn returns a stream that has not ended.
func (r *Relay) goingOn(name remux.Name) *remux.Stream {
	if s := r.options.Registry.Stream(name); s != nil && !s.Index().Ended {
		return s
	}
	return nil
}

// run tries until nobody wants the stream any more; always, if that is the rule.
func (p *pull) run(ctx context.Context) {
	defer p.forget()
	retry := p.relay.retry
	retry.most = min(retry.most, pullRetryMost)
	for {
		began := time.Now()
		err := p.survive(func() error { return p.session(ctx) })
		if ctx.Err() != nil {
			return
		}
		switch {
		case errors.Is(err, errIdle):
			p.ended()
			return
		case p.snapshot().State == Live && time.Since(began) > steady:
			retry.reset()
		}
		pause := retry.next()
		unknown := !p.rule.always && p.stream == nil
		p.fail(err, pause, unknown && !p.relay.remarkable(err))
		p.enter(Retrying)
		p.resolve()
		if unknown {
			sleep(ctx, unknownFor)
			return
		}
		if !sleep(ctx, pause) {
			return
		}
		if p.unwanted() {
			p.ended()
			return
		}
	}
}

// remarkable reports whether the failure of a first try is to be seen: that a stream
// is not there is not, since anybody may ask for one, and the rest now and then.
func (r *Relay) remarkable(err error) bool {
	if _, refused := errors.AsType[*rtmp.Status](err); refused {
		return false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if time.Since(r.remarked) < remarkEvery {
		return false
	}
	r.remarked = time.Now()
	return true
}

// ended says that nobody wants the stream any more.
func (p *pull) ended() {
	p.log.Info("relay ended", "reason", errIdle.Error(), "bytes", p.snapshot().Bytes)
}

// forget makes room for another try.
func (p *pull) forget() {
	p.resolve()
	p.relay.mu.Lock()
	defer p.relay.mu.Unlock()
	if p.relay.pulls[p.name] == p {
		delete(p.relay.pulls, p.name)
	}
}

// resolve says that it is known whether the stream comes.
func (p *pull) resolve() {
	p.settle.Do(func() {
		close(p.settled)
		p.relay.mu.Lock()
		defer p.relay.mu.Unlock()
		p.relay.trying--
	})
}

// unwanted reports whether nobody has wanted the stream for as long as the rule says.
func (p *pull) unwanted() bool {
	return !p.rule.always && p.stream.Unwatched() > p.rule.idle
}

// session is one connection, up to its end.
func (p *pull) session(ctx context.Context) error {
	if s := p.relay.goingOn(p.name); s != nil {
		if live, _ := s.Live(); live {
			return errPublished
		}
	}
	p.enter(Connecting)
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	conn, done, err := p.relay.dial(ctx, p.template)
	if err != nil {
		return err
	}
	defer done()
	defer context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Unix(1, 0)) })()
	c := rtmp.NewClient(conn, p.template.target(p.relay.via(p.name, p.via)), p.relay.client)
	if err := c.Play(); err != nil {
		return err
	}
	err = p.receive(c, stop)
	if cause := context.Cause(ctx); cause != nil {
		err = cause
	}
	if errors.Is(err, errIdle) || ctx.Err() != nil {
		_ = c.Close()
	}
	if errors.Is(err, io.EOF) {
		err = errOver
	}
	return err
}

// receive publishes what the server sends.
func (p *pull) receive(c *rtmp.Client, stop context.CancelCauseFunc) error {
	m, err := c.Next()
	if err != nil {
		return err
	}
	p.setSource(c.ServerID())
	defer p.setSource("")
	to, err := p.relay.options.Registry.Publish(p.name, remux.Claim{Evicted: func(err error) { stop(err) }})
	if err != nil {
		return fmt.Errorf("publish here: %w", err)
	}
	defer to.Close()
	if p.stream == nil {
		to.Stream().Touch() // somebody has asked for it
	}
	p.stream = to.Stream()
	p.resolve()
	p.enter(Live)
	p.log.Info("relay started")
	for look := time.Now(); ; {
		p.received(len(flv.Body(m.Tag)))
		if err := to.Write(m.Type, m.Timestamp, m.Tag); err != nil {
			return err
		}
		if now := time.Now(); now.Sub(look) > time.Second {
			if look = now; p.unwanted() {
				return errIdle
			}
		}
		if m, err = c.Next(); err != nil {
			return err
		}
	}
}

// setSource remembers where the stream comes from, so that it is not pushed there.
func (p *pull) setSource(id string) {
	p.relay.mu.Lock()
	defer p.relay.mu.Unlock()
	p.source = id
}
