//go:build e2e

package e2e

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// TestTwins publishes from one encoder to two servers that know each other, kills
// one of them, lets it come back without its data, and then does the same to the
// other. At any time, what both have under one name are the same bytes, and each
// segment of one is soon one of the other's.
func TestTwins(t *testing.T) {
	t.Parallel()
	src := sourceNamed(t, "bframes")
	a := &twinServer{t: t, ports: freePorts(t, 3), objects: map[string][]byte{}}
	b := &twinServer{t: t, ports: freePorts(t, 3), objects: map[string][]byte{}}
	a.other, b.other = b, a
	a.start()
	b.start()
	pushToBoth(t, src, a.server.publishURL("x"), b.server.publishURL("x"))
	for _, w := range []*twinServer{a, b} {
		go w.collect("x")
	}
	wait := func(what string, segments int) {
		t.Helper()
		since := a.count()
		deadline := time.Now().Add(40 * time.Second)
		for sameObjects(t, a, b, since) < segments {
			if time.Now().After(deadline) {
				t.Fatalf("%s: %d objects are the same, want %d; a has %d, b %d", what, sameObjects(t, a, b, since), segments, a.count(), b.count())
			}
			time.Sleep(200 * time.Millisecond)
		}
	}
	wait("from the start", 12)
	for _, w := range []*twinServer{b, a} {
		w.server.End(syscall.SIGKILL)
		time.Sleep(3 * time.Second)
		w.start()
		wait("after one was killed", 12)
	}
}

// twinServer is one of the two. It keeps its ports over restarts, and nothing else.
type twinServer struct {
	t      *testing.T
	ports  []string // rtmp, http, admin
	other  *twinServer
	server *server

	mu      sync.Mutex
	objects map[string][]byte
	order   []string
}

func (w *twinServer) start() {
	w.t.Helper()
	w.server = startServerIn(w.t, w.t.TempDir(), []string{"HEADWATER_TWIN_URL=http://" + w.other.ports[2]},
		"--rtmp", w.ports[0], "--http", w.ports[1], "--admin", w.ports[2])
}

func freePorts(t *testing.T, n int) (addrs []string) {
	t.Helper()
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		addrs = append(addrs, l.Addr().String())
	}
	return addrs
}

// pushToBoth loops over a source in real time until the test ends, and connects
// again to a server that was away.
func pushToBoth(t *testing.T, src *source, urls ...string) {
	t.Helper()
	const recover = "fifo_format=flv:attempt_recovery=1:recover_any_error=1:recovery_wait_time=0.3:drop_pkts_on_overflow=1:queue_size=300"
	for i := range urls {
		urls[i] = "[f=flv:onfail=ignore]" + urls[i]
	}
	encoder := start(t, exec.Command("ffmpeg", "-nostdin", "-loglevel", "warning", "-re", "-stream_loop", "-1", "-i", src.file,
		"-c", "copy", "-map", "0", "-t", "120", "-f", "tee", "-use_fifo", "1", "-fifo_options", recover, strings.Join(urls, "|")))
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("encoder: %s", encoder.log.Tail(2000))
		}
	})
}

// collect fetches whatever the playlists name until the test ends.
func (w *twinServer) collect(name string) {
	for ctx := w.t.Context(); ctx.Err() == nil; time.Sleep(pollEvery) {
		for _, format := range []string{"fmp4", "ts"} {
			base := "http://" + w.ports[1] + "/live/" + name + "/" + format + "/"
			list, err := request(ctx, http.MethodGet, base+"index.m3u8")
			if err != nil || list.status != http.StatusOK {
				continue // it is away, or has no segment yet
			}
			for line := range strings.Lines(string(list.body)) {
				line = strings.TrimSpace(line)
				if _, uri, ok := strings.Cut(line, `URI="`); ok && !strings.HasPrefix(line, "#EXT-X-PRELOAD") {
					line, _, _ = strings.Cut(uri, `"`)
				}
				if line != "" && line[0] != '#' {
					w.fetch(ctx, base, line)
				}
			}
		}
	}
}

func (w *twinServer) fetch(ctx context.Context, base, name string) {
	w.mu.Lock()
	known := w.objects[name] != nil
	w.mu.Unlock()
	if known {
		return
	}
	o, err := request(ctx, http.MethodGet, base+name)
	if err != nil || o.status != http.StatusOK {
		return // killed meanwhile; what stays away is missed in the end
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.objects[name] = o.body
	w.order = append(w.order, name)
}

func (w *twinServer) count() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.order)
}

// sameObjects counts the objects that a has fetched since then and b has too, and
// fails where any object that both have differs.
func sameObjects(t *testing.T, a, b *twinServer, since int) (n int) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	b.mu.Lock()
	defer b.mu.Unlock()
	for i, name := range a.order {
		other, ok := b.objects[name]
		if !ok {
			continue
		}
		if !bytes.Equal(a.objects[name], other) {
			t.Fatalf("%s: %d and %d bytes, not the same", name, len(a.objects[name]), len(other))
		}
		if i >= since {
			n++
		}
	}
	return n
}
