package rtmp

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"
)

// ErrBitrate is wrapped by the error of a session whose peer kept wanting to send
// more than it may.
var ErrBitrate = errors.New("bit rate too high")

const (
	// flowBurst is how many bytes a peer may be ahead of its rate: key frames, and
	// what an encoder had to keep while its line was down.
	flowBurst = 16 << 20
	// flowPause is how long a peer is not read at a stretch. The session's other
	// deadlines go on meanwhile.
	flowPause = 50 * time.Millisecond
	// flowLeast is what may be read at once of a peer with the lowest rate.
	flowLeast = 64 << 10
)

// flow holds a peer to a rate by not reading faster; the peer's own network
// stack then slows it down. What counts is bytes as they come in, by the clock on
// the wall: timestamps have no say in it.
type flow struct {
	rate  float64       // bytes a second; 0: no limit
	grace time.Duration // how long the burst may be used up; 0: for ever

	level float64   // bytes that came ahead of the rate
	last  time.Time // when level was right
	since time.Time // when the burst was used up; zero: it is not
}

func newFlow(bitrate int64, grace time.Duration) flow {
	return flow{rate: float64(bitrate) / 8, grace: grace}
}

// room returns how much of n bytes to read at once, so that no pause gets long.
func (f *flow) room(n int) int {
	if f.rate == 0 {
		return n
	}
	return min(n, max(flowLeast, int(f.rate/4)))
}

// took counts n bytes that came in at now.
func (f *flow) took(n int, now time.Time) {
	if f.rate == 0 {
		return
	}
	f.drain(now)
	f.level += float64(n)
	if f.level > flowBurst && f.since.IsZero() {
		f.since = now
	}
}

// messageCost is what a message counts beside its bytes: that is about what it costs,
// and who cuts a stream into messages of a few bytes shall not send a million a second.
const messageCost = 160

// message counts a message that has come in.
func (f *flow) message() {
	if f.rate != 0 {
		f.level += messageCost
	}
}

// drain lets the rate do its work until now. A peer that stays one per cent
// below its rate has proved so before grace is over.
func (f *flow) drain(now time.Time) {
	f.level = max(0, f.level-now.Sub(f.last).Seconds()*f.rate)
	f.last = now
	if f.level < flowBurst-f.rate*f.grace.Seconds()/100 {
		f.since = time.Time{}
	}
}

// pause returns how long not to read, from now on.
func (f *flow) pause(now time.Time) time.Duration {
	if f.rate == 0 {
		return 0
	}
	f.drain(now)
	return time.Duration(max(0, f.level-flowBurst) / f.rate * float64(time.Second))
}

// exceeded reports whether the peer has had its grace.
func (f *flow) exceeded(now time.Time) bool {
	return f.grace > 0 && !f.since.IsZero() && now.Sub(f.since) >= f.grace
}

// throttle waits until the peer may be read again. A peer that wanted more than
// its rate for too long is told so, and an error ends the session.
func (g *guard) throttle() error {
	if g.flow.since.IsZero() { // the burst is not used up
		return nil
	}
	now := time.Now()
	if g.flow.exceeded(now) {
		err := fmt.Errorf("%w: more than %s for %s", ErrBitrate, g.flow.rateText(), g.flow.grace)
		g.stop(err, Status{PublishRejected, "the stream is above this server's limit of " + g.flow.rateText()})
		return err
	}
	for d := g.flow.pause(now); d > 0 && g.stopped.Load() == nil; d = g.flow.pause(time.Now()) {
		time.Sleep(min(d, flowPause))
	}
	return nil
}

// rest waits for as long as the Handler wants the peer not to be read.
func (g *guard) rest() {
	if g.pause <= 0 {
		return
	}
	end := time.Now().Add(g.pause)
	for d := g.pause; d > 0 && g.stopped.Load() == nil; d = time.Until(end) {
		time.Sleep(min(d, flowPause))
	}
	g.pause = 0
}

// rateText returns the rate for people: 60 Mbit/s, 2.5 Mbit/s.
func (f *flow) rateText() string {
	text := strconv.FormatFloat(f.rate*8/1e6, 'f', 3, 64)
	return strings.TrimRight(strings.TrimRight(text, "0"), ".") + " Mbit/s"
}
