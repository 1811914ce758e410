// Package metrics tells Prometheus how the server is getting on.
//
// Nothing is counted for it on the way of the media: each scrape reads what the
// parts know anyway. Its labels are bounded. No series has an address, a key or what
// a client has sent in it, and the names of streams only up to a number: the streams
// beyond have one set of series together, under stream="".
package metrics

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"headwater/cmd/headwater/access"
	"headwater/cmd/headwater/traffic"
	"headwater/ingest"
	"headwater/ingest/relay"
	"headwater/origin"
	"headwater/remux"
)

// Sources are what is read at a scrape.
type Sources struct {
	Registry  *remux.Registry
	Ingest    func() ingest.Stats
	Players   func() []ingest.Player
	Media     func() origin.Stats
	Relays    func() []relay.Status
	Access    func() access.Stats
	Traffic   *traffic.Traffic
	Web       func() Connections
	Operators func() Connections
	Panics    func() uint64 // of HTTP handlers
	Memory    func() Memory
	Proxies   func() map[string]uint64 // connections without a PROXY header from where there has to be one, by listener
	Log       *traffic.AccessLog       // nil: none
	Ready     func() bool

	Streams             int // that have series of their own
	Version, Commit, Go string
}

// Memory is how much of it may be used, and is.
type Memory struct {
	Limit, Live uint64 // bytes; a limit of 0 is none
	Full        bool   // new publishers and viewers are refused
}

// Connections are those of the public HTTP listeners, or of the admin listener.
type Connections struct {
	Open    int
	Refused map[string]uint64 // by the limit that they were above
	Failed  uint64            // times that none could be accepted
}

// Handler returns what answers /metrics.
func Handler(s Sources) http.Handler {
	r := prometheus.NewRegistry()
	r.MustRegister(
		collectors.NewGoCollector(),
		collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		newCollector(s),
	)
	return promhttp.HandlerFor(r, promhttp.HandlerOpts{EnableOpenMetrics: true, MaxRequestsInFlight: 4})
}

// collector reads the sources at each scrape.
type collector struct {
	sources Sources

	mu      sync.Mutex // one scrape at a time
	streams *ledger
	relays  *relayLedger
}

func newCollector(s Sources) *collector {
	return &collector{sources: s, streams: newLedger(s.Streams), relays: &relayLedger{last: map[relayKey]relay.Status{}, sum: map[relay.Kind]relay.Status{}}}
}

// Describe implements prometheus.Collector.
func (c *collector) Describe(ch chan<- *prometheus.Desc) {
	for _, m := range all {
		ch <- m.desc
	}
}

// Collect implements prometheus.Collector.
func (c *collector) Collect(ch chan<- prometheus.Metric) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.process(ch)
	c.perStream(ch)
	c.http(ch)
	c.rtmp(ch)
	c.decisions(ch)
	c.relaying(ch)
}

// metric is one name.
type metric struct {
	desc *prometheus.Desc
	kind prometheus.ValueType
}

// all are those that are described. It is filled while the package's variables are
// made, and never after.
var all []metric

func define(kind prometheus.ValueType, name, help string, labels ...string) metric {
	m := metric{prometheus.NewDesc("headwater_"+name, help, labels, nil), kind}
	all = append(all, m)
	return m
}

func counter(name, help string, labels ...string) metric {
	return define(prometheus.CounterValue, name, help, labels...)
}

func gauge(name, help string, labels ...string) metric {
	return define(prometheus.GaugeValue, name, help, labels...)
}

func (m metric) send(ch chan<- prometheus.Metric, value float64, labels ...string) {
	ch <- prometheus.MustNewConstMetric(m.desc, m.kind, value, labels...)
}

func (m metric) count(ch chan<- prometheus.Metric, value uint64, labels ...string) {
	m.send(ch, float64(value), labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
