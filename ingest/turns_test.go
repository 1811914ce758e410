package ingest

import (
	"crypto/tls"
	"fmt"
	"net"
	"slices"
	"testing"
	"time"

	"headwater/remux"
	"headwater/remux/av"
)

// TestReadGather measures how long a message takes from the encoder to the stream
// when publishers are read in turns, and when they are not.
func TestReadGather(t *testing.T) {
	for _, gather := range []time.Duration{0, 20 * time.Millisecond} {
		for _, secure := range []bool{false, true} {
			t.Run(fmt.Sprint(gather, secure), func(t *testing.T) {
				h := newHarness(t, func(c *Config) { c.ReadGather = gather })
				conn := h.connect(t, secure)
				e := h.greet(t, conn)
				if code, text := e.ask("live", "", "x"); code != "NetStream.Publish.Start" {
					t.Fatalf("answer %s: %s", code, text)
				}
				r := h.stream(t)
				var delays []time.Duration
				for i := range 21 {
					time.Sleep(3 * time.Millisecond)
					began := time.Now()
					e.message(4, 8, 1, uint32(i), make([]byte, 300))
					r.count(t, i+1)
					delays = append(delays, time.Since(began))
				}
				slices.Sort(delays)
				t.Logf("half of them below %v, all below %v", delays[10], delays[20])
				if most := gather + 10*time.Millisecond; delays[10] > most { // the machine has its own delays
					t.Errorf("half of all messages take more than %v", most)
				}
				if gather > 0 && delays[10] < time.Millisecond {
					t.Errorf("half of all messages take less than %v: nothing was gathered", delays[10])
				}
				_ = conn.Close()
			})
		}
	}
}

// TestReadUnwatched measures the same of a publisher whom nobody watches, whose frames are
// gathered for viewers, and from the moment at which somebody waits for them.
func TestReadUnwatched(t *testing.T) {
	for _, secure := range []bool{false, true} {
		t.Run(fmt.Sprint(secure), func(t *testing.T) {
			h := shortHarness(t, time.Second, func(c *Config) { c.ReadGather = 20 * time.Millisecond })
			e := h.greet(t, h.connect(t, secure))
			if code, text := e.ask("live", "", "x"); code != "NetStream.Publish.Start" {
				t.Fatalf("answer %s: %s", code, text)
			}
			sent := uint64(0)
			delay := func() time.Duration {
				var delays []time.Duration
				for range 15 {
					time.Sleep(3 * time.Millisecond)
					began := time.Now()
					e.message(4, 8, 1, uint32(sent), make([]byte, 300))
					for sent++; h.Stats().Messages < sent; {
						time.Sleep(200 * time.Microsecond)
					}
					delays = append(delays, time.Since(began))
				}
				slices.Sort(delays)
				t.Logf("half of them below %v, all below %v", delays[7], delays[14])
				return delays[7]
			}
			gather := h.config.ReadGather
			if d := delay(); d < 2*gather {
				t.Errorf("half of all messages take less than %v, while nobody waits for them", d)
			}
			stream := h.config.Registry.Stream(remux.Name{App: "live", Stream: "x"})
			cursor := stream.NewCursor()
			cursor.Every = 5 * gather
			cursor.Take(make([]av.Frame, 1))
			if d := delay(); d < 2*gather {
				t.Errorf("half of all messages take less than %v, while they are gathered over %v", d, cursor.Every)
			}
			stream.Touch()
			if d := delay(); d > 2*gather {
				t.Errorf("half of all messages take more than %v, while somebody waits for them", d)
			}
		})
	}
}

// connect returns a connection to the server, over TLS if that is asked for.
func (h *harness) connect(t *testing.T, secure bool) net.Conn {
	t.Helper()
	var conn net.Conn
	var err error
	if secure {
		conn, err = tls.Dial("tcp", h.secure(t), &tls.Config{InsecureSkipVerify: true}) // the test's own certificate
	} else {
		conn, err = net.Dial("tcp", h.addr)
	}
	if err != nil {
		t.Fatal(err)
	}
	return conn
}
