//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
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

// ingestPair is what a number of publishers costs, and what the kernel alone charges.
type ingestPair struct {
	Headwater ingestCost `json:"headwater"`
	Floor     ingestCost `json:"floor"`
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

// fanoutPair is what a number of viewers costs, and what the kernel alone charges.
type fanoutPair struct {
	Headwater fanoutCost `json:"headwater"`
	Floor     fanoutCost `json:"floor"`
}

// results is one run on one machine.
type results struct {
	Machine     string        `json:"machine"`
	Ingest      ingestCost    `json:"ingest"`
	IngestFloor ingestCost    `json:"ingest_floor"`
	Fanout      fanoutCost    `json:"fanout"`
	FanoutFloor fanoutCost    `json:"fanout_floor"`
	IngestPeer  ingestCost    `json:"ingest_nginx"`
	Dead        deadCost      `json:"dead_viewers"`
	Play        playCost      `json:"rtmp_play"`
	PlayPeer    playCost      `json:"rtmp_play_nginx"`
	Unwatched   unwatchedCost `json:"unwatched"`
	GatherMs    int64         `json:"fanout_floor_gather_ms"`

	HLS        []hlsCost    `json:"hls"`
	Blocked    blockedCost  `json:"hls_blocked"`
	Publishers []ingestPair `json:"ingest_publishers,omitempty"`
	Matrix     []fanoutCost `json:"fanout_matrix,omitempty"`
	Many       []fanoutPair `json:"fanout_many,omitempty"`
}

const mb = 1 << 20

// wants says whether a part is to be measured, one of the usual ones or not.
func (p plan) wants(part string, usual bool) bool {
	if p.only == "" {
		return usual
	}
	return slices.Contains(strings.Split(p.only, ","), part)
}

// measureAll measures one part after the other.
func measureAll(p plan) (results, error) {
	r := results{Machine: fmt.Sprintf("%d processors, %s/%s", runtime.NumCPU(), runtime.GOOS, runtime.GOARCH),
		GatherMs: p.gather.Milliseconds()}
	plain, err := newReplay(p.file, false)
	if err != nil {
		return r, err
	}
	stamped, err := newReplay(p.file, true)
	if err != nil {
		return r, err
	}
	for _, part := range []struct {
		name    string
		usual   bool
		measure func() error
	}{
		{"hls", true, func() (err error) { r.HLS, err = measureHLS(p, plain); return }},
		{"blocked", true, func() (err error) { r.Blocked, err = measureBlocked(p, plain, p.players); return }},
		{"dead", true, func() (err error) { r.Dead, err = measureDead(p, plain, 500); return }},
		{"ingest", true, func() error { return r.measureIngest(p, plain) }},
		{"unwatched", false, func() (err error) { r.Unwatched, err = measureUnwatched(p, plain, p.publishers); return }},
		{"fanout", true, func() error { return r.measureFanout(p, stamped) }},
		{"rtmpplay", true, func() error { return r.measurePlay(p, plain) }},
		{"publishers", p.matrix, func() error { r.Publishers = measurePublishers(p, plain, []int{1, 50, 200, 500}); return nil }},
		{"matrix", p.matrix, func() error {
			r.Matrix = measureMatrix(p, stamped, []int{1, 100, 1000}, []int{0, 33, 100, 350})
			return nil
		}},
		{"many", p.matrix && p.thin != "", func() (err error) { r.Many, err = measureMany(p, 10_000, []int{33, 100, 350}); return }},
	} {
		if !p.wants(part.name, part.usual) {
			continue
		}
		if err := part.measure(); err != nil {
			return r, fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return r, nil
}

// measureIngest measures publishers, with the kernel alone and with nginx beside it.
func (r *results) measureIngest(p plan, file *replay) (err error) {
	if r.IngestFloor, err = ingestFloor(p, file, p.publishers); err != nil {
		return fmt.Errorf("floor: %w", err)
	}
	if r.IngestPeer, err = withNginx(func(s *process) (ingestCost, error) {
		return measureIngest(s, file, p.publishers, 2*time.Second, p.floor)
	}); err != nil {
		return fmt.Errorf("nginx: %w", err)
	}
	r.Ingest, err = served(p, func(s *process) (ingestCost, error) {
		return measureIngest(s, file, p.publishers, p.warm, p.measure)
	})
	return err
}

// measureFanout measures viewers of one stream, and the kernel alone at their bit rate.
func (r *results) measureFanout(p plan, stamped *replay) error {
	pair, err := measureViewers(p, stamped, p.viewers, int(r.GatherMs))
	r.Fanout, r.FanoutFloor = pair.Headwater, pair.Floor
	return err
}

func measureViewers(p plan, stamped *replay, viewers, gather int) (pair fanoutPair, err error) {
	if pair.Headwater, err = measureServed(p, stamped, viewers, gather); err != nil {
		return pair, err
	}
	self, err := os.Executable()
	if err != nil {
		return pair, err
	}
	rate := strconv.Itoa(int(pair.Headwater.ViewerMbps * 1e6))
	floor := []string{"floor-fanout", strconv.Itoa(gather), rate}
	pair.Floor, err = withProcess(self, floor, []string{"http"}, func(s *process) (fanoutCost, error) {
		return measureFanout(s, "/", viewers, p.floor)
	})
	return pair, err
}

// measureMany measures so many viewers that two processors could not receive an
// ordinary stream for all of them: they get a thin one.
func measureMany(p plan, viewers int, gathers []int) (all []fanoutPair, err error) {
	thin, err := newReplay(p.thin, true)
	if err != nil {
		return nil, err
	}
	for _, ms := range gathers {
		pair, err := measureViewers(p, thin, viewers, ms)
		if err != nil {
			return nil, err
		}
		all = append(all, pair)
	}
	return all, nil
}

// measurePlay measures players over RTMP, here and with nginx.
func (r *results) measurePlay(p plan, file *replay) (err error) {
	if r.Play, err = served(p, func(s *process) (playCost, error) {
		return measurePlay(s, file, rtmpPlayers, p.floor)
	}); err != nil {
		return err
	}
	r.PlayPeer, err = withNginx(func(s *process) (playCost, error) {
		return measurePlay(s, file, rtmpPlayers, p.floor)
	})
	return err
}

// rtmpPlayers is how many players over RTMP are measured.
const rtmpPlayers = 300

// measurePublishers measures ingest for each number of publishers. A number that this
// machine cannot take is left out, and that is said.
func measurePublishers(p plan, file *replay, publishers []int) (all []ingestPair) {
	for _, n := range publishers {
		pair, err := measurePair(p, file, n)
		if err != nil {
			fmt.Fprintf(os.Stderr, "benchload: %d publishers are not measured: %v\n", n, err)
			continue
		}
		all = append(all, pair)
	}
	return all
}

// measurePair measures ingest with the kernel alone beside it, and both again: what
// else goes on on the machine comes and goes. The cheaper of each counts.
func measurePair(p plan, file *replay, n int) (best ingestPair, err error) {
	for i := range 2 {
		var pair ingestPair
		if pair.Headwater, err = served(p, func(s *process) (ingestCost, error) {
			return measureIngest(s, file, n, windowTime, p.measure)
		}); err != nil {
			return best, err
		}
		if pair.Floor, err = ingestFloor(p, file, n); err != nil {
			return best, fmt.Errorf("floor: %w", err)
		}
		if i == 0 || pair.Headwater.CPUms < best.Headwater.CPUms {
			best.Headwater = pair.Headwater
		}
		if i == 0 || pair.Floor.CPUms < best.Floor.CPUms {
			best.Floor = pair.Floor
		}
	}
	return best, nil
}

// windowTime is how long it takes until the window of a stream is full.
const windowTime = 14 * time.Second

// ingestFloor measures publishers with the kernel alone.
func ingestFloor(p plan, file *replay, n int) (cost ingestCost, err error) {
	self, err := os.Executable()
	if err != nil {
		return cost, err
	}
	return withProcess(self, []string{"floor-ingest"}, []string{"rtmp"}, func(s *process) (ingestCost, error) {
		return measureIngest(s, file, n, 2*time.Second, p.floor)
	})
}

// served runs measure against a Headwater of its own.
func served[T any](p plan, measure func(*process) (T, error)) (cost T, err error) {
	data, err := os.MkdirTemp("", "headwater-bench-")
	if err != nil {
		return cost, err
	}
	defer func() { _ = os.RemoveAll(data) }()
	return withProcess(p.server, serveArgs(data), []string{"rtmp", "http"}, measure)
}

// withNginx runs measure against nginx with its RTMP module; without them there is
// nothing to measure.
func withNginx[T any](measure func(*process) (T, error)) (cost T, err error) {
	if _, err := os.Stat(rtmpModule); err != nil || nginxPath() == "" {
		return cost, nil
	}
	dir, err := os.MkdirTemp("", "headwater-bench-")
	if err != nil {
		return cost, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	s, err := startNginx(dir, true, 0)
	if err != nil {
		return cost, err
	}
	defer s.stop()
	return measure(s)
}

// measureServed measures one stream's viewers against a server of their own.
func measureServed(p plan, file *replay, viewers, gather int) (cost fanoutCost, err error) {
	if err := os.Setenv("HEADWATER_HTTP_FLV_GATHER", strconv.Itoa(gather)+"ms"); err != nil {
		return cost, err
	}
	return served(p, func(s *process) (fanoutCost, error) {
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
	mbps, due := float64(crowd.sent.Load()-sent)*8/1e6/elapsed.Seconds(), file.mbps()*float64(n)
	if mbps < due*0.8 {
		return cost, fmt.Errorf("the publishers fell behind: %.0f of %.0f Mbit/s were sent", mbps, due)
	}
	return ingestCost{
		Publishers:        n,
		Mbps:              mbps,
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
	for end := time.Now().Add(20 * time.Second); a.started.Load() < int64(n) && time.Now().Before(end); {
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
