//go:build linux

package main

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"sync"
	"time"
)

// stampID is the UUID of the SEI messages that say when a picture was sent
// (user_data_unregistered, H.264 D.1.7).
var stampID = []byte("headwater-bench!")

const (
	stampAt   = 5                       // in a video message's body: behind its AVC header
	stampSize = 4 + 3 + 16 + 8 + 1      // a length, SEI header, UUID, nanoseconds, trailing bits
	clockAt   = stampAt + 4 + 3 + 16    // the nanoseconds
	inMessage = 12                      // header of a message's first chunk
	samplers  = 20                      // viewers that look for the stamps
	settle    = 2500 * time.Millisecond // until what was sent before a viewer came has passed
)

// stampable says whether a message is a coded picture of H.264.
func stampable(t tag) bool {
	return t.typ == 9 && len(t.body) > 9 && t.body[0]&0x0f == 7 && t.body[1] == 1
}

// withStamp returns the body with room for the time in front of its NAL units.
func withStamp(body []byte) []byte {
	out := append(bytes.Clone(body[:stampAt]), 0, 0, 0, stampSize-4, 6, 5, 16+8)
	out = append(append(out, stampID...), make([]byte, 8)...)
	return append(append(out, 0x80), body[stampAt:]...)
}

// stamp writes the time into a framed message that has room for it.
func stamp(frame []byte, now time.Time) {
	binary.BigEndian.PutUint64(frame[inMessage+clockAt:], uint64(now.UnixNano()))
}

// delays are the times from a picture's sending to its arrival at a viewer.
type delays struct {
	mu  sync.Mutex
	all []time.Duration
}

// measureDelay watches path with a few viewers until stop is closed.
func measureDelay(addr, path string, stop <-chan struct{}) (*delays, func()) {
	d := &delays{}
	var wg sync.WaitGroup
	for range samplers {
		wg.Go(func() { d.watch(addr, path, stop) })
	}
	return d, wg.Wait
}

func (d *delays) watch(addr, path string, stop <-chan struct{}) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer func() { _ = conn.Close() }()
	if _, err := io.WriteString(conn, "GET "+path+" HTTP/1.0\r\nHost: x\r\n\r\n"); err != nil {
		return
	}
	from := time.Now().Add(settle)
	buf, kept := make([]byte, 256<<10), 0
	for {
		select {
		case <-stop:
			return
		default:
		}
		_ = conn.SetReadDeadline(time.Now().Add(time.Second))
		n, err := conn.Read(buf[kept:])
		now := time.Now()
		if err != nil {
			return
		}
		kept = d.find(buf, kept+n, now, from)
	}
}

// find notes the stamps in b[:n] and keeps what may be the beginning of one.
func (d *delays) find(b []byte, n int, now, from time.Time) (kept int) {
	rest := b[:n]
	for {
		i := bytes.Index(rest, stampID)
		if i < 0 || len(rest) < i+24 {
			break
		}
		sent := time.Unix(0, int64(binary.BigEndian.Uint64(rest[i+16:])))
		if now.After(from) && sent.After(from.Add(-settle/2)) {
			d.mu.Lock()
			d.all = append(d.all, now.Sub(sent))
			d.mu.Unlock()
		}
		rest = rest[i+24:]
	}
	return copy(b, rest[max(0, len(rest)-23):])
}

// percentile returns the p-th of 100, in ms.
func (d *delays) percentile(p int) float64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.all) == 0 {
		return 0
	}
	slices.Sort(d.all)
	return float64(d.all[(len(d.all)-1)*p/100]) / float64(time.Millisecond)
}

// measureMatrix measures fan-out for each number of viewers and each gathering time.
// What this machine cannot do is left out, and that is said.
func measureMatrix(p plan, file *replay, viewers, gathers []int) (all []fanoutCost) {
	for _, n := range viewers {
		for _, ms := range gathers {
			cost, err := measureServed(p, file, n, ms)
			if want := float64(n) * file.mbps(); err == nil && math.Abs(cost.Mbps-want) > want/4 {
				err = fmt.Errorf("%.0f Mbit/s in place of %.0f: they are not in step", cost.Mbps, want)
			}
			if err != nil {
				fmt.Fprintf(os.Stderr, "benchload: %d viewers at %d ms are not measured: %v\n", n, ms, err)
				cost = fanoutCost{Viewers: n, GatherMs: ms}
			}
			all = append(all, cost)
		}
	}
	return all
}
