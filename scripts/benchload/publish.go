//go:build linux

package main

import (
	"context"
	"fmt"
	"io"
	"sync"
	"sync/atomic"
	"time"
)

// replay is a file ready to be sent: each message framed once, the bytes shared
// by every publisher.
type replay struct {
	due    []time.Duration // from the start of the stream
	frames [][]byte
	stamps []bool // whether a frame has room for the time at which it is sent
	length time.Duration
}

// newReplay frames a file for message stream id 1, the first that a server
// hands out. With stamped its pictures say when they were sent, which one publisher
// at a time can do.
func newReplay(path string, stamped bool) (*replay, error) {
	tags, err := readFLV(path)
	if err != nil {
		return nil, err
	}
	r := &replay{}
	for _, t := range tags {
		chunkStream, body := byte(6), t.body
		switch t.typ {
		case 8:
			chunkStream = 4
		case typeData:
			chunkStream, body = 5, append(amfString("@setDataFrame"), body...)
		}
		stamps := stamped && stampable(t)
		if stamps {
			body = withStamp(body)
		}
		r.stamps = append(r.stamps, stamps)
		r.frames = append(r.frames, appendMessage(nil, chunkStream, t.typ, 1, t.time, body))
		r.due = append(r.due, time.Duration(t.time)*time.Millisecond)
	}
	r.length = r.due[len(r.due)-1]
	return r, nil
}

// mbps is the file's bit rate.
func (r *replay) mbps() float64 {
	size := 0
	for _, frame := range r.frames {
		size += len(frame)
	}
	return float64(size) * 8 / 1e6 / r.length.Seconds()
}

// crowd is a number of publishers that replay the same file, each from its own
// start, so that their key frames do not coincide.
type crowd struct {
	cancel context.CancelFunc
	wg     sync.WaitGroup
	sent   atomic.Int64 // bytes
	late   atomic.Int64 // writes that took more than 200 ms
	alive  atomic.Int64
	err    atomic.Pointer[error] // the first
}

// start publishes to app/s0, app/s1 … on addr, spread over a ramp, and returns
// when all of them have begun. None waits for the one before: on a machine that is busy
// an answer takes its time, and the first must not be at the file's end when the last
// begins.
func (r *replay) start(addr string, n int, ramp time.Duration) (*crowd, error) {
	ctx, cancel := context.WithCancel(context.Background())
	c := &crowd{cancel: cancel}
	var begun sync.WaitGroup
	for i := range n {
		begun.Go(func() {
			s, err := publish(addr, "live", fmt.Sprintf("s%d", i))
			if err == nil && s.stream != 1 {
				_ = s.conn.Close()
				err = fmt.Errorf("the server's first message stream is %d", s.stream)
			}
			if err != nil {
				c.err.CompareAndSwap(nil, &err)
				return
			}
			c.alive.Add(1)
			c.wg.Go(func() { c.run(ctx, r, s) })
		})
		time.Sleep(ramp / time.Duration(n))
	}
	begun.Wait()
	if err := c.failed(); err != nil {
		c.stop()
		return nil, err
	}
	return c, nil
}

func (c *crowd) stop() {
	c.cancel()
	c.wg.Wait()
}

// failed returns what ended the first publisher that ended early.
func (c *crowd) failed() error {
	if err := c.err.Load(); err != nil {
		return *err
	}
	return nil
}

func (c *crowd) run(ctx context.Context, r *replay, s *session) {
	defer c.alive.Add(-1)
	stop := context.AfterFunc(ctx, func() { _ = s.conn.Close() })
	defer stop()
	c.wg.Go(func() { _, _ = io.Copy(io.Discard, s.reader.r) })
	defer func() { _ = s.conn.Close() }()
	if err := c.send(ctx, r, s); err != nil && ctx.Err() == nil {
		c.err.CompareAndSwap(nil, &err)
	}
}

func (c *crowd) send(ctx context.Context, r *replay, s *session) error {
	start := time.Now()
	timer := time.NewTimer(0)
	defer timer.Stop()
	for i, frame := range r.frames {
		timer.Reset(time.Until(start.Add(r.due[i])))
		select {
		case <-timer.C:
		case <-ctx.Done():
			return nil
		}
		began := time.Now()
		if r.stamps[i] {
			stamp(frame, began)
		}
		if _, err := s.conn.Write(frame); err != nil {
			return err
		}
		if time.Since(began) > 200*time.Millisecond {
			c.late.Add(1)
		}
		c.sent.Add(int64(len(frame)))
	}
	return fmt.Errorf("the file of %v is shorter than the measurement", r.length)
}
