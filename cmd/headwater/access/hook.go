package access

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"runtime/debug"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"headwater/cmd/headwater/histogram"
)

const (
	maxInFlight = 64   // requests of one callback at a time
	maxWaiting  = 1000 // of those that wait for a place among them, and of events that wait to be told
	maxTellers  = 8    // goroutines that tell ended sessions, of one callback
	threshold   = 5    // failures in a row after which a callback is let alone
)

// retries are the pauses before an event is told again.
var retries = []time.Duration{time.Second, 5 * time.Second}

// hook is one configured callback. A slow or dead one keeps those waiting who
// need its answer, and nobody else: each has its own places and its own breaker.
type hook struct {
	// fixed after newHook
	kind    eventKind
	url     string
	host    string
	client  *http.Client
	dialect dialect
	secret  []byte // nil: requests are not signed
	timeout time.Duration
	log     *slog.Logger
	places  chan struct{}
	closing chan struct{} // closed when there is no more time for retries
	ctx     context.Context
	cancel  context.CancelFunc

	breaker breaker
	waiting atomic.Int64
	pending atomic.Int64 // ends that it will be told of
	counts  *hookCounts

	mu      sync.Mutex
	queue   []event
	tellers int
	closed  bool
	running sync.WaitGroup
}

func newHook(kind eventKind, url Endpoint, c Callbacks, client *http.Client, secret []byte, log *slog.Logger) *hook {
	h := &hook{
		kind: kind, url: string(url), host: url.String(), client: client,
		dialect: dialects[c.Format], secret: secret, timeout: c.Timeout,
		log:     log.With("callback", kind.name(), "host", url.String()),
		places:  make(chan struct{}, maxInFlight),
		closing: make(chan struct{}),
		breaker: breaker{threshold: threshold},
		counts:  &hookCounts{latency: histogram.New(latencyBounds...)},
	}
	h.ctx, h.cancel = context.WithCancel(context.Background())
	return h
}

var (
	errBusy   = errors.New("too many requests are waiting for it")
	errPaused = errors.New("it has failed repeatedly and is not asked for a while")
)

// ask returns what the callback says about an event. An error means that it said
// nothing that can be understood. The callback's timeout bounds all of it.
func (h *hook) ask(parent context.Context, e event) (verdict, error) {
	ctx, cancel := context.WithTimeout(parent, h.timeout)
	defer cancel()
	if err := h.enter(ctx); err != nil {
		return verdict{}, err
	}
	defer func() { <-h.places }()
	return h.try(ctx, parent, e)
}

// try makes an attempt unless the callback is let alone. parent is done when the
// asker has left.
func (h *hook) try(ctx, parent context.Context, e event) (v verdict, err error) {
	if !h.breaker.allow() {
		return verdict{}, errPaused
	}
	err = errors.New("panic") // unless attempt returns
	defer func() { h.settle(err, parent.Err() != nil) }()
	return h.attempt(ctx, e)
}

// enter takes a place among the requests in flight.
func (h *hook) enter(ctx context.Context) error {
	select {
	case h.places <- struct{}{}:
		return nil
	default:
	}
	if h.waiting.Add(1) > maxWaiting {
		h.waiting.Add(-1)
		return errBusy
	}
	defer h.waiting.Add(-1)
	select {
	case h.places <- struct{}{}:
		return nil
	case <-ctx.Done():
		return errBusy
	}
}

// settle notes how a request ended. One whose asker went away says nothing about
// the server.
func (h *hook) settle(err error, left bool) {
	switch {
	case err == nil:
		if h.breaker.success() {
			h.log.Info("callback answers again")
		}
	case left:
		h.breaker.abandon()
	default:
		h.counts.failures.Add(1)
		if h.breaker.failure() {
			h.log.Error("callback fails", "error", err)
		}
	}
}

// callbackKey is where a request's context has the name of its callback.
type callbackKey struct{}

// CallbackOf returns which callback a request is for, as the configuration calls it:
// on_publish and the like; jwks where it fetches keys.
func CallbackOf(ctx context.Context) string {
	if name, ok := ctx.Value(callbackKey{}).(string); ok {
		return name
	}
	return "jwks"
}

// attempt sends one request and reads its answer.
func (h *hook) attempt(ctx context.Context, e event) (verdict, error) {
	contentType, body := h.dialect.encode(e)
	req, err := http.NewRequestWithContext(context.WithValue(ctx, callbackKey{}, h.kind.name()), http.MethodPost, h.url, bytes.NewReader(body))
	if err != nil {
		return verdict{}, withoutURL(err)
	}
	req.Header.Set("Content-Type", contentType)
	req.Header.Set("User-Agent", "Headwater")
	req.Header.Set("Idempotency-Key", e.session+"-"+e.kind.name()) // also lets net/http repeat it on a fresh connection
	if h.secret != nil {
		timestamp := strconv.FormatInt(time.Now().Unix(), 10)
		req.Header.Set("Headwater-Timestamp", timestamp)
		req.Header.Set("Headwater-Signature", "v1="+signature(h.secret, timestamp, body))
	}
	began := time.Now()
	a, err := exchange(h.client, req)
	h.counts.latency.Observe(time.Since(began))
	if err != nil {
		return verdict{}, err
	}
	switch {
	case e.kind.asks():
		return h.dialect.decode(e, a)
	case a.status < 400:
		return verdict{}, nil // it was told; what it thinks of it does not matter
	}
	return refusals(a)
}

// signature is what proves to a callback that a request comes from here, now.
func signature(secret []byte, timestamp string, body []byte) string {
	m := hmac.New(sha256.New, secret)
	_, _ = m.Write([]byte(timestamp + "."))
	_, _ = m.Write(body)
	return hex.EncodeToString(m.Sum(nil))
}

// tell passes on an event that wants no answer, and returns at once. When too
// many are waiting it is dropped.
func (h *hook) tell(e event) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed || len(h.queue) >= maxWaiting {
		h.drop(errBusy)
		return
	}
	h.queue = append(h.queue, e)
	if h.tellers < maxTellers {
		h.tellers++
		h.running.Go(h.tellAll)
	}
}

func (h *hook) drop(why error) {
	if n := h.counts.dropped.Add(1); n&(n-1) == 0 { // the 1st, 2nd, 4th, 8th …
		h.log.Error("callback dropped", "total", n, "error", why)
	}
}

// tellAll tells what is waiting and returns when nothing is.
func (h *hook) tellAll() {
	for {
		h.mu.Lock()
		if len(h.queue) == 0 {
			h.tellers--
			h.mu.Unlock()
			return
		}
		e := h.queue[0]
		h.queue = h.queue[1:]
		h.mu.Unlock()
		if err := h.deliver(e); err != nil {
			h.drop(err)
		}
	}
}

// deliver tells one event, a few times if need be.
func (h *hook) deliver(e event) (err error) {
	defer func() {
		if p := recover(); p != nil {
			h.log.Error("callback panicked", "panic", fmt.Sprint(p), "stack", string(debug.Stack()))
			err = errors.New("panic")
		}
	}()
	for i := 0; ; i++ {
		v, err := h.tellOnce(e)
		if err == nil && v.refused {
			return errors.New("the answer is a refusal")
		}
		if err == nil || i == len(retries) || h.ctx.Err() != nil {
			return err
		}
		select {
		case <-time.After(retries[i]):
		case <-h.closing:
		}
	}
}

func (h *hook) tellOnce(e event) (verdict, error) {
	ctx, cancel := context.WithTimeout(valuesOf{h.ctx, e.asker}, h.timeout)
	defer cancel()
	return h.try(ctx, h.ctx, e)
}

// valuesOf is a context with the values of another, which may be nil.
type valuesOf struct {
	context.Context
	other context.Context
}

// Value implements context.Context.
func (c valuesOf) Value(key any) any {
	if v := c.Context.Value(key); v != nil || c.other == nil {
		return v
	}
	return c.other.Value(key)
}

// close tells what is waiting, without pauses, until ctx is done; the rest is
// dropped.
func (h *hook) close(ctx context.Context) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return
	}
	h.closed = true
	h.mu.Unlock()
	close(h.closing)
	stop := context.AfterFunc(ctx, h.cancel)
	h.running.Wait()
	stop()
	h.cancel()
}
