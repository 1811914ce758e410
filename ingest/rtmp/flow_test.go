package rtmp

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"
)

// TestFlow lets a peer offer bytes at some rate for a while, and measures what is
// read of it and whether it is sent away.
func TestFlow(t *testing.T) {
	const second = time.Second
	for _, c := range []struct {
		name    string
		limit   int64 // bits a second
		grace   time.Duration
		offered float64 // bytes a second
		lasts   time.Duration
		closed  time.Duration // 0: never
	}{
		{"below", 60e6, 10 * second, 50e6 / 8, 10 * time.Minute, 0},
		{"one per cent below", 60e6, 10 * second, 59.3e6 / 8, 10 * time.Minute, 0},
		{"no limit", 0, 10 * second, 1e9, second, 0},
		{"twice", 60e6, 10 * second, 120e6 / 8, time.Minute, 12237 * time.Millisecond}, // 16 MiB at 7.5 MB/s, and the grace
		{"ten times", 60e6, 10 * second, 600e6 / 8, time.Minute, 10249 * time.Millisecond},
		{"ten times, no grace", 60e6, 0, 600e6 / 8, time.Minute, 0},
		{"four times, slow", 1e6, 5 * second, 4e6 / 8, 2 * time.Minute, 49739 * time.Millisecond},
		{"a burst that fits", 60e6, 10 * second, 16e6, second, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			const size = 16 << 10
			f := newFlow(c.limit, c.grace)
			start := time.Now()
			now, read, closed := start, 0, time.Duration(0)
			for sent := 0.0; sent < c.offered*c.lasts.Seconds() && now.Sub(start) < c.lasts; sent += size {
				if at := start.Add(time.Duration(sent / c.offered * 1e9)); at.After(now) {
					now = at // it has to come before it can be read
				}
				if f.exceeded(now) {
					closed = now.Sub(start)
					break
				}
				now = now.Add(f.pause(now))
				f.took(size, now)
				read += size
			}
			if d := closed - c.closed; d.Abs() > 200*time.Millisecond {
				t.Errorf("closed after %v, want %v", closed, c.closed)
			}
			most := float64(flowBurst) + float64(c.limit)/8*now.Sub(start).Seconds() + 2*size
			if c.limit > 0 && float64(read) > most {
				t.Errorf("%d bytes read in %v", read, now.Sub(start))
			}
		})
	}
}

// TestFlowText: what the encoder's user reads.
func TestFlowText(t *testing.T) {
	for bitrate, want := range map[int64]string{60e6: "60 Mbit/s", 2_500_000: "2.5 Mbit/s", 1_000_000: "1 Mbit/s", 100e6: "100 Mbit/s"} {
		f := newFlow(bitrate, 0)
		if got := f.rateText(); got != want {
			t.Errorf("%d is %q, want %q", bitrate, got, want)
		}
	}
}

// flood publishes at full speed until the server closes. It returns the bytes
// that it got rid of.
func (p *peer) flood(sent chan<- int) {
	frame := appendChunks(nil, 6, typeVideo, 1, 0, make([]byte, 100_000), 65536)
	total := 0
	for {
		n, err := p.conn.Write(frame)
		if total += n; err != nil {
			sent <- total
			return
		}
	}
}

// TestFlood sends as fast as loopback can, and is held back, told and closed.
func TestFlood(t *testing.T) {
	t.Parallel()
	j := newJournal()
	p := newPeer(t, j, Options{MaxBitrate: 8e6, BitrateGrace: time.Second})
	p.handshake()
	p.publish("live", "x")
	p.send(wire("02 000000 000004 01 00000000 00010000"))
	began := time.Now()
	sent := make(chan int, 1)
	go p.flood(sent)
	got := p.reply("onStatus")
	if !strings.Contains(got, PublishRejected) || !strings.Contains(got, "limit of 8 Mbit/s") || !strings.Contains(got, `level: "error"`) {
		t.Errorf("told %s", got)
	}
	if d := time.Since(began); d < time.Second || d > 5*time.Second {
		t.Errorf("after %v", d)
	}
	if err := j.reason(t); !errors.Is(err, ErrBitrate) {
		t.Errorf("ended with %v", err)
	}
	_, _ = io.Copy(io.Discard, p.conn)
	<-sent
	read := 0
	for _, m := range j.media {
		read += len(m.body)
	}
	if most := flowBurst + 5<<20; read > most || read < flowBurst/2 {
		t.Errorf("%d bytes were taken, want %d at most", read, most)
	}
}

// TestHeldBack is a peer whose server holds it back and does not close: it can be
// stopped from elsewhere at once.
func TestHeldBack(t *testing.T) {
	t.Parallel()
	j := newJournal()
	p := newPeer(t, j, Options{MaxBitrate: 1e6})
	p.handshake()
	p.publish("live", "x")
	p.send(wire("02 000000 000004 01 00000000 00010000"))
	sent := make(chan int, 1)
	go p.flood(sent)
	count := func() int { j.mu.Lock(); defer j.mu.Unlock(); return len(j.media) }
	for count() < flowBurst/100_000-2 {
		time.Sleep(time.Millisecond)
	}
	before := count()
	time.Sleep(500 * time.Millisecond)
	if more := count() - before; more > 4 { // 125 KB a second
		t.Errorf("%d more messages in half a second", more)
	}
	began := time.Now()
	p.s.Stop(io.ErrClosedPipe, Status{ConnectClosed, "bye"})
	p.reply("onStatus")
	if err := j.reason(t); err != io.ErrClosedPipe {
		t.Errorf("ended with %v", err)
	}
	if d := time.Since(began); d > 3*time.Second {
		t.Errorf("stopping takes %v", d)
	}
	<-sent
}
