//go:build linux

package main

import (
	"fmt"
	"net"
	"time"
)

// deadCost is what viewers cost that ask for a stream and never read it.
type deadCost struct {
	Viewers  int     `json:"viewers"`
	BeforeMB float64 `json:"resident_mb_before"`
	PeakMB   float64 `json:"resident_mb_peak"`
	Gone     float64 `json:"seconds_until_gone"`
}

// measureDead holds the connections open until the server has closed all of them.
func measureDead(p plan, file *replay, n int) (deadCost, error) {
	cost := deadCost{Viewers: n}
	return served(p, func(s *process) (deadCost, error) {
		crowd, err := file.start(s.rtmp, 1, 0)
		if err != nil {
			return cost, err
		}
		defer crowd.stop()
		time.Sleep(3 * time.Second)
		before, err := s.resident()
		if err != nil {
			return cost, err
		}
		began := time.Now()
		for range n {
			conn, err := net.Dial("tcp", s.http)
			if err != nil {
				return cost, err
			}
			defer func() { _ = conn.Close() }()
			_ = conn.(*net.TCPConn).SetReadBuffer(4 << 10)
			if _, err := fmt.Fprintf(conn, "GET /live/s0.flv HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return cost, err
			}
		}
		peak, most := before, 0
		for {
			time.Sleep(200 * time.Millisecond)
			resident, err := s.resident()
			if err != nil {
				return cost, err
			}
			peak = max(peak, resident)
			open, err := s.sockets()
			if err != nil {
				return cost, err
			}
			if most = max(most, open); most >= n && open < n/50+10 {
				break
			}
			if time.Since(began) > 45*time.Second {
				return cost, fmt.Errorf("%d of %d are still there", open, n)
			}
		}
		cost.BeforeMB, cost.PeakMB, cost.Gone = float64(before)/mb, float64(peak)/mb, time.Since(began).Seconds()
		return cost, crowd.failed()
	})
}
