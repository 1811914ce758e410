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
