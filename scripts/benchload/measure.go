//go:build linux

package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strconv"
	"text/tabwriter"
	"time"
)

// ingestCost is what publishers with nobody watching cost.
type ingestCost struct {
	Publishers        int     `json:"publishers"`
	Mbps              float64 `json:"mbps"` // of all publishers
	Seconds           float64 `json:"seconds"`
	CPUms             float64 `json:"cpu_ms_per_stream_second"`
	ResidentMB        float64 `json:"resident_mb"`
	ResidentMBAtStart float64 `json:"resident_mb_at_start"`
	SlowWrites        int64   `json:"slow_writes"` // that took a publisher more than 200 ms
}

// fanoutCost is what HTTP-FLV viewers of one stream cost.
type fanoutCost struct {
	Viewers    int     `json:"viewers"`
	Mbps       float64 `json:"mbps"`            // of all viewers
	ViewerMbps float64 `json:"viewer_mbps"`     // of the middle viewer
	SlowestMb  float64 `json:"viewer_mbps_min"` // of the slowest
	Seconds    float64 `json:"seconds"`
	CPUPerGB   float64 `json:"cpu_seconds_per_gb"`
	ResidentMB float64 `json:"resident_mb"`
	Left       int64   `json:"viewers_lost"`
	GatherMs   int     `json:"gather_ms,omitempty"`
	DelayP50   float64 `json:"delay_p50_ms,omitempty"` // from sending a picture to its arrival
	DelayP99   float64 `json:"delay_p99_ms,omitempty"`
	ViewerKB   float64 `json:"resident_kb_per_viewer,omitempty"`
}

// results is one run on one machine.
type results struct {
	Machine     string     `json:"machine"`
	Ingest      ingestCost `json:"ingest"`
	IngestFloor ingestCost `json:"ingest_floor"`
	Fanout      fanoutCost `json:"fanout"`
	FanoutFloor fanoutCost `json:"fanout_floor"`
	GatherMs    int64      `json:"fanout_floor_gather_ms"`

	HLS    []hlsCost    `json:"hls"`
	Matrix []fanoutCost `json:"fanout_matrix,omitempty"`
}

const mb = 1 << 20

// measureAll measures the floors and the server, one after the other.
func measureAll(p plan) (results, error) {
	r := results{Machine: fmt.Sprintf("%d processors, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		GatherMs: p.gather.Milliseconds()}
	file, err := newReplay(p.file, false)
	if err != nil {
		return r, err
	}
	if r.HLS, err = measureHLS(p, file); err != nil {
		return r, fmt.Errorf("HLS: %w", err)
	}
	if p.hls {
		return r, nil
	}
	self, err := os.Executable()
	if err != nil {
		return r, err
	}
	if r.IngestFloor, err = withProcess(self, []string{"floor-ingest"}, []string{"rtmp"}, func(s *process) (ingestCost, error) {
		return measureIngest(s, file, p.publishers, 2*time.Second, p.floor)
	}); err != nil {
		return r, fmt.Errorf("ingest floor: %w", err)
	}
	data, err := os.MkdirTemp("", "headwater-bench-")
	if err != nil {
		return r, err
	}
	defer func() { _ = os.RemoveAll(data) }()
	serve := serveArgs(data)
	if r.Ingest, err = withProcess(p.server, serve, []string{"rtmp", "http"}, func(s *process) (ingestCost, error) {
		return measureIngest(s, file, p.publishers, p.warm, p.measure)
	}); err != nil {
		return r, fmt.Errorf("ingest: %w", err)
	}
	stamped, err := newReplay(p.file, true)
	if err != nil {
		return r, err
	}
	if r.Fanout, err = measureServed(p, stamped, p.viewers, int(r.GatherMs)); err != nil {
		return r, fmt.Errorf("fan-out: %w", err)
	}
	if p.matrix {
		if r.Matrix, err = measureMatrix(p, stamped, []int{1, 100, 1000, 9900}, []int{0, 33, 100, 350}); err != nil {
			return r, err
		}
	}
	rate := strconv.Itoa(int(r.Fanout.ViewerMbps * 1e6))
	floor := []string{"floor-fanout", strconv.FormatInt(r.GatherMs, 10), rate}
	if r.FanoutFloor, err = withProcess(self, floor, []string{"http"}, func(s *process) (fanoutCost, error) {
		return measureFanout(s, "/", p.viewers, p.floor)
	}); err != nil {
		return r, fmt.Errorf("fan-out floor: %w", err)
	}
	return r, nil
}

// measureServed measures one stream's viewers against a server of their own.
func measureServed(p plan, file *replay, viewers, gather int) (cost fanoutCost, err error) {
	data, err := os.MkdirTemp("", "headwater-bench-")
	if err != nil {
		return cost, err
	}
	defer func() { _ = os.RemoveAll(data) }()
	if err := os.Setenv("HEADWATER_HTTP_FLV_GATHER", strconv.Itoa(gather)+"ms"); err != nil {
		return cost, err
	}
	serve := serveArgs(data)
	return withProcess(p.server, serve, []string{"rtmp", "http"}, func(s *process) (fanoutCost, error) {
		crowd, err := file.start(s.rtmp, 1, 0)
		if err != nil {
			return fanoutCost{}, err
		}
		defer crowd.stop()
		time.Sleep(3 * time.Second)
		stop := make(chan struct{})
		d, wait := measureDelay(s.http, "/live/s0.flv", stop)
		before, err := s.resident()
		if err != nil {
			return fanoutCost{}, err
		}
		cost, err := measureFanout(s, "/live/s0.flv", viewers, p.measure)
		close(stop)
		wait()
		cost.GatherMs, cost.DelayP50, cost.DelayP99 = gather, d.percentile(50), d.percentile(99)
		cost.CPUPerGB *= float64(viewers) / float64(viewers+samplers) // theirs are not counted
		cost.ViewerKB = (cost.ResidentMB*mb - float64(before)) / 1024 / float64(viewers)
		return cost, errors.Join(err, crowd.failed())
	})
}

// withProcess runs measure against a fresh process.
func withProcess[T any](path string, args, protos []string, measure func(*process) (T, error)) (T, error) {
	s, err := startProcess(path, args, protos...)
	if err != nil {
		var none T
		return none, err
	}
	defer s.stop()
	return measure(s)
}

func measureIngest(s *process, file *replay, n int, warm, length time.Duration) (cost ingestCost, err error) {
	const ramp = 4 * time.Second // two GOPs, so that key frames are spread
	if need := ramp + warm + length + time.Second; file.length < need {
		return cost, fmt.Errorf("the file lasts %v and has to last %v", file.length, need)
	}
	before, err := s.resident()
	if err != nil {
		return cost, err
	}
	crowd, err := file.start(s.rtmp, n, ramp)
	if err != nil {
		return cost, err
	}
	defer crowd.stop()
	time.Sleep(warm)
	sent := crowd.sent.Load()
	cpu, elapsed, err := s.spend(length)
	if err != nil {
		return cost, err
	}
	after, err := s.resident()
	if err != nil {
		return cost, err
	}
	if alive := crowd.alive.Load(); int(alive) != n {
		return cost, fmt.Errorf("%d of %d publishers are left: %w", alive, n, crowd.failed())
	}
	return ingestCost{
		Publishers:        n,
		Mbps:              float64(crowd.sent.Load()-sent) * 8 / 1e6 / elapsed.Seconds(),
		Seconds:           elapsed.Seconds(),
		CPUms:             cpu.Seconds() * 1000 / elapsed.Seconds() / float64(n),
		ResidentMB:        float64(after) / mb,
		ResidentMBAtStart: float64(before) / mb,
		SlowWrites:        crowd.late.Load(),
	}, nil
}

func measureFanout(s *process, path string, n int, length time.Duration) (cost fanoutCost, err error) {
	a, err := watch(s.http, path, n)
	if err != nil {
		return cost, err
	}
	for end := time.Now().Add(10 * time.Second); a.started.Load() < int64(n) && time.Now().Before(end); {
		time.Sleep(20 * time.Millisecond)
	}
	time.Sleep(2 * time.Second)
	before, total := a.counts(), a.bytes.Load()
	cpu, elapsed, err := s.spend(length)
	after, bytes := a.counts(), a.bytes.Load()-total
	resident, err2 := s.resident()
	if err := errors.Join(err, err2, a.close()); err != nil {
		return cost, err
	}
	if started := a.started.Load(); started != int64(n) || bytes == 0 {
		return cost, fmt.Errorf("%d of %d viewers were answered, %d bytes", started, n, bytes)
	}
	least, middle := slowest(before, after)
	perSecond := 8 / 1e6 / elapsed.Seconds()
	return fanoutCost{
		Viewers:    n,
		Mbps:       float64(bytes) * perSecond,
		ViewerMbps: float64(middle) * perSecond,
		SlowestMb:  float64(least) * perSecond,
		Seconds:    elapsed.Seconds(),
		CPUPerGB:   cpu.Seconds() / (float64(bytes) / 1e9),
		ResidentMB: float64(resident) / mb,
		Left:       a.ended.Load(),
	}, nil
}

// spend returns how much processor time the process takes while length passes.
func (p *process) spend(length time.Duration) (cpu, elapsed time.Duration, err error) {
	start := time.Now()
	before, err := p.cpu()
	if err != nil {
		return 0, 0, err
	}
	time.Sleep(length)
	after, err := p.cpu()
	return after - before, time.Since(start), err
}

// print writes the results as a table.
func (r results) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\t\n", args...) }
	line("HLS, CPU µs a request\tbytes\tHeadwater\tnet/http alone\tnginx\twith sendfile")
	for _, c := range r.HLS {
		line("%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f", c.Object, c.Bytes, c.Headwater, c.Bare, c.Nginx, c.Sendfile)
	}
	_ = t.Flush()
	if r.Ingest.Publishers == 0 {
		return
	}
	line("%s\tHeadwater\tkernel alone", r.Machine)
	line("%d publishers, nobody watching: Mbit/s\t%.0f\t%.0f", r.Ingest.Publishers, r.Ingest.Mbps, r.IngestFloor.Mbps)
	line("CPU ms per stream-second\t%.2f\t%.2f", r.Ingest.CPUms, r.IngestFloor.CPUms)
	line("resident MB\t%.0f\t%.0f", r.Ingest.ResidentMB, r.IngestFloor.ResidentMB)
	line("resident MB per stream\t%.2f\t", (r.Ingest.ResidentMB-r.Ingest.ResidentMBAtStart)/float64(r.Ingest.Publishers))
	line("writes held up for more than 200 ms\t%d\t%d", r.Ingest.SlowWrites, r.IngestFloor.SlowWrites)
	line("%d HTTP-FLV viewers (kernel: a write each %d ms): Mbit/s\t%.0f\t%.0f", r.Fanout.Viewers, r.GatherMs, r.Fanout.Mbps, r.FanoutFloor.Mbps)
	line("CPU s per GB\t%.3f\t%.3f", r.Fanout.CPUPerGB, r.FanoutFloor.CPUPerGB)
	line("resident MB\t%.0f\t%.0f", r.Fanout.ResidentMB, r.FanoutFloor.ResidentMB)
	line("Mbit/s of the middle and the slowest viewer\t%.2f, %.2f\t%.2f, %.2f",
		r.Fanout.ViewerMbps, r.Fanout.SlowestMb, r.FanoutFloor.ViewerMbps, r.FanoutFloor.SlowestMb)
	line("delay of a picture, ms, median and 99th percentile\t%.0f, %.0f\t", r.Fanout.DelayP50, r.Fanout.DelayP99)
	line("viewers lost\t%d\t%d", r.Fanout.Left, r.FanoutFloor.Left)
	_ = t.Flush()
	if len(r.Matrix) == 0 {
		return
	}
	_, _ = fmt.Fprintln(w)
	line("viewers\tgather ms\tMbit/s\tCPU s per GB\tresident MB\tKB per viewer\tdelay p50 ms\tp99 ms\tlost")
	for _, c := range r.Matrix {
		line("%d\t%d\t%.0f\t%.3f\t%.0f\t%.1f\t%.0f\t%.0f\t%d", c.Viewers, c.GatherMs, c.Mbps, c.CPUPerGB, c.ResidentMB, c.ViewerKB, c.DelayP50, c.DelayP99, c.Left)
	}
	_ = t.Flush()
}
