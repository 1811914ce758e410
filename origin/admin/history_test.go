package admin

import (
	"testing"
	"testing/synctest"
	"time"

	"headwater/remux"
)

// TestPast: a stream's samples are the newest hour, in order, and what counts up is
// told as what was added.
func TestPast(t *testing.T) {
	stream := &remux.Stream{}
	var p past
	begin := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	report := remux.Report{Phase: remux.Live, Bitrate: 1e6, KeyFrames: remux.KeyFrames{Last: 2 * time.Second}}
	for i := range historyLength + 7 {
		report.Total.Malformed += 2
		report.Total.BeforeHeader++
		report.Total.Discontinuities = uint64(i)
		p.add(stream, report, i, begin.Add(time.Duration(i)*SampleEvery))
	}
	h := &History{all: map[remux.Name]*past{{App: "live", Stream: "x"}: &p}}
	all := h.Samples(remux.Name{App: "live", Stream: "x"})
	if len(all) != historyLength || all[0].Viewers != 7 || !all[0].Time.Equal(begin.Add(7*SampleEvery)) {
		t.Fatalf("%d samples from %+v", len(all), all[0])
	}
	for i, s := range all {
		if s.Viewers != i+7 || s.Dropped != 3 || s.Discontinuities != 1 || s.State != "live" || *s.KeyFrames != 2 || s.Bitrate != 1e6 {
			t.Fatalf("sample %d: %+v", i, s)
		}
	}
	fresh := remux.Report{Total: remux.PublisherStats{Unsupported: 4}}
	p.add(&remux.Stream{}, fresh, 0, begin)
	if all = h.Samples(remux.Name{App: "live", Stream: "x"}); all[len(all)-1].Dropped != 4 || all[len(all)-1].KeyFrames != nil {
		t.Errorf("of another stream of the name: %+v", all[len(all)-1])
	}
	if got := h.Samples(remux.Name{App: "live", Stream: "y"}); got != nil {
		t.Errorf("of no stream: %v", got)
	}
}

// TestHistoryFollowsTheRegistry: streams are sampled while they are there, and no
// longer.
func TestHistoryFollowsTheRegistry(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		name := remux.Name{App: "live", Stream: "x"}
		registry := remux.NewRegistry(remux.DefaultOptions(), nil)
		publisher, err := registry.Publish(name, remux.Claim{})
		if err != nil {
			t.Fatal(err)
		}
		h := NewHistory(registry, func() Audience { return Audience{name: {"hls": 2, "rtmp": 1}} })
		go registry.Run(t.Context())
		go h.Run(t.Context())
		time.Sleep(3*SampleEvery + time.Second)
		if got := h.Samples(name); len(got) != 3 || got[2].Viewers != 3 || got[1].Time.Sub(got[0].Time) != SampleEvery {
			t.Errorf("samples %+v", got)
		}
		publisher.Close()
		for limit := time.Now().Add(time.Hour); registry.Stream(name) != nil && time.Now().Before(limit); {
			time.Sleep(time.Second)
		}
		time.Sleep(SampleEvery)
		if got := h.Samples(name); got != nil {
			t.Errorf("of a stream that is gone: %+v", got)
		}
	})
}

// TestDrift: it is measured from where a publisher began, or its clock broke last.
func TestDrift(t *testing.T) {
	var p past
	first, second := new(remux.Publisher), new(remux.Publisher)
	at := func(ms int, breaks uint64) remux.Report {
		d := time.Duration(ms) * time.Millisecond
		return remux.Report{AVOffset: &d, Publisher: remux.PublisherStats{Discontinuities: breaks}}
	}
	for i, c := range []struct {
		publisher *remux.Publisher
		report    remux.Report
		want      time.Duration
	}{
		{first, remux.Report{}, 0}, {first, at(30, 0), 0}, {first, at(90, 0), 60 * time.Millisecond}, {nil, remux.Report{}, 60 * time.Millisecond},
		{first, at(-20, 0), -50 * time.Millisecond}, {first, at(500, 1), 0}, {first, at(510, 1), 10 * time.Millisecond}, {second, at(80, 1), 0},
	} {
		if p.compare(c.publisher, c.report); p.drift != c.want {
			t.Errorf("sample %d: %s, want %s", i, p.drift, c.want)
		}
	}
	if d := (*History)(nil).Drift(nil); d != 0 {
		t.Errorf("no history: %s", d)
	}
}
