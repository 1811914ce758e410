//go:build linux

package main

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// print writes what was measured as tables.
func (r results) print(w io.Writer) {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	line := func(format string, args ...any) { _, _ = fmt.Fprintf(t, format+"\t\n", args...) }
	_, _ = fmt.Fprintln(w, r.Machine)
	if len(r.HLS) > 0 {
		line("HLS, CPU µs a request\tbytes\tHeadwater\tnet/http alone\tnginx\tnginx, sendfile")
		for _, c := range r.HLS {
			line("%s\t%d\t%.1f\t%.1f\t%.1f\t%.1f", c.Object, c.Bytes, c.Headwater, c.Bare, c.Nginx, c.Sendfile)
		}
		r.gap(w, t)
	}
	if b := r.Blocked; b.Players > 0 {
		line("%d low-latency players: releases a second\t%.0f", b.Players, b.Releases)
		line("CPU µs per release\t%.1f", b.CPUus)
		line("resident KB per waiting player\t%.1f", b.WaitingKB)
		line("from the first to the last of a release, ms\t%.1f", b.LateMs)
		r.gap(w, t)
	}
	if d := r.Dead; d.Viewers > 0 {
		line("%d viewers that never read: resident MB at most\t%.0f", d.Viewers, d.PeakMB)
		line("resident MB before\t%.0f", d.BeforeMB)
		line("gone after s\t%.1f", d.Gone)
		r.gap(w, t)
	}
	if r.Ingest.Publishers > 0 {
		line("%d publishers, nobody watching\tHeadwater\tkernel alone\tnginx", r.Ingest.Publishers)
		line("Mbit/s\t%.0f\t%.0f\t%.0f", r.Ingest.Mbps, r.IngestFloor.Mbps, r.IngestPeer.Mbps)
		line("CPU ms per stream-second\t%.2f\t%.2f\t%.2f", r.Ingest.CPUms, r.IngestFloor.CPUms, r.IngestPeer.CPUms)
		line("resident MB\t%.0f\t%.0f\t%.0f", r.Ingest.ResidentMB, r.IngestFloor.ResidentMB, r.IngestPeer.ResidentMB)
		line("resident MB per stream\t%.2f\t\t", (r.Ingest.ResidentMB-r.Ingest.ResidentMBAtStart)/float64(r.Ingest.Publishers))
		line("writes held up for more than 200 ms\t%d\t%d\t%d", r.Ingest.SlowWrites, r.IngestFloor.SlowWrites, r.IngestPeer.SlowWrites)
		r.gap(w, t)
	}
	if u := r.Unwatched; u.Publishers > 0 {
		line("CPU ms per stream-second of %d publishers, never watched\t%.2f", u.Publishers, u.BeforeMs)
		line("with one viewer each\t%.2f", u.WatchedMs)
		line("when all of those have left\t%.2f", u.AfterMs)
		r.gap(w, t)
	}
	if r.Fanout.Viewers > 0 {
		r.printFanout(line)
		r.gap(w, t)
	}
	if r.Play.Players > 0 {
		line("%d RTMP players\tHeadwater\tnginx", r.Play.Players)
		line("Mbit/s\t%.0f\t%.0f", r.Play.Mbps, r.PlayPeer.Mbps)
		line("CPU s per GB\t%.3f\t%.3f", r.Play.CPUPerGB, r.PlayPeer.CPUPerGB)
		line("players lost\t%d\t%d", r.Play.Left, r.PlayPeer.Left)
		r.gap(w, t)
	}
	r.printMatrix(line)
	r.gap(w, t)
	r.printMany(line)
	_ = t.Flush()
}

func (r results) printMany(line func(string, ...any)) {
	if len(r.Many) == 0 {
		return
	}
	line("viewers of a thin stream\tgather ms\tMbit/s\tCPU s per GB\tkernel alone\tKB per viewer\tdelay p50 ms\tp99 ms\tlost")
	for _, c := range r.Many {
		h := c.Headwater
		line("%d\t%d\t%.0f\t%.3f\t%.3f\t%.1f\t%.0f\t%.0f\t%d", h.Viewers, h.GatherMs, h.Mbps, h.CPUPerGB, c.Floor.CPUPerGB, h.ViewerKB, h.DelayP50, h.DelayP99, h.Left)
	}
}

func (results) gap(w io.Writer, t *tabwriter.Writer) {
	_ = t.Flush()
	_, _ = fmt.Fprintln(w)
}

func (r results) printFanout(line func(string, ...any)) {
	line("%d HTTP-FLV viewers, a write each %d ms\tHeadwater\tkernel alone", r.Fanout.Viewers, r.GatherMs)
	line("Mbit/s\t%.0f\t%.0f", r.Fanout.Mbps, r.FanoutFloor.Mbps)
	line("CPU s per GB\t%.3f\t%.3f", r.Fanout.CPUPerGB, r.FanoutFloor.CPUPerGB)
	line("resident MB\t%.0f\t%.0f", r.Fanout.ResidentMB, r.FanoutFloor.ResidentMB)
	line("Mbit/s of the middle and the slowest viewer\t%.2f, %.2f\t%.2f, %.2f",
		r.Fanout.ViewerMbps, r.Fanout.SlowestMb, r.FanoutFloor.ViewerMbps, r.FanoutFloor.SlowestMb)
	line("delay of a picture, ms, median and 99th percentile\t%.0f, %.0f\t", r.Fanout.DelayP50, r.Fanout.DelayP99)
	line("viewers lost\t%d\t%d", r.Fanout.Left, r.FanoutFloor.Left)
}

func (r results) printMatrix(line func(string, ...any)) {
	if len(r.Publishers) > 0 {
		line("publishers\tMbit/s\tCPU ms per stream-second\tkernel alone\tresident MB\tMB per stream\twrites held up")
		for _, c := range r.Publishers {
			h := c.Headwater
			line("%d\t%.0f\t%.2f\t%.2f\t%.0f\t%.2f\t%d", h.Publishers, h.Mbps, h.CPUms, c.Floor.CPUms, h.ResidentMB,
				(h.ResidentMB-h.ResidentMBAtStart)/float64(h.Publishers), h.SlowWrites)
		}
	}
	if len(r.Matrix) > 0 {
		line("viewers\tgather ms\tMbit/s\tCPU s per GB\tresident MB\tKB per viewer\tdelay p50 ms\tp99 ms\tlost")
		for _, c := range r.Matrix {
			line("%d\t%d\t%.0f\t%.3f\t%.0f\t%.1f\t%.0f\t%.0f\t%d", c.Viewers, c.GatherMs, c.Mbps, c.CPUPerGB, c.ResidentMB, c.ViewerKB, c.DelayP50, c.DelayP99, c.Left)
		}
	}
}
