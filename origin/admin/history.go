package admin

import (
	"context"
	"net/http"
	"slices"
	"sync"
	"time"

	"headwater/remux"
)

const (
	// SampleEvery is how far apart the samples of a stream's history are.
	SampleEvery = 10 * time.Second
	// historyLength is how many of them are kept: an hour, in some 30 KB a stream.
	historyLength = int(time.Hour / SampleEvery)
)

// Sample is how a stream was getting on at one moment.
type Sample struct {
	Time      time.Time `json:"time"`
	State     string    `json:"state"`
	Bitrate   int64     `json:"bitrate"`
	FrameRate float64   `json:"frame_rate"`
	KeyFrames *float64  `json:"key_frame_interval"` // seconds, the newest; nil: there have not been two
	Viewers   int       `json:"viewers"`
	// Since the sample before: what the publisher sent that could not be used, and
	// where its time broke.
	Dropped         uint64 `json:"dropped"`
	Discontinuities uint64 `json:"discontinuities"`
}

// History keeps the last hour of each stream that the registry has.
type History struct {
	registry *remux.Registry
	audience func() Audience

	mu  sync.Mutex
	all map[remux.Name]*past // guarded by mu
}

// past is one stream's.
type past struct {
	samples []Sample // a ring once it is full
	next    int
	stream  *remux.Stream
	total   remux.PublisherStats // of stream, at the newest sample

	publisher *remux.Publisher // whose offset of sound and pictures was
	breaks    uint64           // of its clock, then
	offset    time.Duration
	drift     time.Duration // and has changed by since
	hasOffset bool
}

// NewHistory returns a history in which nothing is until Run runs.
func NewHistory(registry *remux.Registry, audience func() Audience) *History {
	return &History{registry: registry, audience: audience, all: map[remux.Name]*past{}}
}

// Run takes samples until ctx ends.
func (h *History) Run(ctx context.Context) {
	tick := time.NewTicker(SampleEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case now := <-tick.C:
			h.sample(now)
		}
	}
}

// sample adds one of each stream, and forgets streams that are gone.
func (h *History) sample(now time.Time) {
	audience, streams := h.audience(), h.registry.Streams()
	h.mu.Lock()
	defer h.mu.Unlock()
	there := make(map[remux.Name]bool, len(streams))
	for _, s := range streams {
		there[s.Name] = true
		p := h.all[s.Name]
		if p == nil {
			p = &past{}
			h.all[s.Name] = p
		}
		viewers := 0
		for _, n := range audience[s.Name] {
			viewers += n
		}
		p.add(s, s.Report(), viewers, now)
	}
	for name := range h.all {
		if !there[name] {
			delete(h.all, name)
		}
	}
}

func (p *past) add(stream *remux.Stream, r remux.Report, viewers int, now time.Time) {
	if p.stream != stream { // another of that name, which counts from zero
		p.stream, p.total = stream, remux.PublisherStats{}
	}
	s := Sample{
		Time: now.UTC(), State: string(r.Phase), Bitrate: int64(r.Bitrate), FrameRate: rounded(r.FrameRate), Viewers: viewers,
		Dropped: unusable(r.Total) - unusable(p.total), Discontinuities: r.Total.Discontinuities - p.total.Discontinuities,
	}
	if k := r.KeyFrames.Last; k > 0 {
		last := seconds(k)
		s.KeyFrames = &last
	}
	p.total = r.Total
	p.compare(stream.Publisher(), r)
	if len(p.samples) < historyLength {
		p.samples = append(p.samples, s)
		return
	}
	p.samples[p.next] = s
	p.next = (p.next + 1) % historyLength
}

// compare notes how sound and pictures have drifted apart since the publisher came, or
// since its clock broke last.
func (p *past) compare(publisher *remux.Publisher, r remux.Report) {
	if r.AVOffset == nil {
		return
	}
	if breaks := r.Publisher.Discontinuities; !p.hasOffset || p.publisher != publisher || p.breaks != breaks {
		p.publisher, p.breaks, p.offset, p.hasOffset = publisher, breaks, *r.AVOffset, true
	}
	p.drift = *r.AVOffset - p.offset
}

// Drift returns by how much a stream's sound and pictures have drifted apart, as far as
// the history goes. A nil History knows of none.
func (h *History) Drift(s *remux.Stream) time.Duration {
	if h == nil {
		return 0
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if p := h.all[s.Name]; p != nil && p.stream == s {
		return p.drift
	}
	return 0
}

// unusable counts what a publisher sent and nobody can play.
func unusable(s remux.PublisherStats) uint64 { return s.Malformed + s.Unsupported + s.BeforeHeader }

// Samples returns a stream's samples, oldest first. The caller owns them.
func (h *History) Samples(name remux.Name) []Sample {
	h.mu.Lock()
	defer h.mu.Unlock()
	p := h.all[name]
	if p == nil {
		return nil
	}
	return slices.Concat(p.samples[p.next:], p.samples[:p.next])
}

func (a *api) history(w http.ResponseWriter, r *http.Request) error {
	s, err := a.find(r)
	if err != nil {
		return err
	}
	var samples []Sample
	if a.config.History != nil {
		samples = a.config.History.Samples(s.Name)
	}
	return answerJSON(w, r, http.StatusOK, struct {
		Interval float64  `json:"interval_seconds"`
		Samples  []Sample `json:"samples"`
	}{SampleEvery.Seconds(), listed(samples)})
}
