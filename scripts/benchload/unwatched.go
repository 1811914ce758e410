//go:build linux

package main

import (
	"fmt"
	"io"
	"net/http"
	"sync"
	"time"
)

// unwatchedCost compares what streams cost before anybody has watched them, while each
// has one viewer, and when all of those have left: then they should cost what they did.
type unwatchedCost struct {
	Publishers int     `json:"publishers"`
	BeforeMs   float64 `json:"cpu_ms_per_stream_second_before"`
	WatchedMs  float64 `json:"cpu_ms_per_stream_second_watched"`
	AfterMs    float64 `json:"cpu_ms_per_stream_second_after"`
}

func measureUnwatched(p plan, file *replay, n int) (unwatchedCost, error) {
	cost := unwatchedCost{Publishers: n}
	return served(p, func(s *process) (unwatchedCost, error) {
		crowd, err := file.start(s.rtmp, n, 4*time.Second)
		if err != nil {
			return cost, err
		}
		defer crowd.stop()
		time.Sleep(8 * time.Second)
		spend := func(into *float64) error {
			cpu, elapsed, err := s.spend(8 * time.Second)
			*into = cpu.Seconds() * 1000 / elapsed.Seconds() / float64(n)
			return err
		}
		if err := spend(&cost.BeforeMs); err != nil {
			return cost, err
		}
		leave, err := watchEach(s.http, n)
		if err != nil {
			return cost, err
		}
		time.Sleep(2 * time.Second)
		if err := spend(&cost.WatchedMs); err != nil {
			return cost, err
		}
		leave()
		time.Sleep(6 * time.Second)
		if err := spend(&cost.AfterMs); err != nil {
			return cost, err
		}
		return cost, crowd.failed()
	})
}

// watchEach gives each of n streams a viewer of HTTP-FLV, and loads its playlist once.
func watchEach(addr string, n int) (leave func(), err error) {
	var wg sync.WaitGroup
	var all []*http.Response
	leave = func() {
		for _, res := range all {
			_ = res.Body.Close()
		}
		wg.Wait()
	}
	for i := range n {
		if _, err := get(addr, fmt.Sprintf("/live/s%d/fmp4/index.m3u8", i)); err != nil {
			leave()
			return nil, err
		}
		res, err := http.Get(fmt.Sprintf("http://%s/live/s%d.flv", addr, i))
		if err != nil {
			leave()
			return nil, err
		}
		all = append(all, res)
		wg.Go(func() { _, _ = io.Copy(io.Discard, res.Body) })
	}
	return leave, nil
}
