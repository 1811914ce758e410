package relay

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"headwater/ingest/rtmp"
	"headwater/remux"
	"headwater/remux/fanout"
)

// Options are what a Relay works with. Registry is required.
type Options struct {
	Registry *remux.Registry
	Logger   *slog.Logger // nil: no log
	// ID is what this server is called among relays, the same as that of its
	// ingest. "": circles are not noticed.
	ID string
	// Via returns the servers that a stream has come through that another relay
	// publishes here. nil: no stream has.
	Via func(remux.Name) []string
	// TLS is for RTMPS; nil: the system's roots.
	TLS *tls.Config
}

// Relay runs what a Config says.
type Relay struct {
	// fixed after New
	options Options
	retry   backoff
	client  rtmp.ClientOptions
	fanout  *fanout.Fanout

	rules atomic.Pointer[rules] // in force

	// Demand starts relays at any time; they end with ctx.
	ctx     context.Context
	cancel  context.CancelFunc
	running sync.WaitGroup

	mu     sync.Mutex
	closed bool
	pushes map[pushKey]*push
	pulls  map[remux.Name]*pull
	trying int // pulls that are not settled

	remarked time.Time // when a first try that failed was last logged
}

// rules are what a configuration says. They never change.
type rules struct {
	push, pull []rule
}

// rule is one entry of the configuration.
type rule struct {
	pattern  remux.Pattern
	template template
	always   bool
	idle     time.Duration
}

// New checks a configuration and returns what runs it.
func New(c Config, o Options) (*Relay, error) {
	all, err := c.rules()
	if err != nil {
		return nil, err
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Via == nil {
		o.Via = func(remux.Name) []string { return nil }
	}
	r := &Relay{
		options: o, retry: backoff{least: leastRetry, most: mostRetry},
		// A target is never closed for being slow: it would only come again.
		fanout: fanout.New(fanout.Config{Gather: pushGather, SkipPause: time.Nanosecond, Logger: o.Logger}),
		pushes: map[pushKey]*push{}, pulls: map[remux.Name]*pull{},
	}
	r.rules.Store(all)
	r.ctx, r.cancel = context.WithCancel(context.Background())
	return r, nil
}

// rules checks a configuration and reads the files and variables that it names.
func (c Config) rules() (*rules, error) {
	if problems := c.Validate(); len(problems) > 0 {
		return nil, errors.New(problems[0].String())
	}
	r := &rules{}
	for i, p := range c.Push {
		t, err := source{p.URL, p.URLFile, p.URLEnv}.load()
		if err != nil {
			return nil, fmt.Errorf("relay.push: entry %d: %w", i+1, err)
		}
		pattern, err := parseName(p.Name)
		if err != nil {
			return nil, err // Validate has said so
		}
		r.push = append(r.push, rule{pattern: pattern, template: t})
	}
	for i, p := range c.Pull {
		t, err := source{p.URL, p.URLFile, p.URLEnv}.load()
		if err != nil {
			return nil, fmt.Errorf("relay.pull: entry %d: %w", i+1, err)
		}
		idle := p.Idle
		if idle == 0 {
			idle = defaultIdle
		}
		pattern, err := parseName(p.Name)
		if err != nil {
			return nil, err // likewise
		}
		r.pull = append(r.pull, rule{pattern, t, p.Always, idle})
	}
	return r, nil
}

// startPulls starts what is always to be pulled and is not yet.
func (r *Relay) startPulls() {
	for _, rule := range r.rules.Load().pull {
		if name, ok := rule.pattern.Single(); ok && rule.always {
			r.startPull(name, rule, nil)
		}
	}
}

// ID returns what this server is called among relays.
func (r *Relay) ID() string { return r.options.ID }

// Run relays until ctx is done, and then ends every relay in order. Nothing is
// relayed after it has returned.
func (r *Relay) Run(ctx context.Context) {
	r.startPulls()
	begun := r.options.Registry.Begun()
	for ctx.Err() == nil {
		n := begun.Load()
		r.startPushes()
		_, _ = begun.Wait(ctx, func(m uint64) bool { return m != n }) // the loop looks at ctx
	}
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	r.cancel()
	r.running.Wait()
	r.fanout.Close()
}

// via returns the servers that a stream has been at, this one included.
func (r *Relay) via(name remux.Name, asking []string) []string {
	all := slices.Concat(asking, r.options.Via(name))
	r.mu.Lock()
	if p := r.pulls[name]; p != nil && p.source != "" {
		all = append(all, p.source)
	}
	r.mu.Unlock()
	if r.options.ID != "" {
		all = append(all, r.options.ID)
	}
	return all
}

// goodbye is how long a connection may still take to end in order.
const goodbye = time.Second

// dial connects to a target. The connection is closed, at the latest, a little after
// ctx is done, or when done is called.
func (r *Relay) dial(ctx context.Context, t template) (conn net.Conn, done func(), err error) {
	open, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	dialer := &net.Dialer{KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: 15 * time.Second, Interval: 15 * time.Second, Count: 4}}
	if t.secure {
		config := &tls.Config{MinVersion: tls.VersionTLS12}
		if r.options.TLS != nil {
			config = r.options.TLS
		}
		conn, err = (&tls.Dialer{NetDialer: dialer, Config: config}).DialContext(open, "tcp", t.addr)
	} else {
		conn, err = dialer.DialContext(open, "tcp", t.addr)
	}
	if err != nil {
		return nil, nil, err
	}
	stop := context.AfterFunc(ctx, func() { time.AfterFunc(goodbye, func() { _ = conn.Close() }) })
	return conn, func() { stop(); _ = conn.Close() }, nil
}

// start runs a relay's goroutine, and returns what ends it. Callers hold mu.
func (r *Relay) start(run func(context.Context)) context.CancelFunc {
	ctx, cancel := context.WithCancel(r.ctx)
	r.running.Go(func() {
		defer cancel()
		run(ctx)
	})
	return cancel
}
