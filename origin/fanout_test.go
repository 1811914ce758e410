package origin

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"headwater/remux"
	"headwater/remux/fanout"
	"headwater/remux/flv"
)

// large feeds frames of 40 KB, for sockets to fill up.
func large(t testing.TB, p *remux.Publisher, from, to int) {
	t.Helper()
	for ts := from; ts < to; ts += 40 {
		message(t, p, flv.TypeVideo, uint32(ts), videoBody(ts%2000 == 0, 40_000))
		message(t, p, flv.TypeAudio, uint32(ts), append([]byte{0xaf, 1}, make([]byte, 100)...))
	}
}

// open connects a viewer by hand, so that the test decides when it reads.
func (f *fixture) open(t *testing.T, proto string) net.Conn {
	t.Helper()
	conn := f.connect(t, proto)
	for f.handler.Viewers() == 0 {
		time.Sleep(time.Millisecond)
	}
	return conn
}

// connect asks for a stream and does not wait for the answer.
func (f *fixture) connect(t *testing.T, proto string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", f.server.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = conn.Close() })
	if err := conn.(*net.TCPConn).SetReadBuffer(16 << 10); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(conn, "GET /live/x.flv "+proto+"\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	return conn
}

// tags reads an FLV body to its end and returns the types and times of its tags. The
// newest time is also put into at, which may be nil.
func tags(t *testing.T, body io.Reader, at *atomic.Int64) (types []uint8, times []int) {
	t.Helper()
	head := make([]byte, 13)
	if _, err := io.ReadFull(body, head); err != nil || string(head[:3]) != "FLV" {
		t.Fatalf("FLV header %q: %v", head, err)
	}
	for {
		h := make([]byte, 11)
		_, err := io.ReadFull(body, h)
		if errors.Is(err, io.EOF) {
			return types, times
		}
		if err != nil {
			t.Fatalf("tag %d: %v", len(types), err)
		}
		size := int(h[1])<<16 | int(h[2])<<8 | int(h[3])
		rest := make([]byte, size+4)
		if _, err := io.ReadFull(body, rest); err != nil {
			t.Fatalf("tag %d: %v", len(types), err)
		}
		if got := int(rest[size])<<24 | int(rest[size+1])<<16 | int(rest[size+2])<<8 | int(rest[size+3]); got != size+11 {
			t.Fatalf("tag %d: PreviousTagSize %d behind %d bytes", len(types), got, size)
		}
		if at != nil {
			at.Store(int64(h[7])<<24 | int64(h[4])<<16 | int64(h[5])<<8 | int64(h[6]))
		}
		types = append(types, h[0])
		times = append(times, int(h[7])<<24|int(h[4])<<16|int(h[5])<<8|int(h[6]))
	}
}

// A viewer that stops reading misses what it has no room for, goes on at a key
// frame, and gets whole tags all the time; another does not notice.
func TestViewerThatPauses(t *testing.T) {
	for _, proto := range []string{"HTTP/1.1", "HTTP/1.0"} {
		t.Run(proto, func(t *testing.T) {
			f := start(t, 3)
			f.handler.fanout.Close()
			f.handler.fanout = fanout.New(fanout.Config{SkipPause: 1}) // the stream runs forty times as fast as it should
			slow := f.open(t, proto)
			other, err := http.Get(f.server.URL + "/live/x.flv")
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = other.Body.Close() }()
			read := make(chan int)
			var at atomic.Int64
			go func() { // all the time
				types, _ := tags(t, other.Body, &at)
				read <- len(types)
			}()
			for from := 3000; from < 41000; from += 1000 { // 38 s, as fast as can be
				large(t, f.publisher, from, from+1000)
				for at.Load() < int64(from) { // not faster than the other can
					time.Sleep(time.Millisecond)
				}
			}
			done := make(chan struct{})
			var types []uint8
			var times []int
			go func() {
				defer close(done)
				res, err := http.ReadResponse(bufio.NewReader(slow), nil)
				if err != nil {
					t.Error(err)
					return
				}
				types, times = tags(t, res.Body, nil)
			}()
			time.Sleep(100 * time.Millisecond)
			large(t, f.publisher, 41000, 42000)
			f.registry.Close()
			<-done
			gap := 0
			for i := 1; i < len(times); i++ {
				if d := times[i] - times[i-1]; d > 1000 {
					gap++
					if types[i] != 9 || times[i]%2000 != 0 {
						t.Errorf("goes on at %d ms with a tag of type %d, not at a key frame", times[i], types[i])
					}
				} else if d < 0 {
					t.Errorf("%d ms follows %d", times[i], times[i-1])
				}
			}
			if gap == 0 || len(times) == 0 || times[len(times)-1] < 41900 {
				t.Errorf("%d gaps, ends at %v", gap, times[max(0, len(times)-1):])
			}
			if n := <-read; n < 39*50 {
				t.Errorf("the other viewer has %d tags", n)
			}
		})
	}
}

// A viewer that cannot keep up, and not after it was skipped ahead either, goes.
func TestViewerTooSlow(t *testing.T) {
	f := start(t, 3)
	conn := f.open(t, "HTTP/1.1")
	for from := 3000; f.handler.Viewers() > 0; from += 1000 {
		if from > 600_000 {
			t.Fatal("still there")
		}
		large(t, f.publisher, from, from+1000)
		if from%20_000 == 0 { // a little at a time, so that it is skipped again and again
			_ = conn.SetReadDeadline(time.Now().Add(time.Second)) // there may be less, if it was just skipped
			if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil && !errors.Is(err, os.ErrDeadlineExceeded) {
				break
			}
		}
	}
	for range 200 {
		if f.handler.Viewers() == 0 {
			return
		}
		time.Sleep(10 * time.Millisecond)
	}
	t.Error("still counted")
}

func TestViewerThatLeavesIsNoticed(t *testing.T) {
	t.Parallel()
	f := start(t, 3)
	conn := f.open(t, "HTTP/1.1")
	if err := conn.Close(); err != nil {
		t.Fatal(err)
	}
	deadline := time.Now().Add(10 * time.Second) // the stream is silent: it takes a probe
	for f.handler.Viewers() > 0 {
		if time.Now().After(deadline) {
			t.Fatal("still counted")
		}
		time.Sleep(10 * time.Millisecond)
	}
}

// With no gathering a frame is written when it arrives.
func TestFramesAreSentAtOnce(t *testing.T) {
	f := start(t, 3)
	if g := f.handler.config.FLVGather; g != 0 {
		t.Fatalf("gathers %v", g)
	}
	res, err := http.Get(f.server.URL + "/live/x.flv")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = res.Body.Close() }()
	readTags(t, res.Body, 2+25*3)
	b := make([]byte, 1)
	for ts := 3000; ts < 3400; ts += 40 {
		feed(t, f.publisher, ts, ts+40)
		sent := time.Now()
		if _, err := io.ReadFull(res.Body, b); err != nil {
			t.Fatal(err)
		}
		if d := time.Since(sent); d > 500*time.Millisecond { // a second is the loop's own turn
			t.Errorf("a frame came %v after it was sent", d)
		}
		rest := make([]byte, 11+1009+4+2*(11+102+4)-1)
		if _, err := io.ReadFull(res.Body, rest); err != nil {
			t.Fatal(err)
		}
	}
}

func TestShutdownCutsViewersOff(t *testing.T) {
	f := start(t, 3)
	conn := f.open(t, "HTTP/1.1")
	ctx, cancel := context.WithCancel(t.Context())
	cancel() // no grace
	if err := f.handler.Shutdown(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("shutdown: %v", err)
	}
	if n := f.handler.Viewers(); n != 0 {
		t.Errorf("%d viewers left", n)
	}
	if _, err := io.Copy(io.Discard, conn); err != nil {
		t.Logf("the viewer sees %v", err) // an end or a reset, as the kernel likes
	}
}
