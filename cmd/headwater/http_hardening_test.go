package main

import (
	"bufio"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"regexp"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"headwater/scripts/lib/rig"
)

// metric reads a series without labels, or with the labels as they are shown.
func (p *process) metric(t *testing.T, name string) float64 {
	t.Helper()
	_, text := p.get(t, "admin", "/metrics")
	m := regexp.MustCompile(`(?m)^` + regexp.QuoteMeta(name) + ` (\S+)$`).FindStringSubmatch(text)
	if m == nil {
		t.Fatalf("there is no metric %s", name)
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// load is what a server has to give back.
type load struct{ goroutines, descriptors, memory float64 }

func (p *process) load(t *testing.T) load {
	t.Helper()
	return load{p.metric(t, "go_goroutines"), p.metric(t, "process_open_fds"), p.metric(t, "process_resident_memory_bytes")}
}

// atRest is the load once everything that the process begins with is there: what it
// listens on is told before that.
func (p *process) atRest(t *testing.T) load {
	t.Helper()
	const reads = 5 // that are to be the same
	var last load
	same := 0
	eventually(t, "as many goroutines as a moment ago", func() bool {
		time.Sleep(20 * time.Millisecond)
		now := p.load(t)
		if same++; now.goroutines != last.goroutines {
			same = 0
		}
		last = now
		return same >= reads
	})
	return last
}

// settles waits until goroutines and descriptors are what they were, give or take what
// comes and goes, and checks that memory has not grown by more than so many bytes.
func (p *process) settles(t *testing.T, before load, memory float64) {
	t.Helper()
	var now load
	defer func() {
		if t.Failed() {
			t.Logf("there are %+v", now)
		}
	}()
	eventually(t, fmt.Sprintf("all given back since %+v", before), func() bool {
		now = p.load(t)
		return now.goroutines <= before.goroutines+5 && now.descriptors <= before.descriptors+5
	})
	t.Logf("memory has grown by %.0f KB", (now.memory-before.memory)/1024)
	p.checkMemory(t, before, memory)
}

// checkMemory checks that it has not grown by more than so many bytes.
func (p *process) checkMemory(t *testing.T, before load, most float64) {
	t.Helper()
	if raced {
		most *= 8 // the detector has its own
	}
	if grown := p.load(t).memory - before.memory; grown > most {
		t.Errorf("memory has grown by %.0f KB", grown/1024)
	}
}

// raced says that the race detector is at work.
var raced = func() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}()

// rawConn is a connection for bytes that no HTTP client would send.
type rawConn struct {
	t *testing.T
	net.Conn
	r *bufio.Reader
}

func dialRaw(t *testing.T, p *process, proto string) *rawConn {
	t.Helper()
	c, err := net.Dial("tcp", p.addrs[proto])
	if err != nil {
		t.Fatal(err)
	}
	if proto == "https" {
		c = tls.Client(c, &tls.Config{InsecureSkipVerify: true})
	}
	t.Cleanup(func() { _ = c.Close() })
	return &rawConn{t, c, bufio.NewReader(c)}
}

func (c *rawConn) ask(text string) {
	c.t.Helper()
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// status returns that of the next answer, which may not take longer than that; 0 if
// there is none.
func (c *rawConn) status(within time.Duration) int {
	c.t.Helper()
	_ = c.SetReadDeadline(time.Now().Add(within))
	res, err := http.ReadResponse(c.r, nil)
	if err != nil {
		c.t.Error(err)
		return 0
	}
	defer func() { _ = res.Body.Close() }()
	_, _ = io.Copy(io.Discard, res.Body) // net/http resets who goes on sending
	return res.StatusCode
}

// ends returns how long it takes until the server closes the connection.
func (c *rawConn) ends(within time.Duration) time.Duration {
	c.t.Helper()
	began := time.Now()
	_ = c.SetReadDeadline(began.Add(within))
	if _, err := io.Copy(io.Discard, c.r); err != nil && !strings.Contains(err.Error(), "reset") {
		c.t.Errorf("still open after %v: %v", within, err)
	}
	return time.Since(began)
}

func tlsServe(t *testing.T, environ ...string) *process {
	t.Helper()
	dir := t.TempDir()
	certificate, key := rig.CertificateFiles(t, dir, "test")
	return startServe(t, append([]string{
		"HEADWATER_PUBLISH_WITHOUT_SECRET_FROM=127.0.0.0/8",
		"HEADWATER_HTTPS_CERTIFICATE=" + certificate, "HEADWATER_HTTPS_KEY=" + key,
	}, environ...), "--data", dir, "--https", "127.0.0.1:0")
}

const plainGet = "GET /live/none.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n"

// TestSlowRequests: who says nothing, stops in a head or trickles it is closed in the
// same time, and who announces a body that never comes is answered and closed.
func TestSlowRequests(t *testing.T) {
	t.Parallel()
	p := tlsServe(t)
	before := p.atRest(t)
	var all sync.WaitGroup
	for _, proto := range []string{"http", "https", "admin"} {
		for _, text := range []string{"", "GET /live/x", "GET / HTTP/1.1\r\nHost: h\r\nX-", "\x16\x03\x01\x02\x00\x01", "\r\n"} {
			c := dialRaw(t, p, proto)
			all.Go(func() {
				if _, err := io.WriteString(c, text); err == nil {
					c.ends(8 * time.Second)
				}
			})
		}
		c := dialRaw(t, p, proto)
		all.Go(func() {
			began := time.Now()
			for _, b := range []byte("GET / HTTP/1.1\r\nHost: h\r\nX-Slow: " + strings.Repeat("a", 100)) {
				if _, err := c.Write([]byte{b}); err != nil {
					break
				}
				time.Sleep(200 * time.Millisecond)
			}
			if d := time.Since(began); d > 10*time.Second {
				t.Errorf("%s: a head that trickles is taken for %v", proto, d)
			}
		})
		for _, text := range []string{
			"POST /live/x.m3u8 HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n",
			"GET /live/x.m3u8 HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\n",
			"GET /live/x.m3u8 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n",
		} {
			c := dialRaw(t, p, proto)
			all.Go(func() {
				if _, err := io.WriteString(c, text); err == nil {
					c.ends(15 * time.Second)
				}
			})
		}
	}
	c := dialRaw(t, p, "http")
	c.ask(plainGet)
	if status := c.status(2 * time.Second); status != http.StatusNotFound {
		t.Errorf("somebody else gets %d", status)
	}
	all.Wait()
	_ = c.Close()
	p.settles(t, before, 16<<20)
}

// TestBodyIsRefusedAtOnce: the answer does not wait for a body that nobody reads.
func TestBodyIsRefusedAtOnce(t *testing.T) {
	t.Parallel()
	p := tlsServe(t)
	for _, proto := range []string{"http", "https"} {
		for text, want := range map[string]int{
			"POST /live/x.m3u8 HTTP/1.1\r\nHost: h\r\nContent-Length: 300\r\n\r\n":             405,
			"GET /live/x.m3u8 HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3\r\n":  400,
			"GET /" + strings.Repeat("a", 5000) + " HTTP/1.1\r\nHost: h\r\n\r\n":               414,
			"GET / HTTP/1.1\r\nHost: h\r\nX-Bomb: " + strings.Repeat("a", 30_000) + "\r\n\r\n": 431,
			"GET / HTTP/1.1\r\nHost: h\r\n" + strings.Repeat("X-Bomb: a\r\n", 5_000) + "\r\n":  431,
			"GET /" + strings.Repeat("a", 30_000) + " HTTP/1.1\r\nHost: h\r\n\r\n":             431,
			"PROPFIND /live/x.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n":                                405,
			"CONNECT other.example:443 HTTP/1.1\r\nHost: other.example:443\r\n\r\n":            405,
			"GET http://other.example/live/none.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n":              404,
			"GET * HTTP/1.1\r\nHost: h\r\n\r\n":                                                404,
			"GET live/x.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n":                                      400,
			"GET /live/%zz.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n":                                   400,
			"GET /live/..%2f..%2fetc%2fpasswd HTTP/1.1\r\nHost: h\r\n\r\n":                     404,
			"GET /live/x.m3u8 HTTP/1.1\r\n\r\n":                                                400,
			"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n":                                                 405,
			"GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n":         404,
		} {
			c := dialRaw(t, p, proto)
			_ = c.SetDeadline(time.Now().Add(10 * time.Second))
			go func() { _, _ = io.WriteString(c, text) }() // it may not be taken to the end
			if status := c.status(3 * time.Second); status != want {
				t.Errorf("%s: %.60q is answered with %d, want %d", proto, text, status, want)
			}
			_ = c.Close()
		}
	}
}

// TestUnknownNames asks for 100,000 streams that are not there, which leaves nothing.
func TestUnknownNames(t *testing.T) {
	t.Parallel()
	p := openServe(t)
	const clients = 10
	each := 10_000
	if raced {
		each /= 5
	}
	round := func(n int) {
		var all sync.WaitGroup
		for client := range clients {
			c := dialRaw(t, p, "http")
			all.Go(func() {
				w := bufio.NewWriter(c)
				for i := range n {
					_, _ = fmt.Fprintf(w, "GET /live/none-%d-%d%s HTTP/1.1\r\nHost: h\r\n\r\n", client, i, []string{".m3u8", ".flv", ".ts", "/fmp4/index.m3u8?_HLS_msn=5", "/ts/abcdefgh-1.ts"}[i%5])
				}
				_ = w.Flush()
			})
			all.Go(func() {
				_ = c.SetReadDeadline(time.Now().Add(60 * time.Second))
				for range n {
					res, err := http.ReadResponse(c.r, nil)
					if err != nil {
						t.Error(err)
						return
					}
					_, _ = io.Copy(io.Discard, res.Body)
					if res.StatusCode != http.StatusNotFound {
						t.Errorf("got %d", res.StatusCode)
						return
					}
				}
				_ = c.Close()
			})
		}
		all.Wait()
	}
	round(each / 10) // what is made once is made
	before := p.atRest(t)
	round(each)
	p.settles(t, before, 16<<20)
	if _, text := p.get(t, "admin", "/metrics"); strings.Contains(text, "none-") {
		t.Error("the names are in the metrics")
	}
}

// TestPipelining asks far ahead and never reads: the client is closed, costs little
// until then and delays nobody.
func TestPipelining(t *testing.T) {
	t.Parallel()
	p := tlsServe(t)
	before := p.atRest(t)
	var all sync.WaitGroup
	for _, proto := range []string{"http", "http", "https", "https"} {
		for _, path := range []string{"/live/none.m3u8", "/%61"} { // of the loop, and not
			c := dialRaw(t, p, proto)
			all.Go(func() {
				request := []byte(strings.Repeat("GET "+path+" HTTP/1.1\r\nHost: h\r\n\r\n", 1000))
				began := time.Now()
				_ = c.SetWriteDeadline(began.Add(30 * time.Second))
				for {
					if _, err := c.Write(request); os.IsTimeout(err) {
						t.Errorf("%s: %s: still taken", proto, path)
					} else if err == nil {
						continue
					}
					return
				}
			})
		}
	}
	time.Sleep(time.Second)
	c := dialRaw(t, p, "http")
	for range 20 {
		began := time.Now()
		c.ask(plainGet)
		c.status(10 * time.Second)
		if d := time.Since(began); d > time.Second {
			t.Errorf("somebody else waits %v", d)
		}
	}
	p.checkMemory(t, before, 64<<20)
	all.Wait()
	_ = c.Close()
	p.settles(t, before, 64<<20)
}

// lastListed is the sequence number behind the newest whole segment.
func lastListed(list string) (n uint64) {
	_, rest, _ := strings.Cut(list, "#EXT-X-MEDIA-SEQUENCE:")
	digits, _, _ := strings.Cut(rest, "\n")
	n, _ = strconv.ParseUint(strings.TrimSpace(digits), 10, 64)
	return n + uint64(strings.Count(list, "#EXTINF"))
}

// TestBlockedRequests: 2,000 wait for the same segment and get the same bytes; 2,000
// more leave, and are forgotten at once.
func TestBlockedRequests(t *testing.T) {
	t.Parallel()
	p := openServe(t)
	e, v := published(t, p)
	var list string
	eventually(t, "a playlist", func() bool {
		_, list = p.get(t, "http", "/live/x/fmp4/index.m3u8")
		return strings.Contains(list, "#EXTINF")
	})
	before := p.atRest(t)
	const many = 2000
	block := func(live bool) (all []*rawConn) {
		for range many {
			all = append(all, dialRaw(t, p, "http"))
		}
		_, list = p.get(t, "http", "/live/x/fmp4/index.m3u8")
		if last := lastListed(list); live {
			eventually(t, "a segment that has just begun", func() bool {
				_, list = p.get(t, "http", "/live/x/fmp4/index.m3u8")
				return lastListed(list) > last
			})
		}
		for _, c := range all {
			c.ask(fmt.Sprintf("GET /live/x/fmp4/index.m3u8?_HLS_msn=%d HTTP/1.1\r\nHost: h\r\n\r\n", lastListed(list)+1))
		}
		return all
	}
	bodies := map[string]int{}
	stay := block(true)
	for _, c := range stay {
		_ = c.SetReadDeadline(time.Now().Add(20 * time.Second))
		res, err := http.ReadResponse(c.r, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Fatalf("%d, %v", res.StatusCode, err)
		}
		bodies[string(b)]++
		_ = c.Close()
	}
	if len(bodies) != 1 {
		t.Errorf("%d different playlists", len(bodies))
	}
	v.goesOn(t)
	v.complete(t)
	e.stop() // what comes next would answer them
	leave := block(false)
	eventually(t, "all wait", func() bool { return p.metric(t, "headwater_http_requests_blocked") == many })
	for _, c := range leave {
		_ = c.Close()
	}
	began := time.Now()
	eventually(t, "nobody waits", func() bool { return p.metric(t, "headwater_http_requests_blocked") == 0 })
	if d := time.Since(began); d > 3*time.Second { // in vain they wait for 6 s
		t.Errorf("forgotten after %v", d)
	}
	p.settles(t, before, 96<<20)
}

// TestKilled kills the process without a word while a publisher and viewers are there,
// three times, and starts it again on the same folder: names and numbers go on.
func TestKilled(t *testing.T) {
	t.Parallel()
	data := t.TempDir()
	var last uint64
	names := map[string]string{} // of segments, and what was in them
	for range 3 {
		p := startServe(t, []string{"HEADWATER_PUBLISH_WITHOUT_SECRET_FROM=127.0.0.0/8", "HEADWATER_HLS_SEGMENT_DURATION=500ms"}, "--data", data)
		_, v := published(t, p)
		var list string
		eventually(t, "a segment", func() bool {
			_, list = p.get(t, "http", "/live/x/fmp4/index.m3u8")
			return strings.Contains(list, "#EXTINF")
		})
		if n := lastListed(list); n <= last {
			t.Errorf("the numbers go back from %d to %d", last, n)
		} else {
			last = n
		}
		for line := range strings.Lines(list) {
			if line = strings.TrimSpace(line); line == "" || line[0] == '#' {
				continue
			}
			status, body := p.get(t, "http", "/live/x/fmp4/"+line)
			if status != http.StatusOK {
				continue // a gap
			}
			if old, known := names[line]; known && old != body {
				t.Errorf("%s has other bytes now", line)
			}
			names[line] = body
		}
		v.goesOn(t)
		p.end(t, syscall.SIGKILL)
		<-v.done
	}
}
