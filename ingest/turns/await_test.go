package turns

import (
	"bytes"
	"errors"
	"io"
	"math"
	"net"
	"os"
	"slices"
	"syscall"
	"testing"
	"time"
)

// taker notes what its turns bring.
type taker struct {
	got   bytes.Buffer
	turns int
	most  int // turns that it takes
}

func (t *taker) Turn(room []byte, at int, _ time.Time) bool {
	t.got.Write(room[at:])
	clear(room[:at])
	t.turns++
	return t.turns < t.most
}

// ready returns a connection whose socket is known to be empty.
func ready(t *testing.T, c *Clock) (*Conn, *net.TCPConn) {
	t.Helper()
	in, peer := pair(t, c)
	if waited, err := in.Await(&taker{most: 1}); waited || err != nil {
		t.Fatalf("waits (%v) without having read: %v", waited, err)
	}
	send(t, peer, "first")
	b := make([]byte, 100)
	if n, err := in.Read(b); string(b[:n]) != "first" || err != nil {
		t.Fatalf("read %q, %v", b[:n], err)
	}
	return in, peer
}

// TestAwait has turns taken until there have been enough, and then goes on reading.
func TestAwait(t *testing.T) {
	in, peer := ready(t, New(time.Millisecond))
	go func() {
		for range 8 {
			_, _ = peer.Write([]byte("some"))
			time.Sleep(5 * time.Millisecond)
		}
		_ = peer.CloseWrite()
	}()
	some := &taker{most: 3}
	if waited, err := in.Await(some); !waited || err != nil || some.turns != 3 {
		t.Fatalf("%d turns, waited %v, %v", some.turns, waited, err)
	}
	rest, err := io.ReadAll(struct{ io.Reader }{in})
	if got := some.got.String() + string(rest); got != "somesomesomesomesomesomesomesome" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}
}

// TestAwaitMuch leaves what is too much for a turn to who reads.
func TestAwaitMuch(t *testing.T) {
	in, peer := ready(t, New(100*time.Millisecond))
	want := bytes.Repeat([]byte("0123456789abcdef"), 40<<10)
	go func() {
		_, _ = peer.Write(want)
		_ = peer.CloseWrite()
	}()
	var got []byte
	for {
		all := &taker{most: 1000}
		waited, err := in.Await(all)
		got = append(got, all.got.Bytes()...)
		if all.turns > 0 && all.got.Len() > all.turns*roomSize {
			t.Fatalf("%d bytes in %d turns", all.got.Len(), all.turns)
		}
		if waited && err == nil || !waited {
			b := make([]byte, 50<<10)
			var n int
			n, err = in.Read(b)
			got = append(got, b[:n]...)
		}
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%d bytes, or others", len(got))
	}
}

// TestAwaitEnds is everything that ends an Await, while something comes all the time
// and while nothing does.
func TestAwaitEnds(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(in *Conn, peer *net.TCPConn)
		want error
	}{
		{"end", func(_ *Conn, peer *net.TCPConn) { _ = peer.CloseWrite() }, io.EOF},
		{"reset", func(_ *Conn, peer *net.TCPConn) { _, _ = peer.SetLinger(0), peer.Close() }, syscall.ECONNRESET},
		{"close", func(in *Conn, _ *net.TCPConn) { _ = in.Close() }, net.ErrClosed},
		{"deadline", func(in *Conn, _ *net.TCPConn) { _ = in.SetDeadline(time.Unix(1, 0)) }, os.ErrDeadlineExceeded},
		{"deadline to come", func(in *Conn, _ *net.TCPConn) { _ = in.SetReadDeadline(time.Now().Add(10 * time.Millisecond)) }, os.ErrDeadlineExceeded},
	} {
		for _, busy := range []bool{false, true} {
			t.Run(c.name, func(t *testing.T) {
				in, peer := ready(t, New(2*time.Millisecond))
				stop := make(chan struct{})
				defer close(stop)
				if busy {
					go func() {
						for {
							select {
							case <-stop:
								return
							default:
								_, _ = peer.Write([]byte("more"))
								time.Sleep(time.Millisecond)
							}
						}
					}()
				}
				ended := make(chan error)
				go func() {
					_, err := in.Await(&taker{most: 1 << 30})
					for b := make([]byte, 100); err == nil; {
						_, err = in.Read(b)
					}
					ended <- err
				}()
				time.Sleep(10 * time.Millisecond)
				c.end(in, peer)
				select {
				case err := <-ended:
					if !errors.Is(err, c.want) {
						t.Errorf("ended with %v, want %v", err, c.want)
					}
				case <-time.After(10 * time.Second):
					t.Fatal("still waits")
				}
			})
		}
	}
}

// pacer notes when its turns come.
type pacer struct {
	at   []time.Time
	most int
}

func (p *pacer) Turn(_ []byte, _ int, now time.Time) bool {
	p.at = append(p.at, now)
	return len(p.at) < p.most
}

// gaps returns the times between turns but the first two, shortest first.
func (p *pacer) gaps() []time.Duration {
	var gaps []time.Duration
	for i := 2; i < len(p.at); i++ {
		gaps = append(gaps, p.at[i].Sub(p.at[i-1]))
	}
	slices.Sort(gaps)
	return gaps
}

func wanted(never bool) func() time.Duration {
	return func() time.Duration {
		if never {
			return math.MaxInt64
		}
		return 0
	}
}

// TestUnhurried leaves turns out while nobody waits for what comes, and none from the
// moment at which somebody does.
func TestUnhurried(t *testing.T) {
	const every = 5 * time.Millisecond
	in, peer := ready(t, New(every))
	go func() {
		for {
			if _, err := peer.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	pace := func(unhurried bool, turns int) []time.Duration {
		in.Wanted = wanted(unhurried)
		p := &pacer{most: turns}
		if waited, err := in.Await(p); !waited || err != nil {
			t.Fatalf("waited %v, %v", waited, err)
		}
		return p.gaps()
	}
	if gaps := pace(true, 11); gaps[len(gaps)/2] < MostSkipped*every {
		t.Errorf("turns are taken: half of them within %v", gaps[len(gaps)/2])
	}
	if gaps := pace(false, 30); gaps[len(gaps)/2] > 3*every { // the machine has its own delays
		t.Errorf("turns are left out: half of them are more than %v apart", gaps[len(gaps)/2])
	}
}

// TestSleeping has whoever joins a round that sleeps, because all in it leave turns out,
// read at the next turn.
func TestSleeping(t *testing.T) {
	const every = 20 * time.Millisecond
	c := New(every)
	idle, _ := ready(t, c)
	idle.Wanted = wanted(true)
	over := make(chan struct{})
	go func() {
		defer close(over)
		_, _ = idle.Await(&pacer{most: 1})
	}()
	in, peer := ready(t, c)
	var delays []time.Duration
	for range 9 {
		time.Sleep(every * MostSkipped) // the round falls asleep
		began := time.Now()
		p := &pacer{most: 1}
		in.empty = true
		send(t, peer, "x")
		if waited, err := in.Await(p); !waited || err != nil {
			t.Fatalf("waited %v, %v", waited, err)
		}
		delays = append(delays, time.Since(began))
	}
	slices.Sort(delays)
	if d := delays[len(delays)/2]; d > 3*every/2 { // the machine has its own delays
		t.Errorf("half of the turns come after more than %v", d)
	}
	_ = idle.Close()
	<-over
}

// TestSkip has nobody who sends much wait for room, and whoever sends little again be
// left alone again.
func TestSkip(t *testing.T) {
	when := time.Duration(math.MaxInt64)
	var p pace
	conn := &Conn{clock: New(20 * time.Millisecond), Wanted: func() time.Duration { return when }}
	for i, c := range []struct {
		bytes, want int
	}{
		{0, MostSkipped},
		{5 << 10, MostSkipped},  // in five turns
		{32 << 10, MostSkipped}, // as much as it may be
		{60 << 10, 1},           // at 12 KB a turn that makes 24 in two
		{60 << 10, 0},
		{20 << 10, 0},
		{6 << 10, MostSkipped},
	} {
		if p.skip(c.bytes, conn); p.skipped != c.want {
			t.Errorf("step %d: behind %d bytes %d turns are left out, want %d", i, c.bytes, p.skipped, c.want)
		}
	}
	for _, c := range []struct {
		when        time.Duration
		bytes, want int
	}{
		{0, 0, 0},
		{10 * time.Millisecond, 0, 0},
		{33 * time.Millisecond, 0, 0},
		{40 * time.Millisecond, 0, 1},
		{50 * time.Millisecond, 0, 0},
		{60 * time.Millisecond, 0, 2},
		{100 * time.Millisecond, 0, 4},
		{100 * time.Millisecond, 60 << 10, 0}, // two would be room enough, but not be in time
		{120 * time.Millisecond, 0, 2},
		{200 * time.Millisecond, 0, 4},
	} {
		p.skipped = MostSkipped
		when = c.when
		if p.skip(c.bytes, conn); p.skipped != c.want {
			t.Errorf("wanted each %v, %d turns are left out behind %d bytes, want %d", c.when, p.skipped, c.bytes, c.want)
		}
	}
}

// TestAhead has turns come just before the times at which others send.
func TestAhead(t *testing.T) {
	const every = 20 * time.Millisecond
	in, peer := ready(t, New(every))
	p := &pacer{most: 25}
	go func() {
		for {
			if _, err := peer.Write([]byte("x")); err != nil {
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	if waited, err := in.Await(p); !waited || err != nil {
		t.Fatalf("waited %v, %v", waited, err)
	}
	var before []time.Duration
	for _, at := range p.at {
		before = append(before, every-time.Duration(at.UnixNano())%every)
	}
	slices.Sort(before)
	if d := before[len(before)/2]; d > ahead || d < ahead/4 { // the machine has its own delays
		t.Errorf("half of the turns come more than %v before, want %v", d, ahead)
	}
}

func TestFitting(t *testing.T) {
	const ms = time.Millisecond
	for _, c := range []struct{ gather, every, want time.Duration }{
		{100 * ms, 20 * ms, 20 * ms},
		{100 * ms, 30 * ms, 25 * ms},
		{33 * ms, 20 * ms, 33 * ms / 2},
		{350 * ms, 20 * ms, 17500 * time.Microsecond},
		{10 * ms, 20 * ms, 10 * ms},
		{37 * ms, 12 * ms, 37 * ms / 4}, // 9.25 ms
		{100_000_007, 20 * ms, 20 * ms}, // a prime
	} {
		if got := Fitting(c.gather, c.every); got != c.want {
			t.Errorf("gathering over %v, at most %v: %v, want %v", c.gather, c.every, got, c.want)
		}
	}
}

// TestRounds spreads connections over as many goroutines as it takes.
func TestRounds(t *testing.T) {
	c := New(time.Millisecond)
	var all []*round
	for range 2*mostInRound + 1 {
		all = append(all, c.seat())
	}
	if len(c.rounds) != 3 || c.rounds[2].seats != 1 {
		t.Fatalf("%d rounds", len(c.rounds))
	}
	all[0].leave()
	if r := c.seat(); r != all[0] {
		t.Error("a place that was given back is not taken")
	}
}
