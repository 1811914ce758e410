package relay

import (
	"testing"
)

// TestReload: what a new configuration has as well goes on over the same connection,
// what it has not ends, and what is new begins.
func TestReload(t *testing.T) {
	there, source := newNode(t, nil), newNode(t, nil)
	here := newNode(t, nil)
	keep := Push{Name: "live/*", URL: there.url("/kept/{name}?key=SECRET")}
	drop := Push{Name: "live/*", URL: there.url("/dropped/{name}")}
	pull := Pull{Name: "live/pulled", URL: source.url("/live/pulled"), Always: true}
	here.relays(Config{Push: []Push{drop, keep}, Pull: []Pull{pull}}, nil)
	here.broadcast("x", h264(t))
	source.broadcast("pulled", h264(t))
	here.stream("pulled")
	published := func(app string) bool {
		for _, p := range there.server.Publishers() {
			if p.Name.App == app && p.Name.Stream == "x" {
				return true
			}
		}
		return false
	}
	there.wait("both copies", func() bool { return published("kept") && published("dropped") })
	session := func() uint64 {
		for _, p := range there.server.Publishers() {
			if p.Name.App == "kept" && p.Name.Stream == "x" {
				return p.Session
			}
		}
		return 0
	}
	before := session()

	if _, err := here.relay.Prepare(Config{Push: []Push{{Name: "live/*", URL: "nonsense"}}}); err == nil {
		t.Error("a bad configuration is taken")
	}
	fresh := Push{Name: "live/x", URL: there.url("/fresh/{name}")}
	next, err := here.relay.Prepare(Config{Push: []Push{keep, fresh}})
	if err != nil {
		t.Fatal(err)
	}
	if !published("dropped") {
		t.Error("Prepare has changed something")
	}
	next.Apply()
	there.wait("the new copy", func() bool { return published("fresh") })
	there.wait("the end of the old", func() bool { return !published("dropped") })
	here.wait("the end of the pull", func() bool {
		live, _ := here.registry.Stream(liveName("pulled")).Live()
		return !live
	})
	if session() != before {
		t.Error("what stayed in the configuration was connected anew")
	}
	here.wait("two relays of x", func() bool {
		n := 0
		for _, s := range here.relay.Status() {
			if s.Name == liveName("x") && s.State == Live {
				n++
			}
		}
		return n == 2
	})

	// And back again.
	next, err = here.relay.Prepare(Config{Pull: []Pull{pull}})
	if err != nil {
		t.Fatal(err)
	}
	next.Apply()
	here.stream("pulled")
	there.wait("no copies", func() bool { return !published("kept") && !published("fresh") })
	here.silent("SECRET")
}
