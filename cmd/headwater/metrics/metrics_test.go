package metrics

import (
	"fmt"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/traffic"
	"headwater/ingest"
	"headwater/ingest/relay"
	"headwater/origin"
	"headwater/remux"
	"headwater/remux/flv"
)

func sources(r *remux.Registry) Sources {
	return Sources{
		Registry: r, Streams: 2, Traffic: traffic.New(nil, nil),
		Ingest:    func() ingest.Stats { return ingest.Stats{} },
		Players:   func() []ingest.Player { return nil },
		Media:     func() origin.Stats { return origin.Stats{} },
		Web:       func() Connections { return Connections{} },
		Panics:    func() uint64 { return 0 },
		Memory:    func() Memory { return Memory{} },
		Proxies:   func() map[string]uint64 { return nil },
		Operators: func() Connections { return Connections{} },
		Relays:    func() []relay.Status { return nil },
		Access:    func() access.Stats { return access.Stats{} },
		Ready:     func() bool { return true },
	}
}

// TestStreamsAreBounded: so many streams have series of their own, and what the rest
// has never goes back, not even when a stream is gone.
func TestStreamsAreBounded(t *testing.T) {
	o := remux.DefaultOptions()
	o.Reconnect, o.Linger = 0, 0
	r := remux.NewRegistry(o, nil)
	h := Handler(sources(r))
	scrape := func() string {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
		return w.Body.String()
	}
	received := func(text, stream string) string {
		m := regexp.MustCompile(`(?m)^headwater_stream_received_bytes_total\{stream="` + stream + `"\} (.*)$`).FindStringSubmatch(text)
		if m == nil {
			return "none"
		}
		return m[1]
	}
	var publishers []*remux.Publisher
	for i := range 4 {
		p, err := r.Publish(remux.Name{App: "live", Stream: fmt.Sprint(i)}, remux.Claim{})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Write(flv.TypeScript, 0, flv.NewTag(100)); err != nil {
			t.Fatal(err)
		}
		publishers = append(publishers, p)
	}
	text := scrape()
	if got := []string{received(text, "live/0"), received(text, "live/1"), received(text, "live/2"), received(text, "")}; fmt.Sprint(got) != "[100 100 none 200]" {
		t.Errorf("received %v", got)
	}
	publishers[3].Close()
	if err := publishers[2].Write(flv.TypeScript, 0, flv.NewTag(1000)); err != nil {
		t.Fatal(err)
	}
	publishers[0].Close()
	back, err := r.Publish(remux.Name{App: "live", Stream: "0"}, remux.Claim{}) // the same stream goes on
	if err != nil {
		t.Fatal(err)
	}
	if err := back.Write(flv.TypeScript, 0, flv.NewTag(1)); err != nil {
		t.Fatal(err)
	}
	text = scrape()
	if got := []string{received(text, "live/0"), received(text, "")}; fmt.Sprint(got) != "[101 1200]" {
		t.Errorf("then %v", got)
	}
	if again := scrape(); received(again, "") != "1200" || received(again, "live/2") != "none" {
		t.Errorf("the same again: %s", received(again, ""))
	}
	if n := strings.Count(text, "headwater_stream_live{"); n != 3 {
		t.Errorf("%d sets of series", n)
	}
}

func TestRelayTotalsNeverGoBack(t *testing.T) {
	l := &relayLedger{last: map[relayKey]relay.Status{}, sum: map[relay.Kind]relay.Status{}}
	one := relay.Status{Kind: relay.Pushing, Target: "a", Bytes: 100, Tries: 2, Skips: 1}
	two := relay.Status{Kind: relay.Pushing, Target: "b", Bytes: 10, Tries: 1}
	l.note([]relay.Status{one, two})
	l.note([]relay.Status{two})
	one.Bytes, one.Tries, one.Skips = 5, 1, 0 // begun anew
	l.note([]relay.Status{one, two})
	if s := l.sum[relay.Pushing]; s.Bytes != 115 || s.Tries != 4 || s.Skips != 1 {
		t.Errorf("%+v", s)
	}
}

// TestNames: no name is described twice.
func TestNames(t *testing.T) {
	seen := map[string]bool{}
	for _, m := range all {
		name := m.desc.String()
		if seen[name] {
			t.Errorf("twice: %s", name)
		}
		seen[name] = true
	}
	if len(all) < 40 {
		t.Errorf("%d metrics", len(all))
	}
}
