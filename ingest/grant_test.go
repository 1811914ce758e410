package ingest

import (
	"context"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"headwater/remux"
)

// ends collects what Done was told.
type ends struct {
	mu  sync.Mutex
	all []End
}

func (e *ends) add(end End) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.all = append(e.all, end)
}

func (e *ends) list() []End {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.all[:len(e.all):len(e.all)]
}

// grantingHarness publishes to a real registry. Everybody may; NAME-proved shows
// the right to NAME, NAME alone shows none.
func grantingHarness(t *testing.T, told *ends, change func(*Config)) *harness {
	h := newHarness(t, func(c *Config) {
		c.Takeover = true
		c.Authorize = func(_ context.Context, r PublishRequest) (Grant, error) {
			name, proved := strings.CutSuffix(r.Name.Stream, "-proved")
			return Grant{Name: remux.Name{App: "public", Stream: name}, Proved: proved, Done: told.add}, nil
		}
		if change != nil {
			change(c)
		}
	})
	h.publish = func(n remux.Name, claim remux.Claim) (sink, error) { return h.config.Registry.Publish(n, claim) }
	return h
}

// TestGrantedNameCounts: the stream has the name that was granted, and no other.
func TestGrantedNameCounts(t *testing.T) {
	h := grantingHarness(t, new(ends), nil)
	h.encoder(t, "live", "x").frames(1)
	if h.config.Registry.Stream(remux.Name{App: "public", Stream: "x"}) == nil {
		t.Error("no stream under the name granted")
	}
	if h.config.Registry.Stream(remux.Name{App: "live", Stream: "x"}) != nil {
		t.Error("a stream under the name asked for")
	}
}

// TestTakeoverNeedsProof: a name is not taken from its publisher by somebody who
// has shown nothing.
func TestTakeoverNeedsProof(t *testing.T) {
	for _, c := range []struct{ first, second, code string }{
		{"x", "x", "NetStream.Publish.BadName"},
		{"x-proved", "x", "NetStream.Publish.BadName"},
		{"x", "x-proved", "NetStream.Publish.Start"},
		{"x-proved", "x-proved", "NetStream.Publish.Start"},
	} {
		h := grantingHarness(t, new(ends), nil)
		h.encoder(t, "live", c.first).frames(1)
		if code, text := h.dial(t).ask("live", "", c.second); code != c.code {
			t.Errorf("%s after %s: %s: %s", c.second, c.first, code, text)
		}
	}
}

// TestDoneIsToldOnce ends publications in every way.
func TestDoneIsToldOnce(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*Config)
		end    func(t *testing.T, h *harness, e *encoder)
		want   []Reason
	}{
		"unpublish": {nil, func(_ *testing.T, _ *harness, e *encoder) { e.command(1, "deleteStream", 4, nil, 1); e.closed() }, []Reason{Unpublished}},
		"close":     {nil, func(_ *testing.T, _ *harness, e *encoder) { e.closed() }, []Reason{Closed}},
		"reset":     {nil, func(_ *testing.T, _ *harness, e *encoder) { e.reset() }, []Reason{Reset}},
		"silence": {func(c *Config) { c.FirstMediaTimeout = 100 * time.Millisecond },
			func(_ *testing.T, _ *harness, e *encoder) { _, _ = io.Copy(io.Discard, e.conn) }, []Reason{Timeout}},
		"busy": {nil, func(t *testing.T, h *harness, e *encoder) {
			if code, _ := h.dial(t).ask("live", "", "x"); code != "NetStream.Publish.BadName" {
				t.Errorf("told %s", code)
			}
			e.reset()
		}, []Reason{Refused, Reset}},
		"takeover": {nil, func(t *testing.T, h *harness, e *encoder) {
			second := h.encoder(t, "live", "x-proved")
			e.closed()
			for h.Stats().Connections > 1 {
				time.Sleep(time.Millisecond)
			}
			second.reset()
		}, []Reason{Replaced, Reset}},
		"shutdown": {nil, func(t *testing.T, h *harness, _ *encoder) {
			if err := h.Shutdown(t.Context()); err != nil {
				t.Error(err)
			}
		}, []Reason{Shutdown}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			told := new(ends)
			h := grantingHarness(t, told, c.change)
			e := h.encoder(t, "live", "x")
			if name != "silence" {
				e.frames(3)
			}
			c.end(t, h, e)
			h.idle(t)
			got := told.list()
			if len(got) != len(c.want) {
				t.Fatalf("told %v, want %v", got, c.want)
			}
			for i, why := range c.want {
				if got[i].Reason != why {
					t.Errorf("told %v, want %v", got, c.want)
				}
				if why == Refused && got[i].Bytes+uint64(got[i].Duration) > 0 {
					t.Errorf("what never began had %+v", got[i])
				}
			}
		})
	}
}
