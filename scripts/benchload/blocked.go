//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// blockedCost is what low-latency HLS players cost that always wait for the next part:
// each release answers one request and takes the next.
type blockedCost struct {
	Players   int     `json:"players"`
	Releases  float64 `json:"releases_per_second"`
	CPUus     float64 `json:"cpu_us_per_release"`
	WaitingKB float64 `json:"resident_kb_per_player"`
	LateMs    float64 `json:"last_release_ms"` // from the first player's answer to the last's, on the average
}

// measureBlocked has players reload the playlist as RFC 8216bis, 6.2.5.2 says.
func measureBlocked(p plan, file *replay, players int) (cost blockedCost, err error) {
	return served(p, func(s *process) (blockedCost, error) {
		crowd, err := file.start(s.rtmp, 1, 0)
		if err != nil {
			return cost, err
		}
		defer crowd.stop()
		time.Sleep(8 * time.Second)
		before, err := s.resident()
		if err != nil {
			return cost, err
		}
		b := &blocked{url: "http://" + s.http + "/live/s0/fmp4/index.m3u8"}
		ctx, cancel := context.WithCancel(context.Background())
		var wg sync.WaitGroup
		for range players {
			wg.Go(func() { b.play(ctx) })
			time.Sleep(time.Second / time.Duration(players))
		}
		defer func() { cancel(); wg.Wait() }()
		time.Sleep(4 * time.Second)
		resident, err := s.resident()
		if err != nil {
			return cost, err
		}
		from := b.answers.Load()
		cpu, elapsed, err := s.spend(6 * time.Second)
		n := b.answers.Load() - from
		if n == 0 {
			return cost, errors.Join(err, errors.New("no release"), b.failed())
		}
		return blockedCost{
			Players:   players,
			Releases:  float64(n) / elapsed.Seconds(),
			CPUus:     float64(cpu.Microseconds()) / float64(n),
			WaitingKB: float64(resident-before) / 1024 / float64(players),
			LateMs:    b.spread(players),
		}, errors.Join(err, b.failed(), crowd.failed())
	})
}

// blocked is the players of one playlist.
type blocked struct {
	url     string
	answers atomic.Int64
	err     atomic.Pointer[error] // the first

	mu    sync.Mutex
	first map[string]time.Time // when the first answer to a query came; guarded by mu
	last  map[string]time.Time // and the last
	count map[string]int
}

func (b *blocked) failed() error {
	if err := b.err.Load(); err != nil {
		return *err
	}
	return nil
}

// play reloads on a connection of its own until ctx is done.
func (b *blocked) play(ctx context.Context) {
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}}
	defer client.CloseIdleConnections()
	for query := ""; ctx.Err() == nil; {
		next, err := b.reload(ctx, client, query)
		if err != nil {
			if ctx.Err() == nil {
				b.err.CompareAndSwap(nil, &err)
			}
			return
		}
		b.note(query, time.Now())
		b.answers.Add(1)
		query = next
	}
}

// reload returns the query for what comes behind the playlist that it gets.
func (b *blocked) reload(ctx context.Context, client *http.Client, query string) (next string, err error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, b.url+query, nil)
	if err != nil {
		return "", err
	}
	res, err := client.Do(req)
	if err != nil {
		return "", err
	}
	defer func() { _ = res.Body.Close() }()
	list, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != http.StatusOK {
		return "", errors.Join(err, fmt.Errorf("%s: %s", query, res.Status))
	}
	return nextQuery(string(list))
}

// nextQuery asks for the part behind the last one of a playlist.
func nextQuery(list string) (string, error) {
	sequence, parts := -1, 0
	for line := range strings.Lines(list) {
		switch number, ok := strings.CutPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"); {
		case ok:
			n, err := strconv.Atoi(strings.TrimSpace(number))
			if err != nil {
				return "", err
			}
			sequence = n
		case strings.HasPrefix(line, "#EXT-X-PART:"):
			parts++
		case strings.HasPrefix(line, "#EXTINF:"):
			sequence, parts = sequence+1, 0
		}
	}
	if sequence < 0 {
		return "", errors.New("a playlist without a number")
	}
	return fmt.Sprintf("?_HLS_msn=%d&_HLS_part=%d", sequence, parts), nil
}

func (b *blocked) note(query string, now time.Time) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == nil {
		b.first, b.last, b.count = map[string]time.Time{}, map[string]time.Time{}, map[string]int{}
	}
	if b.first[query].IsZero() {
		b.first[query] = now
	}
	b.last[query] = now
	b.count[query]++
}

// spread is how long it took until the last of all players was answered, in ms.
func (b *blocked) spread(players int) float64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	var sum time.Duration
	n := 0
	for query, count := range b.count {
		if count == players && query != "" {
			sum += b.last[query].Sub(b.first[query])
			n++
		}
	}
	return float64(sum.Microseconds()) / 1000 / float64(max(n, 1))
}
