package origin

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"headwater/remux/fanout"
)

// TestShed: when memory is short, of those who do not read a tenth at a time is closed,
// whichever way they are written to, and nobody who reads.
func TestShed(t *testing.T) {
	for _, gather := range []time.Duration{0, 100 * time.Millisecond} {
		t.Run(gather.String(), func(t *testing.T) {
			f := start(t, 3)
			f.handler.fanout.Close()
			f.handler.fanout = fanout.New(fanout.Config{Gather: gather})
			overTLS := httptest.NewTLSServer(f.handler)
			t.Cleanup(overTLS.Close)
			const plain, secret = 20, 5
			for range plain {
				f.connect(t, "HTTP/1.1")
			}
			for range secret {
				dead, err := tls.Dial("tcp", overTLS.Listener.Addr().String(), &tls.Config{InsecureSkipVerify: true})
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { _ = dead.Close() })
				_ = dead.NetConn().(*net.TCPConn).SetReadBuffer(16 << 10)
				_, _ = fmt.Fprintf(dead, "GET /live/x.flv HTTP/1.1\r\nHost: x\r\n\r\n")
			}
			var at, lost atomic.Int64
			for range 3 {
				good, err := http.Get(f.server.URL + "/live/x.flv")
				if err != nil {
					t.Fatal(err)
				}
				defer func() { _ = good.Body.Close() }()
				go func() {
					follow(good.Body, &at)
					lost.Add(1)
				}()
			}
			for f.handler.Viewers() < plain+secret+3 {
				time.Sleep(time.Millisecond)
			}
			if n := f.handler.Shed(); n != 0 {
				t.Errorf("%d were closed while nobody was behind", n)
			}
			for from := 3000; from < 8000; from += 200 {
				large(t, f.publisher, from, from+200)
				for at.Load() < int64(from) {
					time.Sleep(time.Millisecond)
				}
			}
			left := plain + secret
			for left > 0 {
				want := (left + 9) / 10
				if n := f.handler.Shed(); n != want {
					t.Fatalf("of %d who do not read %d were closed, want %d", left, n, want)
				}
				left -= want
				for end := time.Now().Add(5 * time.Second); f.handler.Viewers() > left+3; time.Sleep(time.Millisecond) {
					if time.Now().After(end) {
						t.Fatalf("%d are there, want %d", f.handler.Viewers(), left+3)
					}
				}
			}
			if n := f.handler.Shed(); n != 0 || lost.Load() != 0 || f.handler.Viewers() != 3 {
				t.Errorf("%d more were closed; %d who read were", n, lost.Load())
			}
			if n := f.handler.Stats().Ends["memory"]; n != plain+secret {
				t.Errorf("%d are counted", n)
			}
		})
	}
}

// follow puts the time of the newest tag into at until the body ends.
func follow(body io.Reader, at *atomic.Int64) {
	h := make([]byte, 13)
	_, err := io.ReadFull(body, h)
	for err == nil {
		if _, err = io.ReadFull(body, h[:11]); err == nil {
			_, err = io.CopyN(io.Discard, body, int64(h[1])<<16|int64(h[2])<<8|int64(h[3])+4)
			at.Store(int64(h[7])<<24 | int64(h[4])<<16 | int64(h[5])<<8 | int64(h[6]))
		}
	}
}

// TestShedFurthestBehind: who takes least goes first.
func TestShedFurthestBehind(t *testing.T) {
	f := start(t, 3)
	first := f.open(t, "HTTP/1.1") // takes nothing from the start
	large(t, f.publisher, 3000, 6000)
	second := f.open(t, "HTTP/1.1")                                    // begins there
	if _, err := io.ReadFull(second, make([]byte, 1000)); err != nil { // it has begun
		t.Fatal(err)
	}
	large(t, f.publisher, 6000, 10000)
	n := 0
	for end := time.Now().Add(5 * time.Second); n == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		n = f.handler.Shed() // once it is far enough behind
	}
	if n != 1 {
		t.Fatalf("%d were closed", n)
	}
	if !cutOff(first) {
		t.Error("the first is there yet")
	}
	n = 0
	for end := time.Now().Add(5 * time.Second); n == 0 && time.Now().Before(end); time.Sleep(time.Millisecond) {
		n = f.handler.Shed() // once it has been served at all
	}
	if n != 1 || !cutOff(second) {
		t.Errorf("then %d", n)
	}
}

// cutOff reads what is left, and says whether that comes to an end.
func cutOff(conn net.Conn) bool {
	_ = conn.SetReadDeadline(time.Now().Add(2 * time.Second))
	_, err := io.Copy(io.Discard, conn)
	return err == nil || !strings.Contains(err.Error(), "timeout")
}
